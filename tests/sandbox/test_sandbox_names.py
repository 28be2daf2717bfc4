"""Names, tokens and nodes depend on the seed only, and on their number."""

from __future__ import annotations

import re

import pytest

from hypernode.catalogue import Catalogue
from hypernode.sandbox.names import FIRST, make_names, make_token
from hypernode.sandbox.nodes import FIRST_PRODUCTS, make_node


@pytest.mark.parametrize("seed", [1, 7])
def test_ten_thousand_names_are_valid_and_all_different(seed: int) -> None:
    names = make_names(10_000, seed)
    assert len(set(names)) == 10_000
    assert all(re.fullmatch(r"[a-z][a-z0-9]{0,15}", name) for name in names)


def test_asking_for_more_names_keeps_the_first_ones() -> None:
    assert make_names(3000, 7)[:40] == make_names(40, 7)


def test_the_first_twelve_are_the_same_for_every_seed_and_the_others_are_not() -> None:
    assert make_names(12, 1) == make_names(12, 2) == FIRST
    assert make_names(40, 1)[12:] != make_names(40, 2)[12:]


def test_a_token_has_40_hexadecimal_digits_and_belongs_to_its_seed_and_node() -> None:
    token = make_token(7, "kaasshop")
    assert re.fullmatch(r"[0-9a-f]{40}", token)
    assert token == make_token(7, "kaasshop")
    assert token not in {make_token(8, "kaasshop"), make_token(7, "theeplein")}


def test_a_node_has_every_setting_of_the_catalogue_with_a_value_that_it_takes() -> None:
    node = make_node("kaasshop", 0, seed=7, now=0.0)
    assert node.settings.keys() == Catalogue.bundled().keys()
    for name, setting in Catalogue.bundled().items():
        if setting.values is not None and node.settings[name] is not None:
            assert node.settings[name] in setting.values


def test_the_same_seed_makes_the_same_node_and_another_seed_another() -> None:
    assert make_node("kaasshop", 4, seed=7, now=0.0) == make_node("kaasshop", 4, seed=7, now=0.0)
    assert make_node("kaasshop", 4, seed=7, now=0.0).settings != make_node("kaasshop", 4, seed=8, now=0.0).settings


def test_nodes_differ_in_versions_and_in_products() -> None:
    nodes = [make_node(name, index, seed=7, now=0.0) for index, name in enumerate(make_names(50, 7))]
    assert len({node.settings["php_version"] for node in nodes}) == 4
    assert {node.product.code for node in nodes} == set(FIRST_PRODUCTS)


def test_varnish_is_never_on_where_the_product_lacks_it() -> None:
    nodes = [make_node(name, index, seed=7, now=0.0) for index, name in enumerate(make_names(200, 7))]
    assert not any(node.settings["varnish_enabled"] for node in nodes if not node.product.varnish)
    assert any(node.settings["varnish_enabled"] for node in nodes)
