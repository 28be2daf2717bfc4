"""The journal of a run as a user meets it: `apply -m` and `hnctl history`."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from processes import start
from runs import Hnctl, boxed, writes

from hypernode.fleet.journal import Journal
from hypernode.sandbox.server import Sandbox

FLEET = """\
version: 1
defaults: {settings: {php_version: 8.0}}
nodes: {NODE: {}, OTHER: {}}
"""
RUN_KEYS = ["run", "started_at", "who", "message", "checksum", "state", "totals"]


@pytest.fixture
def box(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """Two nodes with another PHP than the fleet file wishes; the state of this test's own."""
    with boxed(folder, monkeypatch, nodes=2, settings={"php_version": "8.3"}) as running:
        first, second = running.names
        (folder / "fleet.yaml").write_text(FLEET.replace("NODE", first).replace("OTHER", second))
        yield running


def journals(folder: Path) -> list[Path]:
    return sorted((folder / "state" / "hnctl" / "runs").glob("*"))


def test_a_run_is_in_the_history_with_who_why_and_what_became_of_it(hnctl: Hnctl, box: Sandbox, folder: Path):
    assert hnctl("history").err == "No runs.\n"
    for command in ("resume", "rollback", "history"):
        none = hnctl(command, "last")
        assert none.status == 64
        assert "there are no runs: nothing was changed from here yet" in none.err
        assert "hint" not in none.err, "history lists nothing either"
    assert hnctl("apply", "--yes", "-m", "PHP for all").status == 0
    document = hnctl("history", "-o", "json").json
    assert document["format_version"] == 1
    (run,) = document["runs"]
    assert list(run) == RUN_KEYS
    assert (run["message"], run["state"]) == ("PHP for all", "done")
    assert run["totals"] == {"done": 2, "unchanged": 0, "failed": 0, "unknown": 0, "not_attempted": 0}
    assert run["who"].count("@") == 1
    shown = hnctl("history", "last")
    assert shown.status == 0
    for text in (f"{run['run']}: done", "why      PHP for all", "php_version 8.3 -> 8.0", *box.names):
        assert text in shown.out
    nodes = hnctl("history", run["run"], "-o", "json").json["nodes"]
    assert [(node["node"], node["state"], node["sent"], len(node["flows"])) for node in nodes] == [
        (node, "done", True, 1) for node in sorted(box.names)
    ]


def test_times_name_their_zone_and_nothing_is_wider_than_the_screen(
    hnctl: Hnctl, box: Sandbox, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    box.set_faults({"revert": [box.names[1]]})
    assert hnctl("apply", "--yes", "-m", "PHP for all, as it was agreed upon in the meeting of last week").status == 3
    document = hnctl("history", "last", "-o", "json").json
    (uuid,) = next(node["flows"] for node in document["nodes"] if node["state"] == "done")
    monkeypatch.setenv("COLUMNS", "80")
    listed, shown = hnctl("history").out, hnctl("history", "last").out
    assert f"{document['started_at'][:19].replace('T', ' ')} UTC  " in listed
    assert f"  {uuid[:8]}  " in shown
    assert uuid not in shown
    for text in (listed, shown):
        assert max(map(len, text.splitlines())) <= 80
    assert "the node has" in " ".join(shown.split()), "words are whole"


def test_the_newest_run_comes_first_and_what_changed_nothing_is_no_run(hnctl: Hnctl, box: Sandbox, folder: Path):
    assert hnctl("apply", "--yes", "-m", "first").status == 0
    assert hnctl("apply", "--yes", "-m", "nothing to do").status == 0
    time.sleep(1.0)  # a run's name counts seconds
    assert hnctl("settings", "set", "php_version", "8.2", "-n", box.names[0], "-m", "second").status == 0
    assert [run["message"] for run in hnctl("history", "-o", "json").json["runs"]] == ["second", "first"]
    lines = hnctl("history").out.splitlines()
    assert lines[0].split() == ["run", "started", "at", "who", "state", "totals", "message"]
    assert "1 done" in lines[1]


def test_a_node_that_failed_is_told_with_its_error(hnctl: Hnctl, box: Sandbox, folder: Path):
    box.set_faults({"revert": [box.names[1]]})
    assert hnctl("apply", "--yes").status == 3
    run = hnctl("history", "-o", "json").json["runs"][0]
    assert (run["state"], run["totals"]["done"], run["totals"]["failed"]) == ("partly done", 1, 1)
    nodes = {node["node"]: node for node in hnctl("history", "last", "-o", "json").json["nodes"]}
    failed = nodes[box.names[1]]
    assert failed["state"] == "failed"
    assert "reverted" in failed["error"]


def test_the_same_hint_is_told_once(hnctl: Hnctl, box: Sandbox, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HYPERNODE_API_TOKENS", json.dumps(dict.fromkeys(box.names, "0" * 40)))
    refused = hnctl("settings", "set", "php_version", "8.2", *(word for name in box.names for word in ("-n", name)))
    assert refused.status == 4
    assert all(f"{name}: failed: " in refused.err for name in box.names)
    assert refused.err.count("    hint: ") == 1


def test_no_secret_and_no_token_gets_into_a_journal(
    hnctl: Hnctl, box: Sandbox, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("NR", "canary-5c1")
    (folder / "fleet.yaml").write_text(
        f"version: 1\nnodes: {{{box.names[0]}: {{settings: {{new_relic_secret: env:NR, php_version: 8.0}}}}}}\n"
    )
    assert hnctl("apply", "--yes").status == 0
    (journal,) = journals(folder)
    text = journal.read_text()
    assert "canary-5c1" not in text
    assert not any(token in text for token in box.tokens.values())
    assert '"sha256"' in text
    assert "new_relic_secret (secret)" in hnctl("history", "last").out
    assert journal.stat().st_mode & 0o777 == 0o600


def test_the_steps_of_each_node_are_written_down_in_their_order(box: Sandbox, folder: Path, hnctl: Hnctl):
    assert hnctl("apply", "--yes").status == 0
    records = [json.loads(line) for line in journals(folder)[0].read_text().splitlines()]
    for node in box.names:
        kinds = [record["record"] for record in records if record.get("node") == node]
        assert kinds == ["node begun", "sending", "flows", "read back", "node ended"]
    assert (records[0]["record"], records[-1]["record"]) == ("run begun", "run ended")
    assert len(writes(box)) == 2


def test_a_run_that_was_killed_is_broken_off_and_its_nodes_are_unknown(
    hnctl: Hnctl, box: Sandbox, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    monkeypatch.setenv("HNCTL_POLL_INTERVAL", "5s")
    with start("apply", "--yes", "--parallel", "1", **pipes) as process:
        deadline = time.monotonic() + 10
        while not writes(box) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert hnctl("history", "-o", "json").json["runs"][0]["state"] == "running"
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)
    run = hnctl("history", "-o", "json").json["runs"][0]
    assert run["state"] == "broken off"
    assert (run["totals"]["unknown"], run["totals"]["not_attempted"]) == (1, 1)
    node = writes(box)[0].node
    while box.settings(node)["php_version"] != "8.0" and time.monotonic() < deadline:
        time.sleep(0.01)  # the platform goes on without us
    monkeypatch.setenv("HNCTL_POLL_INTERVAL", "20ms")
    again = hnctl("apply", "--yes")
    assert again.status == 0
    assert len(writes(box)) == 2, "each node was changed once"
    changed = hnctl("settings", "set", "php_version", "8.2", "-n", node)
    assert changed.status == 0
    assert f"run {run['run']}, since" in changed.err
    assert "was ended in the middle of it; its lock is taken over" in changed.err


def test_who_is_at_a_node_is_named_to_those_who_come_to_it(
    hnctl: Hnctl, box: Sandbox, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HNCTL_POLL_INTERVAL", "5s")
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with start("apply", "--yes", "--parallel", "1", **pipes):
        deadline = time.monotonic() + 10
        while not writes(box) and time.monotonic() < deadline:
            time.sleep(0.01)
        run = hnctl("history", "-o", "json").json["runs"][0]
        node = writes(box)[0].node
        monkeypatch.setenv("HNCTL_POLL_INTERVAL", "20ms")
        refused = hnctl("settings", "set", "php_version", "8.2", "-n", node, "-o", "json")
        other = next(name for name in box.names if name != node)
        assert hnctl("settings", "set", "php_version", "8.2", "-n", other).status == 0, "another node is free"
    assert refused.status == 5
    assert f"({run['who']}, pid " in refused.json["nodes"][0]["reason"]


def test_without_a_journal_nothing_is_changed(hnctl: Hnctl, box: Sandbox, folder: Path):
    (folder / "state").write_text("no folder")
    refused = hnctl("apply", "--yes")
    assert refused.status == 5
    assert "cannot be written" in refused.err
    assert not writes(box)


def test_old_runs_are_pruned_and_edited_ones_are_left(hnctl: Hnctl, box: Sandbox, folder: Path):
    assert hnctl("apply", "--yes").status == 0
    (journal,) = journals(folder)
    assert hnctl("history", "--prune", "90d").out == "0 runs removed\n"
    old = journal.with_name("20200101-000000-aaaa.jsonl")
    old.write_text(journal.read_text().replace(journal.stem, old.stem).replace('"at": "2', '"at": "1'))
    edited = journal.with_name("20200102-000000-bbbb.jsonl")
    edited.write_text("mine\n")
    torn = journal.with_name("20991231-000000-cccccc.jsonl")
    torn.write_text('{"record": "run be')  # killed or out of room before anything was done
    assert hnctl("history", "last").out.startswith(f"{journal.stem}: done")
    os.utime(torn, (0, 0))
    pruned = hnctl("history", "--prune", "90d")
    assert (pruned.status, pruned.out) == (3, "1 run removed\n")
    assert "20200102-000000-bbbb.jsonl:1:1: it is no record of a run" in pruned.err
    assert journals(folder) == [edited, journal]
    listed = hnctl("history")
    assert listed.status == 3
    assert journal.stem in listed.out
    assert hnctl("history", "nosuch").status == 64
    assert hnctl("history", "last", "--prune", "1d").status == 64
    assert hnctl("history", edited.stem).status == 65


def test_nodes_in_flight_are_under_way_for_as_long_as_the_run_lasts(hnctl: Hnctl, box: Sandbox, folder: Path):
    first, second = sorted(box.names)
    box.set_faults({"reject": [first, second]})
    hnctl("apply", "--yes")
    (path,) = journals(folder)
    for records, state in ((["node begun"], "failed"), (["node begun", "sending"], "unknown")):
        journal, _ = Journal.reopen(path)
        journal.go_on(salt="s", who="piet@laptop", host="laptop", pid=8, job=None, message=None)
        for record in records:
            journal.announce(record, node=first, **({"settings": {}} if record == "sending" else {}))
        document = hnctl("history", "last", "-o", "json").json
        nodes = {node["node"]: (node["state"], node["under_way"]) for node in document["nodes"]}
        assert nodes == {first: (state, True), second: ("failed", False)}
        assert sum(document["totals"].values()) == 2
        assert re.search(rf"{first} +under way", hnctl("history", "last").out)
        assert "1 failed, 1 under way" in hnctl("history", "-o", "markdown").out
        journal.close()
        assert "under way" not in hnctl("history", "last").out + hnctl("history").out
        assert not any(node["under_way"] for node in hnctl("history", "last", "-o", "json").json["nodes"])
