"""The table for the reader: some workloads, with small inputs, of each other server against OpenSSH."""

import copy

import cpu
import idle_work
import peers
import sftp_work
from measure import measure
from openssh import OpenSsh
from workspace import Problem

# As the two sides agree: not every server has the cipher that could be forced.
ROWS = ("get-large", "put-large", "put-tree", "get-tree", "list-tree", "logins-curve25519")
PAIRS = 2


def run(options, space, client, material, report):
    """Measures all that are here; what is missing is said."""
    small = copy.copy(options)
    small.large_mib, small.files, small.logins = options.peer_mib, options.peer_files, options.peer_logins
    works = [work for work in sftp_work.all_of(small) if work.name in ROWS]
    for kind in peers.ALL:
        missing = kind.missing()
        if missing:
            report.note(f"{kind.title}: left out, {missing}")
            continue
        report.note(f"against {kind.title}")
        meters = [cpu.open_meter(f"{kind.alias}-{name}", options.cpu, space) for name in ("a", "b")]
        first = OpenSsh("A", "OpenSSH", f"openssh-for-{kind.alias}", space, client, meters[0])
        second = kind(space, client, meters[1])
        try:
            first.start()
            second.start()
        except Problem as problem:
            report.note(f"{kind.title}: left out, {problem}")
            second.stop()
            first.stop()
            continue
        memory = idle_memory(second, options, space, report)
        results = [measure(work, (first, second), material, client, PAIRS, report.sample) for work in works]
        for result in results:
            if result.failed:
                report.note(f"{kind.title}: {result.workload.name}: {result.failed}")
        report.add_peer(second, results, memory)
        second.stop()
        first.stop()


def idle_memory(side, options, space, report):
    if idle_work.skipped():
        return None
    try:
        return idle_work.measure(side, (options.peer_sessions,), space)[-1]
    except Problem as problem:
        report.note(f"{side.title}: memory: {problem}")
        return None

