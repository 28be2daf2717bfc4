"""What is told of many nodes: the cause stays on the screen."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from runs import Hnctl, boxed

from hypernode.sandbox.server import Sandbox

SET = ["settings", "set", "php_version", "8.0", "--all", "--yes", "--parallel", "1"]
STOPPED = "the run was stopped: 1 node failed (--max-failures)"


@pytest.fixture
def box(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """Twelve nodes of which the first refuses its change."""
    with boxed(folder, monkeypatch, nodes=12, settings={"php_version": "8.3"}, poll="5ms", flow_time=0.01) as running:
        running.set_faults({"reject": [sorted(running.names)[0]]})
        yield running


def test_nodes_that_the_run_did_not_come_to_share_a_line(hnctl: Hnctl, box: Sandbox):
    stopped = hnctl(*SET, "--max-failures", "1")
    run = hnctl("history", "-o", "json").json["runs"][0]["run"]
    assert [line for line in stopped.err.splitlines() if "not attempted" in line] == [
        f"11 nodes not attempted: {STOPPED} (--verbose names them)"
    ]
    assert "Not done:" not in stopped.err
    stopped = hnctl("resume", run, "--yes", "-o", "json", "--verbose")
    assert [node["state"] for node in stopped.json["nodes"]] == ["failed"] + ["not_attempted"] * 11
    assert all(node["reason"] == STOPPED for node in stopped.json["nodes"][1:])
    assert [f"{name}: not attempted: {STOPPED}" in stopped.err for name in sorted(box.names)] == [False] + [True] * 11


def test_a_few_are_named(hnctl: Hnctl, box: Sandbox):
    chosen = [word for name in sorted(box.names)[:4] for word in ("-n", name)]
    stopped = hnctl(*(word for word in SET if word != "--all"), *chosen, "--max-failures", "1")
    assert f"{', '.join(sorted(box.names)[1:4])}: not attempted: {STOPPED}\n" in stopped.err


def test_what_failed_is_told_once_more_when_many_came_after_it(hnctl: Hnctl, box: Sandbox):
    first = sorted(box.names)[0]
    failed = hnctl(*SET)
    (line,) = [line for line in failed.err.splitlines() if line.startswith(f"{first}: failed: ")]
    assert f"\nNot done:\n  {line}\n" in failed.err
    assert failed.err.index("Not done:") > failed.err.index(f"{sorted(box.names)[-1]}: done")
