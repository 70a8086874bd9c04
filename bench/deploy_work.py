"""Deploys of a large site, each beside the way people do it with OpenSSH and git.

Both servers are asked over a connection that is up (`connection.py`), and each commit is in both
repositories before the clock starts.
"""

import shlex
import shutil
import statistics

from connection import Connection
from inputs import file_sum
from workloads import Workload
from workspace import Problem

SITE = "large"


def all_of(options):
    times, few = options.deploys, max(1, options.deploys // 2)
    files = f"{options.site_files:,} files"
    return [
        Archive("deploy-archive", f"deploy of one changed file in {files}, {few} times;"
                " A: git archive | tar, sync, symlink", few),
        Pull("deploy-pull", f"deploy of one changed file in {files}, {times} times; A: git pull in place, no sync", times),
        PushCheckout("deploy-push", f"git push to Dev as its deploy, {times} times;"
                     " A: post-receive with git checkout -f, no sync", times),
        FirstDeploy("first-deploy", f"first deploy of {files}; A: git worktree add, sync"),
    ]


# Runs sync and prints how long it took, so that the reader can be told of both.
SYNC = 'synced() { b=$(date +%s%N); sync -f "$1"; e=$(date +%s%N); echo "$((e-b))"; }; '


class Synced(Workload):
    """A peer that is made to sync as the gateway does; what it takes without is told below the table."""

    def __init__(self, name, title):
        super().__init__(name, title)
        self.seconds_of_sync = []

    def keep_sync(self, number, said):
        self.synced_now += sum(int(word) for word in said.split()) / 1e9

    def begin_sync(self):
        self.synced_now = 0.0

    def end_sync(self, number):
        # The first pair does not count.
        if number:
            self.seconds_of_sync.append(self.synced_now)

    def aside(self, result):
        without = [a.seconds - synced for (a, _), synced in zip(result.pairs, self.seconds_of_sync)]
        ratios = [seconds / b.seconds for seconds, (_, b) in zip(without, result.pairs)]
        return (f"without its syncs A takes {statistics.median(without):.2f} s,"
                f" A/B {statistics.median(ratios):.2f} [{min(ratios):.2f}..{max(ratios):.2f}]")


class Deploys(Workload):
    """Some commits of one file each, deployed one after the other."""

    needs = "site"
    on_disk = True

    def __init__(self, name, title, times):
        super().__init__(name, title)
        self.times = times
        self.commits, self.up = {}, {}

    def setup(self, side, material):
        address = side.large_site(material)
        side.client.git("push", "-q", address, f"{material.large_site.head}:refs/heads/main", cwd=material.large_site.path)
        self.up[side.letter] = Connection(side.client, side.console_login)
        if side.main_deploys:
            # As many as retention keeps, and one: then each further one is as all that follow.
            for _ in range(max(0, 4 - side.large_deploys)):
                commit, _ = material.large_site.next_commit(side.client, "history")
                side.client.git("push", "-q", address, f"{commit}:refs/heads/main", cwd=material.large_site.path)
                self.up[side.letter].run("env:deploy", f"{SITE}.test")
                side.large_deploys += 1
        else:
            self.make_place(side, material)

    def make_place(self, side, material):
        """Where the peer deploys to."""

    def prepare(self, side, material, number):
        if number not in self.commits:
            branch = f"{self.name}-{number}"
            self.commits[number] = [material.large_site.next_commit(side.client, branch) for _ in range(self.times)]
        newest = self.commits[number][-1][0]
        pushed = [f"{newest}:refs/heads/main"]
        if not side.main_deploys:
            pushed += [f"{commit}:refs/heads/at-{commit}" for commit, _ in self.commits[number]]
        side.client.git("push", "-q", side.large_site(material), *pushed, cwd=material.large_site.path)

    def run(self, side, material, number):
        for commit, _ in self.commits[number]:
            if side.main_deploys:
                self.up[side.letter].run("env:deploy", f"{SITE}.test", "--ref", commit)
            else:
                self.up[side.letter].run(self.script(side, commit))

    def check(self, side, material, number, first):
        commit, name = self.commits[number][-1]
        if side.main_deploys:
            must_show(side, f"test.{SITE}", material, commit, name)
        else:
            must_be(side, self.place(side) / name, material, commit, name)

    def teardown(self, side, material):
        if side.letter in self.up:
            self.up.pop(side.letter).close()
        if not side.main_deploys:
            shutil.rmtree(self.folder(side), ignore_errors=True)

    def folder(self, side):
        return side.folder / "deploys"


class Archive(Synced, Deploys):
    """What Capistrano does: a mirror, `git archive | tar` into a new release, `ln -s` and `mv`. It syncs
    nothing; here it syncs before and after the switch, as the gateway does."""

    slow = True

    def __init__(self, name, title, times):
        Deploys.__init__(self, name, title, times)
        self.seconds_of_sync = []

    def run(self, side, material, number):
        if side.main_deploys:
            return super().run(side, material, number)
        self.begin_sync()
        for commit, _ in self.commits[number]:
            self.keep_sync(number, self.up[side.letter].run(self.script(side, commit)))
        self.end_sync(number)

    def make_place(self, side, material):
        (self.folder(side) / "releases").mkdir(parents=True)

    def place(self, side):
        return self.folder(side) / "current"

    def script(self, side, commit):
        return (
            f"{SYNC}set -e; cd {shlex.quote(str(self.folder(side)))}; mkdir releases/{commit};"
            f" git --git-dir={shlex.quote(str(side.large_repository))} archive {commit} | tar -xf - -C releases/{commit};"
            f" synced releases/{commit}; ln -s releases/{commit} current.new; mv -T current.new current; synced .")

    def clean(self, side, material, number):
        """Old releases go when the clock stands; the gateway's go in its background."""
        if not side.main_deploys:
            newest = self.commits[number][-1][0]
            for release in (self.folder(side) / "releases").iterdir():
                if release.name != newest:
                    shutil.rmtree(release)


class Pull(Deploys):
    """In place, which is not atomic: visitors see old and new files side by side."""

    def make_place(self, side, material):
        self.folder(side).mkdir()
        side.client.git("clone", "-q", str(side.large_repository), str(self.place(side)))

    def place(self, side):
        return self.folder(side) / "work"

    def script(self, side, commit):
        work = shlex.quote(str(self.place(side)))
        return f"git -C {work} pull -q origin at-{commit}"


class PushCheckout(Deploys):
    """The push is the deploy: by the hook that every how-to has, and by the gateway to Dev."""

    def __init__(self, name, title, times):
        super().__init__(name, title, times)
        self.git_up = {}

    def setup(self, side, material):
        super().setup(side, material)
        address = side.large_site(material)
        self.git_up[side.letter] = Connection(side.client, address.removeprefix("ssh://").split("/")[0])

    def make_place(self, side, material):
        self.place(side).mkdir(parents=True)
        hook = side.large_repository / "hooks" / "post-receive"
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\nexec git --work-tree={shlex.quote(str(self.place(side)))} checkout -q -f main\n")
        hook.chmod(0o755)
        side.client.git(
            f"--git-dir={side.large_repository}", f"--work-tree={self.place(side)}", "checkout", "-q", "-f", "main")

    def place(self, side):
        return self.folder(side) / "work"

    def prepare(self, side, material, number):
        if number not in self.commits:
            branch = f"{self.name}-{number}"
            self.commits[number] = [material.large_site.next_commit(side.client, branch) for _ in range(self.times)]

    def run(self, side, material, number):
        for commit, _ in self.commits[number]:
            self.git_up[side.letter].git(
                "push", "-q", side.large_site(material), f"{commit}:refs/heads/main", cwd=material.large_site.path)

    def check(self, side, material, number, first):
        if not side.main_deploys:
            return super().check(side, material, number, first)
        must_show(side, f"dev.{SITE}", material, *self.commits[number][-1])

    def teardown(self, side, material):
        if side.letter in self.git_up:
            self.git_up.pop(side.letter).close()
        if not side.main_deploys:
            (side.large_repository / "hooks" / "post-receive").unlink(missing_ok=True)
        super().teardown(side, material)


class FirstDeploy(Synced):
    """Nothing is there that files could be shared with: Dev is in SFTP mode, so its files are its own."""

    needs = "site"
    on_disk = True
    slow = True

    def __init__(self, name, title):
        super().__init__(name, title)
        self.up = {}

    def setup(self, side, material):
        side.large_site(material)
        self.up[side.letter] = Connection(side.client, side.console_login)

    def prepare(self, side, material, number):
        if side.main_deploys:
            side.fresh_site(self.site(number), material.large_site.bundle)

    def run(self, side, material, number):
        if side.main_deploys:
            self.up[side.letter].run("env:deploy", f"{self.site(number)}.test")
            return
        place = shlex.quote(str(self.place(side, number)))
        repository = shlex.quote(str(side.large_repository))
        self.begin_sync()
        self.keep_sync(number, self.up[side.letter].run(
            f"{SYNC}set -e; git --git-dir={repository} worktree add -q --detach -f {place} {material.large_site.base};"
            f" synced {place}"))
        self.end_sync(number)

    def check(self, side, material, number, first):
        site = material.large_site
        if side.main_deploys:
            must_show(side, f"test.{self.site(number)}", material, site.base, site.texts[0])
        else:
            must_be(side, self.place(side, number) / site.texts[0], material, site.base, site.texts[0])

    def clean(self, side, material, number):
        if side.main_deploys:
            side.forget_site(self.site(number))
        else:
            shutil.rmtree(self.place(side, number))

    def teardown(self, side, material):
        if side.letter in self.up:
            self.up.pop(side.letter).close()

    def site(self, number):
        return f"{self.name}-{number}"

    def place(self, side, number):
        return side.folder / f"worktree-{self.name}-{number}"


def must_show(side, environment, material, commit, name):
    """What the gateway runs, as its SFTP shows it."""
    seen = material.folder / "deployed"
    side.client.sftp(f"{environment}@{side.alias}", [f"get code/{name} {seen}"])
    must_be(side, seen, material, commit, name)


def must_be(side, seen, material, commit, name):
    wanted = material.folder / "wanted"
    wanted.write_text(side.client.git("-C", str(material.large_site.path), "show", f"{commit}:{name}"))
    if file_sum(seen) != file_sum(wanted):
        raise Problem(f"after the deploy, {name} is not what was deployed")
