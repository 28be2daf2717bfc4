"""hnctl over a Dask cluster of real processes, a worker of which is killed in the middle, beside a run on threads.

`PYTHONPATH=tests/hnctl python tests/hnctl/dask_run.py --nodes 200` is the issue's run; the test suite has a short one.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import click

from hypernode.sandbox.server import Sandbox

WISHED = "8.0"
_LONGEST = 300.0


class Ran(NamedTuple):
    """What one run left behind."""

    status: int
    said: str
    states: Mapping[str, str]
    """By node."""
    records: Mapping[str, Counter[str]]
    """How many records of each kind the journal has, by node."""
    changed: Mapping[str, int]
    """How often the API changed each node."""
    wrong: tuple[str, ...]
    """Nodes that are not as wished."""
    sends: int
    seconds: float


@contextmanager
def cluster(workers: int, variables: Mapping[str, str]) -> Iterator[Any]:
    """Run a scheduler here and `workers` processes, with `variables` in their environment."""
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=workers, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0", env=dict(variables)
    ) as started:
        yield started


def variables_for(box: Sandbox) -> dict[str, str]:
    """Return what points hnctl to a sandbox, but for the tokens."""
    return {"HNCTL_API_URL": box.url, "HNCTL_POLL_INTERVAL": "100ms", "HNCTL_TIMEOUT": "5s"}


def tokens_of(box: Sandbox) -> dict[str, str]:
    """Return the variable that holds the tokens."""
    return {"HYPERNODE_API_TOKENS": json.dumps(dict(box.tokens))}


def change_all(
    box: Sandbox, folder: Path, variables: Mapping[str, str], *options: str, victim: Any = None, after: int = 0
) -> Ran:
    """Change all nodes of a sandbox with one run, and kill the process of `victim` after so many sends."""
    folder.mkdir()
    lines = "\n".join(f"  {name}: {{}}" for name in box.names)
    text = f"version: 1\ndefaults: {{settings: {{php_version: {WISHED!r}}}}}\nnodes:\n{lines}\n"
    (folder / "fleet.yaml").write_text(text)
    for name in box.names:
        box.set(name, php_version="8.3")
    box.clear_log()
    environment = {**os.environ, "XDG_STATE_HOME": str(folder / "state"), **variables}
    argv = [sys.executable, "-m", "hnctl", "apply", "--yes", "-o", "json", *options]
    started = time.monotonic()
    with (
        (folder / "said.txt").open("wb") as said,
        (folder / "out.json").open("wb") as out,
        subprocess.Popen(argv, cwd=folder, env=environment, stdout=out, stderr=said) as process,
    ):
        try:
            while victim is not None and process.poll() is None:
                if len(_writes(box)) >= after:
                    os.kill(victim.pid, signal.SIGKILL)
                    victim = None
                time.sleep(0.01)
            status = process.wait(_LONGEST)
        finally:
            process.kill()
    seconds = time.monotonic() - started
    (journal,) = (folder / "state" / "hnctl" / "runs").glob("*.jsonl")
    records: dict[str, Counter[str]] = {}
    for line in journal.read_text().splitlines():
        record = json.loads(line)
        if "node" in record:
            records.setdefault(record["node"], Counter())[record["record"]] += 1
    document = json.loads((folder / "out.json").read_text() or '{"nodes": []}')
    changed = Counter(entry.node for entry in box.log() if entry.changed)
    return Ran(
        status,
        (folder / "said.txt").read_text(),
        {one["node"]: one["state"] for one in document["nodes"]},
        records,
        changed,
        tuple(name for name in box.names if box.settings(name)["php_version"] != WISHED),
        len(_writes(box)),
        seconds,
    )


def _writes(box: Sandbox) -> list[Any]:
    return [entry for entry in box.log() if entry.method == "PATCH"]


def main() -> None:
    """Run both and say how they went."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=200)
    parser.add_argument("--parallel", default="64")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Sandbox(nodes=given.nodes, flow_time=0.6, latency=0.02) as box:
        here = {**variables_for(box), "HNCTL_PARALLEL": given.parallel}
        threads = change_all(box, Path(folder, "threads"), {**here, **tokens_of(box)})
        with cluster(4, tokens_of(box)) as dask:
            address = dask.scheduler_address.replace("tcp", "dask")
            over_dask = change_all(
                box, Path(folder, "dask"), here, "--executor", address, victim=dask.workers[0], after=given.nodes // 3
            )
    for name, ran in (("threads", threads), ("dask, one worker killed", over_dask)):
        again = sum(count > 1 for count in ran.changed.values())
        states = dict(Counter(ran.states.values()))
        click.echo(
            f"{name}: exit {ran.status}, {states}, {len(ran.wrong)} not as wished, {again} changed twice, "
            f"{ran.sends} sends, {ran.seconds:.1f} s"
        )
    click.echo(f"same outcomes: {threads.states == over_dask.states}; same journal: {_same(threads, over_dask)}")
    if over_dask.status:
        click.echo(over_dask.said)


def _same(one: Ran, other: Ran) -> bool:
    return one.records == other.records


if __name__ == "__main__":
    main()
