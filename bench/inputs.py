"""The files that are carried: one large file and a tree of small ones, the same in every run."""

import hashlib
import os
import random

BLOCK = 1 << 20


class Material:
    """Makes what the chosen workloads need, and knows what the right bytes are."""

    def __init__(self, space, options, wanted):
        self.wanted = set(wanted)
        self.space, self.options = space, options
        self.folder = space.folder("input")
        self.repository = None
        if "large" in self.wanted:
            self.large = self.folder / "large.bin"
            self.large_sum = write_large(self.large, options.large_mib)
        if "tree" in self.wanted:
            self.tree = self.folder / "tree"
            self.tree_folders = write_tree(self.tree, options.files)
            self.tree_sum = tree_sum(self.tree)

    def facts(self):
        found = {}
        if "large" in self.wanted:
            found["large_mib"] = self.options.large_mib
        if "tree" in self.wanted:
            sizes = [os.path.getsize(os.path.join(folder, name)) for folder, _, names in os.walk(self.tree) for name in names]
            found["tree"] = f"{len(sizes)} files in {len(self.tree_folders)} folders, {sum(sizes) / BLOCK:.1f} MiB"
        if self.repository:
            found["repository"] = self.repository.description
        return found


def write_large(path, mib):
    """Random bytes, so that nothing can be saved by compression or by holes."""
    source, digest = random.Random(1), hashlib.sha256()
    with open(path, "wb") as out:
        for _ in range(mib):
            block = source.randbytes(BLOCK)
            digest.update(block)
            out.write(block)
    return digest.hexdigest()


def write_tree(root, count):
    """A web site's mix: most files of a few KiB, some of hundreds, a few empty. Gives its folders."""
    source = random.Random(2)
    folders = [""]
    while len(folders) < max(2, count // 20):
        above = source.choice(folders)
        if above.count("/") < 4:
            folders.append(f"{above}/{source.choice(WORDS)}-{len(folders)}".lstrip("/"))
    for folder in folders:
        os.makedirs(root / folder, exist_ok=True)
    for number in range(count):
        name = f"{source.choice(WORDS)}-{number}.{source.choice(ENDINGS)}"
        (root / source.choice(folders) / name).write_bytes(contents(source))
    return folders


def contents(source):
    size = min(int(source.lognormvariate(8.0, 1.5)), 512 << 10)
    if source.random() < 0.01:
        size = 0
    line = " ".join(source.choice(WORDS) for _ in range(40)).encode() + b"\n"
    text = line * (size // (2 * len(line)) + 1)
    return (text + source.randbytes(size))[len(text) // 2:][:size]


def file_sum(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def tree_sum(root):
    """One sum over all names and contents."""
    digest = hashlib.sha256()
    for folder, folders, names in os.walk(root):
        folders.sort()
        for name in sorted(names):
            path = os.path.join(folder, name)
            digest.update(f"{os.path.relpath(path, root)} {file_sum(path)}\n".encode())
    return digest.hexdigest()


def tree_size(root):
    files = [os.path.join(folder, name) for folder, _, names in os.walk(root) for name in names]
    return len(files), sum(os.path.getsize(path) for path in files)


WORDS = ("index", "theme", "block", "admin", "style", "editor", "media", "post", "user", "query", "widget", "cache",
         "locale", "image", "upload", "script", "template", "option", "plugin", "comment")
ENDINGS = ("php", "php", "php", "js", "js", "css", "svg", "json", "png", "html")
