"""What goes wrong on the way to a node over SSH, and with its tool: all told apart, and nothing taken for done."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from nodes_by_ssh import WHEN_CHANGED, NodesBySsh, soon, write_fleet
from processes import start
from runs import Hnctl

pytestmark = pytest.mark.usefixtures("openssh")

BY_HAND = "ssh -F {config} app@{node}.hypernode.io"
LOOK = "Look at the node with `hnctl settings get`, and at its livelog"
AGAIN = "Run the same command again in a while: it reads first and sends only what is missing"

FAULTS: dict[str, tuple[Callable[[NodesBySsh, str], None], int, str, str]] = {
    "unknown host key": (
        lambda nodes, node: nodes.ssh.forget_host_key(node),
        1,
        "the host key of {node}.hypernode.io is unknown, and a program must not trust it for you; nothing was sent",
        f"Log in once by hand, compare the key and accept it: {BY_HAND}",
    ),
    "changed host key": (
        lambda nodes, node: nodes.ssh.change_host_key(node),
        1,
        "the host key of {node}.hypernode.io has CHANGED: somebody may stand between, or the node was set up anew; "
        "nothing was sent",
        "Ask the platform for its key; only when it is the new one, forget the old one: "
        'ssh-keygen -f "{folder}/known_hosts" -R "[127.0.0.1]:{port}"',  # as ssh itself advises
    ),
    "refused key": (
        lambda nodes, node: nodes.ssh.refuse_key(node),
        4,
        "{node}.hypernode.io takes none of your SSH keys for the user app; nothing was sent",
        f"Is your key on the node, and is it in your agent (ssh-add -l)? Try by hand: {BY_HAND}",
    ),
    "hang at connect": (
        lambda nodes, node: nodes.ssh.hang(node, "connect"),
        1,
        "{node}.hypernode.io did not answer over SSH in time; nothing was sent",
        f"Is the node up, and is your address allowed on it? Try by hand: {BY_HAND}",
    ),
    "hang in the command": (
        lambda nodes, node: nodes.ssh.hang(node, "command"),
        1,
        "hypernode-systemctl on {node}.hypernode.io gave no answer within 2 s",
        "The node may be overloaded; look at it with ssh, or wait longer with --timeout",
    ),
    "connection refused": (
        lambda nodes, node: nodes.ssh.refuse_connection(node),
        1,
        "{node}.hypernode.io refuses SSH connections; nothing was sent",
        f"Is the port right, and is your address allowed on the node? Try by hand: {BY_HAND}",
    ),
    "unknown name": (
        lambda nodes, node: write_fleet({node: "via: ssh, ssh: {host: nosuch.invalid}"}, {}),
        1,
        "there is no address for the name nosuch.invalid; nothing was sent",
        "Is the node's name right? Where else it is reached stands in the fleet file: ssh: {{host: ...}}",
    ),
    "line dropped while reading": (
        lambda nodes, node: nodes.ssh.drop_after(node, "php_version"),
        1,
        "the SSH line to {node}.hypernode.io dropped before the answer was whole",
        "Run the same command again: it reads first and sends only what is missing",
    ),
}


def wish_php_8_4(nodes: NodesBySsh) -> None:
    """Give every node PHP 8.3 and a fleet file that wants 8.4 over SSH."""
    write_fleet(dict.fromkeys(nodes.box.names, "via: ssh"), {"php_version": "8.4"})
    for name in nodes.box.names:
        nodes.box.set(name, php_version="8.3")


@pytest.fixture
def node(hnctl: Hnctl, nodes: NodesBySsh, monkeypatch: pytest.MonkeyPatch) -> str:
    """A node that is reached over SSH, with PHP 8.3."""
    node = nodes.only("ssh", monkeypatch, {"php_version": "8.4"})
    nodes.box.set(node, php_version="8.3")
    return node


@pytest.mark.parametrize("fault", FAULTS)
def test_each_failure_of_ssh_is_told_apart_with_what_to_do(
    fault: str, hnctl: Hnctl, nodes: NodesBySsh, node: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HNCTL_TIMEOUT", "1s")
    arrange, status, message, hint = FAULTS[fault]
    arrange(nodes, node)
    failed = hnctl("settings", "set", "php_version", "8.4", "-n", node, "-o", "json")
    assert failed.status == status
    error = failed.json["nodes"][0]["error"]
    config = nodes.ssh.config
    assert error["message"].startswith(message.format(node=node))
    port = nodes.ssh.ports[node]
    assert error["hint"] == hint.format(node=node, config=config, folder=nodes.ssh.folder, port=port)
    assert nodes.log() == []
    assert nodes.box.settings(node)["php_version"] == "8.3"


@pytest.mark.parametrize("drop", ["drop_after", "drop_mid_answer"])
def test_a_line_that_drops_after_the_change_ends_as_unknown_and_a_second_run_finds_it_made(
    drop: str, hnctl: Hnctl, nodes: NodesBySsh, node: str
):
    getattr(nodes.ssh, drop)(node, "php_version 8.4")
    unknown = hnctl("settings", "set", "php_version", "8.4", "-n", node)
    assert unknown.status == 6
    *told, way_on = unknown.err.splitlines(keepends=True)
    assert way_on.startswith("Go on: hnctl resume ")
    assert "".join(told) == (
        f"{node}: outcome unknown: the SSH line to {node}.hypernode.io dropped before the answer was whole; "
        f"read back, the node has php_version 8.4\n    hint: {AGAIN}\n"
    )
    assert nodes.log() == [(node, "php_version", "tool")]
    resumed = hnctl("resume", "last", "--yes")
    assert (resumed.status, resumed.out.splitlines()[-1]) == (
        0,
        "1 done, 0 unchanged, 0 failed, 0 outcome unknown, 0 not attempted",
    )
    again = hnctl("settings", "set", "php_version", "8.4", "-n", node)
    assert (again.status, again.out) == (0, "0 done, 1 unchanged, 0 failed, 0 outcome unknown, 0 not attempted\n")
    assert len(nodes.log()) == 1


def test_a_node_that_cannot_be_read_back_is_said_to_be_so(hnctl: Hnctl, nodes: NodesBySsh, node: str):
    nodes.remove(node)
    nodes.stand_in(node, '[ $# = 2 ] && exec echo "php_version is set to value 8.3"\nrm "$0"')
    unknown = hnctl("settings", "set", "php_version", "8.4", "-n", node)
    assert unknown.status == 6
    assert f"it could not be read back (there is no hypernode-systemctl on {node}.hypernode.io)" in unknown.err


@pytest.mark.parametrize("nodes", [8], indirect=True)
def test_one_node_that_hangs_stands_in_nobody_elses_way(
    hnctl: Hnctl, nodes: NodesBySsh, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HNCTL_TIMEOUT", "2s")
    wish_php_8_4(nodes)
    hanging = nodes.box.names[2]
    nodes.ssh.hang(hanging, "connect")
    why = f"{hanging}.hypernode.io did not answer over SSH in time; nothing was sent"
    seen = hnctl("diff")
    assert seen.status == 3
    assert "7 changes on 7 of 7 nodes" in seen.out
    assert f"Could not be read: 1 node\n  {hanging}: {why}\n" in seen.out

    applied = hnctl("apply", "--yes")
    assert applied.status == 3
    assert applied.out.endswith("7 done, 0 unchanged, 1 failed, 0 outcome unknown, 0 not attempted\n")
    assert f"{hanging}: failed: {why}" in applied.err
    assert {name for name, _, _ in nodes.log()} == {*nodes.box.names} - {hanging}


def test_an_answer_in_unknown_words_is_shown_whole_and_is_no_success(hnctl: Hnctl, nodes: NodesBySsh, node: str):
    nodes.stand_in(node, f"{WHEN_CHANGED}\necho 'Het is zondag.'; echo 'Nu niet \033[31m!' >&2; exit 0")
    unknown = hnctl("settings", "set", "php_version", "8.4", "-n", node)
    assert unknown.status == 6
    *told, way_on = unknown.err.splitlines(keepends=True)
    assert way_on.startswith("Go on: hnctl resume ")
    assert "".join(told) == (
        f"{node}: outcome unknown: hypernode-systemctl answered in words that are not known: "
        f"Het is zondag. / Nu niet  [31m!; read back, the node has php_version 8.3\n    hint: {LOOK}\n"
    )
    nodes.stand_in(node, "echo 'Het is zondag.'")
    unread = hnctl("settings", "get", "php_version", "-n", node)
    assert (unread.status, unread.out) == (1, "")
    assert "hypernode-systemctl answered in words that are not known: Het is zondag." in unread.err


def test_a_tool_that_waits_for_ever_is_left_after_the_wait_and_its_node_named(
    hnctl: Hnctl, nodes: NodesBySsh, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HNCTL_TIMEOUT", "2s")
    wish_php_8_4(nodes)
    waiting = nodes.box.names[1]
    nodes.stand_in(waiting, f"{WHEN_CHANGED}\nexec sleep 60")
    unknown = hnctl("apply", "--yes", "--wait", "2s")
    assert unknown.status == 6
    assert unknown.out.endswith("3 done, 0 unchanged, 0 failed, 1 outcome unknown, 0 not attempted\n")
    assert f"{waiting}: outcome unknown: hypernode-systemctl on {waiting}.hypernode.io gave no answer" in unknown.err
    assert "read back, the node has php_version 8.3" in unknown.err


def test_a_tool_that_waits_for_an_answer_finds_its_input_ended(hnctl: Hnctl, nodes: NodesBySsh, node: str):
    nodes.stand_in(node, f'{WHEN_CHANGED}\nread -r answer || echo "end of input"')
    unknown = hnctl("settings", "set", "php_version", "8.4", "-n", node)
    assert unknown.status == 6
    assert "not known: end of input; read back, the node has php_version 8.3" in unknown.err


def test_a_node_without_the_tool_is_named_and_nothing_is_sent(hnctl: Hnctl, nodes: NodesBySsh, node: str):
    nodes.remove(node)
    missing = f"there is no hypernode-systemctl on {node}.hypernode.io"
    got = hnctl("settings", "get", "php_version", "-n", node)
    assert (got.status, got.out) == (69, "")
    assert got.err.startswith(f"Error: {missing}\n  hint: ")
    changed = hnctl("settings", "set", "php_version", "8.4", "-n", node)
    assert changed.status == 69
    assert changed.err.startswith(f"{node}: failed: {missing}\n    hint: ")
    assert hnctl("diff").status == 69


def test_a_node_whose_log_cannot_be_read_is_not_changed(hnctl: Hnctl, nodes: NodesBySsh, node: str):
    nodes.remove(node, "hypernode-log")
    failed = hnctl("settings", "set", "php_version", "8.4", "-n", node)
    assert failed.status == 69
    assert f"{node}: failed: there is no hypernode-log on {node}.hypernode.io" in failed.err
    assert nodes.log() == []


@pytest.mark.parametrize("instead", ["nothing", "a folder of that name"])
def test_without_ssh_on_this_machine_it_is_told(
    instead: str, hnctl: Hnctl, node: str, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PATH", str(folder))
    if instead != "nothing":
        (folder / "ssh").mkdir()
    missing = "there is no ssh on this machine"
    got = hnctl("settings", "get", "php_version", "-n", node)
    assert got == (69, "", f"Error: {missing}\n  hint: Install OpenSSH's client\n")
    applied = hnctl("apply", "--yes")
    assert applied.status == 69
    assert f"{node}: failed: {missing}" in applied.err


def test_what_cannot_be_read_back_is_done_and_not_verified(hnctl: Hnctl, nodes: NodesBySsh, node: str):
    """One page of the docs shows such an answer (CONTRACT 6)."""
    nodes.stand_in(node, '[ $# = 2 ] && exec echo "false  true"\nexec "$OWN" "$@"')
    name = "permissive_memory_management"
    nodes.box.set(node, permissive_memory_management=False)
    done = hnctl("settings", "set", name, "true", "-n", node)
    why = f"not verified: hypernode-systemctl says that it is done, and does not tell {name}"
    assert done.status == 0
    assert done.err.endswith(f"{name} (cannot be read) -> true\n    {why}\n")
    assert nodes.box.settings(node)[name] is True
    again = hnctl("settings", "set", name, "false", "-n", node, "-o", "json")
    (row,) = again.json["nodes"]
    assert (again.status, row["state"], row["reason"], row["error"]) == (0, "done", why, None)


def test_a_value_that_the_tool_does_not_tell_is_not_printed_as_one(hnctl: Hnctl, nodes: NodesBySsh, node: str):
    nodes.stand_in(node, 'echo "false  true"')
    got = hnctl("settings", "get", "permissive_memory_management", "-n", node)
    assert (got.status, got.out) == (1, "")
    assert "hypernode-systemctl does not tell the value of permissive_memory_management" in got.err


@pytest.mark.parametrize("when", ["command", "connect"])
def test_nothing_is_left_when_reading_is_interrupted(when: str, hnctl: Hnctl, nodes: NodesBySsh, node: str):
    nodes.ssh.hang(node, when)
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with start("diff", variables={"HNCTL_TIMEOUT": "4s"}, **pipes) as process:
        assert soon(lambda: nodes.ssh.connections[node] and (when == "connect" or nodes.ssh.commands))
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
    assert soon(lambda: not nodes.left_behind(), seconds=6), "ssh lives on"


def test_nothing_is_left_when_a_change_is_interrupted(hnctl: Hnctl, nodes: NodesBySsh, node: str):
    """The change itself is waited for: it was sent."""
    nodes.stand_in(node, f'{WHEN_CHANGED}\nsleep 1\nexec "$OWN" "$@"')
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with start("apply", "--yes", "-o", "json", **pipes) as process:
        assert soon(lambda: "php_version 8.4" in nodes.sent())
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=10)
    assert process.returncode == 130
    assert [row["state"] for row in json.loads(out)["nodes"]] == ["done"]
    assert soon(lambda: not nodes.left_behind())
