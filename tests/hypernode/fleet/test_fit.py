"""Products in question: which nodes need another one, which would do, and by how much the price rises."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypernode.api.models import Product
from hypernode.catalogue import Catalogue
from hypernode.errors import FileError, UnsafePlan
from hypernode.fleet.fit import Need, find_needs, increase, next_with_varnish
from hypernode.fleet.plan import Plan, make_plan
from hypernode.fleet.planfile import dump, load
from hypernode.fleet.spec import Limits, parse

CATALOGUE = Catalogue.bundled()
URL = "https://api.hypernode.com"
XS = {"code": "FALCON_XS_202203", "varnish_supported": False}
S = {"code": "FALCON_S_202203", "varnish_supported": True}


def plan(**settings: object) -> Plan:
    live = dict.fromkeys(settings, False)
    return make_plan({"shop": live}, {"shop": settings}, CATALOGUE)


def test_varnish_needs_a_product_that_has_it():
    assert find_needs(plan(varnish_enabled=True), {"shop": XS}, {}) == [Need("shop", XS["code"], "varnish_enabled")]
    assert find_needs(plan(varnish_enabled=True), {"shop": S}, {}) == []
    assert find_needs(plan(varnish_enabled=True), {"shop": {"code": "MAG1"}}, {}) == [], "nobody says it has it not"
    assert find_needs(plan(php_apcu_enabled=True), {"shop": XS}, {}) == []


@pytest.mark.parametrize("name", ["elasticsearch_enabled", "rabbitmq_enabled"])
def test_what_only_the_api_knows_is_said_to_be_open(name: str):
    (need,) = find_needs(plan(**{name: True}), {"shop": XS}, {})
    assert (need.setting, need.has) == (name, None)


def test_switching_off_needs_nothing():
    off = make_plan({"shop": {"varnish_enabled": True}}, {"shop": {"varnish_enabled": False}}, CATALOGUE)
    assert find_needs(off, {"shop": XS}, {}) == []


def test_another_product_in_the_file_is_a_difference_and_no_change():
    same, other = (
        find_needs(plan(), {"shop": XS}, {"shop": XS["code"]}),
        find_needs(plan(), {"shop": XS}, {"shop": "X"}),
    )
    assert same == []
    assert other == [Need("shop", XS["code"], None, "X")]


OFFERED = [
    Product(code="FALCON_XS_202203", price=40, varnish_supported=False),
    Product(code="FALCON_XL_202203", price=250, varnish_supported=True),
    Product(code="FALCON_S_202203", price=70, varnish_supported=True),
    Product(code="FALCON_S_202203DEV", price=41, varnish_supported=True),
    Product(code="FALCON_S_201908", price=42, varnish_supported=True),
    Product(code="EAGLE_M_202203", price=60, varnish_supported=True),
    Product(code="FALCON_T_202203", price=50, varnish_supported=True, is_active=False),
    Product(code="FALCON_U_202203", varnish_supported=True),
]


def test_the_next_product_is_the_cheapest_that_has_it_of_the_same_family_and_generation():
    assert next_with_varnish("FALCON_XS_202203", OFFERED) == "FALCON_S_202203"
    assert next_with_varnish("FALCON_XL_202203", OFFERED) is None
    assert next_with_varnish("MAG1", OFFERED) is None


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 99) | st.none(), st.integers(0, 99) | st.none())))
def test_each_node_counts_once_and_what_is_not_known_makes_all_of_it_unknown(
    rows: list[tuple[str, int | None, int | None]],
):
    needs = [Need(node, "X", price=price, wanted_price=wanted) for node, price, wanted in rows]
    total = increase(needs)
    if any(price is None or wanted is None for _, price, wanted in rows):
        assert total is None
    else:
        assert total is not None
        assert 0 <= total <= 99 * len({node for node, _, _ in rows})
        assert total == increase([need for need in needs if need.increase])


def test_a_plan_whose_products_have_no_known_price_is_refused_under_a_limit():
    made = Plan(plan(varnish_enabled=True).changes, ("shop",), 1, Limits(max_monthly_increase=20), increase=None)
    with pytest.raises(UnsafePlan, match="cost nobody knows how much more"):
        made.raise_if_unsafe()
    Plan(made.changes, ("shop",), 1, increase=None).raise_if_unsafe()


def test_what_only_a_refusal_tells_buys_nothing():
    assert increase([Need("shop", "X", "rabbitmq_enabled", has=None)]) == 0


def test_a_plan_beyond_the_limit_is_refused_and_stays_so_in_its_file():
    changes = plan(varnish_enabled=True).changes
    made = Plan(changes, ("shop",), 1, Limits(max_monthly_increase=20), increase=30, order=("shop",))
    for each in (made, load(dumped(made), CATALOGUE, path="plan.json", api_url=URL)):
        with pytest.raises(UnsafePlan, match=r"cost 30 more, in a unit .*; limits\.max_monthly_increase is 20"):
            each.raise_if_unsafe()
        each.raise_if_unsafe(force=True)


def dumped(made: Plan) -> bytes:
    return json.dumps(dump(made, api_url=URL)).encode()


def test_the_file_says_products_by_layer_and_a_limit():
    fleet = parse(
        b"version: 1\ndefaults: {product: FALCON_M_202203}\nnodes: {a: {}, b: {product: FALCON_L_202203}}\n"
        b"limits: {max_monthly_increase: 100}",
        CATALOGUE,
    )
    assert [fleet.product(node) for node in fleet.nodes] == ["FALCON_M_202203", "FALCON_L_202203"]
    assert fleet.limits.max_monthly_increase == 100


@pytest.mark.parametrize("text", ["product: 'FALCON M'", "product: ../x", "product: [a]"])
def test_what_can_be_no_code_is_refused_with_its_place(text: str):
    with pytest.raises(FileError) as caught:
        parse(f"version: 1\nnodes: {{a: {{{text}}}}}".encode(), CATALOGUE)
    assert "cannot be the code of a product" in str(caught.value)
