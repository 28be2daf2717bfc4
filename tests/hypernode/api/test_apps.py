"""Apps, which we call nodes: what is read of them, and what on purpose is not."""

from __future__ import annotations

import json
import os
import time
import traceback
from pathlib import Path
from typing import Any

import pytest
import responses

import hypernode.api.live_catalogue as live_catalogue
from hypernode.api.apps import get_descriptions, get_detail, make_node
from hypernode.api.client import Client
from hypernode.api.transport import Transport
from hypernode.errors import BadAnswer, InputError, NotFound
from hypernode.secrets import Secret

API = "https://api.hypernode.com"
TOKEN = Secret("token")
CANARY = "canary-5e3f0b"

DETAIL: dict[str, Any] = {  # CONTRACT.md 2.8
    "name": "kaasshop",
    "type": "persistent",
    "parent": None,
    "product": {
        "code": "FALCON_M_202203",
        "name": "Falcon M",
        "is_development": False,
        "provider": "combell",
        "backups_enabled": True,
        "storage_size_in_gb": 75,
        "price": 100,
        "varnish_supported": True,
        "supports_sla": True,
    },
    "flavor": {"name": "3CPU/16GB/80GB (Falcon M 202202)", "redis_size": "2048"},
    "domainname": "kaasshop.hypernode.io",
    "ip": "192.0.2.7",
    "destroyed": False,
    "in_production": True,
    "php_version": "8.3",
    "account_user": {"id": 1, "email": CANARY, "first_name": CANARY},
    "varnish_secret": CANARY,
}

Net = responses.RequestsMock


def test_the_detail_is_asked_for_without_destroyed_namesakes(net: Net, transport: Transport):
    net.get(f"{API}/v2/app/kaasshop/", json=DETAIL)
    assert get_detail(transport, "kaasshop", TOKEN) == DETAIL
    assert str(net.calls[0].request.url) == f"{API}/v2/app/kaasshop/?destroyed=false"


@pytest.mark.parametrize("body", ["", "[]", "null", '"x"', "3"])
def test_a_detail_that_is_no_object_is_a_bad_answer(net: Net, transport: Transport, body: str):
    net.get(f"{API}/v2/app/kaasshop/", body=body)
    with pytest.raises(BadAnswer) as caught:
        get_detail(transport, "kaasshop", TOKEN)
    assert str(caught.value) == "kaasshop: the API answered no object for the node"


def test_an_unknown_node_is_told(net: Net, transport: Transport):
    net.get(f"{API}/v2/app/kaasshop/", json={"detail": "Not found."}, status=404)
    with pytest.raises(NotFound):
        get_detail(transport, "kaasshop", TOKEN)


def test_a_node_is_made_of_its_detail_without_personal_data_and_secrets():
    node = make_node(DETAIL, "kaasshop")
    assert (node.name, node.type, node.host, node.ip) == (
        ("kaasshop", "persistent", "kaasshop.hypernode.io", "192.0.2.7")
    )
    assert node.product is not None
    assert (node.product.code, node.product.varnish_supported) == ("FALCON_M_202203", True)
    assert node.flavor is not None
    assert node.flavor.redis_size == "2048"
    assert CANARY not in repr(node)
    assert CANARY not in node.model_dump_json()


@pytest.mark.parametrize(
    ("product", "code"),
    [("FALCON_S_202203", "FALCON_S_202203"), ({"code": "MAG1"}, "MAG1"), (None, None)],
)
def test_a_product_is_an_object_or_a_code(product: Any, code: str | None):
    node = make_node(DETAIL | {"product": product}, "kaasshop")
    assert (node.product.code if node.product else None) == code


def test_a_node_may_say_little_and_may_say_something_new():
    node = make_node({"name": "kaasshop", "brand_new": {"x": 1}, "flavor": {"redis_size": 2048}}, "kaasshop")
    assert (node.product, node.ip, node.labels) == (None, None, {})
    assert node.flavor is not None
    assert node.flavor.redis_size == "2048"


def test_a_node_never_changes():
    with pytest.raises(ValueError, match="frozen"):
        make_node(DETAIL, "kaasshop").name = "x"  # type: ignore[misc]


def test_a_node_that_cannot_be_read_is_told_by_its_fields_and_not_by_their_values():
    with pytest.raises(BadAnswer) as caught:
        make_node(DETAIL | {"ip": [CANARY], "product": {"code": {"x": CANARY}}}, "kaasshop")
    assert str(caught.value) == "kaasshop: the API answered a node that cannot be read (product.code, ip)"
    assert CANARY not in "".join(traceback.format_exception(caught.value))


def test_nodes_are_listed_page_by_page_without_the_destroyed_ones(net: Net, transport: Transport):
    first = f"{API}/v2/app/?destroyed=false"
    second = f"{API}/v2/app/?destroyed=false&limit=1&offset=1"
    brancher = {"name": "kaasshop-eph7h2k9q", "type": "brancher", "parent": "kaasshop", "product": "FALCON_M_202203"}
    exactly = [responses.matchers.query_param_matcher({"destroyed": "false"})]
    net.get(first, json={"count": 2, "next": second, "results": [DETAIL]}, match=exactly)
    net.get(second, json={"next": None, "results": [brancher | {"labels": ["ticket=42"]}]})
    nodes = Client("kaasshop", token=TOKEN, transport=transport).iter_nodes()
    assert next(nodes).name == "kaasshop"
    assert len(net.calls) == 1
    (last,) = nodes
    assert (last.name, last.parent, last.labels) == ("kaasshop-eph7h2k9q", "kaasshop", {"ticket": "42"})
    assert [str(call.request.url) for call in net.calls] == [first, second]


@pytest.mark.parametrize("item", ["x", None, [], 3, {}])
def test_what_is_no_node_in_the_list_is_a_bad_answer(net: Net, transport: Transport, item: Any):
    net.get(f"{API}/v2/app/", json={"results": [item]})
    with pytest.raises(BadAnswer, match="a node that cannot be read"):
        list(Client("kaasshop", token=TOKEN, transport=transport).iter_nodes())


def test_the_live_list_of_settings_is_read(net: Net, transport: Transport):
    listed = {"varnish_enabled": [True, False], "php_version": ["8.2", "8.3"], "new_relic_app_name": None}
    net.get(f"{API}/v2/app/eav_descriptions/", json=listed)
    assert get_descriptions(transport, TOKEN) == listed


@pytest.mark.parametrize("data", [[], "x", None, 3])
def test_a_live_list_that_is_no_object_is_a_bad_answer(net: Net, transport: Transport, data: Any):
    net.get(f"{API}/v2/app/eav_descriptions/", body=json.dumps(data))
    with pytest.raises(BadAnswer) as caught:
        get_descriptions(transport, TOKEN)
    assert str(caught.value) == "the API answered no object for the list of settings"


LISTED = {"php_version": ["8.3", "8.4"], "brand_new": [True, False]}


def test_the_live_list_is_kept_for_a_day_and_by_host(net: Net, transport: Transport, clean_environment: Path):
    net.get(f"{API}/v2/app/eav_descriptions/", json=LISTED)
    assert live_catalogue.cached(API) is None
    assert live_catalogue.fetch(transport, TOKEN) == LISTED
    assert live_catalogue.cached(API) == LISTED
    assert live_catalogue.cached(f"{API}/") == LISTED
    assert live_catalogue.cached("http://127.0.0.1:8080") is None
    assert len(net.calls) == 1
    (kept,) = [path for path in clean_environment.rglob("*") if path.is_file()]
    for age in (live_catalogue.LIFETIME + 60, -3600):  # too old, and of a clock that was ahead
        os.utime(kept, (time.time() - age,) * 2)
        assert live_catalogue.cached(API) is None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b'"x"', b"[" * 100_000])
def test_a_damaged_file_of_the_live_list_counts_as_none(
    net: Net, transport: Transport, clean_environment: Path, content: bytes
):
    net.get(f"{API}/v2/app/eav_descriptions/", json=LISTED)
    live_catalogue.fetch(transport, TOKEN)
    (kept,) = [path for path in clean_environment.rglob("*") if path.is_file()]
    kept.write_bytes(content)
    assert live_catalogue.cached(API) is None
    live_catalogue.fetch(transport, TOKEN)
    assert live_catalogue.cached(API) == LISTED


def test_no_list_is_kept_for_what_is_no_address():
    with pytest.raises(InputError, match="the API address must read like"):
        live_catalogue.cached("https://[bad")


def test_a_cache_that_cannot_be_written_is_done_without(net: Net, transport: Transport, clean_environment: Path):
    net.get(f"{API}/v2/app/eav_descriptions/", json=LISTED)
    (clean_environment / ".cache").write_text("a file where the folder should be")
    assert live_catalogue.fetch(transport, TOKEN) == LISTED
    assert live_catalogue.cached(API) is None


def test_a_live_list_that_is_refused_is_not_kept(net: Net, transport: Transport):
    net.get(f"{API}/v2/app/eav_descriptions/", json=LISTED)
    live_catalogue.fetch(transport, TOKEN)
    net.replace(responses.GET, f"{API}/v2/app/eav_descriptions/", json=["no"])
    with pytest.raises(BadAnswer):
        live_catalogue.fetch(transport, TOKEN)
    assert live_catalogue.cached(API) == LISTED
