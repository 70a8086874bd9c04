"""The same tables as a page, for docs/benchmarks.md."""

import datetime
import re

import report
from report import HEAD, MEMORY_HEAD


def write(path, page, first, second, costs):
    path.write_text("\n".join(lines(page, first, second, costs)) + "\n")


def lines(page, first, second, costs):
    yield from HEADER
    yield f"Measured on {datetime.date.today().isoformat()}."
    yield ""
    yield from table([("", "")] + [(name.replace("_", " "), str(value)) for name, value in page.facts_shown.items()
                                   if value is not False and name not in PRIVATE])
    yield ""
    yield f"A = {first.title}, B = {second.title}. Each row: medians of the pairs, A/B the median of the pairs' ratios"
    yield f"[lowest..highest]; **above 1, {second.title} is faster or needs less CPU time**."
    yield ""
    yield from table([HEAD] + [report.cells_of(result) for result in page.results])
    if any(not result.alike for result in page.results):
        yield ""
        yield f"\\* {second.title} also deploys Dev in it, which {first.title} does not: shown, but not judged."
    if page.memory:
        yield from ("", "## Memory of idle sessions", "", "PSS of all of a server's processes.", "")
        yield from table([MEMORY_HEAD] + [report.memory_cells(pair) for pair in page.memory])
    if page.stalls:
        yield from ("", "## How long writers on Live wait", "", "Somebody commits on Live every few milliseconds; the longest wait"
                    " in each round, in milliseconds.", "")
        yield from table([report.STALL_HEAD] + [report.stall_cells(stall) for stall in page.stalls])
    said = [*report.cost_lines(page.results), *report.audit_lines(page.results)]
    if said or costs:
        yield from ("", "## Decision, audit, and what the rows do not show", "")
        yield from (f"- {line}" for line in said)
        if costs:
            yield from ("", "```", costs.strip(), "```")
    if page.peers:
        yield from ("", "## Other servers", "", f"For the reader: other servers against {first.title}, with smaller inputs;"
                    " above 1, the other is better.", "")
        yield from table(report.peer_rows(page.peers))
        for peer, results, _ in page.peers:
            for result in results:
                if result.failed:
                    yield f"\n{peer.title} cannot do `{result.workload.name}`: {short(result.failed)}"
    yield from FOOTER


def short(failed):
    """The first line of what went wrong, without where in the file system."""
    return re.sub(r"/[^\s:]*/", "", failed.splitlines()[0])[:300]


def table(rows):
    first, *rest = rows
    yield row_of(first)
    yield row_of("---" for _ in first)
    for row in rest:
        yield row_of(row)


def row_of(cells):
    return "| " + " | ".join(cell.replace("|", "\\|").replace("MISS", "**miss**") for cell in cells) + " |"


# Nobody else's business, or of no use on another machine.
PRIVATE = ("machine", "folder", "funicular")

HEADER = """\
# Benchmarks

Funicular against a local OpenSSH `sshd` with `internal-sftp` and git behind it: the same client, the same
machine, the policy and the audit switched on. Written by `bench/run --markdown docs/benchmarks.md`; how the
measuring is done, and how to read it, stands in [bench/README.md](../bench/README.md).

**Repeat it** on a machine that does nothing else: `make bench` (about twenty-five minutes; Debian, no root needed;
as root the CPU time is counted by control groups, which is more exact).
""".splitlines() + [""]

FOOTER = """
## Method in short

- Pairs are interleaved (A B, B A, …), the first is dropped. Seconds of different rows say little; ratios do.
- Everything lies in memory (`/dev/shm`), for all servers alike, and goes over 127.0.0.1: the servers are measured,
  not a disk or a network card. With two cores the client takes one of them, and often is the limit.
- Server CPU is that of all of a server's processes until they are still again.
- The long line is a proxy in user space (`bench/delay_line.py`) that delays both directions and carries some
  500 MB/s; the TCP handshake is not delayed. The same proxy stands before both servers.
- `git-clone` and `git-pack` are repeated: from the second on, Funicular sends the pack from its cache.
  `git-clone-changed` has a new commit before each clone, so that no cache can help.
- Every transfer is compared with its source (SHA-256, `git fsck`) once a row, by size, number or commit each time.
""".splitlines()
