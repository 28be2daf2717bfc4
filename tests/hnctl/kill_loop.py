"""Killing hnctl at each record of its journal and at any moment, and going on until the run is done.

`make torture` runs the whole loop (issue: 40 nodes, flows of 0.6 s, latency 20 ms, 200 moments, and again with faults);
the test suite a short one.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import click

from hypernode.fleet.history import read_run
from hypernode.sandbox.server import Sandbox

_DIES_AT_A_RECORD = """
import os, signal, sys
from hypernode.fleet.journal import Journal

when, where = int(sys.argv[1]), sys.argv[2]
announce = Journal.announce
numbers = iter(range(1, 1_000_000))

def counted(self, record, **fields):
    number = next(numbers)  # threads share it, and each gets its own
    if (number, where) == (when, "before"):
        os.kill(os.getpid(), signal.SIGKILL)
    announce(self, record, **fields)
    if (number, where) == (when, "after"):
        os.kill(os.getpid(), signal.SIGKILL)

Journal.announce = counted
sys.argv[:3] = ["hnctl"]
from hnctl.main import run
run()
"""
WISHED = "8.0"
_LONGEST = 120.0


@dataclass
class Loop:
    """One sandbox and one state folder; each round changes all its nodes with a run that is killed."""

    box: Sandbox
    folder: Path
    parallel: int
    poll: str
    rounds: int = 0
    kills: int = 0
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        nodes = "\n".join(f"  {name}: {{}}" for name in self.box.names)
        text = f"version: 1\ndefaults: {{settings: {{php_version: {WISHED}}}}}\nnodes:\n{nodes}\n"
        (self.folder / "fleet.yaml").write_text(text)
        self.environment = {
            **os.environ,
            "XDG_STATE_HOME": str(self.folder / "state"),
            "HNCTL_API_URL": self.box.url,
            "HYPERNODE_API_TOKENS": json.dumps(dict(self.box.tokens)),
            "HNCTL_POLL_INTERVAL": self.poll,
            "HNCTL_TIMEOUT": "2s",
            "HNCTL_PARALLEL": str(self.parallel),
        }

    def die_at(self, record: int, where: str) -> bool:
        """Run until the record of this number, be killed before or after it is written, and go on until it is done.

        Returns whether there was such a record.
        """
        return self._round(["-c", _DIES_AT_A_RECORD, str(record), where], None)

    def die_after(self, seconds: float) -> None:
        """Run for `seconds`, be killed, and go on until it is done."""
        self._round(["-m", "hnctl"], seconds)

    def _round(self, program: list[str], seconds: float | None) -> bool:
        self.rounds += 1
        for name in self.box.names:
            self.box.set(name, php_version="8.3")
        self.box.clear_log()
        killed = self._hnctl([*program, "apply", "--yes"], seconds) == -signal.SIGKILL
        self.kills += killed
        if self.latest() is None:
            return killed  # it died before its first record, and so did nothing
        status = 0
        for _ in range(20):
            status = self._hnctl(["-m", "hnctl", "resume", "last", "--yes"], None)
            if status == 0:
                break
        else:
            raise AssertionError(f"it did not get done: {status}\n{self.said()}")
        self._check()
        return killed

    def _hnctl(self, arguments: list[str], seconds: float | None) -> int:
        with (
            (self.folder / "said.txt").open("ab") as said,
            subprocess.Popen(
                [sys.executable, *arguments], env=self.environment, cwd=self.folder, stdout=said, stderr=said
            ) as process,
        ):
            try:
                return process.wait(_LONGEST if seconds is None else seconds)
            except subprocess.TimeoutExpired:
                process.kill()
                assert seconds is not None, self.said()
                return process.wait()

    def said(self) -> str:
        """Return the last that hnctl said."""
        return (self.folder / "said.txt").read_text()[-3000:]

    def latest(self) -> Path | None:
        """Return the newest journal, if one has a whole record."""
        found = sorted((self.folder / "state" / "hnctl" / "runs").glob("*.jsonl"))
        return found[-1] if found and b"\n" in found[-1].read_bytes() else None

    def _check(self) -> None:
        """Every node is as wished, was changed once by the API's own log, and the history says so."""
        changed = Counter(entry.node for entry in self.box.log() if entry.changed)
        overlapping = [entry.node for entry in self.box.log() if entry.overlap]
        for name in self.box.names:
            assert self.box.settings(name)["php_version"] == WISHED, f"{name} is not as wished\n{self.said()}"
            assert changed[name] == 1, f"{name} was changed {changed[name]} times\n{self.said()}"
        assert not overlapping, f"sent while a change was under way: {overlapping}\n{self.said()}"
        latest = self.latest()
        assert latest is not None
        run = read_run(latest)
        assert run.ended_as == "done", self.said()
        assert run.totals()["done"] == len(self.box.names), run.totals()
        for path in (self.folder / "state" / "hnctl" / "runs").glob("*.jsonl"):
            path.unlink()
        (self.folder / "said.txt").unlink()


@contextmanager
def loop(
    *, nodes: int, flow_time: float, latency: float, parallel: int, poll: str, faults: str | None = None
) -> Iterator[Loop]:
    """Serve a sandbox in this process for a loop."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Sandbox(
            nodes=nodes, flow_time=flow_time, latency=latency, faults={"any": faults} if faults else {}, retry_after=0.2
        ) as box,
    ):
        yield Loop(box, Path(folder), parallel, poll)


def main() -> None:
    """Run the whole loop and say how it went."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=40)
    parser.add_argument("--moments", type=int, default=200)
    parser.add_argument("--records", type=int, default=1_000_000, help="at most so many records")
    parser.add_argument("--faults", help="of the sandbox, such as 10%%")
    parser.add_argument("--seed", type=int, default=7)
    given = parser.parse_args()
    started = time.monotonic()
    with loop(
        nodes=given.nodes, flow_time=0.6, latency=0.02, parallel=given.nodes, poll="100ms", faults=given.faults
    ) as killing:
        record = 0
        while record < given.records and killing.die_at(record + 1, "before") and killing.die_at(record + 1, "after"):
            record += 1
        click.echo(f"killed before and after each of {record} records: every run was gone on with and done")
        chance = random.Random(given.seed)
        for _ in range(given.moments):
            killing.die_after(chance.uniform(0.3, 3.0))
        took = f"{time.monotonic() - started:.0f} s"
        click.echo(f"{killing.rounds} rounds, {killing.kills} kills, {took}: each node was changed once")


if __name__ == "__main__":
    main()
