"""Memory of idle sessions: the proportional set size of all of a server's processes."""

import importlib.util
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from workspace import Problem, kill_group

CLIENT = Path(__file__).with_name("idle_client.py")
WITHIN = 300


@dataclass
class Memory:
    """What one server takes with so many idle sessions."""

    server: str
    sessions: int
    processes: int
    before_mib: float
    with_mib: float

    @property
    def per_session_kib(self):
        return (self.with_mib - self.before_mib) * 1024 / self.sessions


def skipped():
    return "" if importlib.util.find_spec("asyncssh") else "python3-asyncssh is not installed"


def measure(side, counts, space):
    """Opens ever more sessions and reads the memory at each of the counts."""
    before = pss_mib(side)[0]
    holder = space.start(
        [sys.executable, str(CLIENT), "--port", str(side.port), "--user", side.user, "--key", str(side.client.key)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    found = []
    try:
        for count in counts:
            holder.stdin.write(f"{count}\n")
            holder.stdin.flush()
            if holder.stdout.readline().strip() != str(count):
                holder.kill()
                said = holder.stderr.read().strip().splitlines()[-1:]
                raise Problem(f"{side.title} did not take {count} sessions: {' '.join(said)}")
            mib, processes = settled(side)
            found.append(Memory(side.letter, count, processes, before, mib))
    finally:
        kill_group(holder)
        space.ended(holder)
    return found


def settled(side):
    """Reads until it stands still: what a login needed is given back a little later."""
    before, deadline = pss_mib(side), time.monotonic() + WITHIN
    while time.monotonic() < deadline:
        time.sleep(1)
        now = pss_mib(side)
        if abs(now[0] - before[0]) < 0.005 * before[0] + 0.05:
            return now
        before = now
    return before


def pss_mib(side):
    """MiB and number of processes; PSS counts what several processes share once in all."""
    kib = processes = 0
    for pid in side.cpu.pids():
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue
        processes += 1
        kib += sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))
    return kib / 1024, processes
