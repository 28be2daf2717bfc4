"""The most memory of `hnctl diff` and `hnctl apply` over 10,000 nodes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from benchmarks.fleet import write_file
from benchmarks.measuring import run_child
from benchmarks.serving import environment, serve
from benchmarks.table import Row

NODES = 10_000
CHANGED = 100
PARALLEL = 64


def measure(home: Path) -> Iterator[Row]:
    """Measure both against one sandbox that answers at once: first the one that changes nothing."""
    fleet, nodes = home / "remembered.yaml", home / "remembered.json"
    with serve(home, nodes=NODES, flow_time="1s") as served:
        write_file(fleet, served.names, moving_every=NODES // CHANGED)
        nodes.write_text(json.dumps(dict(served.tokens)), "utf-8")
        env = {**environment(home), "HNCTL_API_URL": served.url}
        shared = ("-f", str(fleet), "--parallel", str(PARALLEL))
        diff = json.loads(run_child("command_peak", str(nodes), "2", "diff", *shared, "--detailed-exitcode", env=env))
        apply = json.loads(run_child("command_peak", str(nodes), "0", "apply", *shared, "--yes", env=env))
    what = f"`hnctl diff` of {NODES:,} nodes ({diff['seconds']:.0f} s): peak memory of the process"
    yield Row(what, f"{diff['mib']:.0f} MiB", "none", None)
    what = f"`hnctl apply` over them, {CHANGED} change ({apply['seconds']:.0f} s): peak memory of the process"
    yield Row(what, f"{apply['mib']:.0f} MiB", "none", None)
