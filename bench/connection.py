"""A connection that stays up, as a person's ControlMaster or a CI runner keeps one: what is done over
it pays for no login, so that two servers' commands are compared and not their key exchanges."""

import subprocess
import time

from workspace import Problem, kill_group

READY_WITHIN = 20


class Connection:
    """OpenSSH's own multiplexing (ssh_config(5), ControlMaster); each command is a channel."""

    def __init__(self, client, login):
        self.client, self.login = client, login
        name = f"up-{len(list(client.folder.glob('up-*')))}-{login.replace('@', '-')}"
        # Socket names are short (unix(7)), and this folder's is not.
        self.path = client.folder / name[:24]
        self.process = client.space.start(
            ["ssh", "-N", "-F", str(client.config), "-o", f"ControlPath={self.path}", "-o", "ControlMaster=yes", login],
            env=client.environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            text=True)
        deadline = time.monotonic() + READY_WITHIN
        while not self.path.is_socket():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.close()
                raise Problem(f"no connection to {login} that stays up: {self.process.stderr.read().strip()}")
            time.sleep(0.02)

    def run(self, *words):
        """Runs a command there and gives what it printed."""
        return self.client.run([*self.ssh(), "-T", self.login, *words])

    def git(self, *arguments, cwd=None):
        """Runs git here, with its connections as channels of this one."""
        return self.client.run(
            ["env", f"GIT_SSH_COMMAND={' '.join(self.ssh())}", "git", *arguments], cwd=cwd)

    def ssh(self):
        return ["ssh", "-F", str(self.client.config), "-o", f"ControlPath={self.path}"]

    def close(self):
        kill_group(self.process)
        self.client.space.ended(self.process)
