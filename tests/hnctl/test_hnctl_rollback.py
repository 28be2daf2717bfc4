"""Taking runs back, by themselves and by hand: what was sent is found first, and the last lines always name the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from processes import start
from runs import Hnctl, boxed, writes

from hypernode.sandbox.server import Sandbox

TAKEN_BACK = "{max_failures: 1, on_failure: rollback}"


@pytest.fixture
def box(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """Three nodes with another PHP than the fleet file wishes; the state of this test's own."""
    settings = {"php_version": "8.3"}
    with boxed(folder, monkeypatch, nodes=3, settings=settings, poll="10ms", flow_time=0.4) as running:
        write_fleet(folder, running, TAKEN_BACK)
        yield running


def write_fleet(folder: Path, box: Sandbox, rollout: str) -> None:
    nodes = ", ".join(f"{name}: " for name in box.names)
    text = f"version: 1\ndefaults: {{settings: {{php_version: 8.0}}}}\nnodes: {{{nodes}}}\nrollout: {rollout}\n"
    (folder / "fleet.yaml").write_text(text)


def php(box: Sandbox) -> list[str]:
    return [box.settings(name)["php_version"] for name in sorted(box.names)]


def until(happened: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@contextmanager
def interrupted_once(happened: Callable[[], object]) -> Iterator[None]:
    """Send this process a Ctrl-C once something has happened, while the block runs."""

    def wait() -> None:
        until(happened)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=wait)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def test_a_run_that_was_interrupted_does_not_take_itself_back(hnctl: Hnctl, box: Sandbox):
    box.set_faults({"reject": [sorted(box.names)[0]]})
    with interrupted_once(lambda: len(writes(box)) == 2):
        left = hnctl("apply", "--yes", "--parallel", "2", "-o", "json")
    run = left.json["run"]
    assert (left.status, left.json["exit_code"]) == (130, 130)
    assert php(box) == ["8.3", "8.0", "8.3"]
    assert len(writes(box)) == 2
    assert left.err.splitlines()[-2:] == [
        f"Go on: hnctl resume {run} --yes",
        f"Take back what was done: hnctl rollback {run}",
    ]


def test_a_run_that_is_interrupted_while_it_takes_itself_back_says_so_with_its_status(hnctl: Hnctl, box: Sandbox):
    box.set_faults({"reject": [sorted(box.names)[2]]})
    with interrupted_once(lambda: len(writes(box)) == 4):
        left = hnctl("apply", "--yes", "--parallel", "1", "-o", "json")
    back = left.json["rollback"]
    assert (left.status, left.json["exit_code"], back["exit_code"]) == (130, 130, 130)
    assert sorted(php(box)) == ["8.0", "8.3", "8.3"]
    assert left.err.endswith(f"Go on with taking it back: hnctl resume {back['run']} --yes\n")


FAILS_ONCE_CHANGED = "{{waves: [1, 100%], on_failure: rollback, gates: [{{command: [sh, -c, '{0}']}}]}}"


def test_when_a_run_cannot_take_itself_back_what_it_did_is_told_all_the_same(hnctl: Hnctl, box: Sandbox, folder: Path):
    script = "[ -e changed ] || {{ touch changed; exit 0; }}; mv state/hnctl/runs kept; touch state/hnctl/runs; exit 1"
    write_fleet(folder, box, FAILS_ONCE_CHANGED.format(script.replace("{{", "{").replace("}}", "}")))
    failed = hnctl("apply", "--yes", "-o", "json")
    assert failed.status == 3
    assert failed.json["totals"]["done"] == 1
    assert "rollback" not in failed.json
    assert "It was not rolled back: there is no run" in failed.err
    assert failed.err.endswith(f"Take back what was done: hnctl rollback {failed.json['run']}\n")


def test_a_signal_while_the_way_back_is_read_does_not_hide_what_was_done(box: Sandbox, folder: Path):
    script = "[ -e changed ] || { touch changed; exit 0; }; touch tried; sleep 0.3; exit 1"
    write_fleet(folder, box, FAILS_ONCE_CHANGED.format(script))
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with start("apply", "--yes", **pipes, variables={"HNCTL_TIMEOUT": "20s"}) as process:
        until((folder / "tried").exists)
        box.set_faults({"hang": list(box.names)})
        box.clear_log()
        until(lambda: [entry for entry in box.log() if entry.method == "GET"])
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=10)
    assert process.returncode == 143
    assert out.endswith(b"1 done, 0 unchanged, 0 failed, 0 outcome unknown, 2 not attempted\n")
    assert b"Interrupted: it was not rolled back.\n" in err
    assert b"Take back what was done: hnctl rollback 2" in err


def test_what_cannot_be_read_to_be_taken_back_is_named_with_its_command(hnctl: Hnctl, box: Sandbox, folder: Path):
    first = sorted(box.names)[0]
    write_fleet(
        folder,
        box,
        FAILS_ONCE_CHANGED.format("[ -e changed ] || { touch changed; exit 0; }; touch tried; sleep 0.3; exit 1"),
    )

    def hide() -> None:
        until((folder / "tried").exists)
        box.set_faults({"redirect": [first]})

    thread = threading.Thread(target=hide)
    thread.start()
    failed = hnctl("apply", "--yes")
    thread.join()
    run = hnctl("history", "-o", "json").json["runs"][0]["run"]
    mended = f"1 node could not be read, and the run has no plan for it. Mended: hnctl rollback {run} -n {first}"
    assert (failed.status, failed.err.splitlines()[-1]) == (3, mended)
    assert "Once it is mended" not in failed.err
    box.set_faults({})
    assert hnctl("rollback", run, "-n", first, "--yes").status == 0
    assert php(box) == ["8.3"] * 3


def test_a_change_without_an_end_is_found_before_it_is_taken_back(hnctl: Hnctl, box: Sandbox):
    first = sorted(box.names)[0]
    unknown = hnctl("apply", "--yes", "--wait", "100ms", "--parallel", "1", "-o", "json")
    run = unknown.json["run"]
    assert unknown.status == 3
    (left,) = unknown.json["rollback"]["left"]
    assert "left" not in unknown.json, "it stands in one place"
    assert (left["node"], left["reason"]) == (
        first,
        "it was sent, and what became of it is not known yet; `hnctl rollback` finds that out first",
    )
    assert php(box) == ["8.3"] * 3, "it is on its way"
    back = hnctl("rollback", run, "--yes")
    assert back.status == 0
    assert "Looking for what became of the change that was sent to 1 node.\n" in back.err
    assert php(box) == ["8.3"] * 3
    assert [entry.node for entry in writes(box)] == [first, first]
    assert not any(entry.overlap for entry in box.log())


def test_a_change_whose_end_cannot_be_found_out_is_unknown_and_not_called_back(hnctl: Hnctl, box: Sandbox):
    unknown = hnctl("apply", "--yes", "--wait", "50ms", "--parallel", "1", "-o", "json")
    back = hnctl("rollback", unknown.json["run"], "--yes", "--wait", "50ms")
    assert back.status == 6
    assert "0 done, 0 unchanged, 1 failed" in back.out
    assert len(writes(box)) == 1


@pytest.mark.parametrize("output", ["jsonl", "markdown"])
def test_rows_tell_of_what_was_taken_back_too(output: str, hnctl: Hnctl, box: Sandbox):
    first, second, _ = sorted(box.names)
    box.set_faults({"reject": [second]})
    out = hnctl("apply", "--yes", "--parallel", "1", "-o", output).out
    if output == "jsonl":
        rows = [json.loads(line) for line in out.splitlines()]
        told = [(row["run"], row["node"], row["state"], row["changes"]) for row in rows if row["state"] == "done"]
        changes = [
            [{"setting": "php_version", "current": a, "desired": b}] for a, b in (("8.3", "8.0"), ("8.0", "8.3"))
        ]
        assert [(node, change) for _, node, _, change in told] == [(first, changes[0]), (first, changes[1])]
        assert told[0][0] != told[1][0]
    else:
        assert out.startswith("| run")
        assert out.count(f"| {first} | done") == 2


def test_the_rest_of_a_run_is_gone_on_with_when_some_of_it_was_taken_back(hnctl: Hnctl, box: Sandbox, folder: Path):
    write_fleet(folder, box, "{}")
    first, second, third = sorted(box.names)
    box.set_faults({"reject": [third]})
    run = hnctl("apply", "--yes", "-o", "json").json["run"]
    assert hnctl("rollback", run, "-n", first, "--yes").status == 0
    box.set_faults({})
    rest = hnctl("resume", run, "--yes", "-o", "json")
    assert rest.status == 0
    assert php(box) == ["8.3", "8.0", "8.0"]
    nodes = {node["node"]: node["reason"] for node in rest.json["nodes"]}
    back = hnctl("history", "-o", "json").json["runs"][0]["run"]
    assert nodes[first] == f"taken back by {back}, and not gone on with"
    assert nodes[second] == "done before"


def test_the_first_ctrl_c_does_not_wait_for_what_runs_for_gates(hnctl: Hnctl, box: Sandbox, folder: Path):
    script = "[ -e changed ] || { touch changed; exit 0; }; touch tried; exec sleep 60"
    write_fleet(folder, box, FAILS_ONCE_CHANGED.format(script))
    began = time.monotonic()
    with interrupted_once((folder / "tried").exists):
        left = hnctl("apply", "--yes")
    assert (left.status, time.monotonic() - began < 30) == (130, True)
    assert "1 done, 0 unchanged, 0 failed, 0 outcome unknown, 2 not attempted" in left.out
    assert "The run was interrupted.\n" in left.err
    assert len(writes(box)) == 1
