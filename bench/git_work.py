"""Workloads of stock git: clone, ls-remote, pushes of the whole repository and of small commits."""

import shutil

from inputs import file_sum
from repository import regular_files
from workloads import Workload
from workspace import Problem


def all_of(options):
    many, deploys = options.pushes, options.deploys
    return [
        Clone("git-clone", "git clone"),
        LsRemote("git-ls-remote", f"git ls-remote, {options.ls_remotes} times", options.ls_remotes),
        WholePush("git-push-all", "git push of the whole repository, to a branch", "topic"),
        WholePush("git-push-all-main", "git push of the whole repository, to main", "main"),
        SmallPush("git-push", f"git push of one small commit, {many} times, to a branch", "topic", many),
        SmallPush("git-push-main", f"git push of one small commit, {deploys} times, to main", "main", deploys),
    ]


class Clone(Workload):
    needs = "repository"

    def setup(self, side, material):
        side.repository_with(material)

    def run(self, side, material, number):
        side.client.git("clone", "-q", side.repository_with(material), str(self.local(material)))

    def check(self, side, material, number, first):
        must_be_whole(side.client, self.local(material), material.repository.head, first)

    def clean(self, side, material, number):
        shutil.rmtree(self.local(material))

    def local(self, material):
        return material.folder / "cloned"


class LsRemote(Workload):
    needs = "repository"
    slow = True

    def __init__(self, name, title, times):
        super().__init__(name, title)
        self.times, self.said = times, []

    def setup(self, side, material):
        side.repository_with(material)

    def run(self, side, material, number):
        address = side.repository_with(material)
        self.said = [side.client.git("ls-remote", address) for _ in range(self.times)]

    def check(self, side, material, number, first):
        if not all("\trefs/heads/main\n" in said for said in self.said):
            raise Problem("ls-remote did not show refs/heads/main")


class WholePush(Workload):
    """Each time into a repository that has nothing yet."""

    needs = "repository"

    def __init__(self, name, title, branch):
        super().__init__(name, title)
        self.branch, self.deploys = branch, branch == "main"
        self.addresses, self.heads = {}, {}

    def prepare(self, side, material, number):
        address = side.empty_repository(self.repository(number))
        self.addresses[side.letter] = address
        self.heads[side.letter] = joined(side.client, address, self.branch, material.repository)

    def run(self, side, material, number):
        side.client.git(
            "push", "-q", self.addresses[side.letter], f"{self.heads[side.letter]}:refs/heads/{self.branch}",
            cwd=material.repository.path)

    def check(self, side, material, number, first):
        must_have(side.client, self.addresses[side.letter], self.branch, self.heads[side.letter])
        if first:
            local = material.folder / "pushed"
            side.client.git("clone", "-q", "--branch", self.branch, self.addresses[side.letter], str(local))
            must_be_whole(side.client, local, self.heads[side.letter], True)
            must_be_deployed(side, self, self.repository(number), local, regular_files(side.client, local)[0], material)
            shutil.rmtree(local)

    def clean(self, side, material, number):
        side.drop_repository(self.repository(number))

    def repository(self, number):
        return f"{self.branch}-{number}"


class SmallPush(Workload):
    """The same new commits for both servers, one push each."""

    needs = "repository"

    def __init__(self, name, title, branch, times):
        super().__init__(name, title)
        self.branch, self.deploys, self.times = branch, branch == "main", times
        self.commits, self.edited = {}, None

    def setup(self, side, material):
        side.repository_with(material)
        if not self.local(material).exists():
            side.client.git("clone", "-q", str(material.repository.path), str(self.local(material)))

    def prepare(self, side, material, number):
        if number in self.commits:
            return
        work, git = self.local(material), side.client.git
        self.edited = self.edited or regular_files(side.client, work)[0]
        made = []
        for turn in range(self.times):
            with open(work / self.edited, "a") as out:
                out.write(f"// push {number}.{turn} to {self.branch}\n")
            git("commit", "-q", "-a", "-m", f"Push {number}.{turn}", cwd=work)
            made.append(git("rev-parse", "HEAD", cwd=work).strip())
        self.commits[number] = made

    def run(self, side, material, number):
        address = side.repository_with(material)
        for commit in self.commits[number]:
            side.client.git("push", "-q", address, f"{commit}:refs/heads/{self.branch}", cwd=self.local(material))

    def check(self, side, material, number, first):
        must_have(side.client, side.repository_with(material), self.branch, self.commits[number][-1])
        if first:
            must_be_deployed(side, self, "site", self.local(material), self.edited, material)

    def local(self, material):
        return material.folder / f"work-{self.branch}"


def joined(client, address, branch, repository):
    """The commit to push. A new site's main has a first commit, which no push may throw away."""
    said = client.git("ls-remote", address, f"refs/heads/{branch}")
    if not said:
        return repository.head
    client.git("fetch", "-q", address, branch, cwd=repository.path)
    return client.git(
        "commit-tree", f"{repository.head}^{{tree}}", "-p", said.split()[0], "-p", repository.head,
        "-m", "Join what the site began with", cwd=repository.path).strip()


def must_have(client, address, branch, commit):
    said = client.git("ls-remote", address, f"refs/heads/{branch}")
    if said.split()[:1] != [commit]:
        raise Problem(f"{branch} is not {commit} after the push but: {said.strip() or 'nothing'}")


def must_be_whole(client, local, head, thorough):
    found = client.git("rev-parse", "HEAD", cwd=local).strip()
    if found != head:
        raise Problem(f"the clone is at {found} instead of {head}")
    if thorough:
        client.git("fsck", "--full", "--no-progress", cwd=local)
        if client.git("status", "--porcelain", cwd=local):
            raise Problem("the clone's files are not those of its commit")


def must_be_deployed(side, work, name, local, path, material):
    """A push that should have deployed Dev is looked at where the site's visitors would."""
    if not (work.deploys and side.main_deploys):
        return
    seen = material.folder / "deployed"
    side.client.sftp(side.deployed(name), [f"get code/{path} {seen}"])
    if file_sum(seen) != file_sum(local / path):
        raise Problem(f"after the push, code/{path} of Dev is not what was pushed")
    seen.unlink()
