"""Deploys of a large site, each beside the way people do it with OpenSSH and git.

Both servers are asked over a connection that is up (`connection.py`), and each commit is in both
repositories before the clock starts.
"""

import shlex
import shutil

from connection import Connection
from inputs import file_sum
from workloads import Workload
from workspace import Problem

SITE = "large"


def all_of(options):
    times = options.deploys
    one = f"deploy of one changed file in {options.site_files:,} files, {times} times"
    first = f"first deploy of {options.site_files:,} files"
    return [
        Archive("deploy-archive", f"{one}; A: git archive | tar, sync, symlink", times, True),
        Archive("deploy-archive-unsynced", f"{one}; A: the same without sync", times, False),
        Pull("deploy-pull", f"{one}; A: git pull in place", times, False),
        Pull("deploy-pull-synced", f"{one}; A: git pull in place, sync", times, True),
        PushCheckout("deploy-push", f"git push that deploys {one[10:]}; A: post-receive with git checkout -f", times),
        FirstDeploy("first-deploy", f"{first}; A: git worktree add", False),
        FirstDeploy("first-deploy-synced", f"{first}; A: git worktree add, sync", True),
    ]


class Deploys(Workload):
    """Some commits of one file each, deployed one after the other."""

    needs = "site"
    on_disk = True

    def __init__(self, name, title, times, synced):
        super().__init__(name, title)
        self.times, self.synced = times, synced
        self.commits, self.up = {}, {}

    def setup(self, side, material):
        address = side.large_site(material)
        side.client.git("push", "-q", address, f"{material.large_site.head}:refs/heads/main", cwd=material.large_site.path)
        self.up[side.letter] = Connection(side.client, side.console_login)
        if side.main_deploys:
            self.up[side.letter].run("env:deploy", f"{SITE}.test")
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


class Archive(Deploys):
    """What Capistrano does: a mirror, `git archive | tar` into a new release, `ln -s` and `mv`. It syncs
    nothing; the row that has a goal syncs before and after the switch, as ours does."""

    def make_place(self, side, material):
        (self.folder(side) / "releases").mkdir(parents=True)

    def place(self, side):
        return self.folder(side) / "current"

    def script(self, side, commit):
        sync = "sync -f" if self.synced else ":"
        return (
            f"set -e; cd {shlex.quote(str(self.folder(side)))}; mkdir releases/{commit};"
            f" git --git-dir={shlex.quote(str(side.large_repository))} archive {commit} | tar -xf - -C releases/{commit};"
            f" {sync} releases/{commit}; ln -s releases/{commit} current.new; mv -T current.new current; {sync} .")

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
        return f"set -e; git -C {work} pull -q origin at-{commit}" + (f"; sync -f {work}" if self.synced else "")


class PushCheckout(Deploys):
    """The push is the deploy: by the hook that every how-to has, and by the gateway to Dev."""

    def __init__(self, name, title, times):
        super().__init__(name, title, times, False)
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


class FirstDeploy(Workload):
    """Nothing is there that files could be shared with: Dev is in SFTP mode, so its files are its own."""

    needs = "site"
    on_disk = True
    slow = True

    def __init__(self, name, title, synced):
        super().__init__(name, title)
        self.synced, self.up = synced, {}

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
        self.up[side.letter].run(
            f"set -e; git --git-dir={repository} worktree add -q --detach -f {place} {material.large_site.base}"
            + (f"; sync -f {place}" if self.synced else ""))

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
