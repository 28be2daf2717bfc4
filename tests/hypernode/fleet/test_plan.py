from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import CANARY, CATALOGUE, OPEN, Drawn, fleets, texts

from hypernode.catalogue import Risk
from hypernode.errors import InputError, UnsafePlan
from hypernode.fleet import planfile
from hypernode.fleet.plan import Change, Confirmation, Plan, make_plan, parse_confirmation
from hypernode.fleet.shares import Share
from hypernode.fleet.spec import Limits
from hypernode.secrets import Secret

CASES = sorted(Path(__file__).with_name("cases").glob("*.yaml"))


def plan_of(drawn: Drawn, **more: Any) -> Plan:
    return make_plan(drawn.answers, drawn.desired, CATALOGUE, references=drawn.references, **more)


def plain(value: Any) -> Any:
    return value.reveal() if isinstance(value, Secret) else value


# Cases from files: current, desired and the changes expected, a case to a file.


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_the_plan_of_each_case_is_the_one_that_its_file_expects(path):
    case = yaml.safe_load(path.read_text())
    assert case["about"].endswith(".")
    desired = {
        node: {
            name: Secret(value) if CATALOGUE[name].secret and value is not None else value
            for name, value in wishes.items()
        }
        for node, wishes in case["desired"].items()
    }
    references = {Secret(text): reference for text, reference in case.get("references", {}).items()}
    plan = make_plan(case["current"], desired, CATALOGUE, references=references)
    # As JSON, since True equals 1 for Python.
    assert [json.dumps(told(change)) for change in plan.changes] == [
        json.dumps({"secret": False, "hazards": [], **expected}, sort_keys=True) for expected in case["changes"]
    ]
    if "compared" in case:
        assert list(plan.compared) == case["compared"]
        assert plan.fleet_size == case["fleet_size"]


def told(change: Change) -> dict[str, Any]:
    return {
        "current": change.before if change.secret else change.current,
        "desired": change.after if change.secret else change.desired,
        "hazards": list(change.hazards),
        "node": change.node,
        "secret": change.secret,
        "setting": change.setting,
    }


def test_there_are_cases():
    assert len(CASES) >= 12


# Laws, against plain data


@settings(max_examples=75, deadline=None)
@given(fleets())
def test_a_plan_gives_every_node_its_wished_settings_and_touches_nothing_else(drawn):
    after = {node: dict(values) for node, values in drawn.plain.items()}
    for change in plan_of(drawn).changes:
        after[change.node].pop(change.setting, None)
        if change.desired is not None:
            after[change.node][change.setting] = plain(change.desired)
    expected = {}
    for node, before in drawn.plain.items():
        laid = {**before, **drawn.wished.get(node, {})}
        expected[node] = {name: value for name, value in laid.items() if value is not None}
    assert json.dumps(after, sort_keys=True) == json.dumps(expected, sort_keys=True)


@settings(max_examples=75, deadline=None)
@given(fleets())
def test_a_change_is_planned_exactly_where_the_plain_sides_differ(drawn):
    found = {(c.node, c.setting): (plain(c.current), plain(c.desired)) for c in plan_of(drawn).changes}
    expected = {
        (node, name): (drawn.plain[node].get(name), value)
        for node, wishes in drawn.wished.items()
        for name, value in wishes.items()
        if (drawn.plain[node].get(name), type(drawn.plain[node].get(name))) != (value, type(value))
    }
    assert found == expected
    assert all(change.current != change.desired for change in plan_of(drawn).changes)


@settings(max_examples=100, deadline=None)
@given(fleets(), st.randoms(use_true_random=False))
def test_planning_ignores_the_order_of_its_inputs_and_the_result_is_sorted(drawn, random):
    def shuffled(mapping: dict[str, Any]) -> dict[str, Any]:
        items = list(mapping.items())
        random.shuffle(items)
        return {key: shuffled(value) if isinstance(value, dict) else value for key, value in items}

    groups = {"g": list(drawn.wished), "h": list(drawn.wished)[:1]}
    plan = plan_of(drawn, groups=groups)
    other = make_plan(
        shuffled(drawn.answers),
        shuffled(drawn.desired),
        CATALOGUE,
        references=dict(reversed(drawn.references.items())),
        groups={"h": groups["h"], "g": groups["g"][::-1]},
    )
    assert other == plan
    assert other.checksum == plan.checksum
    places = [(change.node, change.setting) for change in plan.changes]
    assert places == sorted(set(places))
    assert list(plan.compared) == sorted(drawn.wished)


@settings(max_examples=100, deadline=None)
@given(fleets(settings=OPEN), st.data())
def test_what_is_planned_for_one_setting_does_not_hang_on_the_others(drawn, data):
    for node, wishes in drawn.wished.items():
        for name, value in wishes.items():
            # What Python takes for equal, and JSON tells apart.
            twins = [float(value), int(value)] if isinstance(value, int) else [value]
            if data.draw(st.booleans()):
                drawn.answers[node][name] = data.draw(st.sampled_from([*twins, True, 0, "1", None, []]))
    together = {(change.node, change.setting): change for change in plan_of(drawn).changes}
    apart = {}
    for node, wishes in drawn.desired.items():
        for name, value in wishes.items():
            for change in make_plan({node: drawn.answers[node]}, {node: {name: value}}, CATALOGUE).changes:
                apart[node, name] = change
    assert together == apart


@settings(max_examples=100, deadline=None)
@given(fleets())
def test_a_plan_knows_its_nodes_and_the_changes_of_each(drawn):
    plan = plan_of(drawn)
    by_node = plan.by_node()
    assert [change for changes in by_node.values() for change in changes] == list(plan.changes)
    assert tuple(by_node) == plan.nodes
    assert all(change.node == node for node, changes in by_node.items() for change in changes)
    assert set(plan.hazardous) == {change for change in plan.changes if change.hazards}


# The checksum


@settings(max_examples=75, deadline=None)
@given(fleets(), fleets())
def test_checksums_are_equal_exactly_when_the_changes_are_told_alike(one, other):
    def facts(drawn: Drawn) -> str:
        return json.dumps([told(change) for change in plan_of(drawn).changes])

    assert (plan_of(one).checksum == plan_of(other).checksum) == (facts(one) == facts(other))


@settings(max_examples=100, deadline=None)
@given(fleets(settings=OPEN), st.data())
def test_the_checksum_differs_when_any_side_differs(drawn, data):
    plan = plan_of(drawn)
    if not plan.changes:
        return
    at = data.draw(st.integers(0, len(plan.changes) - 1))
    change = plan.changes[at]
    setting = CATALOGUE[change.setting]
    side = data.draw(st.sampled_from(["current", "desired", "node", "setting"]))
    new = {
        "current": st.none() | texts(setting),
        "desired": st.none() | texts(setting),
        "node": st.just(change.node + "x"),
        "setting": st.sampled_from([s.name for s in OPEN]),
    }[side]
    value = data.draw(new)
    changed = replace(change, **{side: value})
    other = replace(plan, changes=(*plan.changes[:at], changed, *plan.changes[at + 1 :]))
    assert (other.checksum == plan.checksum) == (value == getattr(change, side))


def test_the_checksum_is_the_same_on_every_day_and_machine():
    plan = make_plan({"shop": {"php_version": "8.2"}}, {"shop": {"php_version": "8.3"}}, CATALOGUE)
    # sha256 of [["shop","php_version","8.2","8.3"]]
    assert plan.checksum == "b7ab14403010fe414adcb4ed46febfaf255df09e9f9f88be99f5566b23838fc0"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("varnish_enabled", True), ("varnish_enabled", "true")),
        (("mysql_long_query_time", 5), ("mysql_long_query_time", "5")),
        (("new_relic_app_name", None), ("new_relic_app_name", "not set")),
        (("new_relic_app_name", None), ("new_relic_app_name", "")),
        (("new_relic_app_name", "a"), ("tideways_env_name", "a")),
    ],
)
def test_the_checksum_tells_values_apart_that_read_alike(one, other):
    plans = [Plan((Change("shop", name, "was", value),), ("shop",), 1) for name, value in (one, other)]
    assert plans[0].checksum != plans[1].checksum


def test_the_checksum_of_a_secret_change_is_that_of_its_reference():
    def checksum(now: str | None, wished: str, reference: str) -> str:
        plan = make_plan(
            {"shop": {"new_relic_secret": now}},
            {"shop": {"new_relic_secret": Secret(wished)}},
            CATALOGUE,
            references={Secret(wished): reference},
        )
        return plan.checksum

    assert checksum("a", "b", "env:X") == checksum("c", "d", "env:X")
    assert checksum("a", "b", "env:X") != checksum("a", "b", "env:Y")
    assert checksum("a", "b", "env:X") != checksum(None, "b", "env:X")


def test_the_checksum_says_nothing_of_limits_and_groups():
    current, desired = {"shop": {"php_version": "8.2"}}, {"shop": {"php_version": "8.3"}}
    plain_one = make_plan(current, desired, CATALOGUE)
    other = make_plan(current, desired, CATALOGUE, limits=Limits(Share(0), 0), groups={"g": ["shop"]}, fleet_size=9)
    assert plain_one.checksum == other.checksum


# Secrets


@settings(max_examples=100, deadline=None)
@given(fleets())
def test_no_secret_is_in_the_plan_its_file_its_texts_or_its_refusal(drawn):
    plan = plan_of(drawn, limits=Limits(Share(0), 0), groups={"g": list(drawn.wished)})
    shown = [repr(plan), str(plan), json.dumps(planfile.dump(plan, api_url="https://api.hypernode.com"))]
    shown += [text for change in plan.changes for text in (change.before, change.after, repr(change), str(change))]
    try:
        plan.raise_if_unsafe([Confirmation("all", "new_relic_secret", 99)])
    except UnsafePlan as exc:
        shown += [str(exc), repr(exc), repr(exc.reasons)]
    assert not [text for text in shown if CANARY in text]


def test_a_secret_that_was_typed_in_says_so():
    plan = make_plan({"a": {}}, {"a": {"new_relic_secret": Secret("canary-x")}}, CATALOGUE)
    assert (plan.changes[0].before, plan.changes[0].after) == ("not set", "(secret given)")


def test_a_secret_that_is_no_proper_text_is_compared_like_any_other():
    # JSON can spell half a surrogate pair, and so can a variable of the environment that is not UTF-8.
    plan = make_plan(
        {"shop": {"new_relic_secret": json.loads('"\\ud83d"')}},
        {"shop": {"new_relic_secret": Secret("canary-x")}},
        CATALOGUE,
    )
    assert len(plan.changes) == 1


# What a change tells


@pytest.mark.parametrize(
    ("change", "before", "after"),
    [
        (Change("a", "php_version", "8.2", "8.3"), "8.2", "8.3"),
        (Change("a", "varnish_enabled", False, True), "false", "true"),
        (Change("a", "varnish_http_max_hdr", None, 64), "not set", "64"),
        (Change("a", "new_relic_app_name", "x", None), "x", "not set"),
        (Change("a", "new_relic_secret", Secret("c"), Secret("d"), "env:X"), "(secret)", "(secret env:X)"),
        (Change("a", "new_relic_secret", Secret("c"), None), "(secret)", "not set"),
        (Change("a", "new_relic_secret", None, Secret("d"), "env:X"), "not set", "(secret env:X)"),
    ],
)
def test_a_change_shows_both_sides_as_a_person_reads_them(change, before, after):
    assert (change.before, change.after) == (before, after)


@pytest.mark.parametrize(
    ("current", "now", "moved"),
    [
        ("8.2", "8.2", False),
        ("8.2", "8.1", True),
        ("8.2", None, True),
        (None, None, False),
        (None, "8.2", True),
        (True, False, True),
        (Secret("a"), Secret("a"), False),
        (Secret("a"), Secret("b"), True),
        (Secret("a"), None, True),
        (None, Secret("a"), True),
        (Secret(""), Secret("a"), False),  # from a plan file, which kept only that something was set
        (Secret(""), None, True),
    ],
)
def test_a_change_knows_whether_the_node_moved_since(current, now, moved):
    assert Change("a", "x", current, Secret("z") if isinstance(current, Secret) else "z").moved_to(now) is moved


# Limits


def change(node: str, setting: str = "varnish_enabled", *, risk: bool = False) -> Change:
    return Change(node, setting, False, True, risk=CATALOGUE[setting].risk if risk else Risk())


def plan_with(nodes: int, each: int = 1, *, of: int = 10, limits: Limits) -> Plan:
    names = [setting.name for setting in OPEN if setting.type == "boolean"][:each]
    changes = tuple(change(f"n{n}", name) for n in range(nodes) for name in names)
    return Plan(changes, tuple(f"n{n}" for n in range(of)), of, limits)


def reasons(plan: Plan, *confirmations: str, force: bool = False) -> list[tuple[str, str]]:
    try:
        plan.raise_if_unsafe([parse_confirmation(text) for text in confirmations], force=force)
    except UnsafePlan as exc:
        return list(exc.reasons)
    return []


@pytest.mark.parametrize(
    ("share", "of", "within"),
    [
        (Share(3), 10, 3),
        (Share(0), 10, 0),
        (Share(30, True), 5, 1),  # one and a half: one node is within it, two are not
        (Share(30, True), 10, 3),
        (Share(33, True), 3, 0),
        (Share(34, True), 3, 1),
        (Share(50, True), 5, 2),
        (Share(100, True), 7, 7),
        (Share(0, True), 7, 0),
        (Share(29, True), 100, 29),  # 0.29 * 100 is less than 29 for a float
        (Share(1, True), 99, 0),
        (Share(1, True), 100, 1),
    ],
)
def test_max_nodes_is_held_at_and_below_its_share_and_not_above(share, of, within):
    for nodes in (within - 1, within, within + 1):
        if not 0 <= nodes <= of:
            continue
        expected = [
            (
                f"it changes {nodes} of {of} nodes; limits.max_nodes is {share}",
                "--force allows it",
            )
        ]
        assert reasons(plan_with(nodes, of=of, limits=Limits(share))) == (expected if nodes > within else [])


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 100), st.integers(0, 10_000))
def test_a_percentage_is_exact(percent, total):
    share = Share(percent, True).of(total)
    assert share == Fraction(percent, 100) * total
    assert not isinstance(share, float)


@pytest.mark.parametrize(("changes", "refused"), [(5, False), (6, False), (7, True)])
def test_max_changes_is_held_below_and_at_its_number_and_not_above(changes, refused):
    plan = plan_with(1, changes, limits=Limits(max_changes=6))
    expected = [(f"it holds {changes} changes; limits.max_changes is 6", "--force allows it")]
    assert reasons(plan) == (expected if refused else [])


def test_no_limit_is_no_limit():
    assert reasons(plan_with(10, 20, limits=Limits())) == []


def test_max_nodes_counts_nodes_and_max_changes_counts_changes():
    assert reasons(plan_with(1, 7, limits=Limits(Share(1)))) == []
    assert reasons(plan_with(7, 1, limits=Limits(max_changes=7))) == []


def test_a_percentage_is_taken_of_the_whole_fleet_and_not_of_what_was_read():
    desired = {f"n{n}": {"php_version": "8.3"} for n in range(10)}
    current = {f"n{n}": {"php_version": "8.2"} for n in range(3)}
    plan = make_plan(current, desired, CATALOGUE, limits=Limits(Share(30, True)))
    assert (plan.fleet_size, len(plan.nodes)) == (10, 3)
    assert reasons(plan) == []
    assert len(reasons(make_plan(current, desired, CATALOGUE, limits=Limits(Share(30, True)), fleet_size=9))) == 1


def test_force_goes_beyond_both_limits():
    plan = plan_with(5, 2, limits=Limits(Share(1), 1))
    assert len(reasons(plan)) == 2
    assert reasons(plan, force=True) == []


# Confirmations


def risky(*pairs: tuple[str, str], groups: dict[str, tuple[str, ...]] | None = None, limits: Limits = Limits()) -> Plan:  # noqa: B008  # frozen
    new = {"mysql_version": ("5.7", "8.0"), "password_auth": (True, False), "varnish_enabled": (False, True)}
    changes = tuple(
        Change(node, name, *new.get(name, ("a", "b")), risk=CATALOGUE[name].risk) for node, name in sorted(pairs)
    )
    nodes = tuple(sorted({node for node, _ in pairs}))
    return Plan(changes, nodes, len(nodes), limits, groups or {})


ONE = risky(("shop", "mysql_version"))
THREE = risky(
    ("a", "mysql_version"), ("b", "mysql_version"), ("c", "mysql_version"), groups={"ab": ("a", "b"), "c": ("c",)}
)


def test_one_hazardous_change_is_refused_with_the_very_flag_that_allows_it():
    assert reasons(ONE) == [
        (
            "shop: mysql_version 5.7 -> 8.0 is irreversible: MySQL cannot be downgraded once it is upgraded.",
            "--confirm shop:mysql_version allows it",
        )
    ]
    assert reasons(ONE, "shop:mysql_version") == []


def test_many_are_refused_together_with_the_very_flag_that_allows_them():
    assert reasons(THREE) == [
        (
            "mysql_version on 3 nodes is irreversible: MySQL cannot be downgraded once it is upgraded.",
            "--confirm all:mysql_version=3 allows it",
        )
    ]
    assert reasons(THREE, "all:mysql_version=3") == []


def test_the_flag_for_the_rest_counts_what_all_would_hit_and_so_works():
    ((_, allow),) = reasons(THREE, "a:mysql_version")
    flag = allow.removeprefix("--confirm ").removesuffix(" allows it")
    assert reasons(THREE, "a:mysql_version", flag) == []
    assert reasons(THREE, flag) == []


@pytest.mark.parametrize(
    ("confirmations", "allowed"),
    [
        (["a:mysql_version", "b:mysql_version", "c:mysql_version"], True),
        (["ab:mysql_version=2", "c:mysql_version"], True),
        (["ab:mysql_version=2", "c:mysql_version=1"], True),
        (["ab:mysql_version=2"], False),
        (["a:mysql_version", "b:mysql_version"], False),
        (["a:password_auth", "b:mysql_version", "c:mysql_version"], False),
        (["all:mysql_version=2"], False),
        (["all:mysql_version=4"], False),
        (["all:mysql_version=0"], False),
        (["all:mysql_version=3", "ab:mysql_version=3"], False),
        (["ab:mysql_version"], False),  # without a count it is a node's name
        (["unheard:mysql_version=3"], False),
        (["a:mysql_version=1", "b:mysql_version", "c:mysql_version"], False),  # with a count it is a group's
    ],
)
def test_every_hazardous_change_needs_a_confirmation_that_covers_it(confirmations, allowed):
    assert (reasons(THREE, *confirmations) == []) is allowed


@pytest.mark.parametrize(
    ("flag", "reason", "allow"),
    [
        ("all:mysql_version=2", "--confirm all:mysql_version=2 hits 3 nodes", "--confirm all:mysql_version=3"),
        ("all:mysql_version=4", "--confirm all:mysql_version=4 hits 3 nodes", "--confirm all:mysql_version=3"),
        ("ab:mysql_version=3", "--confirm ab:mysql_version=3 hits 2 nodes", "--confirm ab:mysql_version=2"),
        ("c:mysql_version=2", "--confirm c:mysql_version=2 hits 1 node", "--confirm c:mysql_version=1"),
        ("ab:password_auth=2", "--confirm ab:password_auth=2 hits 0 nodes", "--confirm ab:password_auth=0"),
    ],
)
def test_a_wrong_count_is_refused_with_the_right_one(flag, reason, allow):
    assert (reason, allow) in reasons(THREE, flag)
    assert (reason, allow) in reasons(THREE, flag, "a:mysql_version", "b:mysql_version", "c:mysql_version")


def test_a_count_of_anything_is_right_when_there_is_nothing_left_to_do():
    # The same command again, after all is done, must not fail.
    assert reasons(risky(), "all:mysql_version=3") == []


def test_a_confirmation_covers_only_its_own_setting_and_node():
    plan = risky(("a", "mysql_version"), ("a", "password_auth"), ("b", "mysql_version"))
    assert [allow for _, allow in reasons(plan)] == [
        "--confirm all:mysql_version=2 allows it",
        "--confirm a:password_auth allows it",
    ]
    assert [allow for _, allow in reasons(plan, "a:mysql_version")] == [
        "--confirm b:mysql_version allows it",
        "--confirm a:password_auth allows it",
    ]


def test_force_confirms_nothing():
    assert reasons(ONE, force=True) == reasons(ONE)
    assert reasons(THREE, "all:mysql_version=2", force=True) == reasons(THREE, "all:mysql_version=2")


def test_each_condition_stands_alone_and_all_are_told_at_once():
    plan = risky(("a", "mysql_version"), ("b", "password_auth"), ("b", "varnish_enabled"), limits=Limits(Share(1), 2))
    assert reasons(plan, "all:mysql_version=9") == [
        ("it changes 2 of 2 nodes; limits.max_nodes is 1", "--force allows it"),
        ("it holds 3 changes; limits.max_changes is 2", "--force allows it"),
        ("--confirm all:mysql_version=9 hits 1 node", "--confirm all:mysql_version=1"),
        (
            "b: password_auth true -> false may lock people out: "
            "People without a key on the node can no longer log in.",
            "--confirm b:password_auth allows it",
        ),
    ]
    assert len(reasons(plan, "a:mysql_version", "b:password_auth")) == 2
    assert len(reasons(plan, "a:mysql_version", force=True)) == 1
    assert reasons(plan, "a:mysql_version", "b:password_auth", force=True) == []


def test_the_refusal_reads_as_a_list():
    with pytest.raises(UnsafePlan) as caught:
        plan_with(2, limits=Limits(Share(1))).raise_if_unsafe()
    assert str(caught.value) == (
        "refused as unsafe:\n  - it changes 2 of 10 nodes; limits.max_nodes is 1\n    --force allows it"
    )


def test_the_direction_decides_whether_a_change_is_hazardous():
    def hazards(setting: str, now: Any, wished: Any) -> tuple[str, ...]:
        (found,) = make_plan({"a": {setting: now}}, {"a": {setting: wished}}, CATALOGUE).changes
        return found.hazards

    assert hazards("password_auth", True, False) == ("locks_out",)
    assert hazards("password_auth", False, True) == ()
    assert hazards("openvpn_enabled", True, False) == ("destroys_data",)
    assert hazards("openvpn_enabled", False, True) == ()
    assert hazards("password_auth", True, None) == ("locks_out",)
    assert hazards("mysql_version", "5.7", "8.0") == ("irreversible",)
    assert hazards("valkey_enabled", True, False) == ("destroys_data",)


@settings(max_examples=100, deadline=None)
@given(
    fleets(
        settings=tuple(CATALOGUE[n] for n in ("mysql_version", "password_auth", "openvpn_enabled", "mailhog_enabled"))
    )
)
def test_confirming_each_hazardous_change_is_exactly_what_a_plan_needs(drawn):
    plan = plan_of(drawn)
    each = [f"{change.node}:{change.setting}" for change in plan.hazardous]
    assert reasons(plan, *each) == []
    assert bool(reasons(plan)) is bool(plan.hazardous)
    for left_out in range(len(each)):
        assert len(reasons(plan, *each[:left_out], *each[left_out + 1 :])) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("shop:mysql_version", Confirmation("shop", "mysql_version")),
        ("shop-eph12ab:mysql_version", Confirmation("shop-eph12ab", "mysql_version")),
        ("magento:mysql_version=12", Confirmation("magento", "mysql_version", 12)),
        ("all:mysql_version=1", Confirmation("all", "mysql_version", 1)),
    ],
)
def test_a_confirmation_reads_back_from_its_text(text, expected):
    assert parse_confirmation(text) == expected
    assert str(expected) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "shop",
        "shop:",
        ":mysql_version",
        "all:mysql_version",
        "a:b=",
        "a:b=x",
        "a:b=-1",
        "a:b:c",
        "a b:c",
        "a:B",
        "a:b\n",
    ],
)
def test_what_confirms_nothing_is_refused_with_how_to_write_it(text):
    with pytest.raises(InputError) as caught:
        parse_confirmation(text)
    assert caught.value.message == f"{text!r} confirms nothing"
    assert caught.value.hint == "Write NODE:SETTING, or GROUP:SETTING=COUNT or all:SETTING=COUNT for many nodes"


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=30) | st.text("al:b=19_-", max_size=12))
def test_any_text_is_a_confirmation_or_an_input_error(text):
    try:
        assert str(parse_confirmation(text)).partition("=")[0] == text.partition("=")[0]
    except InputError as exc:
        assert exc.hint  # noqa: PT017  # either answer is right


def test_groups_are_narrowed_to_what_changes():
    current = {node: {"php_version": "8.2" if node in "ab" else "8.3"} for node in "abc"}
    plan = make_plan(
        current, {n: {"php_version": "8.3"} for n in "abc"}, CATALOGUE, groups={"g": ["c", "b", "a"], "rest": ["c"]}
    )
    assert plan.groups == {"g": ("a", "b")}
