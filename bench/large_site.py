"""A large site in a bare repository: some tens of thousands of files, and commits of one file on top."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from inputs import BLOCK, write_tree
from workspace import Problem


@dataclass
class Site:
    path: Path
    bundle: Path
    # The first commit, and the newest.
    base: str
    head: str
    # Regular files that may be edited.
    texts: list
    description: str
    made: int = 0

    def next_commit(self, client, branch):
        """Makes a commit that changes one file, on a branch of its own; gives it and the file."""
        self.made += 1
        name = self.texts[self.made * 37 % len(self.texts)]
        text = client.git("-C", str(self.path), "show", f"{self.head}:{name}") + f"// change {self.made}\n"
        work = f"commit refs/heads/{branch}\n{PERSON}data 9\nOne file\nfrom {self.head}\nM 100644 inline {name}\n"
        feed(client, self.path, [work.encode(), data_of(text.encode())])
        self.head = client.git("-C", str(self.path), "rev-parse", f"refs/heads/{branch}").strip()
        return self.head, name


def build(space, client, source, count):
    """The site's files as often as it takes. Each copy differs by a line, so that nothing is read or
    packed as one that is not one."""
    path = space.folder("input") / "large.git"
    client.git("init", "-q", "--bare", str(path))
    title = "WordPress, several times"
    if not source:
        title, source = "generated", space.folder("input", "large")
        write_tree(source, count)
    names = sorted(
        os.path.relpath(os.path.join(folder, name), source)
        for folder, _, found in os.walk(source) for name in found
        if not os.path.islink(os.path.join(folder, name)) and name != "uploads")
    pieces, texts, size = [f"commit refs/heads/main\n{PERSON}data 6\nImport".encode() + b"\n"], [], 0
    for number in range(count):
        again, place = divmod(number, len(names))
        name = f"site-{again + 1}/{names[place]}"
        bytes_of = (Path(source) / names[place]).read_bytes() + f"\n// {again}\n".encode()
        size += len(bytes_of)
        pieces += [f"M 100644 inline {name}\n".encode(), data_of(bytes_of)]
        if name.endswith(".php") and name.isascii() and " " not in name and b"\r" not in bytes_of and is_text(bytes_of):
            texts.append(name)
    feed(client, path, pieces)
    bundle = space.folder("input") / "large.bundle"
    client.git("-C", str(path), "bundle", "create", "-q", str(bundle), "HEAD", "main")
    head = client.git("-C", str(path), "rev-parse", "main").strip()
    packed = os.path.getsize(bundle) >> 20
    return Site(path, bundle, head, head, texts, f"{title}: {count} files, {size / BLOCK:.0f} MiB, {packed} MiB packed")


def feed(client, path, pieces):
    """git fast-import writes one pack and touches no working tree."""
    done = subprocess.run(
        ["git", "-C", str(path), "fast-import", "--quiet", "--force"], input=b"".join(pieces),
        capture_output=True, env=client.environment)
    if done.returncode:
        raise Problem(f"git fast-import: {done.stderr.decode(errors='replace').strip()[-300:]}")


def data_of(content):
    return b"data %d\n%s\n" % (len(content), content)


def is_text(content):
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return b"\0" not in content


PERSON = "committer Bench <bench@example.org> 1700000000 +0000\n"
