"""Other SFTP servers, for the reader: rclone serve sftp, ProFTPD's mod_sftp, dropbear with sftp-server.

Each runs as the present user on a folder of its own, with an ed25519 host key, as the yardstick does.
"""

import getpass
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

from openssh import free_port
from workspace import Problem

MODULES = Path("/usr/lib/proftpd")
SFTP_SERVER = Path("/usr/lib/openssh/sftp-server")
SEARCH = "/usr/sbin:/usr/local/sbin:/sbin:" + os.environ.get("PATH", "/usr/bin:/bin")


class Peer:
    """One server; subclasses say how it is configured and started."""

    main_deploys = False
    title = program = alias = ""

    def __init__(self, space, client, meter):
        self.letter = "B"
        self.space, self.client, self.cpu = space, client, meter
        self.user = getpass.getuser()
        self.login = self.alias
        self.folder = space.folder(self.alias)
        self.root = space.folder(self.alias, "tree")
        self.log = self.folder / "log"
        self.process = None

    @classmethod
    def missing(cls):
        """Why it is not here; empty when it is."""
        return "" if shutil.which(cls.program, path=SEARCH) else f"{cls.program} is not installed"

    def start(self):
        self.space.at_end(self.stop)
        for area in ("code", "files"):
            (self.root / area).mkdir()
        self.key = self.folder / "host_key"
        self.client.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.key)])
        host_key = Path(f"{self.key}.pub").read_text().strip()
        self.port = free_port()
        self.client.knows(self.alias, self.port, self.user, host_key)
        command = self.prepare()
        with open(self.log, "w") as log:
            self.process = self.space.start_server(
                [shutil.which(command[0], path=SEARCH), *command[1:]], self.cpu,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment())
        self.wait_until_ready()

    def environment(self):
        return {**os.environ}

    def wait_until_ready(self):
        for _ in range(100):
            if self.process.poll() is not None:
                raise Problem(f"{self.title} did not start: {self.log.read_text().strip()[-300:]}")
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                break
            except OSError:
                time.sleep(0.05)
        self.client.sftp(self.login, ["pwd"])

    def audit_seconds(self):
        return None

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.cpu.close()


class Rclone(Peer):
    title, program, alias = "rclone serve sftp", "rclone", "rclone-peer"

    def prepare(self):
        config = self.folder / "rclone.conf"
        config.touch()
        return ["rclone", "--config", str(config), "serve", "sftp", str(self.root),
                "--addr", f"127.0.0.1:{self.port}", "--key", str(self.key), "--user", self.user,
                "--authorized-keys", f"{self.client.key}.pub", "--vfs-cache-mode", "writes",
                "--cache-dir", str(self.folder / "cache")]


class ProFtpd(Peer):
    title, program, alias = "ProFTPD mod_sftp", "proftpd", "proftpd-peer"

    @classmethod
    def missing(cls):
        if not (MODULES / "mod_sftp.so").exists():
            return "proftpd with mod_sftp (proftpd-mod-crypto) is not installed"
        return super().missing()

    def prepare(self):
        keys = self.folder / "authorized_keys"
        # mod_sftp reads keys in the form of RFC 4716.
        keys.write_text(self.client.run(["ssh-keygen", "-e", "-m", "RFC4716", "-f", f"{self.client.key}.pub"]))
        passwords = self.folder / "passwd"
        passwords.write_text(f"{self.user}:!:{os.getuid()}:{os.getgid()}::{self.root}:/bin/sh\n")
        passwords.chmod(0o600)
        config = self.folder / "proftpd.conf"
        config.write_text(PROFTPD.format(
            modules=MODULES, port=self.port, user=self.user, folder=self.folder, key=self.key, keys=keys,
            passwords=passwords))
        return ["proftpd", "--nodaemon", "--quiet", "--config", str(config)]


class Dropbear(Peer):
    title, program, alias = "dropbear + sftp-server", "dropbear", "dropbear-peer"

    @classmethod
    def missing(cls):
        if not SFTP_SERVER.exists():
            return "openssh-sftp-server is not installed"
        if os.geteuid() != 0:
            return "it takes keys from the home folder only, and only root can give it another for the time"
        return super().missing()

    def prepare(self):
        """In a mount namespace of its own, where another folder lies over the home folder."""
        home = self.space.folder(self.alias, "home")
        keys = self.space.folder(self.alias, "home", ".ssh") / "authorized_keys"
        shutil.copy(f"{self.client.key}.pub", keys)
        for path in (home, keys.parent):
            path.chmod(0o700)
        keys.chmod(0o600)
        host_key = self.folder / "dropbear_key"
        self.client.run(["dropbearconvert", "openssh", "dropbear", str(self.key), str(host_key)])
        return [
            "unshare", "--mount", "sh", "-c", 'mount --bind "$1" "$2" && shift 2 && exec "$@"', "sh",
            str(home), str(Path.home()), shutil.which("dropbear", path=SEARCH), "-F", "-E", "-s",
            "-r", str(host_key), "-p", f"127.0.0.1:{self.port}",
            "-c", f"{SFTP_SERVER} -d {self.root}", "-P", str(self.folder / "pid")]


ALL = (Rclone, ProFtpd, Dropbear)

PROFTPD = """\
ModulePath {modules}
LoadModule mod_sftp.c
ServerType standalone
ServerName bench
Port {port}
DefaultAddress 127.0.0.1
SocketBindTight on
UseIPv6 off
User {user}
Group nogroup
RootLogin on
RequireValidShell off
UseFtpUsers off
MaxInstances 2000
UseReverseDNS off
WtmpLog off
TransferLog none
PidFile {folder}/pid
ScoreboardFile {folder}/scoreboard
DelayTable none
AuthUserFile {passwords}
AuthOrder mod_auth_file.c
Umask 022
<Directory />
  AllowOverwrite on
</Directory>
<IfModule mod_sftp.c>
  SFTPEngine on
  SFTPLog none
  SFTPHostKey {key}
  SFTPAuthorizedUserKeys file:{keys}
  SFTPAuthMethods publickey
</IfModule>
"""
