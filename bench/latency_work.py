"""What a person waits for: the decision and the hooks of a push, and the status of a large tree in SFTP
mode. Both over a connection that is up, so that no login is in the figures.
"""

import shlex
import statistics
import time

from connection import Connection
from git_work import SmallPush
from workloads import Workload
from workspace import Problem

SITE = "status"


def all_of(options):
    pushes, statuses = options.pushes, options.statuses
    tree = f"{options.site_files:,} files with 3 changes"
    return [
        ChannelPush("git-push-channel", f"git push as git-push, {pushes} times, over a connection that is up", pushes),
        Status("status", f"env:diffstat of {tree}, {statuses} times; A: git status", statuses),
    ]


class ChannelPush(SmallPush):
    """Both servers run git-receive-pack for a channel; the gateway also decides, audits, moves the refs
    itself and runs two hooks."""

    cost_title = "the decision and the hooks of a push"

    def __init__(self, name, title, times):
        super().__init__(name, title, "channel", times)
        self.up = {}

    def setup(self, side, material):
        super().setup(side, material)
        address = side.repository_with(material)
        self.up[side.letter] = Connection(side.client, address.removeprefix("ssh://").split("/")[0])

    def run(self, side, material, number):
        address = side.repository_with(material)
        for commit in self.commits[number]:
            self.up[side.letter].git(
                "push", "-q", address, f"{commit}:refs/heads/{self.branch}", cwd=self.local(material))

    def costs(self, result):
        """Milliseconds that one push takes longer than with bare git, for each pair."""
        return [(b.seconds - a.seconds) * 1000 / self.times for a, b in result.pairs]

    def teardown(self, side, material):
        if side.letter in self.up:
            self.up.pop(side.letter).close()


class Status(Workload):
    needs = "site"
    cost_title = "a status of the tree, without what any command costs"

    def __init__(self, name, title, times):
        super().__init__(name, title)
        self.times, self.up, self.floors, self.said = times, {}, {}, []

    def setup(self, side, material):
        site = material.large_site
        changed = site.texts[10], site.texts[-10]
        added = "site-1/added.php"
        self.names = [*changed, added]
        self.floors[side.letter] = []
        if side.main_deploys:
            side.fresh_site(SITE, site.bundle)
            one = material.folder / "changed.php"
            one.write_text("<?php // changed\n")
            side.client.sftp(f"dev.{SITE}@{side.alias}", [f"put {one} code/{name}" for name in self.names])
        else:
            side.large_site(material)
            side.client.git("clone", "-q", str(side.large_repository), str(self.place(side)))
            for name in self.names:
                (self.place(side) / name).write_text("<?php // changed\n")
        self.up[side.letter] = Connection(side.client, side.console_login)
        # What has just been written is compared by its content for as long as a clock may be wrong.
        time.sleep(3)
        self.ask(side)

    def ask(self, side):
        if side.main_deploys:
            return self.up[side.letter].run("env:diffstat", f"{SITE}.dev")
        return self.up[side.letter].run(f"git -C {shlex.quote(str(self.place(side)))} status --porcelain")

    def run(self, side, material, number):
        self.said = [self.ask(side) for _ in range(self.times)]

    def check(self, side, material, number, first):
        for said in self.said:
            if not all(name in said for name in self.names) or said.count(".php") != len(self.names):
                raise Problem(f"the status does not name the three changes: {said[:300]}")
        begun = time.monotonic()
        for _ in range(self.times):
            self.up[side.letter].run("help" if side.main_deploys else "true")
        # The first pair does not count.
        if number:
            self.floors[side.letter].append(time.monotonic() - begun)

    def costs(self, result):
        """Milliseconds of one status, less those of a command that only answers, for each pair."""
        pairs = zip(result.pairs, self.floors["B"])
        return [(b.seconds - floor) * 1000 / self.times for (_, b), floor in pairs]

    def aside(self, result):
        peer = statistics.median(
            (a.seconds - floor) * 1000 / self.times for (a, _), floor in zip(result.pairs, self.floors["A"]))
        whole = result.median(1, "seconds") * 1000 / self.times
        return f"git status the same way: {peer:.1f} ms; the whole command: {whole:.1f} ms"

    def teardown(self, side, material):
        if side.letter in self.up:
            self.up.pop(side.letter).close()
        if side.main_deploys:
            side.forget_site(SITE)

    def place(self, side):
        return side.folder / "status"
