"""Rollouts through the node's own tool, and plan files that tell how each node is reached."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from fake_shell import HEADING, SUCCESS, Answer, FakeShell, said
from hypernode.catalogue import Catalogue
from hypernode.errors import (
    ConnectionFailed,
    FileError,
    HypernodeError,
    NodeIsBusy,
    NotApplied,
    OutcomeUnknown,
    PlanIsStale,
    Rejected,
    SafetyError,
    ToolAsked,
    ToolError,
    ToolMissing,
    ToolTimedOut,
)
from hypernode.fleet import planfile
from hypernode.fleet.bring import Options, Outcome, bring
from hypernode.fleet.plan import Plan, make_plan
from hypernode.fleet.tool_stores import ToolStore
from hypernode.fleet.ways import VIAS, Way
from hypernode.node.systemctl import UNREADABLE
from hypernode.secrets import Secret

API = "https://api.hypernode.com"
CATALOGUE = Catalogue.bundled()
PHP, REDIS, VARNISH = (
    f"hypernode-systemctl settings {name}" for name in ("php_version", "redis_version", "varnish_enabled")
)
WISHED: dict[str, Any] = {"varnish_enabled": True, "php_version": "8.3", "redis_version": "7.x"}
SENT = ["php_version 8.3", "redis_version 7.x", "varnish_enabled True"]
REFUSED = said("", 'Looks like something went wrong: b\'{"redis_version": ["not on this plan"]}\'', 1)


def node(answers: Mapping[str, Answer | list[Answer]] | None = None, **values: str) -> FakeShell:
    return FakeShell(
        answers, values={"php_version": "8.2", "redis_version": "6.x", "varnish_enabled": "False"} | values
    )


def brought(
    tmp_path: Path, shell: FakeShell, current: dict[str, Any], wished: dict[str, Any] = WISHED, **how: Any
) -> Outcome:
    plan = make_plan({"shop1": current}, {"shop1": wished}, CATALOGUE)
    outcome = bring(
        "shop1", plan.changes, ToolStore(lambda name: shell, CATALOGUE), CATALOGUE, Options(**how), tmp_path / "locks"
    )
    assert outcome.changes == plan.changes
    assert len(shell.writes) == len(set(shell.writes)), "something was sent twice"
    return outcome


BEFORE = {"php_version": "8.2", "redis_version": "6.x", "varnish_enabled": False}
RUNNING = said(f"{HEADING}update_node t t running 1/8 x\n")
OUTCOMES: list[tuple[dict[str, Answer], str, type[HypernodeError] | None, int]] = [
    ({}, "done", None, 3),
    ({f"{REDIS} 7.x --block": REFUSED}, "failed", Rejected, 2),
    ({f"{PHP} 8.3 --block": said("Sure? [y/N]")}, "failed", ToolAsked, 1),
    ({f"{PHP} 8.3 --block": said(SUCCESS)}, "failed", NotApplied, 3),
    ({PHP: ToolMissing("no tool")}, "failed", ToolMissing, 0),
    ({PHP: ConnectionFailed("no line")}, "failed", ConnectionFailed, 0),
    ({"hypernode-log": said("no columns")}, "failed", ToolError, 0),
    ({f"{VARNISH} True --block": ToolTimedOut("no end")}, "unknown", OutcomeUnknown, 3),
    ({f"{PHP} 8.3 --block": ConnectionFailed("it dropped", maybe_applied=True)}, "unknown", OutcomeUnknown, 1),
    ({f"{PHP} 8.3 --block": said("Hm.")}, "unknown", OutcomeUnknown, 1),
    ({"hypernode-log": RUNNING}, "not_attempted", NodeIsBusy, 0),
    ({PHP: said("php_version is set to value 8.1")}, "not_attempted", PlanIsStale, 0),
]


@pytest.mark.parametrize(("answers", "state", "kind", "sent"), OUTCOMES)
def test_a_rollout_ends_in_the_state_that_the_tool_leaves(tmp_path, answers, state, kind, sent):
    shell = node(answers)
    outcome = brought(tmp_path, shell, BEFORE)
    assert (outcome.state, outcome.reason, outcome.flows) == (state, "", ())
    assert outcome.error is None if kind is None else isinstance(outcome.error, kind)
    assert outcome.error is None or outcome.error.node == "shop1"
    assert shell.writes == SENT[:sent]


def test_a_node_that_has_all_that_is_wished_is_left_alone(tmp_path):
    shell = node(php_version="8.3", redis_version="7.x", varnish_enabled="True")
    assert brought(tmp_path, shell, BEFORE).state == "unchanged"
    assert (shell.writes, len(shell.calls)) == ([], 3)


def test_only_what_is_missing_is_sent(tmp_path):
    shell = node(php_version="8.3", varnish_enabled="True")
    assert brought(tmp_path, shell, BEFORE).state == "done"
    assert shell.writes == SENT[1:2]


def test_a_change_that_cannot_be_read_is_sent_and_told_not_to_be_verified(tmp_path):
    shell = node({VARNISH: said("false true")})
    outcome = brought(tmp_path, shell, BEFORE | {"varnish_enabled": UNREADABLE})
    assert (outcome.state, outcome.error) == ("done", None)
    assert outcome.reason == (
        "not verified: hypernode-systemctl says that it is done, and does not tell varnish_enabled"
    )
    assert shell.writes == SENT


def test_a_running_flow_may_be_passed_over(tmp_path):
    shell = node({"hypernode-log": RUNNING})
    assert brought(tmp_path, shell, BEFORE, ignore_running=True).state == "done"
    assert "hypernode-log" not in shell.lines


def test_a_secret_is_not_attempted_and_nothing_beside_it_is_sent(tmp_path):
    shell = node(new_relic_secret="None")
    outcome = brought(tmp_path, shell, BEFORE, WISHED | {"new_relic_secret": Secret("canary-one")})
    assert outcome.state == "not_attempted"
    assert isinstance(outcome.error, SafetyError)
    assert "canary" not in f"{outcome.error} {outcome.error.hint}"
    assert shell.writes == []


# Ways in plan files


def plan_by(way: Way) -> Plan:
    current = {"a": {"php_version": "8.2"}, "b": {"php_version": UNREADABLE}}
    wished = {name: {"php_version": "8.3"} for name in current}
    return make_plan(current, wished, CATALOGUE, ways={"b": way})


def loaded(document: dict[str, Any]) -> Plan:
    return planfile.load(json.dumps(document).encode(), CATALOGUE, path="plan.json", api_url=API)


@pytest.mark.parametrize(
    "way",
    [
        Way("local"),
        Way("ssh"),
        Way("ssh", "{node}.hypernode.io"),
        Way("ssh", "2001:db8::7", 65535, "deploy"),
        Way("ssh", port=1),
        Way("api"),
    ],
)
def test_a_plan_file_tells_how_each_node_is_reached(way):
    plan = plan_by(way)
    document = planfile.dump(plan, api_url=API)
    assert loaded(document) == plan
    assert document["ways"] == {"b": {name: said for name, said in way._asdict().items() if said is not None}}


ODD_WAYS: list[Any] = [
    *(None, 5, [], "ssh", ["ssh"], {"b": None}, {"b": []}, {"b": "ssh"}, {"b": {}}, {"../x": {"via": "ssh"}}),
    *({"b": {"via": via}} for via in (None, "SSH", "telnet", 5, [], {}, True)),
    *({"b": {"via": "ssh", "host": host}} for host in ("", "-oProxyCommand=id", "a b", "app@b", 5, [], {}, "b\n")),
    *({"b": {"via": "ssh", "user": user}} for user in ("", "-l", "a b", 5, [], {}, True)),
    *({"b": {"via": "ssh", "port": port}} for port in ("", 0, 65536, -1, 2.5, True, [], {}, "22 ", "-p")),
    {"b": {"via": "ssh", "command": "id"}},
    {"b": {"via": "ssh", "Host": "b"}},
]


@pytest.mark.parametrize("ways", ODD_WAYS, ids=str)
def test_an_odd_way_in_a_plan_file_is_refused(ways):
    document = planfile.dump(plan_by(Way("ssh")), api_url=API)
    with pytest.raises(FileError, match="the file is not a plan that can be applied: "):
        loaded({**document, "ways": ways})


def test_a_plan_file_without_ways_is_refused():
    document = planfile.dump(plan_by(Way("ssh")), api_url=API)
    del document["ways"]
    with pytest.raises(FileError, match="the file is not a plan that can be applied: no ways"):
        loaded(document)


def test_the_ways_are_those_that_can_be_written_in_a_fleet_file():
    assert VIAS == ("api", "ssh", "local")
    assert [Way(via).by_tool for via in VIAS] == [False, True, True]
    assert not Way().by_tool
