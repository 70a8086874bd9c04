"""Server CPU seconds: a control group of its own for each server, else samples of /proc.

/proc forgets a process that nobody waited for, so the control group is preferred.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from workspace import PREFIX, Problem

TICKS = os.sysconf("SC_CLK_TCK")


def open_meter(name, wish, space):
    meter = None if wish == "proc" else open_group(name)
    if meter is None and wish == "cgroup":
        raise Problem("no control group can be made here (not root, or /sys/fs/cgroup is read-only)")
    meter = meter or ProcMeter()
    space.at_end(meter.close)
    return meter


def cores():
    return len(os.sched_getaffinity(0))


class Meter:
    def settled(self, limit=2.0):
        """Reads again until nothing moves: a session's end is paid after the client has gone."""
        before, deadline = self.read(), time.monotonic() + limit
        while time.monotonic() < deadline:
            time.sleep(0.06)
            now = self.read()
            if now - before < 0.002:
                return now
            before = now
        return before


class GroupMeter(Meter):
    """A control group: what has ended inside it stays counted."""

    def __init__(self, folder, version):
        self.folder, self.version = folder, version
        self.how = f"control group (version {version})"

    def wrap(self, command):
        return command

    def enter(self):
        (self.folder / "cgroup.procs").write_text(str(os.getpid()))

    def watch(self, _pid):
        pass

    def read(self):
        if self.version == 1:
            return int((self.folder / "cpuacct.usage").read_text()) / 1e9
        for line in (self.folder / "cpu.stat").read_text().splitlines():
            if line.startswith("usage_usec "):
                return int(line.split()[1]) / 1e6
        raise Problem(f"{self.folder}/cpu.stat has no usage_usec")

    def pids(self):
        return [int(pid) for pid in (self.folder / "cgroup.procs").read_text().split()]

    def kill_all(self):
        """Ends every process of the group; the group is ours, so nobody else is in it."""
        for _ in range(100):
            pids = self.pids()
            if not pids:
                return
            for pid in pids:
                kill(pid)
            time.sleep(0.02)

    def close(self):
        if self.folder.exists():
            self.kill_all()
            for _ in range(50):
                try:
                    return self.folder.rmdir()
                except OSError:
                    time.sleep(0.02)
            raise Problem(f"{self.folder} could not be removed")


class ProcMeter(Meter):
    """The process tree under a reaper, sampled. What a server discards unreaped may be missed."""

    INTERVAL = 0.02

    def __init__(self):
        self.how = f"/proc of the process tree, not a control group: may be a little low"
        self.root, self.own, self.best = None, {}, 0.0
        self.guard, self.over = threading.Lock(), threading.Event()

    def wrap(self, command):
        return [sys.executable, "-ES", str(Path(__file__).with_name("reaper.py")), *command]

    def enter(self):
        pass

    def watch(self, pid):
        self.root = pid
        threading.Thread(target=self.sample_on, daemon=True).start()

    def sample_on(self):
        while not self.over.wait(self.INTERVAL):
            self.read()

    def read(self):
        # Two lower bounds: what was reaped up the tree, and what was seen of each process.
        with self.guard:
            reaped = 0.0
            for pid, started, own, children in tree(self.root):
                self.own[pid, started] = own
                reaped += own + children
            self.best = max(self.best, reaped, sum(self.own.values()))
            return self.best

    def pids(self):
        """The server's own processes, without the reaper above them."""
        return [pid for pid, *_ in tree(self.root) if pid != self.root]

    def kill_all(self):
        for pid, started, _, _ in tree(self.root):
            self.own.setdefault((pid, started), 0.0)
        for pid, started in list(self.own):
            now = stat_of(pid)
            if now and now[1] == started:
                kill(pid)

    def close(self):
        self.over.set()
        if self.root:
            self.kill_all()


def open_group(name):
    for base, version in group_bases():
        sweep_left_over(base)
        meter = GroupMeter(base / f"{PREFIX}{os.getpid()}-{name}", version)
        try:
            meter.folder.mkdir()
        except OSError:
            continue
        try:
            subprocess.run(["true"], preexec_fn=meter.enter, check=True)
            if meter.read() > 0:
                return meter
        except (OSError, subprocess.SubprocessError, Problem):
            pass
        meter.close()
    return None


def sweep_left_over(base):
    """Removes the empty groups of runs that were killed; one with processes in it stays."""
    for folder in base.glob(PREFIX + "*"):
        pid = folder.name[len(PREFIX):].split("-")[0]
        if not Path("/proc", pid).exists():
            try:
                folder.rmdir()
            except OSError:
                pass


def group_bases():
    """Where a group might be made: the top of each mounted hierarchy, and where we are in it."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, right = line.split(" - ")
        kind, _, options = right.split(" ", 2)
        mounted = Path(left.split()[4])
        if kind == "cgroup2":
            found.append((mounted, 2, ""))
        elif kind == "cgroup" and "cpuacct" in options.split(","):
            found.append((mounted, 1, "cpuacct"))
    bases = [(mounted, version) for mounted, version, _ in found]
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, inside = line.split(":", 2)
        for mounted, version, wanted in found:
            if wanted in controllers.split(",") and inside != "/":
                bases.append((mounted / inside.lstrip("/"), version))
    return bases


def tree(root):
    """(pid, start time, own seconds, reaped children's seconds) of a process and all below it."""
    below, rows = {}, {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            row = stat_of(int(entry))
            if row:
                rows[int(entry)] = row
                below.setdefault(row[0], []).append(int(entry))
    waiting = [root] if root in rows else []
    while waiting:
        pid = waiting.pop()
        yield (pid, *rows[pid][1:])
        waiting.extend(below.get(pid, []))


def stat_of(pid):
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    user, system, child_user, child_system = (int(field) for field in fields[11:15])
    return int(fields[1]), int(fields[19]), (user + system) / TICKS, (child_user + child_system) / TICKS


def kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
