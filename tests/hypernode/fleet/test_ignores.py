"""`ignore` in the fleet file: entries with a reason and a last day, and what they take out of the wishes."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import CATALOGUE, OPEN

from hypernode.errors import FileError
from hypernode.fleet.compare import desired_of
from hypernode.fleet.ignores import Ignore
from hypernode.fleet.spec import Fleet, parse
from hypernode.secrets import Reference, Secret

TODAY = date(2026, 11, 25)
FLEET = """\
version: 1
defaults: {settings: {php_version: 8.3, varnish_enabled: true}}
groups: {magento: , other: }
nodes: {kaasshop: {groups: [magento]}, bigshop: {groups: [magento, other]}, bare: }
ignore:
"""
GOOD = "node: kaasshop, setting: php_version, reason: ticket 42, until: 2026-12-31"


def fleet(*entries: str, today: date = TODAY) -> Fleet:
    text = FLEET + "".join(f"- {{{entry}}}\n" for entry in entries)
    return parse(text.encode(), CATALOGUE, today=today)


def problem(*entries: str, today: date = TODAY) -> str:
    with pytest.raises(FileError) as caught:
        fleet(*entries, today=today)
    assert len(caught.value.problems) == 1
    return str(caught.value)


def no_secret(reference: Reference) -> Secret:
    raise AssertionError(reference)


def test_an_entry_keeps_its_reason_and_its_last_day():
    assert fleet(GOOD).ignored("kaasshop") == {
        "php_version": Ignore("php_version", "ticket 42", date(2026, 12, 31)),
    }
    assert fleet(GOOD).ignored("bigshop") == {}


def test_an_entry_for_a_group_counts_for_its_nodes_and_a_nodes_own_wins():
    made = fleet("group: magento, setting: php_version, reason: all of them, until: 2027-01-31", GOOD)
    reasons = {node: [entry.reason for entry in made.ignored(node).values()] for node in made.nodes}
    assert reasons == {"kaasshop": ["ticket 42"], "bigshop": ["all of them"], "bare": []}


def test_what_is_ignored_is_no_wish_and_is_told():
    desired = desired_of(fleet(GOOD), ["kaasshop", "bigshop", "bare"], no_secret)
    assert desired.values["kaasshop"] == {"varnish_enabled": True}
    assert desired.values["bigshop"] == {"php_version": "8.3", "varnish_enabled": True}
    assert desired.values["bare"] == desired.values["bigshop"]
    assert desired.ignored == {"kaasshop": ("php_version",)}


def test_the_secret_of_an_ignored_setting_is_not_fetched():
    text = "version: 1\nnodes: {shop: {settings: {new_relic_secret: 'cmd:false'}}}\nignore:\n"
    text += "- {node: shop, setting: new_relic_secret, reason: x, until: 2026-12-31}"
    desired = desired_of(parse(text.encode(), CATALOGUE, today=TODAY), ["shop"], no_secret)
    assert desired.values == {"shop": {}}


def test_what_the_file_has_no_value_for_is_not_counted():
    entry = "node: kaasshop, setting: mysql_version, reason: x, until: 2026-12-31"
    assert desired_of(fleet(entry), ["kaasshop"], no_secret).ignored == {}


@pytest.mark.parametrize(("days", "good"), [(-1, True), (0, True), (1, False)])
def test_the_last_day_counts_and_the_next_does_not(days: int, good: bool):
    today = date(2026, 12, 31) + timedelta(days=days)
    if good:
        assert fleet(GOOD, today=today).ignored("kaasshop")
    else:
        assert problem(GOOD, today=today) == (
            "fleet.yaml:6:68: the entry for kaasshop php_version has expired on 2026-12-31: renew it or take it out"
        )


def test_an_expired_entry_for_a_group_names_the_group():
    entry = "group: magento, setting: php_version, reason: x, until: 2020-02-29"
    assert "the entry for group magento php_version has expired on 2020-02-29" in problem(entry)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (GOOD.replace("kaasshop", "kaashop"), "6:10: there is no node kaashop\n  hint: Did you mean kaasshop?"),
        (
            GOOD.replace("node: kaasshop", "group: magneto"),
            "6:11: there is no group magneto\n  hint: Did you mean magento?",
        ),
        (
            GOOD.replace("php_version", "php_versoin"),
            "6:29: there is no setting php_versoin\n  hint: Did you mean php_version?",
        ),
        (GOOD + ", group: magento", "6:3: an entry of ignore needs either node or group"),
        ("setting: php_version", "6:3: an entry of ignore needs either node or group, reason, until"),
        ("node: kaasshop, reason: x", "6:3: an entry of ignore needs setting, until"),
        (GOOD.replace("ticket 42", "''"), "6:50: reason must not be empty"),
        (GOOD.replace("ticket 42", "' '"), "6:50: reason must not be empty"),
        (GOOD.replace("ticket 42", "~"), "6:50: reason must not be empty"),
        (GOOD.replace("kaasshop", "[kaasshop]"), "6:10: node must have a single value"),
        (GOOD.replace("2026-12-31", "2026-02-30"), "6:68: until must be a day, such as 2026-12-31"),
        (GOOD.replace("2026-12-31", "20261231"), "6:68: until must be a day, such as 2026-12-31"),
        (
            GOOD.replace("reason", "raison"),
            "6:42: unknown key raison in an entry of ignore\n  hint: Did you mean reason?",
        ),
    ],
)
def test_a_wrong_entry_is_told_with_its_place(entry: str, message: str):
    with pytest.raises(FileError) as caught:
        fleet(entry)
    assert f"fleet.yaml:{message}" in str(caught.value)


def test_a_setting_that_is_ignored_twice_is_told():
    assert problem(GOOD, GOOD) == (
        "fleet.yaml:7:3: php_version of node kaasshop is ignored twice; the first is on line 6"
    )


def test_ignore_is_a_list():
    with pytest.raises(FileError, match="5:9: ignore must be a list"):
        parse(f"{FLEET.rstrip()} {{{GOOD}}}".encode(), CATALOGUE, today=TODAY)


@settings(max_examples=40, deadline=None)
@given(st.sets(st.sampled_from([setting.name for setting in OPEN[:6]])), st.sampled_from(["node: shop", "group: g"]))
def test_ignoring_takes_away_just_what_it_names(names: set[str], place: str):
    plain = (
        "version: 1\ngroups: {g: {settings: {php_version: 8.3, varnish_enabled: on}}}\nnodes: {shop: {groups: [g]}}\n"
    )
    entries = "".join(f"- {{{place}, setting: {name}, reason: x, until: 2026-12-31}}\n" for name in sorted(names))
    made = parse((plain + "ignore:\n" + entries).encode(), CATALOGUE, today=TODAY)
    wished = {"php_version": "8.3", "varnish_enabled": True}
    desired = desired_of(made, ["shop"], no_secret)
    assert desired.values["shop"] == {name: value for name, value in wished.items() if name not in names}
    assert set(desired.ignored.get("shop", ())) == names & wished.keys()
