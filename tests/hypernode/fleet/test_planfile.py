from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import CANARY, CATALOGUE, fleets

from hypernode.errors import FileError, PlanIsStale, SecretUnavailable, UnsafePlan
from hypernode.fleet import planfile
from hypernode.fleet.plan import Plan, make_plan
from hypernode.fleet.rules import Rules
from hypernode.fleet.shares import Share
from hypernode.fleet.spec import Limits
from hypernode.fleet.ways import Way
from hypernode.secrets import Reference, Secret

API = "https://api.hypernode.com"


def resolve(reference: Reference) -> Secret:
    return Secret(f"{CANARY}{reference.target}")


def load(raw: bytes, api_url: str = API) -> Plan:
    plan = planfile.load(raw, CATALOGUE, path="plan.json", api_url=api_url)
    return planfile.fetch_secrets(plan, resolve, path="plan.json")


def sample() -> Plan:
    return make_plan(
        {
            "a": {"php_version": "8.2", "password_auth": True, "new_relic_secret": "canary-old"},
            "b": {"php_version": 8.2, "mysql_long_query_time": "10"},
        },
        {
            "a": {"php_version": "8.3", "password_auth": False, "new_relic_secret": Secret(f"{CANARY}KEY")},
            "b": {"php_version": "8.3", "mysql_long_query_time": 5, "new_relic_app_name": None},
        },
        CATALOGUE,
        references={Secret(f"{CANARY}KEY"): "env:KEY"},
        limits=Limits(Share(30, True), 500),
        fleet_size=5,
        groups={"g": ["a", "b"], "h": ["b"]},
        rules=Rules(max_failures=Share(5, True)),
        ways={"b": Way("ssh", port=2222)},
    )


def document(**changed: Any) -> dict[str, Any]:
    return {**planfile.dump(sample(), api_url=API), **changed}


def refused(document: Any) -> str:
    raw = document if isinstance(document, bytes) else json.dumps(document).encode()
    with pytest.raises(FileError) as caught:
        load(raw)
    (problem,) = caught.value.problems
    assert problem[:2] == (1, 1)
    assert problem.hint == "Make one with: hnctl plan -o json > plan.json"
    start = "the file is not a plan that can be applied: "
    assert problem.message.startswith(start)
    return problem.message.removeprefix(start)


def test_the_document_says_what_it_is_and_all_that_is_planned():
    assert planfile.dump(sample(), api_url=API, unread={"c": "no token"}) == {
        "format_version": 1,
        "kind": "hnctl-plan",
        "api_url": API,
        "checksum": sample().checksum,
        "fleet_size": 5,
        "compared": ["a", "b"],
        "unread": [{"node": "c", "reason": "no token"}],
        "rollout": {"max_failures": "5%"},
        "order": ["a", "b"],
        "limits": {"max_nodes": "30%", "max_changes": 500, "max_monthly_increase": None},
        "increase": 0,
        "ways": {"b": {"via": "ssh", "port": 2222}},
        "groups": {"g": ["a", "b"], "h": ["b"]},
        "changes": [
            {
                "node": "a",
                "setting": "new_relic_secret",
                "current": "(secret)",
                "desired": None,
                "secret": True,
                "reference": "env:KEY",
                "hazards": [],
            },
            {
                "node": "a",
                "setting": "password_auth",
                "current": True,
                "desired": False,
                "secret": False,
                "reference": None,
                "hazards": ["locks_out"],
            },
            {
                "node": "a",
                "setting": "php_version",
                "current": "8.2",
                "desired": "8.3",
                "secret": False,
                "reference": None,
                "hazards": [],
            },
            {
                "node": "b",
                "setting": "mysql_long_query_time",
                "current": 10,
                "desired": 5,
                "secret": False,
                "reference": None,
                "hazards": [],
            },
            {
                "node": "b",
                "setting": "php_version",
                "current": "8.2",
                "desired": "8.3",
                "secret": False,
                "reference": None,
                "hazards": [],
            },
        ],
    }


def written_and_read(plan: Plan) -> Plan:
    return load(json.dumps(planfile.dump(plan, api_url=API)).encode())


@settings(max_examples=120, deadline=None)
@given(
    fleets(),
    st.none() | st.integers(0, 50).map(Share) | st.integers(0, 100).map(lambda n: Share(n, True)),
    st.none() | st.integers(0, 500),
    st.integers(0, 100),
    st.none() | st.integers(1, 50).map(Share),
)
def test_what_is_written_reads_back_as_the_same_plan(drawn, max_nodes, max_changes, more, max_failures):
    # A secret's value is fetched anew by its reference.
    references = {Secret(f"{CANARY}{name[4:]}"): name for name in drawn.references.values()}
    old_to_new = dict(zip(drawn.references, references, strict=True))
    desired = {
        node: {name: old_to_new.get(value, value) if isinstance(value, Secret) else value for name, value in w.items()}
        for node, w in drawn.desired.items()
    }
    plan = make_plan(
        drawn.answers,
        desired,
        CATALOGUE,
        references=references,
        limits=Limits(max_nodes, max_changes),
        fleet_size=len(desired) + more,
        groups={"g": list(desired)[::2], "h": list(desired)},
        rules=Rules(max_failures=max_failures),
    )
    read = written_and_read(plan)
    assert read.checksum == plan.checksum
    assert (read.compared, read.fleet_size, read.limits) == (plan.compared, plan.fleet_size, plan.limits)
    assert (dict(read.groups), read.rules) == (dict(plan.groups), plan.rules)
    for got, sent in zip(read.changes, plan.changes, strict=True):
        assert (got.node, got.setting, got.reference, got.hazards) == (
            sent.node,
            sent.setting,
            sent.reference,
            sent.hazards,
        )
        assert (got.before, got.after) == (sent.before, sent.after)
        assert (got.desired, type(got.desired)) == (sent.desired, type(sent.desired))
        if not sent.secret:
            assert (got.current, type(got.current)) == (sent.current, type(sent.current))
    assert verdict(read) == verdict(plan)
    assert planfile.dump(read, api_url=API) == planfile.dump(plan, api_url=API)


def verdict(plan: Plan) -> Any:
    try:
        plan.raise_if_unsafe()
    except UnsafePlan as exc:
        return exc.reasons
    return None


def test_secrets_stay_references_and_are_fetched_when_the_plan_is_read():
    raw = json.dumps(document()).encode()
    assert b"canary" not in raw
    asked = []

    def watched(reference: Reference) -> Secret:
        asked.append(reference)
        return Secret("fetched")

    plan = planfile.load(raw, CATALOGUE, path="p", api_url=API)
    assert plan.checksum == sample().checksum, "which can be checked before anything is fetched"
    plan = planfile.fetch_secrets(plan, watched, path="p")
    assert asked == [Reference("env", "KEY")]
    assert plan.changes[0].desired == Secret("fetched")
    assert (plan.changes[0].before, plan.changes[0].after) == ("(secret)", "(secret env:KEY)")


def test_a_secret_of_many_nodes_is_fetched_once_when_the_plan_is_read():
    wished = {"new_relic_secret": Secret("canary-KEY")}
    plan = make_plan(
        {"a": {}, "b": {}, "c": {}},
        dict.fromkeys("abc", wished),
        CATALOGUE,
        references={Secret("canary-KEY"): "cmd:pass show key"},
    )
    asked = []

    def watched(reference: Reference) -> Secret:
        asked.append(reference)
        return Secret("fetched")

    raw = json.dumps(planfile.dump(plan, api_url=API)).encode()
    read = planfile.fetch_secrets(planfile.load(raw, CATALOGUE, path="p", api_url=API), watched, path="p")
    assert [change.desired for change in read.changes] == [Secret("fetched")] * 3
    assert asked == [Reference("cmd", "pass show key")]


def test_a_plan_read_back_knows_only_that_a_secret_was_set():
    change = written_and_read(sample()).changes[0]
    assert not change.moved_to(Secret("whatever"))
    assert change.moved_to(None)


def test_a_secret_that_cannot_be_fetched_is_a_reason_that_names_the_reference():
    def fail(reference: Reference) -> Secret:
        raise SecretUnavailable(f"{reference} leads nowhere")

    plan = planfile.load(json.dumps(document()).encode(), CATALOGUE, path="p", api_url=API)
    with pytest.raises(FileError, match="env:KEY leads nowhere"):
        planfile.fetch_secrets(plan, fail, path="p")


def test_a_secret_that_was_typed_in_cannot_be_applied_from_a_file():
    plan = make_plan({"a": {}}, {"a": {"new_relic_secret": Secret("canary-x")}}, CATALOGUE)
    dumped = planfile.dump(plan, api_url=API)
    assert refused(dumped) == "new_relic_secret has a value that was typed in and not kept"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("node", "c"),
        ("setting", "nodejs_version"),
        ("current", "8.1"),
        ("current", None),
        ("desired", "8.4"),
        ("desired", None),
    ],
)
def test_a_change_that_was_tampered_with_is_refused(field, value):
    changed = document()
    changed["changes"][2][field] = value
    with pytest.raises(PlanIsStale) as caught:
        load(json.dumps(changed).encode())
    assert str(caught.value) == "plan.json: the changes are not those that the checksum was made of"
    assert caught.value.hint == "Make the plan again"


def test_another_reference_a_change_less_and_a_change_more_are_tampering():
    for tamper in (
        lambda changes: changes[0].update(reference="env:OTHER"),
        lambda changes: changes[0].update(reference=None),
        lambda changes: changes[0].update(current=None),
        lambda changes: changes.pop(),
        lambda changes: changes.append(changes[-1]),
        lambda changes: changes.append({**changes[-1], "node": "z"}),
    ):
        changed = document()
        tamper(changed["changes"])
        with pytest.raises(PlanIsStale):
            load(json.dumps(changed).encode())


@pytest.mark.parametrize("checksum", ["", "0" * 64, None, 5, [], {}])
def test_another_checksum_is_refused(checksum):
    with pytest.raises(PlanIsStale, match="are not those that the checksum was made of"):
        load(json.dumps(document(checksum=checksum)).encode())


def test_the_order_of_changes_in_the_file_does_not_matter():
    changed = document()
    changed["changes"].reverse()
    assert load(json.dumps(changed).encode()).changes == written_and_read(sample()).changes


def test_a_plan_for_another_api_is_refused():
    raw = json.dumps(document()).encode()
    with pytest.raises(PlanIsStale) as caught:
        load(raw, "https://other.example")
    assert str(caught.value) == f"plan.json was made against {API}, not https://other.example"
    assert caught.value.hint == "Make the plan again, or set HNCTL_API_URL to that address"


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"kind": "hnctl-diff"}, "it is not of this kind or version"),
        ({"kind": None}, "it is not of this kind or version"),
        ({"format_version": 2}, "it is not of this kind or version"),
        ({"format_version": "1"}, "it is not of this kind or version"),
    ],
)
def test_another_kind_or_version_is_refused(changed, why):
    assert refused(document(**changed)) == why


@pytest.mark.parametrize("key", ["kind", "format_version", "changes", "limits", "compared", "fleet_size", "groups"])
def test_a_missing_part_is_named(key):
    changed = document()
    del changed[key]
    assert refused(changed) == f"no {key}"


@pytest.mark.parametrize("key", ["node", "setting", "current", "desired", "secret", "reference"])
def test_a_missing_part_of_a_change_is_named(key):
    changed = document()
    del changed["changes"][2][key]
    assert refused(changed) == f"no {key}"


@pytest.mark.parametrize(
    ("field", "value", "why"),
    [
        ("node", "../x", "'../x' cannot be the name of a node"),
        ("setting", "php_versoin", "there is no setting php_versoin"),
        ("setting", "varnish_secret", "varnish_secret is read-only: a node's token cannot change it"),
        ("secret", True, "php_version is wrongly marked"),
    ],
)
def test_a_change_that_cannot_be_is_refused(field, value, why):
    changed = document()
    changed["changes"][2][field] = value
    assert refused(changed) == why


@pytest.mark.parametrize(
    "changed",
    [
        {"fleet_size": "many"},
        {"fleet_size": None},
        {"fleet_size": float("inf")},
        {"fleet_size": float("nan")},
        {"fleet_size": True},
        {"fleet_size": -1},
        {"rollout": {"max_failures": "0"}},
        {"rollout": {"max_failures": -1}},
        {"rollout": {"max_failures": "all"}},
        {"rollout": {"waves": ["1"]}},
        {"rollout": {"wave": ["100%"]}},
        {"rollout": "100%"},
        {"rollout": None},
        {"order": None},
        {"limits": {"max_nodes": None, "max_changes": -1}},
        {"groups": {"g": "ab"}},
        {"compared": "ab"},
        {"limits": None},
        {"limits": {"max_nodes": "x", "max_changes": None}},
        {"limits": {"max_nodes": "101%", "max_changes": None}},
        {"limits": {"max_nodes": None, "max_changes": "5"}},
        {"limits": {"max_nodes": None, "max_changes": [5]}},
        {"limits": {"max_nodes": None, "max_changes": {}}},
        {"groups": []},
        {"groups": {"g": 5}},
        {"compared": ["../x"]},
        {"compared": 5},
        {"changes": 5},
        {"changes": [5]},
        {"changes": [[]]},
        {"changes": {"a": 1}},
    ],
    ids=str,
)
def test_a_part_of_another_shape_is_refused(changed):
    refused(document(**changed))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"5",
        b'"text"',
        b"\xff\xfe",
        b"\x00",
        b"version: 1",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"9" * 10_000,
        b'{"kind": "hnctl-plan"}',
    ],
    ids=lambda raw: repr(raw[:12]),
)
def test_what_is_no_plan_at_all_is_refused(raw):
    refused(raw)


_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["", "x", "a", "php_version", "8.3", "30%", "hnctl-plan", "env:KEY", "given", "../x", "\ud83d"])
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def loads_or_is_refused(raw: bytes) -> None:
    try:
        plan = load(raw)
    except (FileError, PlanIsStale) as exc:
        assert str(exc)  # noqa: PT017  # either answer is right
        return
    # What was let in has to bear all that is done with a plan.
    try:
        plan.raise_if_unsafe()
    except UnsafePlan as exc:
        assert str(exc)  # noqa: PT017
    json.dumps(planfile.dump(plan, api_url=API))
    assert sum(len(changes) for changes in plan.by_node().values()) == len(plan.changes)
    assert all(isinstance(change.before + change.after, str) for change in plan.changes)


@settings(max_examples=75, deadline=None)
@given(_json | st.binary(max_size=40).map(lambda raw: raw.decode("latin-1")))
def test_any_json_is_a_plan_or_refused_without_a_traceback(value):
    loads_or_is_refused(json.dumps(value).encode())
    loads_or_is_refused(json.dumps({"kind": "hnctl-plan", "format_version": 1, "changes": value}).encode())


def _places(value: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [here] if here else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        found += _places(inner, (*here, key))
    return found


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(_places(document())), _json, st.booleans())
def test_a_good_document_with_any_one_part_replaced_is_a_plan_or_refused_without_a_traceback(place, value, rehash):
    changed = document()
    inner = changed
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    raw = json.dumps(changed).encode()
    loads_or_is_refused(raw)
    if rehash:
        # Somebody who mends the checksum too gets past that check; what comes after it must hold just the same.
        changed = json.loads(raw)
        if isinstance(changed, dict) and (checksum := _mended_checksum(changed)):
            loads_or_is_refused(json.dumps({**changed, "checksum": checksum}).encode())


def _mended_checksum(document: dict[str, Any]) -> str | None:
    """Return the checksum that the changes of a document have, as far as they can be read at all."""
    try:
        facts = sorted(
            [c["node"], c["setting"], c["current"] or "not set", f"(secret {c['reference']})"]
            if c["secret"]
            else [c["node"], c["setting"], *(CATALOGUE[c["setting"]].typed(c[side]) for side in ("current", "desired"))]
            for c in document["changes"]
        )
        return hashlib.sha256(json.dumps(facts, separators=(",", ":")).encode()).hexdigest()
    except (KeyError, TypeError, AttributeError):
        return None


def test_the_checksum_can_be_mended_by_who_can_count():
    assert _mended_checksum(document()) == sample().checksum


@settings(max_examples=75, deadline=None)
@given(st.data())
def test_a_good_document_with_bytes_damaged_is_a_plan_or_refused_without_a_traceback(data):
    raw = json.dumps(document()).encode()
    at = data.draw(st.integers(0, len(raw)))
    cut = data.draw(st.integers(0, 20))
    loads_or_is_refused(raw[:at] + data.draw(st.binary(max_size=4)) + raw[at + cut :])


def test_a_fleet_file_in_place_of_a_plan_is_told_how_to_be_named():
    with pytest.raises(FileError) as caught:
        planfile.load(b"version: 1", CATALOGUE, path="fleet.yaml", api_url=API)
    assert caught.value.problems[0].hint == "A fleet file is named with -f: hnctl apply -f fleet.yaml"
