"""What a change of an allowlist can do that somebody has to agree to (CONTRACT.md 2.6)."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypernode.allowlist_risk import ListHazard, judge

OFFICE, HOME, ALL_HOMES, ELSEWHERE = "192.0.2.9", "198.51.100.7", "198.51.100.0/24", "203.0.113.5"


def kinds(hazards: tuple[ListHazard, ...]) -> list[str]:
    return [hazard.kind for hazard in hazards]


@pytest.mark.parametrize(
    "ip",
    [
        "0.0.0.0/0",
        "::/0",
        "2000::/3",
        "128.0.0.0/1",
        "10.0.0.0/7",
        "::ffff:0:0/96",
        "::ffff:0:0/100",
        "0.0.0.0",
        "::",
        "1.2.3.4/0",
        "2001:db8::/15",
    ],
)
@pytest.mark.parametrize("type_", ["waf", "database", "ftp", "phpmyadmin", "a-new-one"])
def test_a_range_of_everybody_opens(type_: str, ip: str):
    (hazard,) = judge(type_, [OFFICE], [OFFICE, ip])
    assert hazard.kind == "opens"
    assert f" in the allowlist of {type_} lets " in hazard.text
    assert hazard.text.endswith("lets everybody in") is ip.endswith("/0")


@pytest.mark.parametrize("ip", ["10.0.0.0/8", "192.0.2.0/24", "2001:db8::/16", "::1", "::ffff:192.0.2.0/120", "odd"])
def test_other_ranges_open_to_their_owners_only(ip: str):
    assert judge("database", [], [ip]) == ()


def test_a_range_of_everybody_that_was_there_is_nothing_new():
    assert judge("database", ["0.0.0.0/0"], ["0.0.0.0/0", OFFICE]) == ()


def test_the_first_entry_of_ssh_closes_it_for_everybody_else():
    closes = "the first entry of ssh closes SSH for everybody else"
    assert judge("ssh", [], [OFFICE]) == (ListHazard("locks_out", closes),)
    assert judge("ssh", [], [OFFICE], own=OFFICE)[0].text == closes
    assert judge("ssh", [], [OFFICE], own=ELSEWHERE)[0].text == f"{closes}, you ({ELSEWHERE}) included"


def test_a_first_entry_of_ssh_for_everybody_is_a_lock_out_all_the_same():
    """Those who come over IPv6 are not among all of IPv4."""
    assert kinds(judge("ssh", [], ["0.0.0.0/0"])) == ["opens", "locks_out"]


def test_further_entries_of_ssh_lock_nobody_out():
    assert judge("ssh", [OFFICE], [OFFICE, HOME]) == ()


def test_a_removal_that_leaves_others_may_be_one_s_own():
    (hazard,) = judge("ssh", [OFFICE, HOME], [OFFICE])
    assert hazard.kind == "locks_out"
    assert hazard.text == (f"whoever comes from {HOME} cannot log in any more, and nothing tells whether that is you")


def test_a_removal_of_what_another_entry_lets_in_locks_nobody_out():
    assert judge("ssh", [OFFICE, HOME, ALL_HOMES], [OFFICE, ALL_HOMES]) == ()
    assert kinds(judge("ssh", [OFFICE, HOME, ALL_HOMES], [OFFICE, HOME])) == ["locks_out"]


def test_a_removal_is_harmless_when_it_is_certain_that_one_still_gets_in():
    assert judge("ssh", [OFFICE, HOME], [OFFICE], own=OFFICE) == ()
    (hazard,) = judge("ssh", [OFFICE, HOME], [OFFICE], own=HOME)
    assert hazard == ListHazard("locks_out", f"with what is left of ssh you ({HOME}) cannot log in any more")


def test_without_an_entry_ssh_is_open_to_everybody():
    assert judge("ssh", [OFFICE], []) == (ListHazard("opens", "without an entry of ssh, SSH is open to everybody"),)
    assert judge("database", [OFFICE], []) == ()
    assert judge("ssh", [], []) == ()


def test_spellings_do_not_count():
    assert judge("ssh", ["2001:DB8::1", OFFICE], ["2001:db8:0::1/128", f"{OFFICE}/32"]) == ()


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("", "a", True),  # the first entry closes it for everybody else
        ("a", "a b", False),
        ("a b", "a", True),  # b may be whoever does it
        ("a", "b", True),
        ("a", "", False),  # without an entry it is open to all
        ("", "", False),
    ],
)
def test_ssh_can_be_closed_by_its_first_entry_and_by_removing_one_of_several(before: str, after: str, expected: bool):
    assert ("locks_out" in kinds(judge("ssh", before.split(), after.split()))) is expected
    assert kinds(judge("database", before.split(), after.split())) == []


LISTS = st.lists(st.sampled_from([OFFICE, "192.0.2.0/24", HOME, "2001:db8::9", "0.0.0.0/0", "odd"]), max_size=5)


@given(LISTS, LISTS, st.sampled_from([OFFICE, HOME, "2001:db8::9", ELSEWHERE]))
def test_nobody_who_got_in_and_does_not_get_in_any_more_goes_unmentioned(before: list[str], after: list[str], own: str):
    visitor = ipaddress.ip_address(own)

    def gets_in(entries: list[str]) -> bool:
        ranges = [ipaddress.ip_network(ip) for ip in entries if ip != "odd"]
        return not entries or any(visitor in range_ for range_ in ranges if range_.version == visitor.version)

    if gets_in(before) and not gets_in(after):
        assert "locks_out" in kinds(judge("ssh", before, after))
        assert "locks_out" in kinds(judge("ssh", before, after, own=own))
    assert judge("ssh", before, before) == ()
