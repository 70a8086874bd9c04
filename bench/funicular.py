"""The program under test: a gateway of its own, with a site for SFTP and sites for git."""

import os
import re
import signal
import subprocess
import threading
from pathlib import Path

from workspace import Problem, remove_tree

LIMITS = {
    "max_connections": 5000,
    "max_startups": '"1000:100:1000"',
    "max_startups_per_source": 0,
    "max_connections_per_person": 0,
}
READY_WITHIN = 20
DRAINED_WITHIN = 20


class Funicular:
    """`funicular serve` on a throw-away data directory; commands go to its control socket."""

    # A push to main deploys Dev before it ends, which plain git never does.
    main_deploys = True

    def __init__(self, letter, title, alias, space, client, meter, program):
        self.letter, self.title, self.alias = letter, title, alias
        self.space, self.client, self.cpu = space, client, meter
        self.program = program.resolve()
        self.data = space.root / alias / "data"
        self.config = self.data / "funicular.toml"
        self.log = space.folder(alias) / "funicular.log"
        self.user = "dev.bench"
        self.login = f"{self.user}@{alias}"
        self.console_login = f"bench@{alias}"
        self.process = None
        self.sites, self.in_git_mode = set(), set()
        # How often Test of the large site was deployed before the first row that does it.
        self.large_deploys = 0

    def start(self):
        self.space.at_end(self.stop)
        said = self.client.run([
            str(self.program), "init", "--data", str(self.data), "--admin", "bench",
            "--admin-key", f"{self.client.key}.pub", "--listen", "127.0.0.1:0"])
        self.lift_limits()
        self.port = self.serve()
        self.client.knows(self.alias, self.port, None, self.host_key(said))
        # For clients that cannot be told which kind to ask for.
        self.host_key_lines = [path.read_text().strip() for path in (self.data / "host_keys").glob("*.pub")]
        self.command("site:create", "bench")
        self.command("connection:set", "bench.dev", "sftp", "--yes")
        self.client.sftp(self.login, ["pwd"])

    def lift_limits(self):
        """One person at one address holds a thousand sessions here, which no person does; sshd's
        limits are lifted as well. Keys that this version does not have are left out."""
        text = self.config.read_text()
        for key, value in LIMITS.items():
            text = re.sub(rf"^{key} = .*$", f"{key} = {value}", text, flags=re.MULTILINE)
        self.config.write_text(text)

    def serve(self):
        environment = {**os.environ}
        environment.pop("NOTIFY_SOCKET", None)
        with open(self.log, "w") as log:
            self.process = self.space.start_server(
                [str(self.program), "serve", "--config", str(self.config)], self.cpu,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, env=environment, text=True)
        # A server that neither answers nor ends must not hold the run for ever.
        watchdog = threading.Timer(READY_WITHIN, self.process.kill)
        watchdog.start()
        line = self.process.stdout.readline()
        watchdog.cancel()
        found = re.search(r"is ready: ssh \S*:(\d+)", line)
        if not found:
            raise Problem(f"funicular serve did not become ready; it said {line!r}; log: {self.tail()}")
        return int(found.group(1))

    def host_key(self, said):
        found = re.search(r"ssh-ed25519 AAAA\S+", said)
        if found:
            return found.group(0)
        for path in (self.data / "host_keys").glob("*.pub"):
            text = path.read_text()
            if text.startswith("ssh-ed25519 "):
                return " ".join(text.split()[:2])
        raise Problem(f"funicular init printed no ed25519 known_hosts line: {said.strip()}")

    def command(self, *words):
        try:
            return self.client.run([str(self.program), "--config", str(self.config), *words])
        except Problem as problem:
            raise Problem(f"{problem}; log: {self.tail()}") from None

    def repository_with(self, material):
        """A site made from the whole history, its Dev in git mode; gives its address."""
        return self.site("site", "--from", str(material.repository.bundle))

    def large_site(self, material):
        """A site made from the large site's history, its Dev in git mode; gives its address."""
        return self.site("large", "--from", str(material.large_site.bundle))

    def fresh_site(self, name, bundle):
        """A site whose Dev is in SFTP mode, so that its files are shared with nobody."""
        self.command("site:create", name, "--from", str(bundle))
        self.command("connection:set", f"{name}.dev", "sftp", "--yes")

    def forget_site(self, name):
        # No command removes a site: its trees are taken away under it, and nobody asks for it again.
        remove_tree(self.data / "sites" / name / "environments")

    def upload_pack_of(self, material):
        """The login and the path by which git-upload-pack is asked for the whole history."""
        self.repository_with(material)
        return f"dev.site@{self.alias}", "/repository.git"

    def audit_seconds(self):
        """CPU seconds of the thread that writes the audit."""
        for pid in self.cpu.pids():
            for task in Path(f"/proc/{pid}/task").glob("*"):
                try:
                    if (task / "comm").read_text().strip() == "audit":
                        return int((task / "schedstat").read_text().split()[0]) / 1e9
                except OSError:
                    continue
        return None

    def empty_repository(self, name):
        return self.site(name)

    def drop_repository(self, name):
        # No command removes a site; the whole data directory goes at the end.
        pass

    def deployed(self, name):
        return f"dev.{name}@{self.alias}"

    def site(self, name, *more):
        if name not in self.sites:
            self.command("site:create", name, *more)
            self.sites.add(name)
        if name not in self.in_git_mode:
            self.command("connection:set", f"{name}.dev", "git", "--yes")
            self.in_git_mode.add(name)
        return f"ssh://dev.{name}@{self.alias}/repository.git"

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(DRAINED_WITHIN)
            except subprocess.TimeoutExpired:
                print(f"bench: funicular did not end within {DRAINED_WITHIN} s of SIGTERM; killed", flush=True)
                self.process.kill()
                self.process.wait()
        self.cpu.close()

    def tail(self):
        lines = self.log.read_text(errors="replace").strip().splitlines()
        # After a panic the last lines have no level.
        telling = [line for line in lines if " INFO " not in line and " DEBUG " not in line]
        return " / ".join(telling[-3:]) or "nothing wrong"
