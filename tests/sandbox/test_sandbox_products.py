"""Products, orders and names of the sandbox."""

from __future__ import annotations

from typing import Any

import pytest
import requests
from patience import until

from hypernode.errors import InputError
from hypernode.sandbox.products import all_products
from hypernode.sandbox.server import Sandbox

PATH = "/v2/app/xgrade/kaasshop/"


@pytest.fixture
def falcon(box: Sandbox, ask: Any) -> Any:
    """Let the first node be a Falcon L with 100 of its 138 GB in use, and tell what it is now."""
    box.set_product("kaasshop", "FALCON_L_202203", used_gb=100)
    return lambda: ask("GET", "/v2/product/app/kaasshop/current/").json()["code"]


def test_every_product_leads_upwards_within_its_family_until_there_is_none_larger() -> None:
    products = all_products()
    assert len(products) == 36
    for product in products.values():
        if product.next_larger:
            larger = products[product.next_larger]
            assert (larger.family, larger.is_development) == (product.family, product.is_development)
            assert (larger.rank, larger.price) > (product.rank, product.price)
        assert product.counterpart is not None
        assert products[product.counterpart].counterpart == product.code


@pytest.mark.parametrize(
    ("code", "changes_ip", "swaps", "fits"),
    [
        ("FALCON_XL_202203", False, False, True),
        ("FALCON_2XL_202203", False, True, True),
        ("FALCON_M_202203", False, False, False),
        ("EAGLE_M_202203", True, False, True),
        ("EAGLE_2XL_202203", True, False, True),
    ],
)
def test_a_check_tells_of_address_method_and_disk(
    code: str, changes_ip: bool, swaps: bool, fits: bool, falcon: Any, ask: Any
) -> None:
    answer = ask("GET", f"{PATH}check/{code}/").json()
    assert answer == {
        "has_valid_vat_number": True,
        "has_valid_payment_method": True,
        "will_change_ip": changes_ip,
        "will_do_volswap": swaps,
        "will_disk_fit": fits,
    }


def test_a_change_of_product_is_a_flow_and_holds_when_that_is_over(falcon: Any, box: Sandbox, ask: Any) -> None:
    answer = ask("PATCH", PATH, json={"product": "FALCON_XL_202203"})
    assert (answer.status_code, answer.content) == (200, b"")
    assert falcon() == "FALCON_L_202203"
    until(falcon, lambda code: code == "FALCON_XL_202203")
    flow = ask("GET", "/logbook/v1/logbooks/kaasshop/flows/").json()["results"][0]
    assert (flow["name"], flow["state"]) == ("xgrade_app", "success")
    app = ask("GET", "/v2/app/kaasshop/").json()
    assert (app["product"]["code"], app["in_production"]) == ("FALCON_XL_202203", True)
    assert app["flavor"] == ask("GET", "/v2/app/kaasshop/flavor/").json()
    assert next(entry.changed for entry in box.log())


@pytest.mark.parametrize(
    ("body", "problems"),
    [
        ({}, {"product": ["This field is required."]}),
        ({"product": "FALCON_OF_TOMORROW"}, {"product": ['"FALCON_OF_TOMORROW" is not a valid choice.']}),
        ({"product": 7}, {"product": ["Not a valid string."]}),
        (
            {"product": "FALCON_XL_202203", "scheduled_at": "2026-09-01T03:00:00"},
            {"scheduled_at": ["Give a date and a time with an offset."]},
        ),
    ],
)
def test_a_bad_change_of_product_is_refused_by_field(body: Any, problems: Any, falcon: Any, ask: Any) -> None:
    answer = ask("PATCH", PATH, json=body)
    assert (answer.status_code, answer.json()) == (400, problems)


def test_what_does_not_fit_or_is_not_allowed_is_refused_and_what_is_there_or_later_starts_nothing(
    falcon: Any, box: Sandbox, ask: Any
) -> None:
    statuses = [
        ask("PATCH", PATH, data=body).status_code
        for body in (
            {"product": "FALCON_L_202203"},
            {"product": "FALCON_XL_202203", "scheduled_at": "2099-09-01T03:00:00+02:00"},
        )
    ]
    assert statuses == [200, 200]
    box.set_product("kaasshop", "FALCON_XL_202203")
    box.set("kaasshop", allow_api_token_usage=False)
    assert ask("PATCH", PATH, json={"product": "FALCON_2XL_202203"}).status_code == 403
    assert not any(entry.changed for entry in box.log())


def test_a_disk_in_use_does_not_shrink(falcon: Any, ask: Any) -> None:
    refused = ask("PATCH", PATH, json={"product": "FALCON_M_202203"})
    assert (refused.status_code, refused.json()) == (
        400,
        {"non_field_errors": ["100 GB are in use, and Falcon M has 62 GB."]},
    )


def test_there_is_nothing_for_a_code_that_nobody_knows(ask: Any) -> None:
    for path in (f"{PATH}check/NO_SUCH/", "/v2/product/NO_SUCH/with_price/", "/v2/addon/NO_SUCH/"):
        assert ask("GET", path).status_code == 404
    assert ask("GET", "/v2/addon/sla-standard/").json() == ask("GET", "/v2/addon/slas/").json()[0]


def test_a_product_can_be_set_from_behind_and_by_the_control_path(box: Sandbox, falcon: Any) -> None:
    control = f"{box.url}/_sandbox/nodes/kaasshop/product"
    assert requests.put(control, json={"code": "EAGLE_XL_202203"}, timeout=5).status_code == 200
    assert falcon() == "EAGLE_XL_202203"
    for wrong in ({"code": "NO_SUCH"}, {"code": "FALCON_S_202203", "used_gb": "many"}, {}):
        assert requests.put(control, json=wrong, timeout=5).status_code == 400
    with pytest.raises(InputError, match="there is no product 'NO_SUCH'"):
        box.set_product("kaasshop", "NO_SUCH")
    assert falcon() == "EAGLE_XL_202203"


def test_two_nodes_are_a_cluster_and_the_others_are_alone(ask: Any) -> None:
    def relations(node: str) -> Any:
        return ask("GET", f"/v2/app/{node}/relations/", token=node).json()

    both = {
        "id": 9,
        "parent": "fietsenwinkel",
        "child": "bloemenhuis",
        "relation_type": "mysql",
        "cluster_description": None,
    }
    assert relations("fietsenwinkel") == {"parents": [], "children": [both]}
    assert relations("bloemenhuis") == {"parents": [both], "children": []}
    assert relations("kaasshop") == {"parents": [], "children": []}


def test_a_name_is_free_taken_or_none(ask: Any) -> None:
    def judge(name: str) -> Any:
        return ask("GET", "/v2/app/name/validate/", params={"name": name}).json()

    assert judge("brandnew") == []
    assert judge("kaasshop") == {"errors": ["This name is taken."]}
    for name in ("", "Kaas", "kaas-shop", "a" * 17):
        assert judge(name) == ["A name has 1 to 16 characters out of a-z and 0-9."]
    assert ask("GET", "/v2/app/name/validate/").status_code == 400


def test_only_a_special_token_may_order_and_it_may_do_nothing_to_a_node(box: Sandbox, ask: Any) -> None:
    order = {"app_name": "brandnew", "product": "FALCON_S_202203", "initial_app_configuration": "magento_2"}
    token = requests.get(f"{box.url}/_sandbox/order-token", timeout=5).json()["token"]
    assert token == box.order_token
    headers = {"Authorization": f"Token {token}"}

    def special(method: str, path: str, **kwargs: Any) -> Any:
        return requests.request(method, box.url + path, headers=headers, timeout=5, **kwargs)

    assert ask("POST", "/v2/app/order/", json=order).status_code == 403
    wrong = special(
        "POST", "/v2/app/order/", json={"app_name": "kaasshop", "product": "NO", "initial_app_configuration": 1}
    )
    assert sorted(wrong.json()) == ["app_name", "initial_app_configuration", "product"]
    assert special("POST", "/v2/app/order/", data=order).status_code == 200
    assert sorted(special("POST", "/v2/app/order/", json=order).json()) == ["app_name"]
    assert special("GET", "/v2/app/").json()["count"] == 0
    assert special("GET", "/v2/product/").status_code == 200
    assert special("GET", "/v2/app/kaasshop/").status_code == 403
    assert [(entry.node, entry.changed) for entry in box.log() if entry.path == "/v2/app/order/"] == [
        ("kaasshop", False),
        (None, False),
        (None, True),
        (None, False),
    ]
