"""The files that are carried: large files and a tree of small ones, the same in every run."""

import hashlib
import os
import random
import shutil

BLOCK = 1 << 20


class Material:
    """Makes what the chosen workloads need, and knows what the right bytes are."""

    def __init__(self, space, options, wanted, site=None, name="input"):
        """`site` is the folder of a real web site, if one can be had."""
        self.wanted = set(wanted)
        self.space, self.options = space, options
        self.folder = space.folder(name)
        self.repository, self.large_site, self.site = None, None, site
        if "large" in self.wanted:
            self.large = self.folder / "large.bin"
            self.large_sum = write_large(self.large, options.large_mib)
        if "line" in self.wanted:
            self.line = self.folder / "line.bin"
            self.line_sum = write_large(self.line, options.line_mib)
        if "tree" in self.wanted:
            self.tree = self.folder / "tree"
            if site:
                self.tree_folders = copy_tree(site, self.tree, options.files)
            else:
                self.tree_folders = write_tree(self.tree, options.files)
            self.tree_sum = tree_sum(self.tree)

    def facts(self):
        found = {}
        if "large" in self.wanted:
            found["large_mib"] = self.options.large_mib
        if "tree" in self.wanted:
            sizes = [os.path.getsize(os.path.join(folder, name)) for folder, _, names in os.walk(self.tree) for name in names]
            title = "WordPress" if self.site else "generated"
            found["tree"] = f"{title}: {len(sizes)} files in {len(self.tree_folders)} folders, {sum(sizes) / BLOCK:.1f} MiB"
        if self.repository:
            found["repository"] = self.repository.description
        if self.large_site:
            found["large_site"] = self.large_site.description
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


def copy_tree(site, root, count):
    """As many files of a real site: the first in order of names, or the whole of it several times.
    Gives its folders."""
    found = sorted(
        os.path.relpath(os.path.join(folder, name), site)
        for folder, _, names in os.walk(site) for name in names
        if not os.path.islink(os.path.join(folder, name)))
    folders = {""}
    for number in range(count):
        again, place = divmod(number, len(found))
        path = os.path.join(f"copy-{again + 1}", found[place]) if again else found[place]
        above = os.path.dirname(path)
        while above:
            folders.add(above)
            above = os.path.dirname(above)
        os.makedirs(root / os.path.dirname(path), exist_ok=True)
        shutil.copyfile(os.path.join(site, found[place]), root / path)
    return sorted(folders)


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
