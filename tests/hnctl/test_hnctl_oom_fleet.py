"""`hnctl oom events|explain|advice` about other nodes: their kernel logs over a real SSH server."""

from __future__ import annotations

import gzip
import json
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from nodes_by_ssh import NodesBySsh, reach_nodes, soon
from processes import start
from runs import Hnctl

from ssh_nodes import need_ssh

INCIDENTS = Path(__file__).parents[2] / "examples" / "incident"


def give_log(nodes: NodesBySsh, node: str, shop: str, name: str = "kern.log") -> Path:
    """Let a node have the kernel log of one of the incidents."""
    log = nodes.root(node) / "var" / "log" / name
    log.parent.mkdir(parents=True, exist_ok=True)
    text = (INCIDENTS / shop / "var" / "log" / "kern.log").read_bytes()
    log.write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    return log


@pytest.fixture
def nodes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[NodesBySsh]:
    """Three nodes of a group: a quiet one, one that was hit once, and one that is hit each night."""
    need_ssh()
    (folder / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(folder / "tmp"))
    monkeypatch.setattr(tempfile, "tempdir", None)
    with reach_nodes(folder / "nodes", monkeypatch, nodes=3) as reached:
        quiet, once, nightly = reached.box.names
        give_log(reached, quiet, "php-limits")
        give_log(reached, once, "one-task")
        give_log(reached, nightly, "nightly", "kern.log.2.gz")
        give_log(reached, nightly, "php-limits")
        lines = [f"  {node}: {{groups: [magento]}}" for node in reached.box.names]
        (folder / "fleet.yaml").write_text("\n".join(["version: 1", "groups: {magento: {}}", "nodes:", *lines, ""]))
        yield reached
        assert not list((folder / "tmp").glob("hnctl-*")), "what was fetched is thrown away"


def test_events_of_a_group_come_with_their_node_the_worst_first(hnctl: Hnctl, nodes: NodesBySsh):
    _, once, nightly = nodes.box.names
    listed = hnctl("oom", "events", "--group", "magento", "-o", "json")
    assert listed.status == 0
    assert [event["node"] for event in listed.json["events"]] == [nightly] * 6 + [once]
    assert {event["source"] for event in listed.json["events"]} == {f"{nightly}:kern.log.2.gz", f"{once}:kern.log"}
    shown = hnctl("oom", "events", "--group", "magento", "--last", "1").out.splitlines()
    assert shown[0].split()[:3] == ["node", "number", "when"]
    assert [line.split()[:2] for line in shown[1:]] == [[nightly, "6"], [once, "1"]]


def test_events_of_nodes_are_chosen_by_time_as_those_of_files_are(hnctl: Hnctl, nodes: NodesBySsh):
    options = ["--since", "2026-11-19T12:00", "--until", "2026-11-20"]
    rows = hnctl("oom", "events", "--group", "magento", *options, "-o", "json").json["events"]
    assert [row["node"] for row in rows] == [nodes.box.names[1]]


def test_of_very_many_events_of_a_node_the_last_are_shown_and_that_is_said(hnctl: Hnctl, nodes: NodesBySsh):
    node = nodes.box.names[1]
    kill = (
        "2026-11-19T14:00:{:02d}+00:00 shop kernel: Memory cgroup out of memory: Killed process {} (php) total-vm:9kB\n"
    )
    log = nodes.root(node) / "var" / "log" / "kern.log"
    log.write_text("".join(kill.format(n // 50, n + 1) for n in range(1100)))
    listed = hnctl("oom", "events", "-n", node, "-o", "jsonl")
    assert [json.loads(line)["victims"][0]["pid"] for line in listed.out.splitlines()] == list(range(101, 1101))
    assert f"Left out: older events of {node}: only the last 1,000 are shown" in listed.err
    assert listed.status == 3


def test_a_quiet_node_is_a_success_and_said(hnctl: Hnctl, nodes: NodesBySsh):
    listed = hnctl("oom", "events", "-n", nodes.box.names[0])
    assert (listed.status, listed.out, listed.err) == (0, "", "No out-of-memory events.\n")
    explained = hnctl("oom", "explain", "-n", nodes.box.names[0])
    assert explained.out == "The kernel killed nothing in these logs.\n"


def test_the_nodes_of_a_group_are_ranked_with_what_they_have_in_common(hnctl: Hnctl, nodes: NodesBySsh):
    quiet, once, nightly = nodes.box.names
    ranked = hnctl("oom", "explain", "--group", "magento", "-o", "json").json
    assert [node["node"] for node in ranked["nodes"]] == [nightly, once, quiet]
    assert [node["kind"] for node in ranked["nodes"]] == ["pattern", "one-off", "none"]
    assert ranked["verdict"]["culprits"] == {"mysql": 1, "php cli": 1}
    shown = hnctl("oom", "explain", "--group", "magento").out
    assert shown.startswith("2 of 3 nodes ran out of memory; the commonest culprit is mysql, on 1 of them.\n")


def test_one_node_is_explained_as_its_log_would_be_here(hnctl: Hnctl, nodes: NodesBySsh):
    node = nodes.box.names[2]
    log = INCIDENTS / "nightly" / "var" / "log" / "kern.log"
    for words in (["explain"], ["explain", "2"], ["explain", "--all"]):
        assert hnctl("oom", *words, "-n", node).out == hnctl("oom", *words, log).out
    advice = hnctl("oom", "advice", "-n", node).out
    assert advice == hnctl("oom", "advice", log).out.replace("   node$ hnctl", f"   {node}$ hnctl")
    assert f"\n   {node}$ hnctl memory release-mysql" in advice, "nobody is to run it on the wrong machine"
    refused = hnctl("oom", "explain", "7", "-n", node)
    assert refused.status == 64
    assert "there is no event 7" in refused.err


def test_each_node_is_told_what_to_do_first(hnctl: Hnctl, nodes: NodesBySsh):
    quiet, once, nightly = nodes.box.names
    advice = hnctl("oom", "advice", "--group", "magento", "-o", "json").json
    assert [node["node"] for node in advice["nodes"]] == [nightly, once, quiet]
    assert [node["cures"][0]["name"] for node in advice["nodes"][:2]] == ["mysql", "smaller tasks"]
    shown = hnctl("oom", "advice", "--group", "magento").out
    assert f"{nightly}: mysql held most in 6 of 6 incidents.\n  Let MySQL give back what it keeps" in shown
    assert f"{quiet}: The kernel killed nothing" in shown


def test_a_node_that_cannot_be_reached_leaves_the_others(hnctl: Hnctl, nodes: NodesBySsh):
    _, once, nightly = nodes.box.names
    nodes.ssh.refuse_key(once)
    for words in (["events"], ["explain"], ["advice"]):
        done = hnctl("oom", *words, "--group", "magento", "-o", "json")
        assert done.status == 3
        assert [failure["node"] for failure in done.json["failures"]] == [once]
        assert f"{once}: " in done.err
        assert nightly in done.out
    alone = hnctl("oom", "explain", "-n", once)
    assert (alone.status, alone.out) == (4, "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_whoever_is_told_to_end_leaves_nothing_behind(number: signal.Signals, folder: Path, nodes: NodesBySsh):
    nodes.ssh.hang(nodes.box.names[0], "command")
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with start("oom", "events", "--group", "magento", **pipes) as process:
        assert soon(lambda: nodes.box.names[0] in str(nodes.ssh.logins))
        process.send_signal(number)
        out, _ = process.communicate(timeout=10)
    assert (process.returncode, out) == (130 if number == signal.SIGINT else 143, b"")


def test_nothing_is_changed_on_the_nodes(hnctl: Hnctl, nodes: NodesBySsh):
    def tree() -> dict[Path, tuple[int, int]]:
        found = {}
        for node in nodes.box.names:
            for path in nodes.root(node).rglob("*"):
                about = path.stat()
                found[path] = about.st_size, about.st_mtime_ns
        return found

    before = tree()
    assert hnctl("oom", "events", "--group", "magento").status == 0
    assert tree() == before


def test_nodes_and_files_and_numbers_do_not_mix(hnctl: Hnctl, nodes: NodesBySsh):
    for words, text in (
        (["events", "kern.log", "-n", "kaasshop"], "Name files or nodes, not both"),
        (["explain", "3", "--group", "magento"], "event 3 of which node?"),
        (["events", "--group", "magento", *(w for n in nodes.box.names for w in ("--exclude", n))], "no node is left"),
    ):
        refused = hnctl("oom", *words)
        assert refused.status == 64
        assert text in refused.err
    assert not nodes.ssh.commands


def test_the_node_we_stand_on_needs_no_ssh(hnctl: Hnctl, nodes: NodesBySsh, monkeypatch: pytest.MonkeyPatch):
    node = nodes.box.names[1]
    nodes.stand_on(node, monkeypatch)
    rows = hnctl("oom", "events", "-n", node, "-o", "json").json["events"]
    assert [row["source"] for row in rows] == [f"{node}:kern.log"]
    assert not nodes.ssh.commands


def test_a_log_that_is_damaged_is_named_and_what_could_be_read_of_it_counts(hnctl: Hnctl, nodes: NodesBySsh):
    node = nodes.box.names[2]
    log = nodes.root(node) / "var" / "log" / "kern.log.2.gz"
    log.write_bytes(log.read_bytes()[:-2000])
    for words in (["events", "-o", "json"], ["explain", "--all"], ["advice"], ["explain"]):
        done = hnctl("oom", *words, "-n", node)
        assert done.status == 3
        assert f"{node}:kern.log.2.gz: unexpected end of file" in done.err
        assert done.out


def test_a_node_without_a_log_is_told_as_such(hnctl: Hnctl, nodes: NodesBySsh):
    node = nodes.box.names[1]
    shutil.rmtree(nodes.root(node) / "var" / "log")
    done = hnctl("oom", "events", "--group", "magento", "-o", "json")
    assert done.status == 3
    assert [failure["node"] for failure in done.json["failures"]] == [node]
