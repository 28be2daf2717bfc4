"""Loading, validating and resolving a fleet file of 10,000 nodes, beside libyaml only composing its tree."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

from benchmarks.fleet import write_file
from benchmarks.measuring import Series, compare, run_child
from benchmarks.serving import environment
from benchmarks.table import Row

from hypernode.sandbox.names import make_names

NODES = 10_000
GOAL = 3
ROUNDS = 5
SHAPES = (("settings of its own on every 4th node", 4), ("on every node", 1))


def measure(home: Path) -> Iterator[Row]:
    """Measure time and memory for each shape of file."""
    env = environment(home)
    for shape, every in SHAPES:
        path = home / f"fleet-{NODES}-{every}.yaml"
        write_file(path, make_names(NODES, 7), own_every=every)
        memory: dict[str, list[float]] = {"load": [], "compose": []}

        def run(what: str, path: Path, memory: Mapping[str, list[float]]) -> float:
            seen = json.loads(run_child("file_load", what, str(path), env=env))
            memory[what].append(seen["mib"])
            return float(seen["seconds"])

        ours: Callable[[], float] = partial(run, "load", path, memory)
        seconds = compare(ours, partial(run, "compose", path, memory), rounds=ROUNDS)
        peaks = Series(tuple(a / b for a, b in zip(memory["load"], memory["compose"], strict=True)))
        size = path.stat().st_size / 1024
        what = f"load, validate, resolve {NODES:,} nodes ({size:,.0f} KiB, {shape}) / `yaml.compose`"
        yield Row(f"{what}: time", seconds.show("x"), f"<= {GOAL}x", seconds.median <= GOAL)
        yield Row(f"{what}: peak memory", peaks.show("x"), f"<= {GOAL}x", peaks.median <= GOAL)
