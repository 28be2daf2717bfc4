"""Where the public sources contradict each other, each test is one row of CONTRACT.md 6 and takes what it takes."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
import responses

from hypernode.api.branchers import FREE_MINUTES
from hypernode.api.client import Client
from hypernode.api.transport import Transport
from hypernode.catalogue import Catalogue
from hypernode.errors import NotFound, Rejected
from hypernode.fleet.fit import OPEN
from hypernode.products import bundled

API = "https://api.hypernode.com"
NAME = "kaasshop-eph7h2k9q"
BRANCHERS = f"{API}/v2/brancher/app/kaasshop/"

Net = responses.RequestsMock


@pytest.fixture
def node(transport: Transport, clock: Any) -> Client:
    return Client("kaasshop", token="t0ken", transport=transport, sleep=clock.sleep, clock=clock)


def sent(net: Net) -> list[tuple[str, str]]:
    return [(str(call.request.method), str(call.request.url).removeprefix(API)) for call in net.calls]


def test_brancher_path_is_the_new_one(net: Net, node: Client):
    net.get(BRANCHERS, json={"branchers": []})
    net.post(BRANCHERS, json={"name": NAME})
    node.branchers.account()
    node.branchers.create()
    assert sent(net) == [("GET", "/v2/brancher/app/kaasshop/"), ("POST", "/v2/brancher/app/kaasshop/")]


def test_brancher_end_is_a_delete_and_cancelling_is_no_fallback(net: Net, node: Client):
    net.delete(f"{API}/v2/brancher/{NAME}/", json={"detail": "Not found."}, status=404)
    net.get(BRANCHERS, json={"branchers": [{"name": NAME}]})
    with pytest.raises(NotFound):
        node.branchers.destroy(NAME)
    assert ("POST", f"/v2/app/{NAME}/cancel/") not in sent(net)


@pytest.mark.parametrize("name", ["kaasshop-eph123456", NAME])
def test_brancher_ids_are_digits_or_letters_too(net: Net, node: Client, name: str):
    net.get(BRANCHERS, json={"branchers": [{"name": name}]})
    assert node.branchers.account().branchers[0].name == name


@pytest.mark.parametrize("labels", [["ticket=42", "demo"], {"ticket": "42", "demo": None}])
def test_labels_are_an_object_or_a_list(net: Net, node: Client, labels: Any):
    net.get(f"{API}/v2/app/", json={"results": [{"name": NAME, "labels": labels}]})
    net.get(BRANCHERS, json={"branchers": [{"name": NAME, "labels": labels}]})
    expected = {"ticket": "42", "demo": None}
    assert [dict(one.labels) for one in (*node.iter_nodes(), *node.branchers.account().branchers)] == [expected] * 2


@pytest.mark.parametrize("product", ["FALCON_M_202203", {"code": "FALCON_M_202203", "name": "Falcon M"}])
def test_product_is_an_object_or_a_text(net: Net, node: Client, product: Any):
    net.get(f"{API}/v2/app/kaasshop/", json={"name": "kaasshop", "product": product})
    found = node.get_node().product
    assert found is not None
    assert found.code == "FALCON_M_202203"


def test_free_minutes_are_those_of_the_docs_of_now():
    assert FREE_MINUTES == 400


@pytest.mark.parametrize("body", ["", json.dumps({"name": "kaasshop", "php_version": "8.4"})])
@pytest.mark.parametrize("status", [200, 202])
def test_patch_answers_the_app_or_nothing_and_200_or_202_for_settings(net: Net, node: Client, body: str, status: int):
    net.patch(f"{API}/v2/app/kaasshop/", body=body, status=status)
    assert node.settings.set(php_version="8.4").posted is (status == 202)


@pytest.mark.parametrize("status", [200, 201])
def test_brancher_create_code_is_any_good_one(net: Net, node: Client, status: int):
    net.post(BRANCHERS, json={"name": NAME}, status=status)
    assert node.branchers.create().name == NAME


def test_fpm_status_is_a_post(net: Net, node: Client):
    net.post(f"{API}/v2/nats/kaasshop/hypernode.show-fpm-status", json={"message": None, "data": "", "status": 200})
    node.get_fpm_status()
    assert sent(net) == [("POST", "/v2/nats/kaasshop/hypernode.show-fpm-status")]


def test_annotation_x_axis_is_sent_as_unix_seconds_and_metrics_as_a_text(net: Net, node: Client):
    net.post(f"{API}/v2/insights-annotation/create/", json={"name": "x", "x_axis": "2026-05-28T20:26:40Z"}, status=201)
    when = datetime.fromtimestamp(1_780_000_000, UTC)
    assert node.insights.add("x", when, metrics=["memory_usage", "load"]).at == when
    body = json.loads(net.calls[0].request.body or "")
    assert (body["x_axis"], body["metrics"]) == (1_780_000_000, "memory_usage,load")


def test_allowlist_types_are_what_the_options_say(net: Net, node: Client):
    choices = [{"value": "waf"}, {"value": "phpmyadmin"}]
    net.options(f"{API}/v2/whitelist/kaasshop/", json={"actions": {"POST": {"type": {"choices": choices}}}})
    assert node.allowlist.types() == ("waf", "phpmyadmin")


def test_whitelist_get_of_the_tool_is_not_used_but_the_api(net: Net, node: Client):
    net.get(f"{API}/v2/whitelist/kaasshop/", json=[])
    assert node.allowlist.list() == ()


def test_nodejs_versions_are_those_of_the_live_list():
    live = Catalogue.bundled().overlay({"nodejs_version": ["24"]})
    assert "24" in (live["nodejs_version"].values or ())
    assert live.parse("nodejs_version", "24") == "24"


def test_mysql_default_is_read_from_the_node(net: Net, node: Client):
    net.get(f"{API}/v2/app/kaasshop/", json={"name": "kaasshop", "mysql_version": "5.7"})
    assert node.settings.get("mysql_version") == "5.7"


def test_rabbitmq_and_elasticsearch_are_judged_by_the_refusal_of_the_api(net: Net, node: Client):
    assert OPEN == ("elasticsearch_enabled", "rabbitmq_enabled")
    net.patch(f"{API}/v2/app/kaasshop/", json={"rabbitmq_enabled": ["not on this plan"]}, status=400)
    with pytest.raises(Rejected, match="rabbitmq_enabled: not on this plan"):
        node.settings.set(rabbitmq_enabled=True)


@pytest.mark.parametrize("supported", [True, False])
def test_varnish_is_what_the_product_says(net: Net, node: Client, supported: bool):
    product = {"code": "FALCON_XS_202203", "varnish_supported": supported}
    net.get(f"{API}/v2/product/app/kaasshop/current/", json=product)
    assert node.products.current().varnish_supported is supported


def test_the_disk_of_a_product_is_what_the_api_says(net: Net, node: Client):
    net.get(f"{API}/v2/product/FALCON_S_202203/with_price/", json={"code": "FALCON_S_202203", "storage_size_in_gb": 57})
    assert node.products.get("FALCON_S_202203").storage_size_in_gb == 57


def test_eagle_6xl_has_512_gb():
    (largest,) = [each for each in bundled() if each.name == "Eagle 6XL" and not each.is_development]
    assert largest.ram_gb == 512


def test_the_generation_of_products_is_that_of_the_list(net: Net, node: Client):
    net.get(f"{API}/v2/product/", json=[{"code": "FALCON_M_202603"}])
    assert [each.code for each in node.products.list()] == ["FALCON_M_202603"]


def test_the_time_zone_of_schedules_is_an_explicit_offset(net: Net, node: Client):
    net.patch(f"{API}/v2/app/xgrade/kaasshop/")
    node.products.change("FALCON_L_202203", at=datetime.fromisoformat("2026-09-01T03:00:00+02:00"))
    assert json.loads(net.calls[0].request.body or "")["scheduled_at"] == "2026-09-01T03:00:00+02:00"


def test_the_varnish_workspace_goes_up_to_256k():
    values = Catalogue.bundled()["varnish_workspace_backend"].values or ()
    assert values[-1] == "256k"
