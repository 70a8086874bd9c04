"""The list of workloads, their sizes, and what every workload has."""

FULL = {
    "pairs": 5, "large_mib": 1024, "files": 3000, "listings": 4, "logins": 200, "at_once": 50,
    "ls_remotes": 50, "pushes": 10, "deploys": 5,
}
QUICK = {
    "pairs": 2, "large_mib": 128, "files": 500, "listings": 4, "logins": 20, "at_once": 20,
    "ls_remotes": 10, "pushes": 3, "deploys": 2,
}


class Workload:
    """One row of the table. Only `run` is timed; `check` raises a Problem on a wrong result."""

    needs = ""
    # Whether Funicular does work in it that the yardstick does not do at all.
    deploys = False

    def __init__(self, name, title):
        self.name, self.title = name, title

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
    import git_work
    import sftp_work
    return sftp_work.all_of(options) + git_work.all_of(options)
