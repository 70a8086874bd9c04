"""The list of workloads, their sizes, and what every workload has."""

FULL = {
    "pairs": 5, "slow_pairs": 3, "large_mib": 1024, "line_mib": 200, "files": 5000, "listings": 4,
    "logins": 200, "at_once": 50, "sessions": (200, 1000), "ls_remotes": 50, "pushes": 20, "deploys": 5,
    "site_files": 20000, "statuses": 20, "media_mib": 64, "peer_mib": 256, "peer_files": 1000, "peer_logins": 20, "peer_sessions": 100,
    "content_mib": 100, "content_large_mib": 1000, "content_files": 20000, "content_file_kib": 100, "stall_rounds": 3,
}
QUICK = {
    "pairs": 2, "slow_pairs": 1, "large_mib": 128, "line_mib": 16, "files": 500, "listings": 4,
    "logins": 20, "at_once": 20, "sessions": (20, 50), "ls_remotes": 10, "pushes": 3, "deploys": 2,
    "site_files": 2000, "statuses": 5, "media_mib": 8, "peer_mib": 64, "peer_files": 200, "peer_logins": 5, "peer_sessions": 20,
    "content_mib": 8, "content_large_mib": 40, "content_files": 2000, "content_file_kib": 20, "stall_rounds": 2,
}


class Workload:
    """One row of the table. Only `run` is timed; `check` raises a Problem on a wrong result."""

    needs = ""
    # Whether Funicular does work in it that the yardstick does not do at all.
    deploys = False
    # Makes things durable, which only a disk shows.
    on_disk = False
    # Takes minutes, so that fewer pairs must do.
    slow = False

    def __init__(self, name, title):
        self.name, self.title = name, title

    def costs(self, _result):
        """Milliseconds of the gateway's own, for each pair, where that has a goal (goals.MOST_MS)."""
        return []

    def aside(self, _result):
        """What else the reader of the costs may want to know."""
        return ""

    def skipped(self):
        """Why it cannot be done on this machine; empty when it can."""
        return ""

    def setup(self, side, material):
        """Once for each server, before the pairs."""

    def prepare(self, side, material, number):
        """Before each sample."""

    def run(self, side, material, number):
        raise NotImplementedError

    def check(self, side, material, number, first):
        """After each sample; `first` asks for the thorough look."""

    def clean(self, side, material, number):
        """After each check."""

    def teardown(self, side, material):
        """Once for each server, after the pairs; also after a failure."""


def all_of(options):
    # Here, because both need Workload from this file.
    import deploy_work
    import git_work
    import latency_work
    import line_work
    import pack_work
    import rclone_work
    import sftp_work
    parts = (sftp_work, rclone_work, line_work, git_work, pack_work, latency_work, deploy_work)
    return [work for part in parts for work in part.all_of(options)]
