"""Interleaved pairs: A B, B A, A B, ...; the first pair warms up and is dropped."""

import os
import statistics
import time
from dataclasses import dataclass, field

from client import client_cpu
from workspace import Problem


@dataclass
class Sample:
    workload: str
    server: str
    pair: int
    seconds: float
    server_cpu: float
    client_cpu: float
    audit_at_end: float | None = None


@dataclass
class Result:
    workload: object
    # Like for like: both servers did the same work.
    alike: bool
    pairs: list = field(default_factory=list)
    failed: str = ""
    skipped: str = ""
    # The audit's share of the server's CPU time, for each sample of the second server that has one.
    audit_shares: list = field(default_factory=list)

    @property
    def judged(self):
        return self.alike and not self.failed and not self.skipped

    def median(self, side, quantity):
        return statistics.median(getattr(pair[side], quantity) for pair in self.pairs)

    def ratios(self, quantity):
        """A by B of each pair: above 1, B needs less."""
        return [getattr(a, quantity) / max(getattr(b, quantity), 1e-6) for a, b in self.pairs]

    def ratio(self, quantity):
        return statistics.median(self.ratios(quantity))


def measure(work, sides, material, client, pairs, on_sample):
    result = Result(work, alike=not (work.deploys and sides[1].main_deploys), skipped=work.skipped())
    if result.skipped:
        return result
    try:
        for side in sides:
            work.setup(side, material)
        for number in range(pairs + 1):
            samples = {}
            for side in sides if number % 2 == 0 else reversed(sides):
                audit_before = side.audit_seconds()
                sample = one_sample(work, side, material, client, number)
                samples[side.letter] = sample
                on_sample(sample)
                if number and audit_before is not None and sample.audit_at_end is not None:
                    result.audit_shares.append((sample.audit_at_end - audit_before) / max(sample.server_cpu, 1e-6))
            if number:
                result.pairs.append((samples[sides[0].letter], samples[sides[1].letter]))
    except (Problem, OSError) as problem:
        result.failed = str(problem)
    for side in sides:
        try:
            work.teardown(side, material)
        except (Problem, OSError) as problem:
            result.failed = result.failed or str(problem)
    return result


def one_sample(work, side, material, client, number):
    try:
        work.prepare(side, material, number)
        if client.space.file_system != "tmpfs":
            # Or one server's dirty pages are written at the other's cost.
            os.sync()
        cpu_before, client_before = side.cpu.settled(), client_cpu()
        begun = time.monotonic()
        work.run(side, material, number)
        seconds = time.monotonic() - begun
        used, client_used = side.cpu.settled() - cpu_before, client_cpu() - client_before
        audit = side.audit_seconds()
        work.check(side, material, number, number == 0)
        work.clean(side, material, number)
    except (Problem, OSError) as problem:
        raise Problem(f"{side.title}: {problem}") from None
    return Sample(work.name, side.letter, number, seconds, used, client_used, audit)
