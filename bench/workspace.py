"""The temporary folder, the processes started in it, and their sure end."""

import ctypes
import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

PREFIX = "funicular-bench-"


class Problem(Exception):
    """Something that the person at the terminal must hear as one sentence."""


def stop_on_signals():
    """SIGTERM and SIGHUP end the run like Ctrl-C, so the same clearing away happens."""
    def stop(_number, _frame):
        raise KeyboardInterrupt
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, stop)


class Workspace:
    """A folder that is gone afterwards, with all that was started from it."""

    def __init__(self, wanted, needed_mib):
        base = choose_base(wanted, needed_mib)
        sweep_left_over(base)
        self.root = Path(tempfile.mkdtemp(prefix=PREFIX, dir=base))
        self.lock = lock_of(self.root)
        self.file_system = file_system_of(self.root)
        self.running = set()
        self.endings = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # A second Ctrl-C must not leave a daemon behind.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        for process in list(self.running):
            kill_group(process)
        for ending in reversed(self.endings):
            try:
                ending()
            except Exception as error:
                print(f"bench: while clearing away: {error}", flush=True)
        remove_tree(self.root)
        os.close(self.lock)

    def at_end(self, ending):
        self.endings.append(ending)

    def folder(self, *names):
        path = self.root.joinpath(*names)
        path.mkdir(parents=True, exist_ok=True)
        return path

    def start(self, command, **more):
        """Starts a client in a session of its own: Ctrl-C reaches us alone, and we end it."""
        process = subprocess.Popen(command, start_new_session=True, **more)
        self.running.add(process)
        return process

    def ended(self, process):
        self.running.discard(process)

    def start_server(self, command, meter, **more):
        """Starts a server that dies with us even if we are killed, and is counted by `meter`."""
        libc = ctypes.CDLL(None)

        def in_child():
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
            meter.enter()

        process = subprocess.Popen(meter.wrap(command), start_new_session=True, preexec_fn=in_child, **more)
        meter.watch(process.pid)
        return process


def kill_group(process):
    if process.poll() is None:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()


def remove_tree(path):
    """Removes even what a server left read-only."""
    for folder, names, _ in os.walk(path):
        for name in names:
            inner = os.path.join(folder, name)
            if not os.path.islink(inner):
                os.chmod(inner, 0o700)
    # An ending server may still write into it.
    for _ in range(20):
        shutil.rmtree(path, ignore_errors=True)
        if not os.path.lexists(path):
            return
        time.sleep(0.1)
    print(f"bench: {path} could not be removed", flush=True)


def choose_base(wanted, needed_mib):
    if wanted:
        wanted = wanted.resolve()
        if room_mib(wanted) < needed_mib:
            raise Problem(f"{wanted} has less than {needed_mib} MiB of room; give a smaller --large-mib")
        return wanted
    # Memory, because a disk would be measured more than the servers.
    memory = Path("/dev/shm")
    if usable(memory) and min(room_mib(memory), free_memory_mib()) > 1.5 * needed_mib:
        return memory
    disk = Path(tempfile.gettempdir())
    if room_mib(disk) < needed_mib:
        raise Problem(f"{disk} has less than {needed_mib} MiB of room; give --tmp or a smaller --large-mib")
    return disk


def usable(folder):
    return os.access(folder, os.W_OK) and not os.statvfs(folder).f_flag & os.ST_NOEXEC


def room_mib(folder):
    room = os.statvfs(folder)
    return room.f_bavail * room.f_frsize >> 20


def free_memory_mib():
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) >> 10
    return 0


def file_system_of(path):
    done = subprocess.run(["stat", "-f", "-c", "%T", path], capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


def lock_of(folder):
    handle = os.open(folder / "lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise
    return handle


def sweep_left_over(base):
    """Removes folders of runs that were killed: nobody holds their lock."""
    for folder in Path(base).glob(PREFIX + "*"):
        try:
            if folder.stat().st_uid != os.getuid():
                continue
            handle = lock_of(folder)
        except OSError:
            continue
        for place in mounts_below(folder):
            subprocess.run(["umount", place])
        remove_tree(folder)
        os.close(handle)


def mounts_below(folder):
    # Field five of proc_pid_mountinfo(5), with its spaces spelled in octal.
    places = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return [place for place in reversed(places) if place.startswith(f"{folder}/")]


PR_SET_PDEATHSIG = 1
