"""The yardstick: an OpenSSH sshd of our own, with internal-sftp, and git behind it."""

import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from workspace import Problem


class OpenSsh:
    """One sshd with its own configuration, host key, port and folder, run by the present user."""

    main_deploys = False

    def __init__(self, letter, title, alias, space, client, meter):
        self.letter, self.title, self.alias = letter, title, alias
        self.space, self.client, self.cpu = space, client, meter
        self.login = self.console_login = alias
        self.folder = space.folder(alias)
        self.log = self.folder / "sshd.log"
        self.process = None

    def start(self):
        prepare_privilege_separation(self.space)
        self.space.at_end(self.stop)
        key = self.folder / "host_key"
        self.client.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)])
        authorized = self.folder / "authorized_keys"
        shutil.copy(f"{self.client.key}.pub", authorized)
        for area in ("code", "files"):
            self.space.folder(self.alias, "tree", area)
        self.port = port = free_port()
        config = self.folder / "sshd_config"
        config.write_text(CONFIG.format(
            port=port, key=key, authorized=authorized, tree=self.folder / "tree",
            search=self.client.environment["PATH"]))
        self.user = getpass.getuser()
        self.host_key_lines = [Path(f"{key}.pub").read_text().strip()]
        self.client.knows(self.alias, port, self.user, self.host_key_lines[0])
        with open(self.log, "w") as log:
            self.process = self.space.start_server(
                [sshd(), "-D", "-e", "-f", str(config)], self.cpu,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.wait_until_ready(port)

    def wait_until_ready(self, port):
        for _ in range(100):
            if self.process.poll() is not None:
                raise Problem(f"{self.title} did not start: {self.log.read_text().strip()}")
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.05)
        try:
            self.client.sftp(self.login, ["pwd"])
        except Problem as problem:
            raise Problem(f"{problem}; {self.title} says: {self.log.read_text().strip()[-500:]}") from None

    def repository_with(self, material):
        """A bare repository with the whole history; gives its address."""
        path = self.folder / "git" / "site.git"
        if not path.exists():
            self.client.git("clone", "-q", "--bare", "--no-local", str(material.repository.path), str(path))
        return f"ssh://{self.alias}{path}"

    @property
    def large_repository(self):
        return self.folder / "git" / "large.git"

    def large_site(self, material):
        """A bare repository of the large site; gives its address."""
        if not self.large_repository.exists():
            self.client.git("clone", "-q", "--bare", str(material.large_site.bundle), str(self.large_repository))
        return f"ssh://{self.alias}{self.large_repository}"

    def upload_pack_of(self, material):
        """The login and the path by which git-upload-pack is asked for the whole history."""
        self.repository_with(material)
        return self.alias, str(self.folder / "git" / "site.git")

    def audit_seconds(self):
        """This server keeps no audit."""
        return None

    def empty_repository(self, name):
        path = self.folder / "git" / f"{name}.git"
        self.client.git("init", "-q", "--bare", str(path))
        return f"ssh://{self.alias}{path}"

    def drop_repository(self, name):
        shutil.rmtree(self.folder / "git" / f"{name}.git", ignore_errors=True)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        # Sessions outlive the listener.
        self.cpu.close()


def sshd():
    found = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/sbin:" + os.environ.get("PATH", ""))
    if not found:
        raise Problem("sshd is not here: install openssh-server")
    return found


def prepare_privilege_separation(space):
    """As root, sshd wants this empty folder, which otherwise its service unit makes."""
    folder = Path("/run/sshd")
    if os.geteuid() == 0 and not folder.exists():
        space.at_end(lambda: sshd_runs() or folder.rmdir())
        folder.mkdir(mode=0o755)


def sshd_runs():
    """Whether somebody else has started one meanwhile, who now needs that folder too."""
    for name in Path("/proc").glob("[0-9]*/comm"):
        try:
            if name.read_text() == "sshd\n":
                return True
        except OSError:
            continue
    return False


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


CONFIG = """\
ListenAddress 127.0.0.1
Port {port}
HostKey {key}
PidFile none
AuthorizedKeysFile {authorized}
StrictModes no
PermitRootLogin prohibit-password
PubkeyAuthentication yes
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
UseDNS no
PrintMotd no
PermitUserRC no
MaxStartups 1000
MaxSessions 1000
LogLevel ERROR
# The same git as the client's and the gateway's. SHLVL, or bash would read ~/.bashrc for each
# git connection, which can cost more than all the rest and would flatter the gateway.
SetEnv GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1 SHLVL=1 PATH="{search}"
Subsystem sftp internal-sftp -d {tree}
"""
