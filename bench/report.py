"""What the reader sees at the terminal: the facts, the tables, the last line; and JSON lines."""

import json
import statistics
import sys
from dataclasses import asdict

import goals


class Report:
    def __init__(self, path):
        self.json = open(path, "w") if path else None
        self.facts_shown = {}
        self.results, self.memory, self.stalls, self.peers, self.failures = [], [], [], [], []

    def note(self, text):
        print(f"bench: {text}", file=sys.stderr, flush=True)

    def facts(self, facts):
        self.facts_shown = facts
        self.write("facts", facts)
        for name, value in facts.items():
            if value is not False:
                print(f"{name.replace('_', ' '):15} {value}")
        if facts["debug_build"]:
            self.note("this is a debug build: its numbers say nothing about a release")
        sys.stdout.flush()

    def sample(self, sample):
        self.write("sample", asdict(sample))

    def add(self, result):
        self.results.append(result)
        self.told(result)

    def told(self, result):
        if result.failed:
            self.note(f"FAILED: {result.failed}")
        if result.skipped:
            self.note(f"left out: {result.skipped}")
        self.write("result", row_of(result))

    def failed_outside(self, name, problem):
        """Something that is not a row of pairs went wrong."""
        self.note(f"FAILED: {problem}")
        self.failures.append(name)

    def add_memory(self, pair):
        """What both servers take with the same number of idle sessions."""
        self.memory.append(pair)
        for one in pair:
            self.write("memory", {**asdict(one), "per_session_kib": one.per_session_kib})

    def add_stall(self, stall):
        """How long writers waited while one kind of content was cloned."""
        self.stalls.append(stall)
        self.write("stall", asdict(stall))

    def add_peer(self, peer, results, memory):
        self.peers.append((peer, results, memory))
        for result in results:
            self.write("peer", {"peer": peer.title, **row_of(result)})

    def table(self, first, second):
        print(f"\nA = {first.title}, B = {second.title}; medians; ratio = A/B of each pair, its median"
              f" [min..max]: above 1 = {second.title} is faster, or needs less CPU\n")
        show([HEAD] + [cells_of(result) for result in self.results])
        if any(not result.alike for result in self.results):
            print(f"\n* {second.title} also deploys Dev in it, which {first.title} does not: shown, but not judged.")
        if self.memory:
            print("\nmemory of idle sessions, PSS of all processes:\n")
            show([MEMORY_HEAD] + [memory_cells(pair) for pair in self.memory])
        if self.stalls:
            print("\nlongest wait of a writer on Live that commits every few ms, in ms; of each round the longest:\n")
            show([STALL_HEAD] + [stall_cells(stall) for stall in self.stalls])
        for line in (*cost_lines(self.results), *audit_lines(self.results)):
            print(f"\n{line}")
        if self.peers:
            print(f"\nfor the reader: peers against {first.title}, smaller inputs; A/B above 1 = the peer is better\n")
            show(peer_rows(self.peers))
        print(flush=True)

    def verdict(self, slowest, fail_below):
        failed = [result for result in self.results if result.failed]
        judged = [result for result in self.results if result.judged]
        slow = [result for result in judged if result.ratio("seconds") < slowest]
        missed = missed_goals(judged, self.memory, self.stalls)
        if missed:
            print(f"Goals missed: {', '.join(missed)}")
        names = [result.workload.name for result in failed] + self.failures
        if names:
            print(f"FAILED: {', '.join(names)}")
        if slow:
            print(f"SLOWER than 1.5 times the other side: {', '.join(named(result) for result in slow)}")
        elif judged:
            lowest = min(judged, key=lambda result: result.ratio("seconds"))
            print(f"None of the {len(judged)} judged workloads is slower than 1.5 times the other side; the lowest ratio is {named(lowest)}.")
        elif not (self.memory or self.stalls):
            print("No workload could be judged.")
        if names:
            return 1
        if fail_below and any(result.ratio("seconds") < fail_below for result in judged):
            return 3
        return 0

    def write(self, kind, values):
        if self.json:
            self.json.write(json.dumps({"kind": kind, **values}) + "\n")
            self.json.flush()

    def close(self):
        if self.json:
            self.json.close()


HEAD = ("workload", "A s", "B s", "A/B", "", "goal", "", "A cpu s", "B cpu s", "A/B cpu", "goal", "")
MEMORY_HEAD = ("sessions", "A MiB", "B MiB", "A KiB each", "B KiB each", "A/B each", "goal", "", "B in all, MiB", "")


STALL_HEAD = ("clone of", "commits beside it", "nobody copies", "A copies", "B copies", "goal", "")


def cells_of(result):
    title = result.workload.title + ("" if result.alike else " *")
    if result.failed or result.skipped:
        return (title, "", "", "failed" if result.failed else "left out") + ("",) * 8
    ratios = result.ratios("seconds")
    wall, cpu = goals.of(result.workload.name)
    return (
        title, f"{result.median(0, 'seconds'):.2f}", f"{result.median(1, 'seconds'):.2f}",
        f"{result.ratio('seconds'):.2f}", f"[{min(ratios):.2f}..{max(ratios):.2f}]",
        shown(wall), goals.mark(result.ratio("seconds"), wall),
        f"{result.median(0, 'server_cpu'):.2f}", f"{result.median(1, 'server_cpu'):.2f}",
        f"{result.ratio('server_cpu'):.2f}", shown(cpu), goals.mark(result.ratio("server_cpu"), cpu),
    )


def memory_cells(pair):
    first, second = pair
    ratio = first.per_session_kib / max(second.per_session_kib, 0.1)
    most = goals.MOST_MIB.get(second.sessions)
    within = "" if most is None else f"{'pass' if second.with_mib < most else 'MISS'} (below {most:.0f})"
    return (
        f"{second.sessions:,}", f"{first.with_mib:.1f}", f"{second.with_mib:.1f}",
        f"{first.per_session_kib:.0f}", f"{second.per_session_kib:.0f}", f"{ratio:.0f}",
        f"{goals.LESS_MEMORY:.0f}", goals.mark(ratio, goals.LESS_MEMORY), f"{second.with_mib:.1f}", within,
    )


def stall_cells(stall):
    verdict = "pass" if max(stall.gateway) <= goals.MOST_STALL else "MISS"
    waits = (" ".join(f"{wait:.0f}" for wait in rounds) for rounds in (stall.alone, stall.tools, stall.gateway))
    return (stall.kind, f"{stall.commits:,}", *waits, f"{goals.MOST_STALL:.0f}", verdict)


def cost_lines(results):
    """What the gateway's own part of a row takes, and what a row has to say besides its figures."""
    for result in results:
        if result.failed or result.skipped:
            continue
        costs, aside = result.workload.costs(result), result.workload.aside(result)
        if costs:
            most = goals.MOST_MS.get(result.workload.name)
            verdict = "" if most is None else f"; goal at most {most:g} ms: {'MISS' if too_dear(result) else 'pass'}"
            yield (f"{result.workload.name}: {result.workload.cost_title}: {statistics.median(costs):.1f} ms"
                   f" [{min(costs):.1f}..{max(costs):.1f}]{verdict}{f' ({aside})' if aside else ''}")
        elif aside:
            yield f"{result.workload.name}: {aside}"


def costs_of(result):
    return [] if result.failed or result.skipped else result.workload.costs(result)


def too_dear(result):
    most, costs = goals.MOST_MS.get(result.workload.name), costs_of(result)
    return bool(most and costs) and statistics.median(costs) > most


def audit_lines(results):
    """The share of the thread that writes the audit in the upload of the tree."""
    for result in results:
        if result.workload.name == "put-tree" and result.audit_shares:
            shares = sorted(result.audit_shares)
            share = shares[len(shares) // 2]
            verdict = "pass" if share < goals.MOST_AUDIT_SHARE else "MISS"
            yield (f"the audit's writer took {share:.1%} of the server's CPU time in put-tree"
                   f" [{shares[0]:.1%}..{shares[-1]:.1%}]; goal below {goals.MOST_AUDIT_SHARE:.0%}: {verdict}")


def peer_rows(peers):
    names = []
    for _, results, _ in peers:
        names += [result.workload.name for result in results if result.workload.name not in names]
    rows = [("workload", *(peer.title for peer, _, _ in peers))]
    for name in names:
        row = [name]
        for _, results, _ in peers:
            found = [result for result in results if result.workload.name == name]
            row.append(peer_cell(found[0]) if found else "-")
        rows.append(tuple(row))
    rows.append(("memory each, KiB", *(peer_memory(memory) for _, _, memory in peers)))
    return rows


def peer_cell(result):
    if result.failed:
        return "cannot"
    return f"{result.ratio('seconds'):.2f} (cpu {result.ratio('server_cpu'):.2f})"


def peer_memory(memory):
    return f"{memory.per_session_kib:.0f}" if memory else "cannot"


def missed_goals(judged, memory, stalls):
    found = []
    for result in judged:
        for quantity, goal, word in zip(("seconds", "server_cpu"), goals.of(result.workload.name), ("", " cpu")):
            if goals.mark(result.ratio(quantity), goal) == "MISS":
                found.append(f"{result.workload.name}{word} ({result.ratio(quantity):.2f} < {goal})")
        if too_dear(result):
            found.append(f"{result.workload.name} (milliseconds)")
    for pair in memory:
        if "MISS" in " ".join(memory_cells(pair)):
            found.append(f"memory of {pair[1].sessions} sessions")
    found += [f"writers beside a clone of {stall.kind}" for stall in stalls if max(stall.gateway) > goals.MOST_STALL]
    return found


def row_of(result):
    row = {"workload": result.workload.name, "title": result.workload.title, "alike": result.alike}
    if result.failed or result.skipped:
        return {**row, "failed": result.failed, "skipped": result.skipped}
    row["goal_wall"], row["goal_cpu"] = goals.of(result.workload.name)
    row["audit_shares"] = result.audit_shares
    row["cost_ms"] = result.workload.costs(result)
    for quantity in ("seconds", "server_cpu", "client_cpu"):
        ratios = result.ratios(quantity)
        row[quantity] = {
            "a": result.median(0, quantity), "b": result.median(1, quantity),
            "ratio": result.ratio(quantity), "min": min(ratios), "max": max(ratios),
        }
    return row


def show(rows):
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        first, *others = row
        cells = [first.ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(others, widths[1:])]
        print("  ".join(cells).rstrip())


def shown(goal):
    return "" if goal is None else f"{goal:g}"


def named(result):
    return f"{result.workload.name} ({result.ratio('seconds'):.2f})"
