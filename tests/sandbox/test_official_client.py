"""The official Python client, as released, runs every one of its calls against the sandbox over real sockets.

What is asserted is what the docstring of each call promises; each test is called after its call.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypernode_api_python import client as official
from patience import until

from hypernode.sandbox.server import Sandbox

SHOP = "kaasshop"  # Falcon S, see `box`
FLOW_TIME = 0.05
LONG_LOGBOOK = "boekenhal"  # of 120 flows

FLAVOR = {"name": str, "redis_size": str}
MACHINE = {
    "disk_size_in_gb": int,
    "exact_disk_size_in_kb": int,
    "inodes": int,
    "provider": {"display_name": str, "name": str},
    "ram_in_mb": int,
    "vcpus": int,
}
PRODUCT = {
    "backups_enabled": bool,
    "code": str,
    "is_development": bool,
    "name": str,
    "price": int,
    "supports_sla": bool,
    "varnish_supported": bool,
}
SHORT = {**PRODUCT, "provider": str, "storage_size_in_gb": int}
LONG = {**PRODUCT, "flavor": FLAVOR, "is_active": bool, "provider_flavors": [MACHINE]}
FLOW = {
    "uuid": str,
    "state": (str, type(None)),
    "name": str,
    "created_at": str,
    "updated_at": (str, type(None)),
    "progress": {"running": [str], "total": int, "completed": int},
    "logbook": str,
    "tracker": {"uuid": (str, type(None)), "description": (str, type(None))},
}


def fits(value: Any, shape: Any) -> bool:
    """Tell whether `value` has all that `shape` says; more keys do no harm."""
    if isinstance(shape, dict):
        return isinstance(value, dict) and all(name in value and fits(value[name], shape[name]) for name in shape)
    if isinstance(shape, list):
        return isinstance(value, list) and all(fits(each, shape[0]) for each in value)
    return isinstance(value, shape) and (shape is bool or not isinstance(value, bool))


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    with Sandbox(nodes=5, flow_time=FLOW_TIME, brancher_time=0.05) as box:
        box.set_product(SHOP, "FALCON_S_202203")
        box.links(next_base=box.url)
        yield box


@pytest.fixture
def api(box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """Make clients, each with the token of a node or with a given one."""
    monkeypatch.setattr(official, "HYPERNODE_API_URL", box.url)
    made = []

    def make(node: str = SHOP, token: str | None = None) -> Any:
        made.append(official.HypernodeAPIPython(token or box.tokens[node]))
        return made[-1]

    yield make
    for each in made:
        each.session.close()


def test_each_of_the_25_public_calls_has_a_test_here() -> None:
    calls = {
        name
        for name, _ in inspect.getmembers(official.HypernodeAPIPython, inspect.isfunction)
        if not name.startswith("_") and name != "requests"
    }
    assert len(calls) == 25
    assert {call for call in calls if f"test_{call}" not in globals()} == set()


def test_get_app_info_or_404(api: Any) -> None:
    app = api().get_app_info_or_404(SHOP).json()
    user = {"email": str, "first_name": str, "id": int, "last_name": str, "username": str}
    assert fits(app, {"account_user": user, "flavor": FLAVOR, "in_production": bool, "ip": str, "mysql_version": str})
    assert (app["name"], app["type"], app["destroyed"]) == (SHOP, "persistent", False)
    assert app["domainname"] == f"{SHOP}.hypernode.io"
    with pytest.raises(RuntimeError, match="App nowhere not found"):
        api().get_app_info_or_404("nowhere")


def test_get_next_best_plan_for_app_or_404(api: Any, box: Sandbox) -> None:
    assert api().get_next_best_plan_for_app_or_404(SHOP).json() == {"name": "Falcon M", "code": "FALCON_M_202203"}
    box.set_product("theeplein", "FALCON_5XL_202203")
    with pytest.raises(RuntimeError, match="App theeplein not found"):
        api("theeplein").get_next_best_plan_for_app_or_404("theeplein")


def test_validate_app_name(api: Any) -> None:
    assert api().validate_app_name("brandnewshop") is None
    with pytest.raises(RuntimeError, match="This name is taken"):
        api().validate_app_name(SHOP)
    with pytest.raises(LookupError, match="1 to 16 characters"):
        api().validate_app_name("much_too_long_for_a_name", LookupError)


def test_get_app_flavor(api: Any) -> None:
    flavor = api().get_app_flavor(SHOP).json()
    assert flavor == {"name": "2CPU/8GB/44GB (Falcon S 202202)", "redis_size": "1024"}


def test_get_flows(api: Any) -> None:
    page = api(LONG_LOGBOOK).get_flows(LONG_LOGBOOK).json()
    assert (page["count"], page["previous"], len(page["results"])) == (120, None, 50)
    assert fits(page, {"next": str, "results": [FLOW]})


def test_get_all_flows(api: Any) -> None:
    flows = api(LONG_LOGBOOK).get_all_flows(LONG_LOGBOOK)
    assert len({flow["uuid"] for flow in flows}) == 120
    assert fits(flows, [FLOW])
    assert api(LONG_LOGBOOK).get_all_flows(LONG_LOGBOOK, limit=60) == flows[:60]


def test_get_slas(api: Any) -> None:
    slas = api().get_slas().json()
    assert fits(slas, [{"billing_period": int, "billing_period_unit": str, "id": int, "price": int}])
    assert [(sla["code"], sla["name"]) for sla in slas] == [("sla-standard", "SLA Standard")]


def test_get_available_backups_for_app(api: Any) -> None:
    page = api().get_available_backups_for_app(SHOP).json()
    backup = {"backup_created_at": str, "backup_id": str, "expired_at": str, "type": str}
    assert fits(page, {"count": int, "next": type(None), "previous": type(None), "results": [backup]})
    assert page["count"] == len(page["results"]) == 9
    assert {each["type"] for each in page["results"]} == {"periodic"}
    assert all(each["backup_created_at"][-6:] in ("+01:00", "+02:00") for each in page["results"])


def test_get_app_eav_description(api: Any) -> None:
    values = api().get_app_eav_description().json()
    assert values["varnish_enabled"] == [True, False]
    assert {"8.1", "8.2"} <= set(values["php_version"])


@pytest.mark.parametrize(("attribute", "value"), [("php_version", "8.5"), ("unixodbc_enabled", True)])
def test_set_app_setting(api: Any, attribute: str, value: Any) -> None:
    assert api().set_app_setting(SHOP, attribute, value).status_code == 202
    until(lambda: api().get_app_info_or_404(SHOP).json()[attribute], lambda now: now == value)


def test_get_app_configurations(api: Any) -> None:
    page = api().get_app_configurations().json()
    configuration = {"allow_preinstall": bool, "composer_version": str, "name": str, "elasticsearch_enabled": bool}
    assert fits(page, {"count": int, "results": [configuration]})
    assert len(page["results"]) == page["count"] == 2


def test_get_product_info_with_price(api: Any) -> None:
    product = api().get_product_info_with_price("FALCON_S_202203").json()
    assert fits(product, {**SHORT, "related_product": SHORT})
    assert (product["code"], product["related_product"]["code"]) == ("FALCON_S_202203", "FALCON_S_202203DEV")
    with pytest.raises(LookupError):
        api().get_product_info_with_price("NO_SUCH", LookupError)


def test_get_block_attack_descriptions(api: Any) -> None:
    attacks = api().get_block_attack_descriptions().json()
    assert len(attacks) == 15
    assert "SQL injection" in attacks["BlockSqliBruteForce"]


def test_block_attack(api: Any) -> None:
    answer = api("theeplein").block_attack("theeplein", "BlockSqliBruteForce")
    assert (answer.ok, answer.text) == (True, "")
    assert not api("theeplein").block_attack("theeplein", "BlockEverybody").ok


def test_get_whitelist_options(api: Any) -> None:
    text = {"type": "string", "read_only": False}
    assert api().get_whitelist_options(SHOP).json() == {
        "name": "Whitelist",
        "description": "",
        "parses": ["application/json", "application/x-www-form-urlencoded", "multipart/form-data"],
        "renders": ["application/json"],
        "actions": {
            "POST": {
                "description": {**text, "label": "Description", "required": False},
                "ip": {**text, "label": "Ip", "required": True},
                "type": {
                    "choices": [{"display_name": type_, "value": type_} for type_ in ("waf", "database", "ftp")],
                    "label": "Type",
                    "read_only": False,
                    "required": True,
                    "type": "choice",
                },
            }
        },
    }


def test_get_whitelist_rules(api: Any, box: Sandbox) -> None:
    assert api().get_whitelist_rules(SHOP).json() == []
    for type_ in ("waf", "ftp"):
        api().requests("POST", f"/v2/whitelist/{SHOP}/", data={"type": type_, "ip": "192.0.2.9"})
    rules = api().get_whitelist_rules(SHOP).json()
    assert fits(rules, [{"created": str, "id": int}])
    assert [(rule["type"], rule["ip"], rule["description"]) for rule in rules] == [
        ("waf", "192.0.2.9", ""),
        ("ftp", "192.0.2.9", ""),
    ]
    assert {rule["domainname"] for rule in rules} == {f"{SHOP}.hypernode.io"}
    assert api().get_whitelist_rules(SHOP, {"type": "waf"}).json() == rules[:1]


def test_get_current_product_for_app(api: Any) -> None:
    product = api().get_current_product_for_app(SHOP).json()
    assert fits(product, {**LONG, "related_product": LONG})
    assert (product["code"], product["related_product"]["code"]) == ("FALCON_S_202203", "FALCON_S_202203DEV")


def test_check_payment_information_for_app(api: Any) -> None:
    answer = api().check_payment_information_for_app(SHOP).json()
    assert answer == {"has_valid_vat_number": True, "has_valid_payment_method": True}


def test_get_active_products(api: Any) -> None:
    products = api().get_active_products().json()
    assert fits(products, [{**LONG, "related_product": LONG}])
    smallest = next(product for product in products if product["code"] == "FALCON_XS_202203")
    assert (smallest["name"], smallest["is_active"], smallest["varnish_supported"]) == ("Falcon XS", True, False)


def test_check_xgrade(api: Any) -> None:
    assert api().check_xgrade(SHOP, "FALCON_2XL_202203").json() == {
        "has_valid_vat_number": True,
        "has_valid_payment_method": True,
        "will_change_ip": False,
        "will_do_volswap": True,
        "will_disk_fit": True,
    }


def test_xgrade(api: Any) -> None:
    grown = api("bloemenhuis")
    later = {"product": "EAGLE_L_202203", "scheduled_at": "2099-11-25T01:00:00+03:00"}
    for data in (later, {"product": "EAGLE_M_202203"}):
        answer = grown.xgrade("bloemenhuis", data)
        assert (answer.status_code, answer.text) == (200, "")

    def read() -> str:
        return grown.get_current_product_for_app("bloemenhuis").json()["code"]

    until(read, lambda code: code == "EAGLE_M_202203")
    time.sleep(2 * FLOW_TIME)
    assert read() == "EAGLE_M_202203"


def test_order_hypernode(api: Any, box: Sandbox) -> None:
    order = {"app_name": "mynewshop", "product": "FALCON_S_202203", "initial_app_configuration": "magento_2"}
    assert api().order_hypernode(order).status_code == 403
    api().validate_app_name("mynewshop")
    assert api(token=box.order_token).order_hypernode(order).ok
    with pytest.raises(RuntimeError, match="This name is taken"):
        api().validate_app_name("mynewshop")


def test_get_active_branchers(api: Any) -> None:
    made = [api().create_brancher(SHOP, {"labels": labels}).json()["name"] for labels in (["a=b", "c"], [])]
    listed = api().get_active_branchers(SHOP).json()
    brancher = {
        "id": int,
        "name": str,
        "cost": int,
        "created": str,
        "ip": (str, type(None)),
        "end_time": type(None),
        "elapsed_time": int,
    }
    assert fits(listed, {"monthly_total_time": int, "monthly_total_cost": int, "branchers": [brancher]})
    labels = {each["name"]: each["labels"] for each in listed["branchers"]}
    assert [labels[name] for name in made] == [{"a": "b", "c": None}, {}]


def test_create_brancher(api: Any, box: Sandbox) -> None:
    made = api().create_brancher(SHOP, {"clear_services": ["mysql", "cron"]}).json()
    assert fits(made, {"name": str, "domainname": str})
    assert (made["parent"], made["type"], made["product"]) == (SHOP, "brancher", "FALCON_S_202203")
    cleared = {each["name"]: each["clear_services"] for each in box.branchers()}
    assert cleared[made["name"]] == ["mysql", "cron"]


def test_destroy_brancher(api: Any, box: Sandbox) -> None:
    name = api().create_brancher(SHOP, {}).json()["name"]
    assert api().destroy_brancher(name).status_code == 204
    assert name not in {each["name"] for each in box.branchers()}
