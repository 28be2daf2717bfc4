"""Lists of addresses as values: one spelling, equal by their addresses, and when a change can lock somebody out."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypernode.allowlists import Entries, canonical, is_address, is_for_all, may_lock_out

ADDRESSES = st.ip_addresses().map(str)
LISTS = st.dictionaries(ADDRESSES, st.text(max_size=5), max_size=5)


@given(LISTS)
def test_a_list_comes_back_from_json_as_an_equal_one(descriptions: dict[str, str]):
    entries = Entries(descriptions)
    kept = json.loads(json.dumps(dict(entries)))
    assert entries == kept
    assert Entries(kept) == entries
    assert hash(Entries(kept)) == hash(entries)
    assert list(Entries(kept)) == list(entries)


@given(LISTS, LISTS)
def test_both_together_have_the_addresses_of_both(one: dict[str, str], other: dict[str, str]):
    both = Entries(one) | Entries(other)
    assert set(both) == {*map(canonical, one), *map(canonical, other)}


def test_descriptions_do_not_count_and_are_kept():
    there, wished = Entries({"192.0.2.9": "office"}), Entries({"192.0.2.9/32": "new name", "2001:DB8::1": "home"})
    assert Entries({"192.0.2.9": "x"}) == there
    assert (wished | there)["192.0.2.9"] == "office"
    assert wished.changed_from(there) == "+2001:db8::1 (home)"
    assert there.changed_from(wished) == "-2001:db8::1"


def test_addresses_are_in_the_order_of_their_numbers():
    listed = Entries(dict.fromkeys(["2001:db8::1", "192.0.2.10", "odd", "192.0.2.9", "10.0.0.0/8", "10.0.0.0/16"], ""))
    assert str(listed) == "10.0.0.0/8, 10.0.0.0/16, 192.0.2.9, 192.0.2.10, 2001:db8::1, odd"
    assert str(Entries({})) == "no entries"


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
    assert may_lock_out("ssh", before.split(), after.split()) is expected
    assert may_lock_out("database", before.split(), after.split()) is False


def test_what_is_an_address_and_what_holds_all():
    assert [is_address(text) for text in ("192.0.2.9", " 2001:db8::/32", "192.0.2.9/24", "x", "", "192.0.2")] == [
        True,
        True,
        True,
        False,
        False,
        False,
    ]
    assert [is_for_all(text) for text in ("0.0.0.0/0", "::/0", "0.0.0.0", "10.0.0.0/8", "x")] == [
        True,
        True,
        False,
        False,
        False,
    ]
