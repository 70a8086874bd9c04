"""Database servers of our own: Debian's programs as ordinary processes, with their defaults, for both sides alike."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import time
from pathlib import Path

from cpu import Meter, kill, tree
from openssh import free_port
from workspace import Problem

READY_WITHIN = 60
PASSWORD = "of-the-bench-1"


class ServersMeter(Meter):
    """CPU of database servers: what lives, and what their masters have waited for."""

    def __init__(self):
        self.roots = []

    def wrap(self, command):
        return command

    def enter(self):
        pass

    def watch(self, pid):
        self.roots.append(pid)

    def read(self):
        return sum(own + reaped for root in self.roots for _, _, own, reaped in tree(root))

    def close(self):
        for root in self.roots:
            for pid, *_ in tree(root):
                kill(pid)


class Server:
    """One server with its files in the workspace."""

    def __init__(self, space, client, meter):
        self.space, self.client, self.meter = space, client, meter
        self.folder = space.folder(self.engine)
        self.port = free_port()
        self.process = None
        self.password_file = self.folder.parent / f"{self.engine}.password"
        self.password_file.write_text(PASSWORD)

    def run_server(self, command, **more):
        self.space.at_end(self.stop)
        with open(self.folder.parent / f"{self.engine}.log", "w") as log:
            self.process = self.space.start_server(command, self.meter, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **more)
        deadline = time.monotonic() + READY_WITHIN
        while True:
            try:
                return self.sql("SELECT 1")
            except Problem as problem:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    log = (self.folder.parent / f"{self.engine}.log").read_text(errors="replace")
                    raise Problem(f"{self.engine} does not start: {problem}; {log[-400:]}") from None
                time.sleep(0.1)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(self.ending)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def section(self):
        """What the gateway's configuration says of it."""
        return (f'\n[[database_server]]\nname = "{self.engine}"\nengine = "{self.engine}"\naddress = "{self.address}"\n'
                f'user = "{self.user}"\npassword_file = "{self.password_file}"\n')


class MariaDb(Server):
    engine, user, ending = "mariadb", "gateway", signal.SIGTERM

    @property
    def address(self):
        return str(self.folder / "socket")

    def start(self):
        root = ["--user=root"] if os.geteuid() == 0 else []
        data = f"--datadir={self.folder / 'data'}"
        (self.folder / "tmp").mkdir()
        common = ["--no-defaults", *root, data, f"--tmpdir={self.folder / 'tmp'}"]
        self.client.run(["mariadb-install-db", *common, "--skip-test-db", "--auth-root-authentication-method=normal"])
        self.run_server([program("mariadbd"), *common, f"--socket={self.address}", f"--port={self.port}",
                         "--bind-address=127.0.0.1", "--skip-name-resolve", f"--pid-file={self.folder / 'pid'}"])
        for host in ("%", "localhost"):
            self.sql(f"CREATE USER '{self.user}'@'{host}' IDENTIFIED BY '{PASSWORD}';"
                     f" GRANT ALL ON *.* TO '{self.user}'@'{host}' WITH GRANT OPTION")
        self.version = self.sql("SELECT VERSION()").strip()

    def words(self, name, *more):
        return shlex.join([name, "--no-defaults", f"--socket={self.address}", "--user=root", "--default-character-set=utf8mb4", *more])

    def sql(self, statements, database=""):
        return self.client.run([*shlex.split(self.words("mariadb", "--batch", "--skip-column-names")), *([database] if database else [])],
                               stdin=statements + ";\n")

    def clone_words(self, source, target):
        dump = self.words("mariadb-dump", "--single-transaction", "--quick", source)
        return f"{dump} | {self.words('mariadb', target)}"

    def empty(self, name):
        self.sql(f"DROP DATABASE IF EXISTS {name}; CREATE DATABASE {name} CHARACTER SET utf8mb4")

    def remove(self, name):
        self.sql(f"DROP DATABASE IF EXISTS {name}")

    def names(self):
        return self.sql("SHOW DATABASES").split()

    def sums(self, database, tables):
        """What says that two databases hold the same."""
        said = self.sql(f"CHECKSUM TABLE {', '.join(tables)}", database)
        return [line.split("\t")[1] for line in said.splitlines()]

    def writer(self, database):
        return [*shlex.split(self.words("mariadb", "--batch", "--skip-column-names", "--unbuffered")), database]

    def settle(self, database, tables):
        self.sql(f"ANALYZE TABLE {', '.join(tables)}", database)


class PostgreSql(Server):
    engine, user, ending = "postgresql", "postgres", signal.SIGINT

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def start(self):
        files = self.folder / "password"
        files.write_text(PASSWORD)
        if os.geteuid() == 0:
            # It refuses to run as root; nobody must be able to get there.
            for path in (self.folder, files):
                shutil.chown(path, "nobody")
            self.space.root.chmod(0o711)
        self.client.run(self.as_server([program("initdb"), "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8",
                                        f"--username={self.user}", f"--pwfile={files}", "--pgdata", str(self.folder / "data")]),
                        cwd="/")
        self.run_server(self.as_server([program("postgres"), "-D", str(self.folder / "data"), "-k", str(self.folder),
                                        "-c", "listen_addresses=127.0.0.1", "-c", f"port={self.port}"]), cwd="/")
        self.version = self.sql("SHOW server_version").strip()

    def as_server(self, command):
        if os.geteuid() != 0:
            return command
        # A change of account undoes what the server is to get when we die, so setpriv asks for it again.
        return ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "--pdeathsig=INT", "--", *command]

    def words(self, name, *more):
        return shlex.join(["env", f"PGHOST=127.0.0.1", f"PGPORT={self.port}", f"PGUSER={self.user}", f"PGPASSWORD={PASSWORD}",
                           program(name), *more])

    def sql(self, statements, database="postgres"):
        return self.client.run(shlex.split(self.words("psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-d", database)), stdin=statements + ";\n")

    def clone_words(self, source, target):
        return f"{self.words('pg_dump', source)} | {self.words('psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', target)}"

    def empty(self, name):
        self.sql(f"DROP DATABASE IF EXISTS {name}")
        self.sql(f"CREATE DATABASE {name}")

    def remove(self, name):
        self.sql(f"DROP DATABASE IF EXISTS {name}")

    def names(self):
        return self.sql("SELECT datname FROM pg_database").split()

    def sums(self, database, tables):
        return [self.sql(f"SELECT count(*), sum(hashtextextended(t::text, 0)) FROM {table} t", database).strip() for table in tables]

    def writer(self, database):
        return shlex.split(self.words("psql", "-XqAt", "-d", database))

    def settle(self, database, tables):
        self.sql("VACUUM ANALYZE", database)
        self.sql("CHECKPOINT")


def program(name):
    """Debian keeps each version of PostgreSQL's programs in a folder of its own."""
    kept = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    found = str(kept[-1]) if kept else shutil.which(name, path="/usr/sbin:/usr/bin:/bin:" + os.environ.get("PATH", ""))
    if not found:
        raise Problem(f"{name} is not here: tests/install-clients.sh installs it")
    return found


def database_of(data, site, environment):
    """What a site reads of the database that an environment has now."""
    path = data / "sites" / site / "environments" / environment / "settings" / "settings.json"
    return json.loads(path.read_text())
