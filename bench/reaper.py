"""Runs a server as its only task, and takes over every process that the server leaves behind.

Their CPU time then adds up in this process, where without a control group it would be lost.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36


def main(command):
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1)
    server = os.fork()
    if server == 0:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        os.execv(command[0], command)
    signal.signal(signal.SIGTERM, lambda number, _frame: os.kill(server, number))
    while True:
        pid, status = os.wait()
        if pid == server:
            sys.exit(abs(os.waitstatus_to_exitcode(status)))


if __name__ == "__main__":
    main(sys.argv[1:])
