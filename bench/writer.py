"""A writer as a site's visitors are one: commits every few milliseconds until its input ends, and prints
what the longest took.

    writer.py database COMMAND...   statements to a client of the server that stays up
    writer.py sqlite FILE
    writer.py files FOLDER          a small upload, renamed to its place
"""

import json
import os
import select
import sqlite3
import statistics
import subprocess
import sys
import time

PAUSE = 0.004


def main():
    kind, *rest = sys.argv[1:]
    commit = {"database": database, "sqlite": sqlite, "files": files}[kind](*rest)
    for number in range(20):
        commit(number)
    print("ready", flush=True)
    taken, number = [], 20
    while not select.select([sys.stdin], [], [], PAUSE)[0]:
        number += 1
        begun = time.perf_counter()
        commit(number)
        taken.append(time.perf_counter() - begun)
    taken = [1000 * seconds for seconds in taken] or [0.0]
    print(json.dumps({"commits": len(taken), "longest": max(taken), "median": statistics.median(taken)}), flush=True)


def database(*command):
    client = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

    def commit(number):
        client.stdin.write(f"INSERT INTO wp_actions (note) VALUES ('visit {number}'); SELECT {number};\n")
        client.stdin.flush()
        said = client.stdout.readline().strip()
        if said != str(number):
            sys.exit(f"the writer was told {said!r}")
    return commit


def sqlite(path):
    connection = sqlite3.connect(path, isolation_level=None, timeout=60)
    return lambda number: connection.execute("INSERT INTO wp_actions (note) VALUES (?)", (f"visit {number}",))


def files(folder):
    content = os.urandom(20000)
    half = os.path.join(folder, ".writer")

    def commit(number):
        with open(half, "wb") as out:
            out.write(content)
        os.rename(half, os.path.join(folder, f"upload-{number % 50}.jpg"))
    return commit


main()
