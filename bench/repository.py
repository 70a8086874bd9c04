"""The git repository that is cloned and pushed: WordPress, out of Debian's package."""

import os
import random
import shutil
from dataclasses import dataclass
from pathlib import Path

from inputs import write_tree
from workspace import Problem

EDITS = 40


@dataclass
class Repository:
    path: Path
    bundle: Path
    head: str
    description: str


def build(space, client, site, media_mib):
    """Imports the site folder by folder with some large files, as sites have them, then edits it: the
    same commits wherever the package is the same."""
    path = space.folder("input", "repository")
    title = "generated"
    if site:
        shutil.copytree(site, path, dirs_exist_ok=True, symlinks=True)
        title = "WordPress"
    else:
        write_tree(path, 3000)
    for number in range(max(1, media_mib // 4)):
        folder = path / f"wp-content/themes/bench/media-{number}"
        folder.mkdir(parents=True)
        (folder / "film.bin").write_bytes(random.Random(number).randbytes(4 << 20))
    client.git("init", "-q", cwd=path)
    for top in sorted(os.listdir(path)):
        if top != ".git":
            client.git("add", "--force", top, cwd=path)
            client.git("commit", "-q", "--allow-empty", "-m", f"Import {top}", cwd=path)
    files = regular_files(client, path)
    for number in range(EDITS):
        with open(path / files[number * 37 % len(files)], "a") as out:
            out.write(f"// edit {number}\n")
        client.git("commit", "-q", "-a", "-m", f"Edit {number}", cwd=path)
    # Packed once here, so that no measured push pays for the search for deltas.
    client.git("repack", "-a", "-d", "-q", cwd=path)
    bundle = space.folder("input") / "site.bundle"
    client.git("bundle", "create", "-q", str(bundle), "HEAD", "main", cwd=path)
    head = client.git("rev-parse", "HEAD", cwd=path).strip()
    commits = client.git("rev-list", "--count", "HEAD", cwd=path).strip()
    count = len(client.git("ls-files", "-z", cwd=path).split("\0")) - 1
    size = os.path.getsize(bundle) >> 20
    return Repository(path, bundle, head, f"{title}: {count} files, {commits} commits, {size} MiB packed")


def regular_files(client, path):
    """Never links: Debian's lead out of the tree, and an edit would change the machine."""
    rows = client.git("ls-files", "-s", "-z", "*.php", cwd=path).split("\0")[:-1]
    return [row.split("\t", 1)[1] for row in rows if row.startswith("100")]


def unpacked_wordpress(space, client, note):
    """The folder of a real site, or None."""
    try:
        package = cached_package(client)
        unpacked = space.folder("input", "package")
        client.run(["dpkg-deb", "-x", str(package), str(unpacked)])
        site = unpacked / "usr/share/wordpress"
        if not (site / "index.php").is_file():
            raise Problem(f"{package} holds no usr/share/wordpress/index.php")
        return site
    except (Problem, OSError) as problem:
        note(f"WordPress can't be had ({problem}); generated files take its place")
        return None


def cached_package(client):
    """The package from the cache, or from the Debian mirror that apt knows."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    cache = Path(home) / "funicular-bench"
    cache.mkdir(parents=True, exist_ok=True)
    found = sorted(cache.glob("wordpress_*.deb"))
    if not found:
        # Into a folder of its own first: what was cut off must not pass for a package.
        fresh = cache / f"fetch-{os.getpid()}"
        fresh.mkdir()
        try:
            client.run(["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", "wordpress"], cwd=fresh)
            for package in fresh.glob("wordpress_*.deb"):
                package.rename(cache / package.name)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
        found = sorted(cache.glob("wordpress_*.deb"))
    if not found:
        raise Problem("apt-get download brought no wordpress_*.deb")
    return found[-1]
