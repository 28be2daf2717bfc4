"""Allowlists in the fleet file: read with their comments, laid over each other, compared by meaning, planned."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypernode.allowlists import Entries
from hypernode.catalogue import Catalogue
from hypernode.errors import FileError, UnsafePlan
from hypernode.fleet.compare import desired_of
from hypernode.fleet.plan import Plan, make_plan, parse_confirmation
from hypernode.fleet.planfile import dump, load
from hypernode.fleet.spec import Fleet, parse
from hypernode.secrets import Reference, Secret

CATALOGUE = Catalogue.bundled()


def read(text: str) -> Fleet:
    return parse(f"version: 1\n{text}".encode(), CATALOGUE)


def wished(text: str, node: str = "shop") -> dict[str, Any]:
    return {name: dict(wish.value) for name, wish in read(text).resolve(node).items() if wish.value}  # type: ignore[call-overload]


def no_secret(reference: Reference) -> Secret:
    raise AssertionError(reference)


def plan_for(text: str, **live: dict[str, str]) -> Plan:
    desired = desired_of(read(text), ["shop"], no_secret)
    current = {"shop": {f"allowlist.{kind}": entries for kind, entries in live.items()}}
    return make_plan(current, desired.values, CATALOGUE, exact=desired.exact)


def problems(text: str) -> list[tuple[int, int, str]]:
    with pytest.raises(FileError) as caught:
        read(text)
    return [(problem.line, problem.column, problem.message) for problem in caught.value.problems]


def test_addresses_are_read_in_one_spelling_with_the_comments_behind_them():
    text = """\
nodes:
  shop:
    allowlist:
      database:
        - 192.0.2.9/32     # office
        - 2001:DB8:0::1    #   home, "Anna"
        - 198.51.100.0/24
      ftp: [203.0.113.5, 203.0.113.6]  # not of one of them
      waf: [
        203.0.113.7,  # monitoring
        203.0.113.8]
"""
    assert wished(text) == {
        "allowlist.database": {"192.0.2.9": "office", "198.51.100.0/24": "", "2001:db8::1": 'home, "Anna"'},
        "allowlist.ftp": {"203.0.113.5": "", "203.0.113.6": ""},
        "allowlist.waf": {"203.0.113.7": "monitoring", "203.0.113.8": ""},
    }


def test_later_layers_win_by_type_and_null_lifts():
    text = """\
defaults: {allowlist: {database: [192.0.2.1], ftp: [192.0.2.2], waf: [192.0.2.3]}}
groups: {a: {allowlist: {database: [192.0.2.4]}}}
nodes: {shop: {groups: [a], allowlist: {ftp: null}}, other: {}}
"""
    assert wished(text) == {"allowlist.database": {"192.0.2.4": ""}, "allowlist.waf": {"192.0.2.3": ""}}
    assert wished(text, "other")["allowlist.ftp"] == {"192.0.2.2": ""}


def test_the_last_layer_that_says_a_mode_wins():
    text = """\
defaults: {allowlist_mode: exact}
groups: {a: {allowlist_mode: add}}
nodes: {shop: {groups: [a]}, other: {}, third: {groups: [a], allowlist_mode: exact}}
"""
    fleet = read(text)
    assert [fleet.is_exact(node) for node in fleet.nodes] == [False, True, True]
    assert not read("nodes: {shop: {}}").is_exact("shop")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nodes: {shop: {allowlist: {databse: [192.0.2.9]}}}", "there is no allowlist of type databse"),
        ("nodes: {shop: {allowlist: {database: 192.0.2.9}}}", "the allowlist of database must be a list of addresses"),
        ("nodes: {shop: {allowlist: {database: [office]}}}", "office is no address"),
        ("nodes: {shop: {allowlist: {database: [192.0.2.9/24]}}}", "192.0.2.9/24 is not the start of a range"),
        (
            "nodes: {shop: {allowlist: {database: [192.0.2.9, 192.0.2.9/32]}}}",
            "192.0.2.9/32 stands twice in the allowlist of database",
        ),
        ("nodes: {shop: {allowlist: [192.0.2.9]}}", "the allowlist of node shop must be a mapping of names to values"),
        ("nodes: {shop: {allowlist_mode: strict}}", "allowlist_mode must be add or exact"),
        (
            "nodes: {shop: {via: ssh, allowlist: {database: [192.0.2.9]}}}",
            "allowlist.database cannot be managed on shop, which is reached via: ssh",
        ),
    ],
)
def test_a_mistake_is_told_with_its_place(text: str, expected: str):
    ((line, _, message),) = problems(text)
    assert (line, message) == (2, expected)


def test_all_mistakes_are_told_at_once():
    assert len(problems("nodes: {shop: {allowlist: {database: [a, b], x: [], ssh: 3}, allowlist_mode: y}}")) == 5


TEXT = "nodes: {shop: {allowlist: {database: [192.0.2.9, 198.51.100.0/24]}}}"


def test_what_is_there_in_another_spelling_is_no_difference():
    there = {"192.0.2.9/32": "x", "198.51.100.0/24": "", "203.0.113.5": "somebody else's"}
    assert plan_for(TEXT, database=there).changes == ()


def test_what_is_missing_is_added_and_the_rest_stays():
    (change,) = plan_for(TEXT, database={"192.0.2.9": "", "203.0.113.5": "x"}).changes
    assert (change.node, change.setting) == ("shop", "allowlist.database")
    assert change.desired == {"192.0.2.9": "", "198.51.100.0/24": "", "203.0.113.5": "x"}
    assert (change.before, change.after) == ("2 entries", "3 entries: +198.51.100.0/24")
    assert change.hazards == ()


def test_only_in_exact_mode_what_is_not_listed_is_removed():
    text = TEXT.replace("allowlist:", "allowlist_mode: exact, allowlist:")
    (change,) = plan_for(text, database={"192.0.2.9": "", "203.0.113.5": "x"}).changes
    assert change.after == "2 entries: +198.51.100.0/24 -203.0.113.5"
    (emptied,) = plan_for("nodes: {shop: {allowlist_mode: exact, allowlist: {ftp: []}}}", ftp={"192.0.2.9": ""}).changes
    assert (emptied.before, emptied.after) == ("1 entry", "no entries: -192.0.2.9")
    assert plan_for("nodes: {shop: {allowlist: {ftp: []}}}", ftp={"192.0.2.9": ""}).changes == ()


def test_the_first_entry_of_ssh_needs_a_confirmation_of_its_own():
    plan = plan_for("nodes: {shop: {allowlist: {ssh: [192.0.2.9]}}}", ssh={})
    with pytest.raises(UnsafePlan, match="the first entry of ssh closes SSH for everybody else"):
        plan.raise_if_unsafe(force=True)
    plan.raise_if_unsafe([parse_confirmation("shop:allowlist.ssh")])
    plan.raise_if_unsafe([parse_confirmation("all:allowlist.ssh=1")])


def test_a_further_entry_of_ssh_needs_none_and_the_removal_of_one_of_several_does():
    plan_for("nodes: {shop: {allowlist: {ssh: [192.0.2.9]}}}", ssh={"203.0.113.5": ""}).raise_if_unsafe()
    text = "nodes: {shop: {allowlist_mode: exact, allowlist: {ssh: [192.0.2.9]}}}"
    with pytest.raises(UnsafePlan, match=r"whoever comes from 203\.0\.113\.5 cannot log in any more"):
        plan_for(text, ssh={"192.0.2.9": "", "203.0.113.5": ""}).raise_if_unsafe()


def test_what_opens_a_list_to_everybody_is_told():
    (change,) = plan_for("nodes: {shop: {allowlist: {database: [0.0.0.0/0]}}}", database={}).changes
    assert change.opens == ("0.0.0.0/0 in the allowlist of database lets everybody in",)
    emptied = plan_for("nodes: {shop: {allowlist_mode: exact, allowlist: {ssh: []}}}", ssh={"192.0.2.9": ""})
    assert emptied.changes[0].opens == ("without an entry of ssh, SSH is open to everybody",)


def test_a_list_on_its_way_is_no_other_list():
    (change,) = plan_for(
        "nodes: {shop: {allowlist_mode: exact, allowlist: {ssh: [192.0.2.1, 192.0.2.2]}}}", ssh={"192.0.2.3": ""}
    ).changes
    for there in ([], ["192.0.2.1"], ["192.0.2.1", "192.0.2.3"], ["192.0.2.1", "192.0.2.2", "192.0.2.3"]):
        now = Entries(dict.fromkeys(there, ""))
        assert change.is_between(now)
        assert not change.moved_to(now)
    assert change.moved_to(Entries({"192.0.2.9": ""}))
    assert change.to_send == change.desired
    assert isinstance(change.to_send, Entries)
    assert change.to_send.gone == {"192.0.2.3"}


@pytest.mark.parametrize("said", [None, [], ["192.0.2.9"], "x", 3, {"192.0.2.9": None}])
@pytest.mark.parametrize("side", ["current", "desired"])
def test_a_plan_file_with_another_shape_of_a_list_is_refused(side: str, said: Any):
    plan = plan_for("nodes: {shop: {allowlist: {ssh: [192.0.2.9]}}}", ssh={})
    document = dump(plan, api_url="https://api.hypernode.com")
    document["changes"][0][side] = said
    with pytest.raises(FileError, match="an allowlist is an object of address to description"):
        load(json.dumps(document).encode(), CATALOGUE, path="plan.json", api_url="https://api.hypernode.com")


def test_a_plan_with_allowlists_comes_back_from_its_file():
    plan = plan_for("nodes: {shop: {allowlist: {ssh: [192.0.2.9]}}}", ssh={})

    document = json.dumps(dump(plan, api_url="https://api.hypernode.com"))
    again = load(document.encode(), CATALOGUE, path="plan.json", api_url="https://api.hypernode.com")
    assert again.changes == plan.changes
    assert again.checksum == plan.checksum
    assert again.changes[0].hazards == ("locks_out",)
    assert isinstance(again.changes[0].desired, Entries)


IPS = st.sets(st.sampled_from([f"192.0.2.{n}" for n in range(8)]))


@given(IPS, IPS, st.booleans())
def test_after_the_change_the_file_and_the_node_agree(listed: set[str], there: set[str], exact: bool):
    mode = "exact" if exact else "add"
    text = f"nodes: {{shop: {{allowlist_mode: {mode}, allowlist: {{database: [{', '.join(sorted(listed))}]}}}}}}"
    plan = plan_for(text, database=dict.fromkeys(there, ""))
    after = dict(plan.changes[0].desired) if plan.changes else dict.fromkeys(there, "")  # type: ignore[call-overload]
    assert set(after) == (listed if exact else listed | there)
    assert plan_for(text, database=after).changes == ()
