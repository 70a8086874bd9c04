"""Where content is cloned: a gateway with one site, the servers of its databases, and the tools that people use
instead, on the same machine, the same disk and the same servers."""

import io
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import content_data
import databases
from client import client_cpu
from connection import Connection
from cpu import Meter
from funicular import Funicular
from workspace import Problem

SITE = "shop"
# Servers of databases that a phase may need; SQLite and files need none.
SERVERS = {"mariadb": databases.MariaDb, "postgresql": databases.PostgreSql}
# The database that the tools fill.
PEER = "peer"


class ToolsMeter(Meter):
    """CPU of all programs that the bench has started and waited for: on this side they do the work."""

    def __init__(self, servers):
        self.servers = servers

    def read(self):
        return client_cpu() + self.servers.read()

    def close(self):
        pass


class Together(Meter):
    """A server's own CPU, and that of the database servers that work for it."""

    def __init__(self, own, servers):
        self.own, self.servers = own, servers
        self.enter, self.wrap, self.watch, self.pids = own.enter, own.wrap, own.watch, own.pids

    def read(self):
        return self.own.read() + self.servers.read()

    def close(self):
        self.own.close()


class Tools:
    """Debian's own programs, as a person or a script would call them."""

    letter, title, main_deploys = "A", "the usual tools", False

    def __init__(self, space, client, meter):
        self.space, self.client, self.cpu = space, client, meter
        self.folder = space.folder("tools")

    def audit_seconds(self):
        return None

    def shell(self, script):
        return self.client.run(["bash", "-o", "pipefail", "-e", "-c", script])


class ContentFunicular(Funicular):
    """A gateway that keeps nothing for undo, so that what was cloned before is the spare of the next clone at once."""

    main_deploys = False

    def __init__(self, space, client, meter, program, servers):
        super().__init__("B", "Funicular", "funicular", space, client, meter, program)
        self.servers = servers

    def lift_limits(self):
        super().lift_limits()
        text = self.config.read_text()
        if "\n[content]\n" in text:
            text = re.sub(r"^keep_former_hours = .*$", "keep_former_hours = 0", text, flags=re.MULTILINE)
        else:
            text += "\n[content]\nkeep_former_hours = 0\n"
        self.config.write_text(text + "".join(server.section() for server in self.servers))


class Scene:
    """What the rows of one phase work with: one kind of content of one size."""

    def __init__(self, space, client, meters, program, phase, options):
        self.space, self.client, self.phase, self.options = space, client, phase, options
        self.folder = space.folder("scene")
        self.server, servers_meter = None, databases.ServersMeter()
        space.at_end(servers_meter.close)
        if phase.engine in SERVERS:
            self.server = SERVERS[phase.engine](space, client, servers_meter)
        servers = [self.server] if self.server else []
        self.tools = Tools(space, client, ToolsMeter(servers_meter))
        self.gateway = ContentFunicular(space, client, Together(meters, servers_meter), program, servers)
        self.kept = {}

    def start(self):
        if self.server:
            self.server.start()
        self.gateway.start()
        command = self.gateway.command
        command("site:create", SITE)
        for environment in ("test", "live"):
            command("env:deploy", f"{SITE}.{environment}", "--note", "the first")
        self.up = Connection(self.client, self.gateway.console_login)
        if self.phase.engine == "files":
            self.names = content_data.write_uploads(self.live_files, self.options.content_files, self.options.content_file_kib)
        else:
            command("site:set", SITE, "database", self.phase.engine, "--yes")
            self.fill()

    def stop(self):
        self.up.close()
        self.gateway.stop()
        if self.server:
            self.server.stop()

    def fill(self):
        """Live's database: one unit by an import, as a person would bring it, and then as often as it takes."""
        dump = self.folder / "dump"
        times = content_data.times_for(self.phase.mib)
        if self.phase.engine == "sqlite":
            content_data.write_sqlite(dump, times)
        else:
            content_data.write_unit(dump, self.phase.engine)
        self.bring("import:database", f"{SITE}.live", dump, "--confirm", f"{SITE}.live")
        dump.unlink()
        if self.phase.engine == "sqlite":
            self.client.run(["sqlite3", str(self.sqlite("live")), "PRAGMA journal_mode = WAL"])
            return
        for table in content_data.TABLES:
            self.server.sql(";\n".join(["SELECT 1", *content_data.multiplied(table, times)]), self.name("live"))
        self.server.settle(self.name("live"), list(content_data.TABLES))

    def bring(self, kind, place, path, *more):
        """Sends a file to an import over the connection that is up."""
        command = [*self.up.ssh(), "-T", self.up.login, kind, place, "-", *more]
        with open(path, "rb") as file:
            process = self.space.start(command, env=self.client.environment, stdin=file, stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE, text=True)
            return self.client.finish(process, command)

    def clone(self, target, *more):
        return self.up.run("env:clone-content", f"{SITE}.live", target, *more)

    def environment(self, name):
        return self.gateway.data / "sites" / SITE / "environments" / name

    @property
    def live_files(self):
        return self.environment("live") / "files"

    def files(self, name):
        return (self.environment(name) / "files").resolve()

    def told(self, environment):
        return databases.database_of(self.gateway.data, SITE, environment)

    def name(self, environment):
        """The name of an environment's database on its server."""
        return self.told(environment)["FUNICULAR_DATABASE_NAME"]

    def sqlite(self, environment):
        """The only file in an environment's folder of SQLite databases."""
        folder = Path(self.told(environment)["FUNICULAR_DATABASE_DIR"])
        found = [path for path in folder.iterdir() if not path.name.endswith(("-wal", "-shm", "-journal"))]
        if len(found) != 1:
            raise Problem(f"{folder} holds {len(found)} databases")
        return found[0]

    def nearly_empty(self):
        """An archive of one small file."""
        path = self.folder / "small.tar"
        if not path.exists():
            with tarfile.open(path, "w") as archive:
                entry = tarfile.TarInfo("small.txt")
                entry.size = 6
                archive.addfile(entry, io.BytesIO(b"small\n"))
        return path

    def writer(self):
        """The command of somebody who writes on Live all the time."""
        script = [sys.executable, "-B", str(Path(__file__).with_name("writer.py"))]
        if self.phase.engine == "files":
            return [*script, "files", str(self.live_files)]
        if self.phase.engine == "sqlite":
            return [*script, "sqlite", str(self.sqlite("live"))]
        return [*script, "database", *self.server.writer(self.name("live"))]
