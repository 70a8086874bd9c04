"""What the reader sees: the facts, the table, the last line; and the same as JSON lines."""

import json
import sys
from dataclasses import asdict


class Report:
    def __init__(self, path):
        self.json = open(path, "w") if path else None
        self.results = []

    def note(self, text):
        print(f"bench: {text}", file=sys.stderr, flush=True)

    def facts(self, facts):
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
        if result.failed:
            self.note(f"FAILED: {result.failed}")
        self.write("result", row_of(result))

    def table(self, first, second):
        print(f"\nA = {first.title}, B = {second.title}; medians; ratio = A/B of each pair, its median"
              f" [min..max]: above 1 = {second.title} is faster, or needs less CPU\n")
        head = ("workload", "A s", "B s", "A/B", "", "A cpu s", "B cpu s", "A/B cpu")
        rows = [head] + [cells_of(result) for result in self.results]
        widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
        for row in rows:
            first_cell, *others = row
            print("  ".join([first_cell.ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(others, widths[1:])]).rstrip())
        if any(not result.alike for result in self.results):
            print(f"\n* {second.title} also deploys Dev in it, which {first.title} does not: shown, but not judged.")
        print(flush=True)

    def verdict(self, slowest, fail_below):
        failed = [result for result in self.results if result.failed]
        judged = [result for result in self.results if not result.failed and result.alike]
        slow = [result for result in judged if result.ratio("seconds") < slowest]
        if failed:
            print(f"FAILED: {', '.join(result.workload.name for result in failed)}")
        if slow:
            print(f"SLOWER than 1.5 times OpenSSH: {', '.join(named(result) for result in slow)}")
        elif judged:
            lowest = min(judged, key=lambda result: result.ratio("seconds"))
            print(f"None of the {len(judged)} judged workloads is slower than 1.5 times OpenSSH; the lowest ratio is {named(lowest)}.")
        else:
            print("No workload could be judged.")
        if failed:
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


def cells_of(result):
    title = result.workload.title + ("" if result.alike else " *")
    if result.failed:
        return (title, "", "", "failed", "", "", "", "")
    ratios = result.ratios("seconds")
    return (
        title, f"{result.median(0, 'seconds'):.2f}", f"{result.median(1, 'seconds'):.2f}",
        f"{result.ratio('seconds'):.2f}", f"[{min(ratios):.2f}..{max(ratios):.2f}]",
        f"{result.median(0, 'server_cpu'):.2f}", f"{result.median(1, 'server_cpu'):.2f}",
        f"{result.ratio('server_cpu'):.2f}",
    )


def row_of(result):
    row = {"workload": result.workload.name, "title": result.workload.title, "alike": result.alike}
    if result.failed:
        return {**row, "failed": result.failed}
    for quantity in ("seconds", "server_cpu", "client_cpu"):
        ratios = result.ratios(quantity)
        row[quantity] = {
            "a": result.median(0, quantity), "b": result.median(1, quantity),
            "ratio": result.ratio(quantity), "min": min(ratios), "max": max(ratios),
        }
    return row


def named(result):
    return f"{result.workload.name} ({result.ratio('seconds'):.2f})"
