"""Workloads of rclone, eight transfers at a time: the tree up and down."""

import shutil

from tree_work import Down, Tree, Up

TRANSFERS = 8


def all_of(options):
    tree = f"{options.files:,} files, rclone with {TRANSFERS} transfers"
    return [
        RcloneUp("put-tree-rclone", f"copy {tree}, up"),
        RcloneDown("get-tree-rclone", f"copy {tree}, down"),
    ]


class Rclone(Tree):
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

    def remove(self, side, material):
        self.rclone(side, "purge", f":sftp:{self.remote}")


class RcloneUp(Up, Rclone):
    pass


class RcloneDown(Down, Rclone):
    pass
