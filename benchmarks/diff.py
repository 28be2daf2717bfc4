"""`hnctl diff` of 1,000 and 5,000 nodes at 50 ms, and others reading the same nodes: the official client, Ansible."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import ansible_uri
from benchmarks.fleet import write_file
from benchmarks.installed import Pinned
from benchmarks.measuring import Series, run_child, time_command
from benchmarks.serving import HNCTL, Served, pointed, serve
from benchmarks.table import Row

LATENCY = 0.05
PARALLEL = 32
SIZES = ((1000, 1.45, 5), (5000, 1.25, 3))
"""Nodes, how many times the ideal time the command may take, rounds."""

BESIDE_OTHERS = 1000
# Of what it asks for (pip and requests) requests is the only one that it imports, and our environment has that.
OFFICIAL = Pinned("official-client", "hypernode_api_python")
LOOPED = 60
FASTER = 20

# Some 2,300 tokens and more are too long for a variable that is handed to a program (128 KiB on Linux), but not for
# one that a program sets for itself. All else is the command as a user types it.
_WITH_MANY_TOKENS = """\
import os, sys
with open(sys.argv.pop(1)) as file:
    os.environ["HYPERNODE_API_TOKENS"] = file.read()
from hnctl.main import run
run()
"""


def measure(home: Path) -> Iterator[Row]:
    """Measure `hnctl diff` for all sizes, and in turns with one of them what others read the same nodes with."""
    for nodes, goal, rounds in SIZES:
        ours: list[float] = []
        loops: list[float] = []
        playbooks: list[float] = []
        with serve(home, nodes=nodes, latency=f"{LATENCY * 1000:.0f}ms") as served:
            diff = _diff(home, served)
            beside = nodes == BESIDE_OTHERS
            loop = _official_loop(home, served) if beside else None
            playbook = ansible_uri.reading(home, served, forks=PARALLEL) if beside else None
            diff()  # not counted: Python compiles what it has not run before
            for turn in range(rounds):
                ours.append(diff())
                if loop is not None:
                    loops.append(loop() / ours[-1])
                if playbook is not None and turn % 2 == 0:  # half a minute each
                    playbooks.append(playbook() / ours[-1])
        seconds = Series(tuple(ours))
        ideal = nodes * LATENCY / PARALLEL
        ratio = Series(tuple(value / ideal for value in ours))
        what = f"`hnctl diff` of {nodes:,} nodes ({seconds.median:.2f} s) / nodes x 50 ms / {PARALLEL}"
        yield Row(what, ratio.show("x"), f"<= {goal}x", ratio.median <= goal)
        if beside:
            official = f"official client {OFFICIAL.version} in a loop ({LOOPED} nodes"
            yield _row_beside(official, loops, FASTER)
            ansible = f"ansible-core {ansible_uri.ANSIBLE.version}, `uri`, {PARALLEL} forks ({ansible_uri.NODES} nodes"
            yield _row_beside(ansible, playbooks, None)


def _diff(home: Path, served: Served) -> Callable[[], float]:
    """Return a function that runs `hnctl diff` over all nodes of `served` and returns the seconds it took."""
    fleet = home / f"fleet-{len(served.tokens)}.yaml"
    write_file(fleet, served.names)
    env = pointed(home, served)
    command = [HNCTL]
    if "HYPERNODE_API_TOKENS" not in env:
        command = [sys.executable, "-c", _WITH_MANY_TOKENS, str(_write_tokens(home, served.tokens))]
    argv = [*command, "diff", "-f", str(fleet), "--parallel", str(PARALLEL), "--detailed-exitcode"]
    return lambda: time_command(argv, env, expect=2)  # there are differences, and no node failed


def _official_loop(home: Path, served: Served) -> Callable[[], float] | None:
    """Return a function that reads some nodes with the official client and returns the seconds that all would take."""
    folder = OFFICIAL.install()
    if folder is None:
        return None
    nodes = _write_tokens(home, dict(list(served.tokens.items())[:LOOPED]))
    env = {**pointed(home, served), "PYTHONPATH": str(folder)}
    scale = len(served.tokens) / LOOPED
    return lambda: float(run_child("official_loop", served.url, str(nodes), env=env)) * scale


def _row_beside(other: str, ratios: list[float], least: int | None) -> Row:
    """Return the row of what others take / what we take; `least` is how many times as long it has to be."""
    what = f"{other}, scaled to {BESIDE_OTHERS:,}) / the same `hnctl diff`"
    goal = "none" if least is None else f">= {least}x"
    if not ratios:
        return Row(what, "pip could not install it", goal, None)
    longer = Series(tuple(ratios))
    return Row(what, longer.show("x", 1), goal, None if least is None else longer.median >= least)


def _write_tokens(home: Path, tokens: object) -> Path:
    path = home / "tokens.json"
    path.write_text(json.dumps(tokens), "utf-8")
    return path
