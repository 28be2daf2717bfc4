"""Lists of addresses as values: one spelling, and equal by their addresses."""

from __future__ import annotations

import ipaddress
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypernode.allowlists import Entries, canonical, is_address, parse_network

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


def test_what_is_an_address():
    assert [is_address(text) for text in ("192.0.2.9", " 2001:db8::/32", "192.0.2.9/24", "x", "", "192.0.2")] == [
        True,
        True,
        True,
        False,
        False,
        False,
    ]


@pytest.mark.parametrize(
    "spelled",
    [
        "2001:db8::1",
        "2001:DB8::1",
        "2001:db8:0:0:0:0:0:1",
        "2001:0db8:0000:0000:0000:0000:0000:0001",
        " 2001:db8::1/128",
    ],
)
def test_five_spellings_of_one_address_are_the_same(spelled: str):
    assert canonical(spelled) == "2001:db8::1"


@given(ADDRESSES)
def test_an_address_and_its_longest_range_are_the_same(address: str):
    assert canonical(address) == canonical(f"{address}/{ipaddress.ip_address(address).max_prefixlen}") == address


@given(st.text(max_size=20) | ADDRESSES)
def test_a_canonical_spelling_stays_as_it_is(text: str):
    assert canonical(canonical(text)) == canonical(text)


def test_different_ranges_stay_apart():
    assert len({canonical("192.0.2.0/24"), canonical("192.0.2.0/25"), canonical("192.0.2.0")}) == 3


@pytest.mark.parametrize(
    ("spelled", "meant"),
    [
        ("192.0.2.9/24", "192.0.2.0/24"),
        ("192.0.2.0/255.255.255.0", "192.0.2.0/24"),
        ("192.0.2.9/32", "192.0.2.9"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("2001:DB8::/32", "2001:db8::/32"),
        ("\t192.0.2.9\n", "192.0.2.9"),
    ],
)
def test_a_range_is_what_its_prefix_says(spelled: str, meant: str):
    assert canonical(spelled) == meant


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "office",
        "kantoor.example.com",
        "192.0.2",
        "192.0.2.256",
        "192.0.2.09",
        "192.0.2.9/33",
        "192.0.2.9/",
        "192.0.2.0/24/24",
        "192.0.2.9-192.0.2.20",
        "192.0.2.9,192.0.2.10",
        "192.0.2.9:22",
        "http://192.0.2.9",
        "3221225993",
        "fe80::1%eth0",
        "2001:db8::g",
        "[2001:db8::1]",
        "\x00",
        "\ud800",
        "٣.0.2.9",
        "1" * 5000,
    ],
)
def test_what_is_neither_an_address_nor_a_range_means_none(text: str):
    assert not is_address(text)


@given(st.text(max_size=30))
def test_any_text_is_read_or_is_none(text: str):
    assert parse_network(text) is None or parse_network(canonical(text)) == parse_network(text)
