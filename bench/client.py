"""The client of both servers: OpenSSH's sftp and stock git, with a configuration of their own."""

import os
import resource
import subprocess

from workspace import Problem, kill_group

TIMEOUT = 900


class Client:
    """Runs the same programs with the same options, whichever server answers."""

    def __init__(self, space):
        self.space = space
        self.folder = space.folder("client")
        self.key = self.folder / "key"
        self.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "bench", "-f", str(self.key)])
        self.config = self.folder / "ssh_config"
        self.known_hosts = self.folder / "known_hosts"
        self.config.write_text(COMMON.format(key=self.key, known_hosts=self.known_hosts))
        (self.folder / "gitconfig").write_text(GIT_CONFIG)
        self.environment = {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "HOME": str(self.folder),
            "LC_ALL": "C.UTF-8",
            "GIT_CONFIG_GLOBAL": str(self.folder / "gitconfig"),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_SSH_COMMAND": f"ssh -F {self.config}",
            # Equal commits, and so equal packs, in every run.
            "GIT_AUTHOR_DATE": "1700000000 +0000",
            "GIT_COMMITTER_DATE": "1700000000 +0000",
        }

    def knows(self, alias, port, user, host_key):
        """Adds a server under a name; its key is checked as a careful user's client would."""
        with open(self.config, "a") as out:
            out.write(f"Host {alias}\n  HostName 127.0.0.1\n  HostKeyAlias {alias}\n  Port {port}\n")
            if user:
                out.write(f"  User {user}\n")
        with open(self.known_hosts, "a") as out:
            out.write(f"{alias} {host_key}\n")

    def sftp(self, login, lines, **options):
        """Runs one batch and gives what it printed; `options` as of `sftp_command`."""
        return self.run(self.sftp_command(login, self.batch("batch", lines), **options))

    def sftp_at_once(self, login, batches, **options):
        """Runs one client for each batch, all at the same time."""
        commands = [
            self.sftp_command(login, self.batch(f"batch-{number}", lines), **options)
            for number, lines in enumerate(batches)]
        started = [(self.begin(command), command) for command in commands]
        return [self.finish(process, command) for process, command in started]

    def batch(self, name, lines):
        path = self.folder / name
        path.write_text("\n".join(lines) + "\n")
        return path

    def sftp_command(self, login, batch, cipher=None, kex=None, port=None):
        command = ["sftp", "-q", "-F", str(self.config)]
        for name, value in (("Ciphers", cipher), ("KexAlgorithms", kex), ("Port", port)):
            if value:
                command += ["-o", f"{name}={value}"]
        return command + ["-b", str(batch), login]

    def upload_pack(self, login, repository, request, out):
        """Asks for a pack with a request of our own; what comes goes to the file `out`."""
        command = ["ssh", "-T", "-F", str(self.config), login, f"git-upload-pack '{repository}'"]
        with open(request, "rb") as asked, open(out, "wb") as taken:
            process = self.space.start(
                command, env=self.environment, stdin=asked, stdout=taken, stderr=subprocess.PIPE, text=True)
            self.finish(process, command)

    def git(self, *arguments, cwd=None, stdin=None):
        return self.run(["git", *arguments], cwd=cwd, stdin=stdin)

    def run(self, command, cwd=None, stdin=None):
        return self.finish(self.begin(command, cwd, stdin), command, stdin)

    def begin(self, command, cwd=None, stdin=None):
        return self.space.start(
            command, cwd=cwd, env=getattr(self, "environment", None), text=True, errors="replace",
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )

    def finish(self, process, command, stdin=None):
        try:
            out, err = process.communicate(stdin, timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            raise Problem(f"no end after {TIMEOUT} s: {' '.join(command)}") from None
        finally:
            kill_group(process)
            self.space.ended(process)
        if process.returncode:
            said = " / ".join(((err or "").strip() or (out or "").strip()).splitlines()[-6:])
            raise Problem(f"exit {process.returncode} of {' '.join(command)}: {said}")
        return out


def client_cpu():
    """CPU seconds of all clients that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


COMMON = """\
# Common to both servers. ed25519 host keys on both, so that the signature costs the same.
IdentityFile {key}
IdentitiesOnly yes
IdentityAgent none
UserKnownHostsFile {known_hosts}
GlobalKnownHostsFile /dev/null
StrictHostKeyChecking yes
UpdateHostKeys no
HostKeyAlgorithms ssh-ed25519
BatchMode yes
ControlPath none
LogLevel ERROR
ConnectTimeout 60
"""

GIT_CONFIG = """\
[user]
\tname = Bench
\temail = bench@example.org
[init]
\tdefaultBranch = main
[advice]
\tdetachedHead = false
[gc]
\tauto = 0
[maintenance]
\tauto = false
"""
