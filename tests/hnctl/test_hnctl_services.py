"""`hnctl services`: restarts and reloads, here and over SSH, and what is said when one goes wrong."""

from __future__ import annotations

import re
import signal
from pathlib import Path
from subprocess import PIPE
from typing import Literal

import pytest
from nodes_by_ssh import NodesBySsh, soon, write_fleet
from processes import start
from runs import Hnctl

from hypernode.node.servicectl import known_services

pytestmark = pytest.mark.usefixtures("openssh")

TOOL = "hypernode-servicectl"
Action = Literal["restart", "reload"]


def done_on(nodes: NodesBySsh) -> dict[str, list[str]]:
    """Return what the tool of each node was asked for, by node; those that were asked for nothing are missing."""
    logs = {node: nodes.root(node) / f"var/log/{TOOL}.log" for node in nodes.box.names}
    return {node: log.read_text().splitlines() for node, log in logs.items() if log.exists()}


@pytest.mark.parametrize("action", ["restart", "reload"])
@pytest.mark.parametrize("services", [["nginx"], ["nginx", "php8.3-fpm", "techaro-botstopper@default"]])
def test_services_are_restarted_or_reloaded_over_ssh(
    action: Action, services: list[str], nodes: NodesBySsh, hnctl: Hnctl
):
    done = hnctl("services", action, *services, "-n", "theeplein")
    assert (done.status, done.err) == (0, "")
    heading, row = done.out.splitlines()
    assert heading.split() == ["node", "services", "result"]
    assert re.split(" {2,}", row.strip()) == ["theeplein", ", ".join(services), f"{action}ed"]
    assert done_on(nodes) == {"theeplein": [f"{action} {service}" for service in services]}
    assert [node for node, command in nodes.ssh.commands if TOOL in command] == ["theeplein"]


def test_here_they_are_restarted_without_ssh_and_without_a_name(
    nodes: NodesBySsh, hnctl: Hnctl, monkeypatch: pytest.MonkeyPatch
):
    nodes.stand_on("theeplein", monkeypatch)
    done = hnctl("services", "restart", "nginx", "redis", "-o", "json")
    assert (done.status, done.err) == (0, "")
    assert done.json["nodes"] == [{"node": "theeplein", "services": ["nginx", "redis"], "result": "restarted"}]
    assert hnctl("services", "reload", "nginx", "-n", "theeplein").status == 0
    assert done_on(nodes) == {"theeplein": ["restart nginx", "restart redis", "reload nginx"]}
    assert sum(nodes.ssh.connections.values()) == 0
    assert hnctl("services", "reload", "nginx", "-n", "kaasshop").status == 0
    assert done_on(nodes)["kaasshop"] == ["reload nginx"]
    assert nodes.ssh.connections["kaasshop"] == 1


def test_the_node_is_the_one_of_the_environment_and_without_any_it_is_asked_for(
    nodes: NodesBySsh, hnctl: Hnctl, monkeypatch: pytest.MonkeyPatch
):
    which = hnctl("services", "restart", "nginx")
    assert which.status == 64
    assert "which node? None was given" in which.err
    monkeypatch.setenv("HYPERNODE_APP_NAME", "kaasshop")
    assert hnctl("services", "restart", "nginx").status == 0
    assert done_on(nodes) == {"kaasshop": ["restart nginx"]}


def test_several_nodes_are_taken_one_after_the_other_in_the_order_of_the_line(nodes: NodesBySsh, hnctl: Hnctl):
    names = list(reversed(nodes.box.names))
    done = hnctl("services", "restart", "nginx", *(word for node in names for word in ("-n", node)), "-o", "json")
    assert done.status == 0
    assert [row["node"] for row in done.json["nodes"]] == names
    assert [node for node, command in nodes.ssh.commands if TOOL in command] == names
    assert done_on(nodes) == {node: ["restart nginx"] for node in names}


def test_the_first_failure_ends_it_and_the_rest_is_named(nodes: NodesBySsh, hnctl: Hnctl):
    first, second, third, fourth = nodes.box.names
    nodes.stand_in(second, "echo 'Job for nginx failed' >&2; exit 1", tool=TOOL)
    words = [word for node in nodes.box.names for word in ("-n", node)]
    done = hnctl("services", "restart", "nginx", *words, "-o", "json")
    assert done.status == 3
    assert [row["node"] for row in done.json["nodes"]] == [first]
    assert [row["node"] for row in done.json["failures"]] == [second]
    assert f"{second}: {TOOL} ended with 1: Job for nginx failed\n" in done.err
    assert f"Not attempted: {third}, {fourth}.\n" in done.err
    assert done_on(nodes) == {first: ["restart nginx"]}
    only = hnctl("services", "restart", "nginx", "-n", second)
    assert only.status == 1
    assert "Not attempted" not in only.err


def test_a_node_that_cannot_be_reached_is_told_and_nothing_was_done(nodes: NodesBySsh, hnctl: Hnctl):
    nodes.ssh.refuse_key("kaasshop")
    refused = hnctl("services", "restart", "nginx", "-n", "kaasshop", "-n", "theeplein")
    assert refused.status == 4
    assert "takes none of your SSH keys for the user app; nothing was sent" in refused.err
    assert "Not attempted: theeplein." in refused.err
    nodes.ssh.refuse_connection("theeplein")
    assert hnctl("services", "restart", "nginx", "-n", "theeplein").status == 1
    assert done_on(nodes) == {}


@pytest.mark.parametrize("where", ["over ssh", "here"])
def test_a_machine_without_the_tool_ends_with_69(
    where: str, nodes: NodesBySsh, hnctl: Hnctl, monkeypatch: pytest.MonkeyPatch
):
    nodes.remove("kaasshop", TOOL)
    if where == "here":
        nodes.stand_on("kaasshop", monkeypatch)
    missing = hnctl("services", "restart", "nginx", "-n", "kaasshop")
    assert missing.status == 69, missing.err
    place = "on this machine" if where == "here" else "on kaasshop.hypernode.io"
    assert f"there is no {TOOL} {place}\n  hint: Every Hypernode has it: is this one?" in missing.err


@pytest.mark.parametrize("action", ["restart", "reload"])
def test_after_a_line_that_dropped_it_is_not_known_whether_it_was_done(action: Action, nodes: NodesBySsh, hnctl: Hnctl):
    nodes.ssh.drop_after("kaasshop", TOOL)
    dropped = hnctl("services", action, "nginx", "-n", "kaasshop", "-n", "theeplein")
    assert dropped.status == 6, dropped.err
    assert "the SSH line to kaasshop.hypernode.io dropped before the answer was whole" in dropped.err
    assert f"; whether the {action} was done is not known\n" in dropped.err
    assert "hint: Look at the services on the node before it is done again" in dropped.err
    assert "Not attempted: theeplein." in dropped.err
    assert done_on(nodes) == {"kaasshop": [f"{action} nginx"]}, "and it is not done a second time"


def test_what_cannot_be_the_name_of_a_service_is_refused_before_any_node_is_reached(nodes: NodesBySsh, hnctl: Hnctl):
    for name in ("x;touch y", "$(touch y)", "--help=x", "", "Nginx", "a\nb", "../nginx", "x" * 101):
        for action in ("restart", "reload"):
            refused = hnctl("services", action, "-n", "kaasshop", "--", "nginx", name)
            assert refused.status == 64, name
            assert "is no name of a service\n" in refused.err
            assert "hint: Known are mysql, nginx, php" in refused.err
    assert sum(nodes.ssh.connections.values()) == 0
    assert not list(Path().rglob("y"))


def test_a_name_that_is_not_known_is_the_nodes_to_judge(nodes: NodesBySsh, hnctl: Hnctl):
    assert hnctl("services", "restart", "my-own.service", "-n", "kaasshop").status == 0
    assert done_on(nodes) == {"kaasshop": ["restart my-own.service"]}


def test_words_of_a_tool_that_fails_are_shown_without_what_a_terminal_would_obey(nodes: NodesBySsh, hnctl: Hnctl):
    nodes.stand_in("kaasshop", r"printf '\033]0;owned\007\033[2Jno\r\n' >&2; exit 3", tool=TOOL)
    failed = hnctl("services", "reload", "nginx", "-n", "kaasshop")
    assert failed.status == 1
    assert f"{TOOL} ended with 3: " in failed.err
    assert not {"\033", "\007", "\r"} & set(failed.err + failed.out)


def test_no_service_is_a_usage_error(nodes: NodesBySsh, hnctl: Hnctl):
    assert hnctl("services", "restart", "-n", "kaasshop").status == 64
    assert hnctl("services", "stop", "nginx", "-n", "kaasshop").status == 64
    assert done_on(nodes) == {}


def test_a_node_that_stands_in_no_file_and_a_file_that_is_not_there(nodes: NodesBySsh, hnctl: Hnctl):
    write_fleet({"theeplein": ""}, {})
    assert hnctl("services", "restart", "nginx", "-n", "kaasshop").status == 0
    assert hnctl("services", "restart", "nginx", "-n", "kaasshop", "-f", "none.yaml").status == 65
    assert hnctl("services", "restart", "nginx", "-n", "kaas shop").status == 64
    assert done_on(nodes) == {"kaasshop": ["restart nginx"]}


def test_ctrl_c_while_the_tool_runs_does_not_say_that_nothing_was_done(nodes: NodesBySsh, folder: Path):
    nodes.stand_in("kaasshop", 'sleep 0.5; "$OWN" "$@"', tool=TOOL)
    words = ["services", "restart", "nginx", "-n", "kaasshop", "-n", "theeplein"]
    with start(*words, stdout=PIPE, stderr=PIPE) as process:
        assert soon(lambda: TOOL in nodes.sent())
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=5)
    assert process.returncode in (6, 130)
    assert soon(lambda: done_on(nodes) == {"kaasshop": ["restart nginx"]}), "the node went on with it"
    assert b"kaasshop" in out + err
    assert b"not known" in out + err


@pytest.mark.parametrize("node", ["-n kaasshop", ""])
@pytest.mark.parametrize(
    ("begun", "offered"),
    [("", known_services()), ("ngi", ["nginx"]), ("php8.", None), ("x", [])],
)
def test_tab_offers_the_services(
    begun: str, offered: list[str] | None, node: str, hnctl: Hnctl, monkeypatch: pytest.MonkeyPatch
):
    words = ["hnctl", "services", "restart", "redis", *node.split(), begun]
    monkeypatch.setenv("_HNCTL_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", " ".join(words))
    monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))
    answer = hnctl()
    expected = [name for name in known_services() if name.startswith(begun)] if offered is None else offered
    assert (answer.status, answer.err) == (0, "")
    assert [word.partition(",")[2] for word in answer.out.split()] == expected
    assert {"mysql", "nginx", "php8.3-fpm", "redis"} <= set(known_services())
