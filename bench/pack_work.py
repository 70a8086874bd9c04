"""Packs to a client that discards them, and clones of what has just changed: with the pack cache and
without its help."""

import os
import shutil
import subprocess

from git_work import Clone, must_be_whole
from repository import regular_files
from workloads import Workload
from workspace import Problem

CAPABILITIES = "side-band-64k ofs-delta no-progress agent=bench/1"


def all_of(_options):
    return [
        Pack("git-pack", "the pack of a clone, asked for again, to a client that discards it"),
        ChangedClone("git-clone-changed", "git clone, with a new commit before each"),
    ]


class Pack(Workload):
    """A canned request (gitprotocol-pack(5)), so that no client's index-pack is measured."""

    needs = "repository"

    def __init__(self, name, title):
        super().__init__(name, title)
        self.heads = {}

    def setup(self, side, material):
        self.heads[side.letter] = main_of(side, material)

    def run(self, side, material, number):
        login, repository = side.upload_pack_of(material)
        side.client.upload_pack(login, repository, self.request(side, CAPABILITIES), "/dev/null")

    def check(self, side, material, number, first):
        """Without side-bands the pack comes as it is, and git can check it."""
        if not first:
            return
        login, repository = side.upload_pack_of(material)
        taken = material.folder / "taken"
        side.client.upload_pack(login, repository, self.request(side, "ofs-delta"), taken)
        data = taken.read_bytes()
        taken.unlink()
        into = material.folder / "unpacked.git"
        side.client.git("init", "-q", "--bare", str(into))
        done = subprocess.run(
            ["git", "-C", str(into), "index-pack", "--stdin"], input=data[data.index(b"PACK"):],
            capture_output=True, env=side.client.environment)
        head = side.client.git("-C", str(into), "cat-file", "-t", self.heads[side.letter]).strip()
        shutil.rmtree(into)
        if done.returncode or head != "commit":
            raise Problem(f"what came is no pack of the repository: {done.stderr.decode().strip()}")

    def request(self, side, capabilities):
        """All that a clone asks for: main as it is on the server."""
        wanted = f"want {self.heads[side.letter]} {capabilities}\n"
        path = side.client.folder / "request"
        path.write_text(f"{len(wanted) + 4:04x}{wanted}00000009done\n")
        return path


class ChangedClone(Clone):
    """Each pack is asked for once only, so that no cache can have it."""

    def __init__(self, name, title):
        super().__init__(name, title)
        self.heads, self.mains, self.work = {}, {}, None

    def setup(self, side, material):
        super().setup(side, material)
        self.mains[side.letter] = main_of(side, material)
        self.work = material.folder / "work-changed"
        if not self.work.exists():
            side.client.git("clone", "-q", str(material.repository.path), str(self.work))

    def prepare(self, side, material, number):
        git = side.client.git
        if number not in self.heads:
            with open(self.work / regular_files(side.client, self.work)[1], "a") as out:
                out.write(f"// {os.urandom(8).hex()}\n")
            git("commit", "-q", "-a", "-m", f"Change {number}", cwd=self.work)
            self.heads[number] = git("rev-parse", "HEAD", cwd=self.work).strip()
        git("push", "-q", side.repository_with(material), f"{self.heads[number]}:refs/heads/changed", cwd=self.work)

    def check(self, side, material, number, first):
        must_be_whole(side.client, self.local(material), self.mains[side.letter], first)
        found = side.client.git("rev-parse", "origin/changed", cwd=self.local(material)).strip()
        if found != self.heads[number]:
            raise Problem("the clone does not hold the newest commit")


def main_of(side, material):
    """Where main is on a server: other workloads have pushed to it."""
    return side.client.git("ls-remote", side.repository_with(material), "refs/heads/main").split()[0]
