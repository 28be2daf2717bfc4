"""Why values differ, told by the runs of before; against plain data, and without any I/O."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import CATALOGUE

from hypernode.api.models import Flow
from hypernode.catalogue import UNREADABLE
from hypernode.fleet.drift import Applied, Drift, find_drift, flows_since, put_back
from hypernode.fleet.history import RunLog, parse_run
from hypernode.fleet.journal import hashed
from hypernode.fleet.plan import Plan, make_plan
from hypernode.secrets import Secret

API = "https://api.example"
MONDAY = datetime(2026, 11, 23, 9, tzinfo=UTC)


def run(
    number: int,
    sent: Mapping[str, Mapping[str, Any]],
    *,
    state: str | None = "done",
    flows: tuple[str, ...] = (),
    api_url: str = API,
) -> RunLog:
    """Return the run of day `number`, in which each node of `sent` was set and ended as `state`; None: it did not."""
    at, salt = (MONDAY + timedelta(days=number)).isoformat(), f"salt {number}"
    facts = {"current": None, "desired": None, "secret": False}
    changes = [{"node": node, "setting": name, **facts} for node, values in sent.items() for name in values]
    plan = {"checksum": "", "api_url": api_url, "compared": [], "changes": changes, "unread": []}
    first = {"record": "run begun", "format_version": 1, "run": f"run{number}", "at": at, "who": "jan@laptop", "pid": 1}
    records: list[dict[str, Any]] = [
        {
            **first,
            "job": None,
            "message": None,
            "host": "h",
            "salt": salt,
            "file": None,
            "folder": "/",
            "digest": None,
            "rolls_back": None,
            "plan": plan,
        }
    ]
    for node, values in sent.items():
        kept = {name: hashed(value, salt) if isinstance(value, Secret) else value for name, value in values.items()}
        records += [
            {"record": "node begun", "at": at, "node": node},
            {"record": "sending", "at": at, "node": node, "settings": kept},
            {"record": "flows", "at": at, "node": node, "flows": list(flows)},
        ]
        if state:
            ended = {"error": None, "reason": None, "flows": [], "seconds": 1.0}
            records.append({"record": "node ended", "at": at, "node": node, "state": state, **ended})
    return parse_run("".join(json.dumps(record) + "\n" for record in records), path="x")


def plan(current: Mapping[str, Mapping[str, Any]], desired: Mapping[str, Mapping[str, Any]]) -> Plan:
    return make_plan(current, desired, CATALOGUE, groups={"all_of_them": list(desired)})


def causes(made: Plan, *runs: RunLog) -> dict[tuple[str, str], str]:
    return {
        (one.change.node, one.change.setting): one.cause + (", moved on" if one.moved_on else "")
        for one in find_drift(made, runs, api_url=API)
    }


def cause(live: Any, wished: Any, *runs: RunLog, setting: str = "php_version") -> str:
    (only,) = causes(plan({"shop": {setting: live}}, {"shop": {setting: wished}}), *runs).values()
    return only


def test_each_of_the_three_causes_has_its_word():
    applied = run(0, {"shop": {"php_version": "8.3"}})
    assert cause("8.1", "8.3", applied) == "changed there"
    assert cause("8.3", "8.4", applied) == "not applied yet, moved on"
    assert cause("8.3", "8.4") == "never managed"
    assert cause("8.1", "8.4", applied) == "changed there, moved on"


def test_what_was_applied_last_counts_and_who_and_when_is_told():
    made = plan({"shop": {"php_version": "8.1"}}, {"shop": {"php_version": "8.3"}})
    newer = run(1, {"shop": {"php_version": "8.3"}}, flows=("b",))
    (found,) = find_drift(made, [newer, run(0, {"shop": {"php_version": "8.1"}}, flows=("a",))], api_url=API)
    assert found == Drift(
        made.changes[0],
        "changed there",
        Applied("8.3", "run1", "jan@laptop", MONDAY + timedelta(days=1), frozenset("b"), frozenset("b")),
    )


@pytest.mark.parametrize("state", ["failed", "unknown", "not_attempted", None])
def test_what_did_not_end_well_does_not_count_as_applied(state: str | None):
    unclear = run(1, {"shop": {"php_version": "8.3"}}, state=state)
    assert cause("8.3", "8.4", unclear) == "never managed"
    assert cause("8.3", "8.2", unclear, run(0, {"shop": {"php_version": "8.2"}})) == "changed there"


def test_a_later_run_that_sent_it_and_did_not_end_well_is_named():
    made = plan({"shop": {"php_version": "8.3"}}, {"shop": {"php_version": "8.2"}})
    runs = [
        run(3, {"shop": {"mysql_version": "8.0"}}, state="unknown"),
        run(2, {"shop": {"php_version": "8.3"}}, state="unknown"),
        run(1, {"shop": {"php_version": "8.4"}}, state="failed"),
    ]
    (found,) = find_drift(made, runs, api_url=API)
    assert (found.cause, found.unclear) == ("never managed", "run2")
    (found,) = find_drift(made, [*runs, run(0, {"shop": {"php_version": "8.2"}})], api_url=API)
    assert (found.cause, found.unclear) == ("changed there", "run2")
    (found,) = find_drift(made, [run(4, {"shop": {"php_version": "8.2"}}), *runs], api_url=API)
    assert (found.cause, found.unclear) == ("changed there", None)


def test_a_run_that_found_its_own_write_when_it_was_gone_on_with_has_applied_it():
    assert cause("8.1", "8.3", run(0, {"shop": {"php_version": "8.3"}}, state="unchanged")) == "changed there"


def test_runs_on_other_nodes_for_other_settings_and_against_other_apis_say_nothing():
    others = [
        run(3, {"other": {"php_version": "8.3"}}),
        run(2, {"shop": {"mysql_version": "8.0"}}),
        run(1, {"shop": {"php_version": "8.3"}}, api_url="http://127.0.0.1:8000"),
    ]
    assert cause("8.1", "8.3", *others) == "never managed"


def test_secrets_are_told_apart_by_their_hashes_and_stand_nowhere():
    applied = run(0, {"shop": {"new_relic_secret": Secret("canary-1")}})

    def told(live: str | None, wished: Secret) -> str:
        return cause(live, wished, applied, setting="new_relic_secret")

    assert told("canary-2", Secret("canary-1")) == "changed there"
    assert told("canary-1", Secret("canary-2")) == "not applied yet, moved on"
    assert told(None, Secret("canary-1")) == "changed there"
    made = plan({"shop": {"new_relic_secret": "canary-2"}}, {"shop": {"new_relic_secret": Secret("canary-1")}})
    assert "canary" not in repr(find_drift(made, [applied], api_url=API))


def test_what_was_cleared_and_is_set_again_was_changed_there():
    assert cause("x", None, run(0, {"shop": {"new_relic_app_name": None}}), setting="new_relic_app_name") == (
        "changed there"
    )


def test_a_value_that_the_nodes_tool_does_not_tell_has_no_cause():
    made = plan(
        {"shop": {"override_sendmail_return_path": UNREADABLE}}, {"shop": {"override_sendmail_return_path": "a"}}
    )
    assert made.changes
    assert find_drift(made, [run(0, {"shop": {"override_sendmail_return_path": "a"}})], api_url=API) == []


def test_no_more_runs_are_read_than_are_needed():
    taken: list[str] = []

    def runs() -> Iterator[RunLog]:
        for log in (
            run(9, {"other": {"php_version": "8.3"}}),
            run(8, {"shop": {"php_version": "8.3"}}),
            run(7, {"shop": {"php_version": "8.2"}}),
        ):
            taken.append(log.run)
            yield log

    made = plan({"shop": {"php_version": "8.1"}}, {"shop": {"php_version": "8.3"}})
    assert find_drift(made, runs(), api_url=API)
    assert taken == ["run9", "run8"]
    taken.clear()
    assert find_drift(plan({}, {}), runs(), api_url=API) == []
    assert taken == []


_versions = st.sampled_from(["8.1", "8.2", "8.3"])
_values = st.dictionaries(st.sampled_from(["a", "b"]), st.fixed_dictionaries({"php_version": _versions}))
_states = st.sampled_from(["done", "failed", "unknown"])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(_values, _states), max_size=4), _values, _values)
def test_every_difference_has_the_cause_that_the_plain_history_gives_it(history, live, wished):
    applied: dict[str, str] = {}
    for sent, state in history:
        if state == "done":
            applied |= {node: values["php_version"] for node, values in sent.items()}
    made = plan({node: live.get(node, {}) for node in wished}, wished)
    runs = [run(number, sent, state=state) for number, (sent, state) in enumerate(history)]
    expected = {}
    for node, values in wished.items():
        wish, now = values["php_version"], live.get(node, {}).get("php_version")
        if wish != now:
            word = "never managed"
            if node in applied:
                word = "not applied yet" if applied[node] == now else "changed there"
                word += ", moved on" if applied[node] != wish else ""
            expected[node, "php_version"] = word
    assert causes(made, *reversed(runs)) == expected
    back = put_back(made, find_drift(made, reversed(runs), api_url=API))
    assert {change.node: change.desired for change in back.changes} == {
        node: applied[node] for (node, _), word in expected.items() if word == "changed there"
    }


def test_only_what_was_changed_there_is_put_back_and_the_rest_is_left():
    node = {"php_version": "8.3", "varnish_enabled": True}
    desired = {"both": node, "moved": {"php_version": "8.4"}, "new": {"mysql_version": "8.0"}, "same": {}}
    current = {"both": {"php_version": "8.1", "varnish_enabled": False}, "moved": {"php_version": "8.1"}}
    made = plan({**current, "new": {"mysql_version": "5.7"}, "same": {}}, desired)
    applied = run(0, {"both": {"php_version": "8.3"}, "moved": {"php_version": "8.2"}})
    back = put_back(made, find_drift(made, [applied], api_url=API))
    assert [(change.node, change.setting, change.desired) for change in back.changes] == [
        ("both", "php_version", "8.3")
    ]
    assert (back.nodes, back.order, back.compared) == (("both",), ("both",), ("both", "same"))
    assert (back.groups, back.fleet_size) == ({"all_of_them": ("both",)}, 4)


def flow(uuid: str, hours: float | None, name: str = "update_node") -> Flow:
    at = None if hours is None else (MONDAY + timedelta(hours=hours)).isoformat()
    return Flow.model_validate({"uuid": uuid, "name": name, "state": "success", "created_at": at})


APPLIED = Applied("8.3", "run0", "jan@laptop", MONDAY, frozenset({"own"}), frozenset({"own", "later"}))


def test_flows_since_are_those_of_others_that_change_settings_after_our_own():
    flows = [flow("x", 5), flow("later", 4), flow("backup", 3, "create_backup"), flow("y", 2), flow("own", 1)]
    assert [one.uuid for one in flows_since([*flows, flow("before", 0.5)], APPLIED)] == ["x", "y"]


def test_without_our_own_flow_in_the_logbook_the_time_of_the_run_tells():
    assert [one.uuid for one in flows_since([flow("x", 2), flow("y", 0), flow("z", -1)], APPLIED)] == ["x", "y"]
    assert [one.uuid for one in flows_since([flow("x", None), flow("y", 1)], APPLIED)] == ["x", "y"]


def test_the_time_of_the_run_counts_to_the_second_as_the_logbook_does():
    applied = replace(APPLIED, at=MONDAY + timedelta(seconds=10, milliseconds=900))
    flows = [flow("x", 10 / 3600), flow("y", 9 / 3600)]
    assert [one.uuid for one in flows_since(flows, applied)] == ["x"]


def test_the_logbook_is_read_no_further_than_to_our_own_flow():
    def pages() -> Iterator[Flow]:
        yield flow("x", 2)
        yield flow("own", 1)
        raise AssertionError

    assert [one.uuid for one in flows_since(pages(), APPLIED)] == ["x"]
