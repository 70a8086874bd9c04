"""What Funicular should reach: the least A/B of each row, wall time and server CPU.

A row without an entry is shown for the reader and has no goal.
"""

# workload: (wall, CPU); None where there is no goal.
GOALS = {
    "get-large": (2.0, 3.0),
    "put-large": (2.0, 2.5),
    "get-large-gcm": (1.25, 2.0),
    "put-large-gcm": (1.5, 2.0),
    "put-four": (1.7, 3.0),
    "put-four-gcm": (1.7, None),
    "put-tree": (1.3, 2.0),
    "get-tree": (1.3, 2.0),
    "list-tree": (2.0, 2.0),
    "put-tree-rclone": (1.3, 2.0),
    "get-tree-rclone": (1.3, 2.0),
    "logins-curve25519": (6.0, 15.0),
    "logins-at-once-curve25519": (2.0, 15.0),
    "put-40ms": (3.0, None),
    "get-40ms": (1.0, None),
    "put-100ms": (3.0, None),
    "get-100ms": (1.0, None),
    "git-ls-remote": (5.0, None),
    "git-push": (3.0, None),
    "git-clone": (1.0, 1.2),
    "git-push-all": (1.0, 1.2),
    "git-pack": (3.0, None),
    "deploy-archive": (10.0, None),
    # Not slower than 1.2 times what is not atomic.
    "deploy-pull": (0.833, None),
    "first-deploy": (1.0, None),
    # Of content the goal is the most that ours may take of theirs: 0.5, 0.25, 1, 0.25, 0.6, 0.05, 0.4, 0.5, 0.1.
    "clone-mariadb": (2.0, None),
    "clone-mariadb-domains": (4.0, None),
    "import-mariadb": (1.0, None),
    "clone-mariadb-large": (4.0, None),
    "clone-postgresql": (1.67, None),
    "clone-sqlite": (20.0, None),
    "clone-files": (2.5, None),
    "clone-files-again": (2.0, None),
    "clone-files-xfs": (10.0, None),
}

# The most milliseconds that the gateway's own part may take, by row.
MOST_MS = {"git-push-channel": 15.0, "status": 50.0}

# Memory of idle sessions: the least A/B per session, and the most MiB that 1,000 may take in all.
LESS_MEMORY = 40.0
MOST_MIB = {1000: 80.0}

# The longest that a writer on Live may wait while its content is cloned, in milliseconds.
MOST_STALL = 100.0

# The audit's share of the server's CPU time in put-tree.
MOST_AUDIT_SHARE = 0.05


def of(name):
    return GOALS.get(name, (None, None))


def mark(reached, goal):
    """A ratio that rounds to the goal has reached it."""
    if goal is None:
        return ""
    return "pass" if round(reached, 2) >= goal else "MISS"
