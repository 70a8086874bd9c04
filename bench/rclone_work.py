"""Workloads of rclone, eight transfers at a time: the tree up and down."""

import shutil

from inputs import tree_size, tree_sum
from workloads import Workload
from workspace import Problem

TRANSFERS = 8


def all_of(options):
    tree = f"{options.files:,} files, rclone with {TRANSFERS} transfers"
    return [
        RcloneUp("put-tree-rclone", f"copy {tree}, up"),
        RcloneDown("get-tree-rclone", f"copy {tree}, down"),
    ]


class Rclone(Workload):
    needs = "tree"
    remote = "code/rcloned"

    def skipped(self):
        return "" if shutil.which("rclone") else "rclone is not installed"

    def rclone(self, side, *words):
        config = side.client.folder / "rclone.conf"
        config.touch()
        return side.client.run([
            "rclone", "--config", str(config), "--transfers", str(TRANSFERS), "--checkers", str(TRANSFERS),
            "--sftp-host", "127.0.0.1", "--sftp-user", side.user, "--sftp-port", str(side.port),
            "--sftp-key-file", str(side.client.key), "--sftp-known-hosts-file", str(self.known_hosts(side)),
            "--sftp-disable-hashcheck", "--sftp-set-modtime=false", "--sftp-shell-type", "none",
            "--stats", "0", "--quiet", *words])

    def known_hosts(self, side):
        """rclone looks for the address that it calls, not for a name of our own."""
        path = side.client.folder / f"known_hosts_{side.alias}"
        path.write_text("".join(f"[127.0.0.1]:{side.port} {line}\n" for line in side.host_key_lines))
        return path

    def put(self, side, material):
        self.rclone(side, "copy", str(material.tree), f":sftp:{self.remote}")

    def get(self, side, material):
        self.rclone(side, "copy", f":sftp:{self.remote}", str(self.local(material)))

    def local(self, material):
        return material.folder / "rcloned"

    def remove(self, side):
        self.rclone(side, "purge", f":sftp:{self.remote}")

    def compare(self, material):
        if tree_sum(self.local(material)) != material.tree_sum:
            raise Problem("the tree came back with other names or bytes")
        shutil.rmtree(self.local(material))


class RcloneUp(Rclone):
    def run(self, side, material, number):
        self.put(side, material)

    def check(self, side, material, number, first):
        if first:
            self.get(side, material)
            self.compare(material)

    def clean(self, side, material, number):
        self.remove(side)


class RcloneDown(Rclone):
    def setup(self, side, material):
        self.put(side, material)

    def run(self, side, material, number):
        self.get(side, material)

    def check(self, side, material, number, first):
        if first:
            self.compare(material)
        elif tree_size(self.local(material)) != tree_size(material.tree):
            raise Problem("the tree came back with another number or size of files")

    def clean(self, side, material, number):
        shutil.rmtree(self.local(material), ignore_errors=True)

    def teardown(self, side, material):
        self.remove(side)
