"""Waiting on the flows of 1,000 nodes at once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measuring import run_child
from benchmarks.serving import environment, serve
from benchmarks.table import Row

from hypernode.api.flows import FIRST_INTERVAL, LONGEST_INTERVAL

NODES = 1000
FLOW_TIME = 30.0
GOAL = 0.5
GROWTH = 1.4  # of the pauses between two looks, see hypernode.api.flows


def measure(home: Path) -> Iterator[Row]:
    """Change one setting of every node, wait for all of them in as many threads, and look at the CPU and the log."""
    with serve(home, nodes=NODES, flow_time=f"{FLOW_TIME:.0f}s") as served:
        nodes = home / "waited.json"
        nodes.write_text(json.dumps(dict(served.tokens)), "utf-8")
        seen = json.loads(run_child("waiting", served.url, str(nodes), env=environment(home)))
    cores = seen["cpu"] / seen["seconds"]
    what = f"waiting on {NODES:,} flows of {FLOW_TIME:.0f} s at once: cores used"
    yield Row(what, f"{cores:.2f} ({seen['seconds']:.0f} s)", f"< {GOAL}", cores < GOAL)
    most = _looks(seen["slowest"])
    looks = f"{seen['looks'] / NODES:.1f} (at most {seen['most_looks']})"
    yield Row("the same: looks at the logbook, a node", looks, f"<= {most}", seen["most_looks"] <= most)


def _looks(seconds: float) -> int:
    """Return how many looks the backoff allows in `seconds`."""
    looks, at, pause = 0, 0.0, FIRST_INTERVAL
    while at + pause <= seconds:
        at += pause
        looks += 1
        pause = min(pause * GROWTH, LONGEST_INTERVAL)
    return looks
