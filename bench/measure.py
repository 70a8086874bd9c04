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


@dataclass
class Result:
    workload: object
    # Like for like: both servers did the same work.
    alike: bool
    pairs: list = field(default_factory=list)
    failed: str = ""

    def median(self, side, quantity):
        return statistics.median(getattr(pair[side], quantity) for pair in self.pairs)

    def ratios(self, quantity):
        """A by B of each pair: above 1, B needs less."""
        return [getattr(a, quantity) / max(getattr(b, quantity), 1e-6) for a, b in self.pairs]

    def ratio(self, quantity):
        return statistics.median(self.ratios(quantity))


def measure(work, sides, material, client, pairs, on_sample):
    result = Result(work, alike=not (work.deploys and sides[1].main_deploys))
    try:
        for side in sides:
            work.setup(side, material)
        for number in range(pairs + 1):
            samples = {}
            for side in sides if number % 2 == 0 else reversed(sides):
                samples[side.letter] = one_sample(work, side, material, client, number)
                on_sample(samples[side.letter])
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
        work.check(side, material, number, number == 0)
        work.clean(side, material, number)
    except (Problem, OSError) as problem:
        raise Problem(f"{side.title}: {problem}") from None
    return Sample(work.name, side.letter, number, seconds, used, client_used)
