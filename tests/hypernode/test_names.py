"""Names of nodes go into paths and host names, so nothing but a name may pass."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypernode.errors import InvalidNode
from hypernode.names import check_node, is_node, parent_of

node_names = st.from_regex(r"[a-z0-9]{1,16}", fullmatch=True)


@pytest.mark.parametrize("name", ["a", "kaasshop", "0123456789abcdef", "kaasshop-eph7h2k9q", "shop-eph12345", "ephor"])
def test_names_of_nodes_and_branchers_pass(name: str):
    assert is_node(name)
    assert check_node(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "Kaasshop",
        "0123456789abcdefg",
        "kaas-shop",
        "kaas.shop",
        "../app",
        "a/b",
        "kaasshop\n",
        "kaasshop ",
        "kaasshop?x=1",
        "kaasshop#",
        "kaasshop%2f",
        "-eph123",
        "shop-eph",
        "shop-eph1-eph2",
        "shop-EPH1",
        "käse",
        "shop٣",
        "a\0",
        "a@b",
    ],
)
def test_anything_else_is_refused(name: str):
    assert not is_node(name)
    with pytest.raises(InvalidNode) as caught:
        check_node(name)
    assert caught.value.message == f"{name!r} cannot be the name of a node"


def test_the_error_says_what_a_name_is_and_cuts_a_long_one():
    with pytest.raises(InvalidNode) as caught:
        check_node("../" * 1000)
    assert caught.value.hint == (
        "A name has only a-z and 0-9, at most 16 of them; a Brancher's ends in -eph and its id"
    )
    assert len(str(caught.value)) < 200


@given(st.text())
def test_a_text_that_passes_is_safe_in_a_path_and_in_a_host_name(text: str):
    if is_node(text):
        assert re.fullmatch(r"[a-z0-9]+(-eph[a-z0-9]+)?", text)


@given(node_names, st.from_regex(r"[a-z0-9]{1,32}", fullmatch=True))
def test_the_parent_of_a_brancher_is_what_stands_before_eph(name: str, suffix: str):
    assert parent_of(f"{name}-eph{suffix}") == name
    assert parent_of(name) is None
