"""Workloads over a long line: each server behind a proxy that delays both directions."""

import subprocess
import sys
from pathlib import Path

from inputs import file_sum
from workloads import Workload
from workspace import Problem

DELAYS = (40, 100)
PROXY = Path(__file__).with_name("delay_line.py")


def all_of(options):
    works = []
    for delay in DELAYS:
        over = f"{options.line_mib} MiB over a line of {delay} ms"
        works += [
            LineUp(f"put-{delay}ms", f"put {over}", delay),
            LineDown(f"get-{delay}ms", f"get {over}", delay),
        ]
    return works


class Line(Workload):
    needs = "line"
    slow = True
    remote = "files/line.bin"

    def __init__(self, name, title, delay):
        super().__init__(name, title)
        self.delay, self.proxies = delay, {}

    def setup(self, side, material):
        process = material.space.start(
            [sys.executable, "-ES", str(PROXY), "--to", str(side.port), "--round-trip-ms", str(self.delay)],
            stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
        port = process.stdout.readline().strip()
        if not port:
            raise Problem("the proxy that delays did not start")
        self.proxies[side.letter] = (process, int(port))

    def sftp(self, side, lines):
        """aes128-gcm on both, so that the line is compared and not the ciphers."""
        return side.client.sftp(
            side.login, lines, cipher="aes128-gcm@openssh.com", port=self.proxies[side.letter][1])

    def local(self, material):
        return material.folder / "received-line.bin"

    def remove(self, side):
        side.client.sftp(side.login, [f"-rm {self.remote}"])

    def teardown(self, side, material):
        process, _ = self.proxies.pop(side.letter, (None, None))
        if process:
            process.terminate()
            process.wait()
            material.space.ended(process)
        self.remove(side)


class LineUp(Line):
    def prepare(self, side, material, number):
        self.remove(side)

    def run(self, side, material, number):
        self.sftp(side, [f"put {material.line} {self.remote}"])

    def check(self, side, material, number, first):
        if first:
            side.client.sftp(side.login, [f"get {self.remote} {self.local(material)}"])
            compare(self.local(material), material)
            self.local(material).unlink()


class LineDown(Line):
    def setup(self, side, material):
        super().setup(side, material)
        side.client.sftp(side.login, [f"put {material.line} {self.remote}"])

    def run(self, side, material, number):
        self.sftp(side, [f"get {self.remote} {self.local(material)}"])

    def check(self, side, material, number, first):
        compare(self.local(material), material)

    def clean(self, side, material, number):
        self.local(material).unlink()


def compare(path, material):
    if file_sum(path) != material.line_sum:
        raise Problem("the file came over the line with other bytes")
