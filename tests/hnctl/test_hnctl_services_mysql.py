"""`hnctl services restart mysql`: asked about with what it would end, and over when MySQL answers again."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from nodes_by_ssh import NodesBySsh
from processes import run_in_terminal
from runs import Hnctl, Result

pytestmark = pytest.mark.usefixtures("openssh")

TOOL = "hypernode-servicectl"
RESTART = ["services", "restart", "mysql", "-n", "kaasshop"]
ANSWERS = "echo mysqld is alive"
QUERIES = r"printf '12 s: SELECT SLEEP(100)\n3 s: UPDATE orders SET a = 1\n'"


@pytest.fixture(autouse=True)
def without_mysql(nodes: NodesBySsh) -> None:
    """Let no node have mysql or mysqladmin, although this machine may have them."""
    for node in nodes.box.names:
        first, own, *_ = nodes.ssh.environment[node]["PATH"].split(":")
        nodes.ssh.environment[node]["PATH"] = f"{first}:{own}"


def restarts(nodes: NodesBySsh) -> dict[str, int]:
    """Return how often mysql was restarted, by node."""
    logs = {node: nodes.root(node) / f"var/log/{TOOL}.log" for node in nodes.box.names}
    return {node: log.read_text().count("restart mysql\n") for node, log in logs.items() if log.exists()}


def answers_after(nodes: NodesBySsh, node: str, failures: int) -> Path:
    """Let MySQL answer after so many failures; returns the file with a line for each time that it was asked."""
    tries = nodes.root(node) / "tries"
    script = f"echo try >> '{tries}'; n=0; while read -r _; do n=$((n+1)); done < '{tries}'; [ $n -gt {failures} ]"
    nodes.stand_in(node, script, tool="mysqladmin")
    return tries


def plain(shown: Result) -> str:
    """Return what a terminal showed, without colours and with the line ends of a file."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.out).replace("\r\n", "\n")


def test_without_a_terminal_and_without_yes_nothing_is_restarted(nodes: NodesBySsh, hnctl: Hnctl):
    refused = hnctl(*RESTART, stdin="y\n")
    assert (refused.status, refused.out) == (5, "")
    assert "kaasshop: a restart of mysql ends all its connections; what runs now cannot be seen.\n" in refused.err
    assert "nobody is there to say yes; nothing was restarted\n  hint: Add --yes" in refused.err
    with_others = hnctl("services", "restart", "nginx", "mysql", "-n", "kaasshop", "-n", "theeplein")
    assert with_others.status == 5
    assert with_others.err.count("cannot be seen") == 2
    assert not [command for _, command in nodes.ssh.commands if TOOL in command]
    assert restarts(nodes) == {}


def test_running_queries_are_shown(nodes: NodesBySsh, hnctl: Hnctl):
    nodes.stand_in("kaasshop", QUERIES, tool="mysql")
    refused = hnctl(*RESTART)
    assert refused.status == 5
    assert "kaasshop: a restart of mysql ends all its connections, and 2 running queries.\n" in refused.err
    assert "    12 s: SELECT SLEEP(100)\n    3 s: UPDATE orders SET a = 1\n" in refused.err
    nodes.stand_in("kaasshop", "", tool="mysql")
    assert "ends all its connections, and no running queries.\n" in hnctl(*RESTART).err
    nodes.stand_in("kaasshop", "for n in 9 8 7 6 5 4 3; do echo $n s: SELECT $n; done", tool="mysql")
    many = hnctl(*RESTART).err
    assert "and 7 running queries.\n" in many
    assert ("5 s: SELECT 5\n" in many, "4 s: SELECT 4\n" in many) == (True, False)
    nodes.stand_in("kaasshop", "echo 'ERROR 2002: no socket' >&2; exit 1", tool="mysql")
    assert "what runs now cannot be seen" in hnctl(*RESTART).err


def test_one_query_is_not_several(nodes: NodesBySsh, hnctl: Hnctl):
    nodes.stand_in("kaasshop", "echo '1 s: SELECT 1'", tool="mysql")
    assert "and 1 running query.\n" in hnctl(*RESTART).err


def test_what_a_terminal_would_obey_in_a_query_is_not_sent_to_it(nodes: NodesBySsh, hnctl: Hnctl):
    nodes.stand_in("kaasshop", r"printf '5 s: SELECT \033[2J\033]0;owned\007\b\r\303\251\n'", tool="mysql")
    piped = hnctl(*RESTART)
    assert "    5 s: SELECT " in piped.err
    assert "\u00e9" in piped.err
    assert not {"\033", "\007", "\b", "\r", "\x9b"} & set(piped.out + piped.err)
    shown = run_in_terminal(*RESTART, answers=[("[y/N]:", "n\n")])
    assert "5 s: SELECT " in shown.out
    assert "\033[2J" not in shown.out
    assert not {"\007", "\b"} & set(shown.out)
    assert "\033]0" not in shown.out


def test_with_yes_it_is_done_without_a_look_at_the_queries(nodes: NodesBySsh, hnctl: Hnctl):
    nodes.stand_in("kaasshop", QUERIES, tool="mysql")
    nodes.stand_in("kaasshop", ANSWERS, tool="mysqladmin")
    done = hnctl(*RESTART, "--yes", "-o", "json")
    assert (done.status, done.err) == (0, "")
    assert done.json["nodes"] == [{"node": "kaasshop", "services": ["mysql"], "result": "restarted"}]
    assert restarts(nodes) == {"kaasshop": 1}


def test_it_is_over_when_mysql_answers(nodes: NodesBySsh, hnctl: Hnctl):
    tries = answers_after(nodes, "kaasshop", 2)
    done = hnctl(*RESTART, "-y")
    assert (done.status, done.err) == (0, "")
    assert tries.read_text().count("try") == 3
    assert restarts(nodes) == {"kaasshop": 1}


def test_a_mysql_that_does_not_answer_in_time_is_a_failure_and_the_next_node_is_spared(nodes: NodesBySsh, hnctl: Hnctl):
    answers_after(nodes, "kaasshop", 1000)
    failed = hnctl(*RESTART, "-n", "theeplein", "-y", "--wait", "1s")
    assert failed.status == 1
    assert "kaasshop: mysql was restarted and does not answer within 1 s" in failed.err
    assert "hint: Look at its log on the node" in failed.err
    assert "Not attempted: theeplein." in failed.err
    assert restarts(nodes) == {"kaasshop": 1}


def test_the_wait_can_be_none_and_can_come_from_a_variable(
    nodes: NodesBySsh, hnctl: Hnctl, monkeypatch: pytest.MonkeyPatch
):
    tries = answers_after(nodes, "kaasshop", 1000)
    assert hnctl(*RESTART, "-y", "--wait", "0").status == 1
    assert tries.read_text().count("try") == 1
    monkeypatch.setenv("HNCTL_WAIT", "0")
    assert hnctl(*RESTART, "-y").status == 1
    assert tries.read_text().count("try") == 2
    monkeypatch.setenv("HNCTL_WAIT", "soon")
    wrong = hnctl(*RESTART, "-y")
    assert wrong.status == 64
    assert "HNCTL_WAIT" in wrong.err
    assert restarts(nodes) == {"kaasshop": 2}


def test_without_mysqladmin_it_is_restarted_and_not_verified(nodes: NodesBySsh, hnctl: Hnctl):
    done = hnctl(*RESTART, "-y")
    assert done.status == 0
    assert "restarted, not verified: there is no mysqladmin to ask it with" in " ".join(done.out.split())
    assert restarts(nodes) == {"kaasshop": 1}


def test_a_reload_of_mysql_is_neither_asked_about_nor_waited_for(nodes: NodesBySsh, hnctl: Hnctl):
    tries = answers_after(nodes, "kaasshop", 0)
    assert hnctl("services", "reload", "mysql", "-n", "kaasshop").status == 0
    assert not tries.exists()
    assert nodes.sent().count(TOOL) == 1


def test_a_restart_that_dropped_is_not_waited_for(nodes: NodesBySsh, hnctl: Hnctl):
    tries = answers_after(nodes, "kaasshop", 0)
    nodes.ssh.drop_after("kaasshop", TOOL)
    dropped = hnctl(*RESTART, "-y")
    assert dropped.status == 6
    assert "whether the restart was done is not known" in dropped.err
    assert not tries.exists()
    assert restarts(nodes) == {"kaasshop": 1}


def test_a_line_that_drops_while_mysql_is_waited_for_does_not_hide_that_it_was_restarted(
    nodes: NodesBySsh, hnctl: Hnctl
):
    answers_after(nodes, "kaasshop", 0)
    nodes.ssh.drop_after("kaasshop", "mysqladmin")
    dropped = hnctl(*RESTART, "-y")
    assert restarts(nodes) == {"kaasshop": 1}
    assert "restarted" in dropped.out + dropped.err
    assert "Run the same command again" not in dropped.err, "that would restart it once more"


def test_of_several_nodes_none_is_restarted_when_the_queries_of_one_cannot_be_asked_for(
    nodes: NodesBySsh, hnctl: Hnctl
):
    nodes.ssh.refuse_connection("theeplein")
    refused = hnctl(*RESTART, "-n", "theeplein")
    assert refused.status == 1
    assert "theeplein.hypernode.io refuses SSH connections; nothing was sent" in refused.err
    assert restarts(nodes) == {}


@pytest.mark.parametrize(("answer", "times"), [("n\n", 0), ("\n", 0), ("y\n", 1), ("Yes\n", 1)])
def test_at_a_terminal_it_is_asked(answer: str, times: int, nodes: NodesBySsh, folder: Path):
    nodes.stand_in("kaasshop", QUERIES, tool="mysql")
    nodes.stand_in("kaasshop", ANSWERS, tool="mysqladmin")
    shown = run_in_terminal(*RESTART, answers=[("Restart mysql on kaasshop? [y/N]:", answer)])
    text = plain(shown)
    assert text.index("12 s: SELECT SLEEP(100)") < text.index("Restart mysql on kaasshop?")
    assert restarts(nodes) == ({"kaasshop": 1} if times else {})
    assert shown.status == (0 if times else 5)
    assert ("not agreed; nothing was restarted" in text) is not bool(times)


@pytest.mark.parametrize("key", ["\x03", "\x04"], ids=["ctrl-c", "ctrl-d"])
def test_leaving_at_the_question_restarts_nothing(key: str, nodes: NodesBySsh, folder: Path):
    shown = run_in_terminal(*RESTART, "-n", "theeplein", answers=[("Restart mysql on kaasshop, theeplein?", key)])
    assert shown.status == 130
    assert "Aborted; nothing more was done." in shown.out
    assert restarts(nodes) == {}


def test_here_it_is_the_same(nodes: NodesBySsh, hnctl: Hnctl, monkeypatch: pytest.MonkeyPatch):
    nodes.stand_in("kaasshop", QUERIES, tool="mysql")
    tries = answers_after(nodes, "kaasshop", 1)
    nodes.stand_on("kaasshop", monkeypatch)
    refused = hnctl("services", "restart", "mysql")
    assert refused.status == 5
    assert "and 2 running queries" in refused.err
    assert hnctl("services", "restart", "mysql", "--yes").status == 0
    assert tries.read_text().count("try") == 2
    assert restarts(nodes) == {"kaasshop": 1}
    assert sum(nodes.ssh.connections.values()) == 0
