"""The phases of the rows of content: each has a disk, a kind of content and a size, and servers of its own."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass

import content_stalls
import content_work
import cpu
from client import Client
from content_scene import Scene
from databases import program
from measure import measure
from workspace import Problem, Workspace

# For the name that --only knows.
STALLS = "content-stalls"
XFS_MIB = 6000


@dataclass(frozen=True)
class Phase:
    ground: str
    engine: str
    mib: int


def chosen(options, wanted):
    """The rows that are asked for, and the phases of the stalls."""
    works = [work for work in content_work.all_of(options) if wanted(work.name)]
    stalls = stalls_of(options) if wanted(STALLS) else []
    return works, stalls


def stalls_of(options):
    small, large = options.content_mib, options.content_large_mib
    return [Phase("disk", "mariadb", small), Phase("disk", "mariadb", large), Phase("disk", "postgresql", large),
            Phase("disk", "sqlite", large), Phase("disk", "files", 0)]


def run(options, works, stalls, report):
    phases = []
    for phase in [Phase(work.ground, work.engine, work.mib) for work in works] + stalls:
        if phase not in phases:
            phases.append(phase)
    for phase in phases:
        here = [work for work in works if Phase(work.ground, work.engine, work.mib) == phase]
        if phase.ground == "xfs" and os.geteuid() != 0:
            report.note(f"left out, since only root may mount: {', '.join(work.name for work in here)}")
            continue
        try:
            run_phase(options, phase, here, phase in stalls, report)
        except Problem as problem:
            report.failed_outside(f"{phase.engine} on {phase.ground}", problem)


def run_phase(options, phase, works, with_stalls, report):
    needed = 5 * phase.mib + 2000 if phase.engine != "files" else 4 * options.content_files * options.content_file_kib // 1024 + 1000
    with Workspace(options.disk, needed) as disk:
        if phase.ground == "xfs":
            # Opened inside, it is gone before the mount is.
            with Workspace(mounted(disk), 1000) as space:
                return run_in(space, options, phase, works, with_stalls, report)
        run_in(disk, options, phase, works, with_stalls, report)


def run_in(space, options, phase, works, with_stalls, report):
    size = f" of {phase.mib} MiB" if phase.mib else ""
    report.note(f"preparing content: {phase.engine}{size} in {space.root} ({space.file_system})")
    client = Client(space)
    scene = Scene(space, client, cpu.open_meter("content", options.cpu, space), options.funicular, phase, options)
    scene.start()
    for work in works:
        report.note(work.title)
        pairs = min(options.pairs, options.slow_pairs) if work.slow else options.pairs
        report.add(measure(work, (scene.tools, scene.gateway), scene, client, pairs, report.sample))
    if with_stalls:
        report.note(f"how long writers on Live wait: {phase.engine}{size}")
        content_stalls.run(scene, options, report)
    scene.stop()


def mounted(disk):
    """XFS with reflinks in a file, mounted until the workspace ends; unmounted also where a run was killed, by the next."""
    image, place = disk.root / "xfs.image", disk.folder("xfs")
    with open(image, "wb") as out:
        out.truncate(XFS_MIB << 20)
    tool = shutil.which("mkfs.xfs", path="/usr/sbin:/sbin")
    if not tool:
        raise Problem("mkfs.xfs is not here: install xfsprogs")
    for command in ([tool, "-q", "-m", "reflink=1", str(image)], ["mount", "-o", "loop", str(image), str(place)]):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise Problem(f"{' '.join(command)}: {done.stderr.strip()}")
    disk.at_end(lambda: subprocess.run(["umount", str(place)], check=True))
    return place


def servers():
    """What stands above the tables of the programs that the rows need."""
    found = []
    for name in ("mariadbd", "postgres", "sqlite3", "rsync"):
        try:
            done = subprocess.run([program(name), "--version"], capture_output=True, text=True)
            found.append(f"{name} {re.search(r'[0-9]+[.][0-9][^ ]*', done.stdout).group(0)}")
        except (OSError, Problem):
            found.append(f"no {name}")
    return ", ".join(found)
