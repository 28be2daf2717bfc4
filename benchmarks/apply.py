"""`hnctl apply` that changes 1,000 nodes whose flows take 2 s, beside the time that the nodes cannot avoid."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from benchmarks.fleet import MOVED, write_file
from benchmarks.measuring import Series, run_child, time_command
from benchmarks.serving import HNCTL, environment, pointed, serve
from benchmarks.table import Row

NODES = 1000
LATENCY = 0.05
FLOW_TIME = 2.0
REQUESTS = 5
"""Of each node, one after the other: read to plan, read again, busy?, write, read back; see README.md."""

RUNS = ((32, 1), (128, 3))
"""Nodes at once, rounds. With 32 the nodes decide, whatever hnctl does; with 128 its own work begins to count."""


def measure(home: Path) -> Iterator[Row]:
    """Measure the whole command, and look after each run what the nodes have and how often they were written."""
    for parallel, rounds in RUNS:
        took = Series(tuple(_apply(home, parallel) for _ in range(rounds)))
        ideal = NODES * (REQUESTS * LATENCY + FLOW_TIME) / parallel
        ratio = Series(tuple(seconds / ideal for seconds in took.values))
        unavoidable = f"nodes x ({REQUESTS} x {LATENCY * 1000:.0f} ms + {FLOW_TIME:.0f} s)"
        what = f"`hnctl apply` to {NODES:,} nodes ({took.median:.1f} s) / {unavoidable} / {parallel}"
        yield Row(what, ratio.show("x"), "none", None)


def _apply(home: Path, parallel: int) -> float:
    """Change every node of a fresh sandbox and return the seconds.

    Raises:
        RuntimeError: A node does not have the values, or was not written exactly once.
    """
    fleet, nodes = home / "applied.yaml", home / "applied.json"
    with serve(home, nodes=NODES, latency=f"{LATENCY * 1000:.0f}ms", flow_time=f"{FLOW_TIME:.0f}s") as served:
        write_file(fleet, served.names, moving_every=1)
        nodes.write_text(json.dumps(dict(served.tokens)), "utf-8")
        # --force, as the file allows a run to change 30 % of its nodes.
        argv = [HNCTL, "apply", "-f", str(fleet), "--yes", "--force", "--parallel", str(parallel)]
        seconds = time_command(argv, pointed(home, served))
        seen = json.loads(run_child("written", served.url, str(nodes), json.dumps(MOVED), env=environment(home)))
    if seen != {"right": NODES, "once": NODES, "writes": NODES}:
        raise RuntimeError(f"of {NODES} nodes, after `hnctl apply`: {seen}")
    return seconds
