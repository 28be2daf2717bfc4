"""`hnctl brancher`: making, listing, labelling and ending copies that are paid by the minute."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml
from greeters import greeting, unused_port
from odd_servers import by_path, serving
from runs import Hnctl, point_to

from hypernode.sandbox.server import Sandbox

CREATE = ["brancher", "create", "-n", "kaasshop"]
NAME = "kaasshop-eph7h2k9q"
ONE: dict[str, Any] = {"name": NAME, "cost": 12, "elapsed_time": 700, "ip": "192.0.2.9", "labels": {"ticket": "42"}}


@pytest.fixture
def box(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """Four nodes whose Branchers are there at once."""
    with Sandbox(nodes=4, flow_time=0.1, brancher_time=0.01) as box:
        point_to(box, monkeypatch)
        yield box


@pytest.fixture
def made(hnctl: Hnctl, box: Sandbox) -> Callable[..., str]:
    """Make a Brancher of a node and return its name."""

    def make(*options: str, node: str = "kaasshop") -> str:
        run = hnctl("brancher", "create", "-n", node, "--yes", "-o", "json", *options)
        assert run.status == 0, run.err
        return str(run.json["brancher"]["name"])

    return make


def names(box: Sandbox) -> list[str]:
    return [one["name"] for one in box.branchers()]


def asked(box: Sandbox, method: str) -> list[str]:
    return [entry.path for entry in box.log() if entry.method == method]


def test_what_it_means_is_said_and_agreed_to_before_it_is_made(hnctl: Hnctl, box: Sandbox):
    refused = hnctl(*CREATE, "--ttl", "4h", "--clear", "cron,supervisor")
    assert (refused.status, refused.out) == (5, "")
    assert refused.err.splitlines() == [
        "A Brancher of kaasshop is to be made.",
        "  - It is a copy of the latest backup, with real customer data and live keys.",
        "  - Cleared: cron, supervisor. It starts with what the backup has of elasticsearch and mysql.",
        "  - It costs by the started minute, from its creation on, used or not.",
        "  - This month: about 0 minutes used, 400 left of 400 free (by the documentation).",
        "  - Its time limit is 4h: `hnctl brancher reap` ends it after that.",
        "Error: nobody is there to say yes; nothing was made",
        "  hint: Add --yes",
    ]
    assert names(box) == []


def test_one_is_made_with_labels_cleared_services_and_a_time_limit(hnctl: Hnctl, box: Sandbox):
    labels = ["--label", "ticket=42", "--label", "query=a=b", "--label", "demo"]
    run = hnctl(*CREATE, "--ttl", "4h", *labels, "--clear", "cron,supervisor", "-y")
    assert run.status == 0, run.err
    (one,) = box.branchers()
    assert (one["parent"], one["clear_services"]) == ("kaasshop", ["cron", "supervisor"])
    until = int(one["labels"].pop("hnctl_until"))
    assert abs(until - time.time() - 4 * 3600) < 5
    assert re.fullmatch("[0-9a-f]{12}", one["labels"].pop("hnctl"))
    assert one["labels"] == {"ticket": "42", "query": "a=b", "demo": None}
    card = dict(line.split(None, 1) for line in run.out.splitlines())
    assert card.pop("limit") in ("in 4h", "in 3h 59m")
    assert card == {
        "name": one["name"],
        "host": f"{one['name']}.hypernode.io",
        "ip": "-",
        "labels": "ticket=42, query=a=b, demo",
    }
    assert f"hnctl brancher wait {one['name']}\n  hnctl brancher delete {one['name']}\n" in run.err


def test_nothing_can_be_cleared_and_no_limit_given(hnctl: Hnctl, box: Sandbox):
    run = hnctl(*CREATE, "--clear", "none", "-y", "-o", "json")
    assert "Cleared: nothing." in run.err
    assert "So it may run the shop's own jobs." in run.err
    assert "It has no time limit (--ttl): it is paid for until somebody ends it." in run.err
    assert run.json["brancher"]["until"] is None
    assert run.json["month"]["free_minutes_left"] == 400
    assert [one["clear_services"] for one in box.branchers()] == [[]]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--clear", "redis"], "'redis' is not one of cron, elasticsearch, mysql, supervisor; or write none alone"),
        (["--clear", "none,cron"], "'none' is not one of"),
        (["--clear", ""], "'' is not one of"),
        (["--ttl", "soon"], "'soon' is no time"),
        (["--ttl", "0"], "is not between"),
        (["--label", "=x"], "'' cannot be a label"),
        (["--label", "hnctl_until=1"], "the label hnctl_until is hnctl's own"),
        (["--label", "a=1", "--label", "a=2"], "the label a is given twice"),
        (["-n", "theeplein"], "this is done on one node at a time"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_sent(
    options: list[str], says: str, hnctl: Hnctl, box: Sandbox
):
    refused = hnctl(*CREATE, "--yes", *options)
    assert (refused.status, refused.out) == (64, "")
    assert says in refused.err
    assert box.log() == []


@pytest.mark.parametrize("command", ["create", "list", "history"])
def test_a_brancher_has_no_branchers(command: str, hnctl: Hnctl, box: Sandbox):
    refused = hnctl("brancher", command, "-n", NAME)
    assert refused.status == 64
    assert "is a Brancher itself\n  hint: Name the node it was made from: -n kaasshop\n" in refused.err


def test_an_account_that_does_not_let_the_api_spend_is_told_how_to(hnctl: Hnctl, box: Sandbox):
    box.set("kaasshop", allow_api_token_usage=False)
    refused = hnctl(*CREATE, "--yes")
    assert refused.status == 4
    assert "API token usage" in refused.err
    assert names(box) == []


def test_a_product_that_has_no_branchers_is_told_in_the_words_of_the_api(hnctl: Hnctl, box: Sandbox):
    box.set_product("kaasshop", "EAGLE_M_202203")
    refused = hnctl(*CREATE, "--yes")
    assert refused.status == 1
    assert "cannot have Branchers" in refused.err


def test_of_a_creation_whose_answer_is_lost_there_is_one_in_the_end(hnctl: Hnctl, box: Sandbox):
    box.set_faults({"lost_answer": ["kaasshop"]})
    run = hnctl(*CREATE, "--yes", "-o", "json")
    assert run.status == 0, run.err
    assert names(box) == [run.json["brancher"]["name"]]
    assert len(asked(box, "POST")) == 1


@pytest.mark.parametrize("output", ["table", "json", "jsonl", "yaml", "markdown"])
def test_the_list_is_the_same_in_all_formats(
    output: str, hnctl: Hnctl, box: Sandbox, made: Callable[..., str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("COLUMNS", "80")
    name = made("--ttl", "2h", "--label", "ticket=42")
    run = hnctl("brancher", "list", "-n", "kaasshop", "-o", output)
    assert run.status == 0
    if output in ("table", "markdown"):
        assert re.search(rf"{name} .*about 1 cent .*in (2h|1h 59m) .*ticket=42", run.out)
        assert "hnctl_until" not in run.out
        assert run.err.splitlines() == [
            "Cost: that it is in cents of EUR is inferred; no source states the unit.",
            "This month: about 1 minute used, 399 left of 400 free (by the documentation).",
        ]
        return
    assert run.err == ""
    document = yaml.safe_load(run.out)
    one = document if output == "jsonl" else document["branchers"][0]
    assert (one["name"], one["minutes"], one["cost"], one["over"]) == (name, 1, 1, False)
    assert one["labels"]["ticket"] == "42"
    if output != "jsonl":
        assert document["month"] == {
            "minutes": 1,
            "free_minutes": 400,
            "free_minutes_left": 399,
            "currency": "EUR",
            "cost_unit": "inferred: hundredths of the currency",
        }


def test_a_node_without_branchers_is_told_of_its_month_too(hnctl: Hnctl, box: Sandbox):
    listed = hnctl("brancher", "list", "-n", "kaasshop")
    assert (listed.status, listed.out) == (0, "")
    assert listed.err.startswith("kaasshop has no Branchers.\nThis month: about 0 minutes used, 400 left")


@pytest.mark.parametrize(
    ("account", "cost", "says"),
    [
        ({"currency": "EUR", "total_minutes_elapsed": 12}, "about 12 cents", "12 minutes used, 388 left of 400 free"),
        (
            {"monthly_total_time": 31_200},
            " 12 ",
            "Cost: unit not stated by the API.\nThis month: about 520 minutes used, 120 beyond",
        ),
        ({}, " 12 ", "This month: the API tells no minutes; 400 free (by the documentation)."),
    ],
    ids=["today", "an older answer", "neither minutes nor seconds"],
)
def test_a_cost_has_a_unit_only_where_the_api_names_a_currency(
    account: dict[str, Any], cost: str, says: str, hnctl: Hnctl, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HYPERNODE_API_TOKEN", "token")
    with serving(by_path({"/v2/brancher/app/kaasshop/": {"branchers": [ONE], **account}})) as odd:
        monkeypatch.setenv("HNCTL_API_URL", odd.url)
        listed = hnctl("brancher", "list", "-n", "kaasshop")
    assert cost in listed.out
    assert says in listed.err
    assert ("cents" in listed.out + listed.err) is ("currency" in account)


def test_labels_are_shown_and_replaced_but_for_those_of_hnctl(hnctl: Hnctl, box: Sandbox, made: Callable[..., str]):
    name = made("--ttl", "2h", "--label", "ticket=42")
    before = box.branchers()[0]["labels"]
    shown = hnctl("brancher", "labels", name, "-o", "json").json["labels"]
    assert {row["label"]: row["value"] for row in shown} == before
    assert hnctl("brancher", "labels", name, "demo", "query=a=b").status == 0
    ours = {label: value for label, value in before.items() if label.startswith("hnctl")}
    assert box.branchers()[0]["labels"] == {"demo": None, "query": "a=b", **ours}
    assert hnctl("brancher", "labels", name, "--none").status == 0
    assert box.branchers()[0]["labels"] == ours


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        ([NAME], 1, f"kaasshop has no Brancher {NAME}"),
        ([NAME, "demo"], 1, f"kaasshop has no Brancher {NAME}"),
        ([NAME, "hnctl=1"], 64, "the label hnctl is hnctl's own"),
        ([NAME, "demo", "--none"], 64, "Give either labels or --none."),
        (["kaasshop", "demo"], 64, "kaasshop is no Brancher"),
        ([NAME, "demo", "-n", "theeplein"], 64, f"{NAME} is a Brancher of kaasshop, not of theeplein"),
    ],
)
def test_labels_that_cannot_be_given_are_refused(words: list[str], status: int, says: str, hnctl: Hnctl, box: Sandbox):
    refused = hnctl("brancher", "labels", *words)
    assert refused.status == status
    assert says in refused.err
    assert asked(box, "PUT") == []


def test_ending_is_agreed_to(hnctl: Hnctl, box: Sandbox, made: Callable[..., str]):
    name = made("--label", "ticket=42")
    refused = hnctl("brancher", "delete", name)
    assert refused.status == 5
    assert refused.err == (
        f"{name}: 1 minute, labels ticket=42; all that is on it is lost.\n"
        "Error: nobody is there to say yes; nothing was ended\n  hint: Add --yes\n"
    )
    assert names(box) == [name]


def test_several_are_ended_and_one_that_is_gone_is_told(hnctl: Hnctl, box: Sandbox, made: Callable[..., str]):
    ours, other = made(), made(node="fietsenwinkel")
    ended = hnctl("brancher", "delete", ours, NAME, other, "-y", "-o", "json")
    assert ended.status == 0, ended.err
    assert {row["name"]: row["result"] for row in ended.json["branchers"]} == {
        ours: "ended",
        NAME: "was gone already",
        other: "ended",
    }
    assert names(box) == []
    again = hnctl("brancher", "delete", ours)
    assert again.status == 5, "it may be there, and just not listed yet"
    again = hnctl("brancher", "delete", ours, "-y")
    assert (again.status, again.err) == (
        0,
        f"{ours}: it is not in the list of kaasshop, or not yet; if it is there, it is ended.\n",
    )
    assert re.search(rf"{ours} +was gone already", again.out)


def test_an_end_whose_answer_is_lost_is_looked_for(hnctl: Hnctl, box: Sandbox, made: Callable[..., str]):
    name = made()
    box.set_faults({"lost_answer": [name]})
    assert hnctl("brancher", "delete", name, "-y").status == 0
    assert names(box) == []
    assert len(asked(box, "DELETE")) == 1


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["kaasshop"], "kaasshop is no Brancher"),
        (["../kaasshop-eph1"], "cannot be the name of a node"),
        ([NAME, "-n", "theeplein"], f"{NAME} is a Brancher of kaasshop, not of theeplein"),
        ([NAME, "theeplein-eph000000", "-n", "kaasshop"], "theeplein-eph000000 is a Brancher of theeplein"),
    ],
)
def test_nothing_but_a_brancher_of_the_node_is_ended(words: list[str], says: str, hnctl: Hnctl, box: Sandbox):
    refused = hnctl("brancher", "delete", "--yes", *words)
    assert refused.status == 64
    assert says in refused.err
    assert box.log() == []


def test_what_the_other_nodes_have_is_ended_though_one_has_no_token(
    hnctl: Hnctl, box: Sandbox, made: Callable[..., str]
):
    name = made()
    ended = hnctl("brancher", "delete", name, "nowhere-eph000000", "-y")
    assert ended.status == 3
    assert "there is no API token for nowhere" in ended.err
    assert names(box) == []


def test_the_history_has_no_units(hnctl: Hnctl, box: Sandbox, made: Callable[..., str]):
    assert hnctl("brancher", "history", "-n", "kaasshop").err == "kaasshop has had no Branchers.\n"
    made()
    shown = hnctl("brancher", "history", "-n", "kaasshop")
    assert re.split("  +", shown.out.splitlines()[0]) == ["month", "total time", "total cost"]
    assert shown.err == "The units of total time and total cost are not stated by the API.\n"
    (row,) = hnctl("brancher", "history", "-n", "kaasshop", "-o", "json").json["months"]
    assert set(row) == {"month", "total_time", "total_cost", "units"}
    month = hnctl("brancher", "history", row["month"], "-n", "kaasshop", "-o", "json").json
    assert (month["month"], list(month["answer"])) == (row["month"], ["years"])
    assert json.loads(hnctl("brancher", "history", row["month"], "-n", "kaasshop").out) == month["answer"]


@pytest.mark.parametrize("month", ["2026", "2026-13", "2026-8", "08-2026", "last"])
def test_what_is_no_month_is_refused(month: str, hnctl: Hnctl, box: Sandbox):
    refused = hnctl("brancher", "history", month, "-n", "kaasshop")
    assert refused.status == 64
    assert f"'{month}' is no month; write 2026-08" in refused.err
    assert box.log() == []


def label(hnctl: Hnctl, name: str, until: float) -> None:
    """Give a Brancher another time limit, which no command does."""
    from hypernode.api.client import Client

    with Client("kaasshop", transport=None) as client:
        client.branchers._send("PUT", f"/v2/brancher/{name}/", {"labels": [f"hnctl_until={until:.0f}"]})


def test_those_whose_time_is_over_are_ended_and_no_others(hnctl: Hnctl, box: Sandbox, made: Callable[..., str]):
    over, later, without = made("--ttl", "1ms"), made("--ttl", "1h"), made("--label", "demo")
    label(hnctl, over, time.time() - 1)
    dry = hnctl("brancher", "reap", "-n", "kaasshop", "--dry-run", "-o", "json")
    assert [(row["name"], row["result"]) for row in dry.json["branchers"]] == [(over, "would be ended")]
    assert len(names(box)) == 3
    reaped = hnctl("brancher", "reap", "-n", "kaasshop")
    assert reaped.status == 0
    assert re.search(rf"^{over}  \S+  1 +ended$", reaped.out, re.MULTILINE)
    assert names(box) == [later, without]
    assert hnctl("brancher", "reap", "-n", "kaasshop") == (0, "", "No Brancher is beyond its time limit.\n")
    two = hnctl("brancher", "reap", "-n", "kaasshop", "-n", "theeplein")
    assert two == (0, "", "No Brancher of 2 nodes is beyond its time limit.\n")


def test_all_nodes_are_reaped_though_one_cannot_be_asked(hnctl: Hnctl, box: Sandbox, made: Callable[..., str]):
    label(hnctl, made(), time.time() - 1)
    box.set("fietsenwinkel", allow_api_token_usage=False)
    reaped = hnctl("brancher", "reap", "--all")
    assert reaped.status == 3
    assert "ended" in reaped.out
    assert reaped.err.startswith("fietsenwinkel: ")
    assert names(box) == []


def test_the_servers_clock_decides_what_is_over(hnctl: Hnctl, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HYPERNODE_API_TOKEN", "token")
    limits = {"kaasshop-eph000001": "1155978000", "kaasshop-eph000002": "1155978001"}  # 2006-08-19 09:00:00
    ones = [ONE | {"name": name, "labels": {"hnctl_until": until}} for name, until in limits.items()]
    answers = by_path({"/v2/brancher/app/kaasshop/": {"branchers": ones}})
    with serving(answers, date="Sat, 19 Aug 2006 09:00:00 GMT") as odd:
        monkeypatch.setenv("HNCTL_API_URL", odd.url)
        dry = hnctl("brancher", "reap", "-n", "kaasshop", "--dry-run", "-o", "jsonl")
    assert [json.loads(line)["name"] for line in dry.out.splitlines()] == ["kaasshop-eph000001"]


def test_ssh_is_tried_once(hnctl: Hnctl, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HNCTL_SSH_HOST", "127.0.0.1")
    with greeting() as port:
        monkeypatch.setenv("HNCTL_SSH_PORT", str(port))
        there = hnctl("brancher", "ssh-check", NAME)
    assert there == (0, f"{NAME}: SSH answers at 127.0.0.1:{port}\n", "")
    port = unused_port()
    monkeypatch.setenv("HNCTL_SSH_PORT", str(port))
    away = hnctl("brancher", "ssh-check", NAME, "-o", "json")
    assert (away.status, away.json["answers"], away.json["reason"]) == (1, False, "refused")
    assert hnctl("brancher", "ssh-check", NAME) == (
        1,
        f"{NAME}: SSH does not answer at 127.0.0.1:{port}: the connection was refused\n",
        f"  hint: While a Brancher is being made this can be: hnctl brancher wait {NAME}. If it goes on, look at "
        "ssh_port in `hnctl config list`\n",
    )
    with greeting(b"HTTP/1.1 200 OK\r\n") as port:
        monkeypatch.setenv("HNCTL_SSH_PORT", str(port))
        assert "no SSH server greeted\n" in hnctl("brancher", "ssh-check", NAME).out
    monkeypatch.setenv("HNCTL_SSH_PORT", "abc")
    assert "'abc' is no whole number; write one from 1 to 65535" in hnctl("brancher", "ssh-check", NAME).err
    assert hnctl("brancher", "ssh-check", "kaasshop").status == 64


def test_no_command_shows_the_token(hnctl: Hnctl, box: Sandbox, made: Callable[..., str]):
    name = made()
    for words in (["list", "-n", "kaasshop"], ["labels", name, "demo"], ["delete", name, "-y"], ["reap", "--all"]):
        run = hnctl("brancher", *words, "--debug")
        assert run.status == 0
        assert box.tokens["kaasshop"] not in run.out + run.err
