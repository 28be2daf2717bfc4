"""How many app details a second the sandbox answers, with two cores for it and for whoever asks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measuring import Series, run_child
from benchmarks.serving import environment, serve
from benchmarks.table import Row

GOAL = 3000
ROUNDS = 5
SECONDS = 3
CONNECTIONS = 16
MOST_REQUESTS = 100_000


def measure(home: Path) -> Iterator[Row]:
    """Ask on keep-alive connections from another process for some seconds, several times over."""
    with serve(home, nodes=50) as served:
        nodes = home / "asked.json"
        nodes.write_text(json.dumps(dict(list(served.tokens.items())[:CONNECTIONS])), "utf-8")
        env = environment(home)
        rates = []
        busy = []
        for _ in range(ROUNDS):
            limits = (str(SECONDS), str(MOST_REQUESTS))
            seen = json.loads(run_child("asking", served.url, str(nodes), *limits, env=env))
            rates.append(seen["answers"] / seen["seconds"])
            busy.append(seen["cpu"] / seen["seconds"])
    series, share = Series(tuple(rates)), Series(tuple(busy))
    what = f"sandbox, {CONNECTIONS} keep-alive connections: app details a second (asker: {share.median:.0%} of a core)"
    yield Row(what, series.show("", 0), f">= {GOAL:,}", series.median >= GOAL)
