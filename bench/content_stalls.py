"""How long somebody who writes on Live waits at most: alone, while people's tools copy, while the gateway does."""

import json
import subprocess
import time
from dataclasses import dataclass

import content_work
from workspace import Problem, kill_group

ALONE = 5


@dataclass
class Stall:
    """Longest commits in milliseconds, one for each round."""

    kind: str
    commits: int
    alone: list
    tools: list
    gateway: list


def run(scene, options, report):
    phase = scene.phase
    work = row_of(phase)
    stall = Stall(kind_of(phase, options), 0, [], [], [])
    for side in (scene.tools, scene.gateway):
        work.setup(side, scene)
    for number in range(options.stall_rounds):
        stall.alone.append(beside(scene, lambda: time.sleep(ALONE))["longest"])
        for side, into in ((scene.tools, stall.tools), (scene.gateway, stall.gateway)):
            work.prepare(side, scene, number)
            told = beside(scene, lambda: work.run(side, scene, number))
            into.append(told["longest"])
            if side is scene.gateway:
                stall.commits += told["commits"]
            work.clean(side, scene, number)
    report.add_stall(stall)


def row_of(phase):
    if phase.engine == "files":
        return content_work.First("stall", "", phase.ground)
    return content_work.Clone("stall", "", phase.engine, phase.mib, phase.ground)


def kind_of(phase, options):
    if phase.engine == "files":
        return f"{options.content_files:,} files"
    return f"{phase.mib} MiB of {phase.engine}"


def beside(scene, doing):
    """Does something while somebody writes, and gives what the writer says."""
    command = scene.writer()
    process = scene.space.start(command, env=scene.client.environment, text=True, stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        if process.stdout.readline() != "ready\n":
            raise Problem(f"the writer does not begin: {process.stderr.read()[-300:]}")
        doing()
        out, err = process.communicate("", timeout=60)
        if process.returncode:
            raise Problem(f"the writer ended: {err[-300:]}")
        return json.loads(out)
    finally:
        kill_group(process)
        scene.space.ended(process)
