"""Databases and files cloned and imported by the gateway, each beside what people use.

A uses the same servers and disk. Its target is emptied, and what the gateway has left is collected, while the clock stands.
"""

import hashlib
import os
import shlex
import shutil
import statistics
import time
from pathlib import Path

import content_data
from content_scene import PEER, SITE
from workloads import Workload
from workspace import Problem

TABLES = list(content_data.TABLES)
COLLECTED_WITHIN = 60


def all_of(options):
    small, large = options.content_mib, options.content_large_mib
    files, kib = f"{options.content_files:,} files", options.content_file_kib
    return [
        Clone("clone-mariadb", f"clone {small} MiB of MariaDB; A: mariadb-dump | mariadb", "mariadb", small),
        Domains("clone-mariadb-domains", f"the same with host names replaced; A: then also as wp search-replace does it", "mariadb", small),
        Import("import-mariadb", f"import a dump of {small} MiB; A: mariadb < dump", "mariadb", small),
        Clone("clone-mariadb-large", f"clone {large} MiB of MariaDB; A: mariadb-dump | mariadb", "mariadb", large),
        Clone("clone-postgresql", f"clone {large} MiB of PostgreSQL; A: pg_dump | psql", "postgresql", large),
        Clone("clone-sqlite", f"clone {large} MiB of SQLite; A: .dump | sqlite3", "sqlite", large),
        First("clone-files", f"clone {files} of {kib} KiB, the first time; A: rsync -a", "disk"),
        Second("clone-files-again", f"the same, 1 % changed since; A: rsync --link-dest", "disk"),
        First("clone-files-xfs", f"the first time on XFS with reflinks; A: rsync -a", "xfs"),
        Clone("clone-sqlite-xfs", f"clone {large} MiB of SQLite on XFS with reflinks; A: .dump | sqlite3", "sqlite", large, "xfs"),
    ]


class Content(Workload):
    """A row of content; `engine`, `mib` and `ground` say which phase it belongs to."""

    def __init__(self, name, title, engine, mib, ground):
        super().__init__(name, title)
        self.engine, self.mib, self.ground = engine, mib, ground
        self.slow = mib >= 500 or engine == "files"

    def clean(self, side, scene, number):
        if side is scene.gateway:
            collected(scene)


class Clone(Content):
    """A database of Live into Dev."""

    target = "dev"

    def __init__(self, name, title, engine, mib, ground="disk"):
        super().__init__(name, title, engine, mib, ground)

    def prepare(self, side, scene, number):
        if side is scene.tools:
            self.peer(scene).unlink(missing_ok=True) if self.engine == "sqlite" else scene.server.empty(PEER)

    def run(self, side, scene, number):
        if side is scene.gateway:
            scene.clone(self.target, "--db-only")
        else:
            side.shell(self.script(scene))

    def script(self, scene):
        if self.engine == "sqlite":
            return f"sqlite3 {shlex.quote(str(scene.sqlite('live')))} .dump | sqlite3 {shlex.quote(str(self.peer(scene)))}"
        return scene.server.clone_words(scene.name("live"), PEER)

    def check(self, side, scene, number, first):
        there = (PEER if side is scene.tools else scene.name(self.target)) if self.engine != "sqlite" else \
            self.peer(scene) if side is scene.tools else scene.sqlite(self.target)
        tables = TABLES if first else ["wp_options"]
        if self.sums(scene, there, tables) != self.wanted(scene, tables):
            raise Problem(f"{there} does not hold what Live holds")

    def wanted(self, scene, tables):
        key = ("sums", *tables)
        if key not in scene.kept:
            live = scene.sqlite("live") if self.engine == "sqlite" else scene.name("live")
            scene.kept[key] = self.sums(scene, live, tables)
        return scene.kept[key]

    def sums(self, scene, database, tables):
        if self.engine == "sqlite":
            return [sqlite_sum(scene, database, table) for table in tables]
        return scene.server.sums(database, tables)

    def clean(self, side, scene, number):
        super().clean(side, scene, number)
        if side is scene.tools:
            self.peer(scene).unlink(missing_ok=True) if self.engine == "sqlite" else scene.server.remove(PEER)

    def peer(self, scene):
        return scene.tools.folder / "peer.sqlite"


class Domains(Clone):
    """As Clone, with the names of hosts in it replaced: by the tools afterwards, by the gateway on the way."""

    target = "test"

    def setup(self, side, scene):
        if side is scene.gateway:
            side.command("domain:map", SITE, "live", self.target, f"{content_data.OLD}={content_data.NEW}")

    def script(self, scene):
        words = ["php", str(Path(__file__).with_name("search_replace.php")),
                 scene.server.address, PEER, f"//{content_data.OLD}", f"//{content_data.NEW}"]
        return f"{super().script(scene)}; {shlex.join(words)}"

    def check(self, side, scene, number, first):
        there = PEER if side is scene.tools else scene.name(self.target)
        counted = scene.server.sql(
            f"SELECT SUM(meta_value LIKE '%//{content_data.OLD}%'), SUM(meta_value LIKE '%//{content_data.NEW}%') FROM wp_postmeta", there).split()
        if counted[0] != "0" or counted[1] == "0":
            raise Problem(f"the names of hosts were not replaced: {counted}")
        if first:
            # Both ways must give the same, byte by byte.
            sums = scene.server.sums(there, TABLES)
            if scene.kept.setdefault("replaced", sums) != sums:
                raise Problem("the gateway and the tools have replaced differently")


class Import(Clone):
    """A dump that is on the server already, as `mariadb < dump` wants it."""

    def setup(self, side, scene):
        if side is scene.tools:
            side.shell(f"{scene.server.words('mariadb-dump', '--single-transaction', '--quick', scene.name('live'))} > {self.dump(scene)}")
        else:
            side.client.sftp(f"dev.{SITE}@{side.alias}", [f"put {self.dump(scene)} /tmp/dump.sql"])

    def dump(self, scene):
        return scene.folder / "dump.sql"

    def run(self, side, scene, number):
        if side is scene.gateway:
            scene.up.run("import:database", f"{SITE}.dev", "/tmp/dump.sql")
        else:
            side.shell(f"{scene.server.words('mariadb', PEER)} < {self.dump(scene)}")

    def teardown(self, side, scene):
        if side is scene.gateway:
            side.client.sftp(f"dev.{SITE}@{side.alias}", ["rm /tmp/dump.sql"])
        self.dump(scene).unlink(missing_ok=True)


class Files(Content):
    """Uploads of Live into Dev. rsync makes nothing durable and the gateway does, so what rsync would take with a
    sync after it is told below the table."""

    def __init__(self, name, title, ground):
        super().__init__(name, title, "files", 0, ground)
        self.syncs = []

    def run(self, side, scene, number):
        if side is scene.gateway:
            scene.clone("dev", "--files-only")
        else:
            side.shell(self.script(scene))

    def check(self, side, scene, number, first):
        if side is scene.tools:
            begun = time.monotonic()
            side.shell(f"sync -f {self.peer(scene)}")
            if number:
                self.syncs.append(time.monotonic() - begun)
        there = self.peer(scene) if side is scene.tools else scene.files("dev")
        names = scene.names if first else scene.names[::97]
        for name in names:
            if looks(there / name, first) != looks(scene.live_files / name, first):
                raise Problem(f"{name} is not as it is on Live")
        count = sum(len(found) for _, _, found in os.walk(there))
        if count != len(scene.names):
            raise Problem(f"{count} files and not {len(scene.names)}")

    def aside(self, result):
        ratios = [(a.seconds + sync) / b.seconds for (a, b), sync in zip(result.pairs, self.syncs)]
        both = [a.seconds + sync for (a, _), sync in zip(result.pairs, self.syncs)]
        return (f"with a sync after it A takes {statistics.median(both):.2f} s,"
                f" A/B {statistics.median(ratios):.2f} [{min(ratios):.2f}..{max(ratios):.2f}]")

    def peer(self, scene):
        return scene.tools.folder / "files"


class First(Files):
    """Nothing is there that could be begun from."""

    def prepare(self, side, scene, number):
        if side is scene.tools:
            shutil.rmtree(self.peer(scene), ignore_errors=True)
            return
        # What a clone has left would be the spare of the next one: two small contents take its place.
        for _ in range(2):
            scene.bring("import:files", f"{SITE}.dev", scene.nearly_empty())

    def script(self, scene):
        return f"rsync -a {scene.live_files}/ {self.peer(scene)}/"

    def teardown(self, side, scene):
        shutil.rmtree(self.peer(scene), ignore_errors=True)


class Second(Files):
    """What an earlier copy has left is brought up to date by the gateway, and linked to by rsync."""

    def setup(self, side, scene):
        self.former = scene.tools.folder / "former"
        if side is scene.tools:
            side.shell(f"rsync -a {scene.live_files}/ {self.former}/")
        else:
            # The first of them becomes the spare of the next.
            for _ in range(2):
                scene.clone("dev", "--files-only")

    def prepare(self, side, scene, number):
        if scene.kept.get("changed") != number:
            scene.kept["changed"] = number
            for name in scene.names[::100]:
                path = scene.live_files / name
                content = path.read_bytes()
                path.write_bytes(bytes([number % 256]) * 100 + content[100:])

    def script(self, scene):
        return f"rsync -a --link-dest={self.former} {scene.live_files}/ {self.peer(scene)}/"

    def clean(self, side, scene, number):
        super().clean(side, scene, number)
        if side is scene.tools:
            shutil.rmtree(self.former)
            self.peer(scene).rename(self.former)

    def teardown(self, side, scene):
        for folder in (self.peer(scene), self.former):
            shutil.rmtree(folder, ignore_errors=True)


def looks(path, closely):
    seen = path.stat()
    return seen.st_size, seen.st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest() if closely else ""


def sqlite_sum(scene, path, table):
    """A sum over all bytes of a table, by sqlite3's own program."""
    columns = ", ".join(f'length("{column.split()[0]}"), substr("{column.split()[0]}", 1, 64)' for column in content_data.TABLES[table])
    said = scene.client.run(["sqlite3", "-readonly", str(path), f"SELECT {columns} FROM {table} ORDER BY 1"])
    return hashlib.sha256(said.encode()).hexdigest()


def collected(scene):
    """Waits until nothing is left of what was there before, so that its removal is in nobody's row."""
    deadline = time.monotonic() + COLLECTED_WITHIN
    while True:
        stores = [len([path for path in (scene.environment(name) / "contents").iterdir() if path.name.isdigit()])
                  for name in ("dev", "test")]
        named = [name for name in scene.server.names() if name.startswith(f"f_{SITE}_")] if scene.server else []
        if max(stores) <= 1 and len(named) <= 3:
            return
        if time.monotonic() > deadline:
            raise Problem(f"what was there before is not collected: {stores} {named}")
        time.sleep(0.1)
