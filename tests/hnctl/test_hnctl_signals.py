"""Ctrl-C and SIGTERM: what is under way is finished, or left when there is nothing to lose."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from odd_servers import serving
from processes import run, start
from runs import point_to, writes

from hypernode.sandbox.server import Sandbox

PIPES = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
SET = ["settings", "set", "php_version", "8.0", "--all", "--yes", "--parallel", "2", "-o", "json"]


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Iterator[Sandbox]:
    """Twelve nodes whose changes take a second."""
    with Sandbox(nodes=12, flow_time=1.0) as box:
        point_to(box, monkeypatch)
        for node in box.names:
            box.set(node, php_version="8.3")
        yield box


def until(happened: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 143)])
def test_the_first_signal_starts_no_more_nodes_and_finishes_those_under_way(
    number: signal.Signals, status: int, slow: Sandbox
):
    with start(*SET, **PIPES) as process:
        until(lambda: writes(slow))
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
    assert process.returncode == status
    document = json.loads(out)
    assert document["exit_code"] == status
    states = {row["node"]: row["state"] for row in document["nodes"]}
    written = {entry.node for entry in writes(slow)}
    assert 1 <= len(written) <= 2
    assert {node for node, state in states.items() if state == "done"} == written
    assert all(state == "not_attempted" for node, state in states.items() if node not in written)
    assert all(slow.settings(node)["php_version"] == "8.0" for node in written)
    assert b"Interrupted: no more nodes are started." in err
    assert f"Go on: hnctl resume {document['run']} --yes\n".encode() in err
    resumed = run("resume", "last", "--yes", variables={"HNCTL_PARALLEL": "12"})
    assert resumed.status == 0
    assert sorted(entry.node for entry in writes(slow)) == sorted(slow.names), "each node was written once"


def test_the_second_signal_leaves_at_once(slow: Sandbox):
    with start(*SET, **PIPES) as process:
        until(lambda: writes(slow))
        assert process.stderr is not None
        process.send_signal(signal.SIGINT)
        assert b"Interrupted" in process.stderr.readline()
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
        assert time.monotonic() - began < 0.9, "it does not wait for a flow of a second"
    assert process.returncode == 130
    left = (
        rb"Left at once, with 2 nodes under way: what was sent goes on\.\nWhat is known of them: hnctl history (2\S+)\n"
    )
    assert re.search(left + rb"Go on with the run: hnctl resume \1\n$", err)
    resumed = run("resume", "last", "--yes", variables={"HNCTL_PARALLEL": "12"})
    assert resumed.status == 0, "the journal was true"
    # A request that was cut off before the API had it is sent again, and rightly so.
    changed = sorted(entry.node for entry in writes(slow) if entry.changed)
    assert changed == sorted(slow.names), "each node was changed once"


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("command", [["diff"], ["settings", "get", "php_version", "-n", "kaasshop"], ["nodes", "list"]])
def test_a_command_that_only_reads_is_left_at_once_though_the_api_keeps_silent(
    command: list[str], number: signal.Signals, status: int, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    (folder / "fleet.yaml").write_text("version: 1\nnodes: {kaasshop: {settings: {php_version: 8.0}}, theeplein: {}}\n")
    monkeypatch.setenv("HYPERNODE_API_TOKENS", '{"kaasshop": "a", "theeplein": "b"}')
    end = threading.Event()

    def keep_silent(path: str) -> tuple[int, str, bytes]:
        end.wait(30)
        return 500, "text/plain", b""

    with serving(keep_silent) as odd:
        monkeypatch.setenv("HNCTL_API_URL", odd.url)
        with start(*command, **PIPES) as process:
            until(lambda: odd.calls)
            process.send_signal(number)
            out, err = process.communicate(timeout=10)
        end.set()
    assert (process.returncode, out) == (status, b"")
    assert b"Aborted; nothing more was done." in err
    assert b"Traceback" not in err
