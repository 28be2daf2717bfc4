"""`hnctl fpm status`: what the workers do, without who asked."""

from __future__ import annotations

from typing import Any

import pytest
from odd_servers import by_path, serving
from runs import Hnctl

from hypernode.sandbox.server import Sandbox

LINES = """\
4711 IDLE 0.1s - 192.0.2.33 GET /checkout/ (ExampleAgent/1.0)
4712 RUNNING 2.0s NL phpfpm 192.0.2.34 POST /rest/V1/carts?email=jan@example.com (Mozilla/5.0)
4713 RUNNING 12.5s NL 2001:db8::9 POST /rest/V1/carts (Mozilla/5.0)
4714 ENDING 1.0s something else
Total: 4 for 192.0.2.99
"""
VISITORS = ("192.0.2.", "2001:db8", "jan@", "Mozilla")


@pytest.fixture
def status(hnctl: Hnctl, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Answer LINES for every node but boekenhal, which does not answer, and give the status of nodes."""
    monkeypatch.setenv("HYPERNODE_API_TOKENS", '{"kaasshop": "t1", "theeplein": "t2", "boekenhal": "t3"}')
    good = {"message": None, "data": LINES, "status": 200}
    answers = {f"/v2/nats/{node}/": good for node in ("kaasshop", "theeplein")}
    answers["/v2/nats/boekenhal/"] = {"message": "no responders\x1b[2J", "data": None, "status": 503}
    with serving(by_path(answers)) as odd:
        monkeypatch.setenv("HNCTL_API_URL", odd.url)
        yield lambda *words: hnctl("fpm", "status", *words)


def test_the_busiest_come_first_and_nothing_tells_who_asked(status: Any):
    shown = status("-n", "kaasshop")
    assert shown.status == 0
    assert [line.split() for line in shown.out.splitlines()] == [
        ["pid", "state", "seconds", "country", "request"],
        ["4713", "RUNNING", "12.5", "NL", "POST", "/rest/V1/carts"],
        ["4712", "RUNNING", "2.0", "NL", "POST", "/rest/V1/carts"],
        ["4714", "ENDING", "1.0", "-", "-"],
        ["4711", "IDLE", "0.1", "-", "GET", "/checkout/"],
    ]
    assert shown.err == "kaasshop: 1 line of another form left out; -v shows what they say.\n"


@pytest.mark.parametrize("output", ["table", "json", "jsonl", "yaml", "markdown"])
@pytest.mark.parametrize("words", [[], ["--summary"]], ids=str)
def test_visitors_are_shown_with_v_only(words: list[str], output: str, status: Any):
    shown = status("-n", "kaasshop", "-o", output, *words)
    assert not [visitor for visitor in VISITORS if visitor in shown.out + shown.err]
    full = status("-n", "kaasshop", "-o", output, "-v")
    assert not [visitor for visitor in VISITORS if visitor not in full.out]
    assert "Total: 4 for 192.0.2.99" in full.err


def test_the_summary_counts_by_state_and_script(status: Any):
    summary = status("--summary", "-n", "kaasshop", "-o", "json").json["summary"]
    assert [tuple(row.values())[1:] for row in summary] == [
        ("state", "RUNNING", 2, 12.5),
        ("state", "ENDING", 1, 1.0),
        ("state", "IDLE", 1, 0.1),
        ("script", "POST /rest/V1/carts", 2, 12.5),
        ("script", "(not told)", 1, 1.0),
    ]


def test_a_node_that_did_not_answer_is_a_failure_of_that_node(status: Any):
    both = status("-n", "kaasshop", "-n", "boekenhal", "-o", "json")
    assert both.status == 3
    assert {row["node"] for row in both.json["workers"]} == {"kaasshop"}
    assert both.json["failures"][0]["message"] == "boekenhal: the node did not answer (503): no responders [2J"
    alone = status("-n", "boekenhal")
    assert (alone.status, alone.out) == (1, "")
    assert "the node did not answer (503): no responders" in alone.err
    assert "\x1b" not in alone.err


def test_several_nodes_are_asked_and_told_apart(status: Any, hnctl: Hnctl):
    table = status("-n", "kaasshop", "-n", "theeplein").out.splitlines()
    assert table[0].split()[0] == "node"
    assert len(table) == 1 + 2 * 4


def test_the_nodes_of_the_sandbox_are_asked(hnctl: Hnctl, box: Sandbox):
    box.keep_busy("theeplein", 3)
    rows = hnctl("fpm", "status", "--summary", "--all", "--exclude", "kaasshop", "-o", "json").json["summary"]
    assert len({row["node"] for row in rows}) == 11
    assert [row["workers"] for row in rows if (row["node"], row["what"]) == ("theeplein", "RUNNING")] == [3]
