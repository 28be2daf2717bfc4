"""Calls by path: they stay on the API, and what would end a node is not sent."""

from __future__ import annotations

import json

import pytest
import responses
from hypothesis import given
from hypothesis import strategies as st
from requests import Request

from hypernode.api.client import Client
from hypernode.api.raw import Raw, check_call, check_path, node_in
from hypernode.api.transport import Transport
from hypernode.errors import BadAnswer, InputError, OutcomeUnknown, Rejected, SafetyError
from hypernode.secrets import Secret

API = "https://api.hypernode.com"

Net = responses.RequestsMock


@pytest.fixture
def raw(transport: Transport) -> Raw:
    return Client("kaasshop", token="t0ken", transport=transport).raw


@pytest.mark.parametrize(
    "path",
    [
        "/v2/app/",
        "/v2/app/kaasshop/",
        "/v2/app/kaasshop/?destroyed=false",
        "/v2/app/name/validate/?name=a%20b&x=%2F..%2F",
        "/v2/nats/kaasshop/hypernode.show-fpm-status",
        "/v1/chargebee/sso/jan@example.com/",
        "/logbook/v1/logbooks/kaasshop-eph7h2k9q/flows/?limit=50&offset=50",
    ],
)
def test_a_path_of_the_api_is_taken(path: str):
    assert check_path(path) == path


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "v2/app/",
        "https://example.com/v2/app/",
        "//example.com/v2/app/",
        "/https://example.com/",
        "@example.com/v2/",
        "/v2//app/",
        "/v2/app/../product/",
        "/v2/app/..",
        "/v2/./app/",
        "/v2/app/%2e%2e/product/",
        "/v2/app/%2E./",
        "/v2/app/x%2fy/",
        "/v2/app/..%5c/",
        "/v2\\app/",
        "/\\example.com/",
        "/v2/app/#",
        "/v2/app/?a#b",
        "/v2/app/?a b",
        "/v2/app/?%zz",
        "/v2/app/ /",
        "/v2/app/\n",
        "/v2/app/\r\nHost: example.com",
        "/v2/app/kaas\u200eshop/",
        "/v2/app/\x00/",
        " /v2/app/",
    ],
)
def test_any_other_path_is_refused_before_anything_is_sent(net: Net, raw: Raw, path: str):
    for call in (lambda: raw.read(path), lambda: list(raw.iter(path)), lambda: raw.write("POST", path)):
        with pytest.raises(InputError):
            call()
    assert list(net.calls) == []


@given(st.text(st.sampled_from("/.%2eE5cf\\:@?#a-v "), max_size=20))
def test_no_path_that_is_taken_leads_to_another_place(path: str):
    try:
        check_path(path)
    except InputError:
        return
    url = Request("GET", f"{API}{path}").prepare().url or ""
    assert url.partition("?")[0] == f"{API}{path.partition('?')[0]}"


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
@pytest.mark.parametrize(
    "path", ["/v2/app/kaasshop/", "/v2/app/kaasshop", "/v1/app/kaasshop/?a=b", "/V2/App/kaasshop-eph7h2k9q/"]
)
def test_what_replaces_or_ends_a_node_is_not_sent(net: Net, raw: Raw, method: str, path: str):
    with pytest.raises(SafetyError, match="is never sent: the API lists it in a header"):
        raw.write(method, path, {})
    assert list(net.calls) == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v2/app/kaasshop/cancel/"),
        ("POST", "/v2/app/kaasshop/cancel"),
        ("PATCH", "/v1/app/kaasshop/CANCEL/"),
        ("DELETE", "/v2/brancher/kaasshop/"),
        ("PUT", "/v2/brancher/Kaasshop-EPH1/"),
    ],
)
def test_what_ends_a_brancher_is_for_branchers(net: Net, raw: Raw, method: str, path: str):
    with pytest.raises(SafetyError, match="is no Brancher, and it would end the node's contract"):
        raw.write(method, path)
    assert list(net.calls) == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v2/app/kaasshop/"),
        ("PATCH", "/v2/app/kaasshop/"),
        ("POST", "/v2/app/kaasshop-eph7h2k9q/cancel/"),
        ("DELETE", "/v2/brancher/kaasshop-eph7h2k9q/"),
        ("DELETE", "/v2/whitelist/kaasshop/"),
    ],
)
def test_other_calls_go_ahead(method: str, path: str):
    check_call(method, path)


@pytest.mark.parametrize(
    ("path", "node"),
    [
        ("/v2/app/kaasshop/", "kaasshop"),
        ("/v2/app/kaasshop?destroyed=false", "kaasshop"),
        ("/v2/app/kaasshop/backup/", "kaasshop"),
        ("/v2/app/xgrade/kaasshop/check/FALCON_L_202203/", "kaasshop"),
        ("/v2/brancher/app/kaasshop/year-history/", "kaasshop"),
        ("/v2/brancher/kaasshop-eph7h2k9q/", "kaasshop-eph7h2k9q"),
        ("/v2/product/app/kaasshop/current/", "kaasshop"),
        ("/v2/whitelist/kaasshop/", "kaasshop"),
        ("/v2/nats/kaasshop/hypernode.show-fpm-status", "kaasshop"),
        ("/logbook/v1/logbooks/kaasshop/flows/", "kaasshop"),
        ("/v2/app/", None),
        ("/v2/app/eav_descriptions/", None),
        ("/v2/app/order/", None),
        ("/v2/app/name/validate/?name=kaasshop", None),
        ("/v2/product/FALCON_L_202203/with_price/", None),
        ("/v2/addon/slas/", None),
    ],
)
def test_the_node_of_a_path_is_found(path: str, node: str | None):
    assert node_in(path) == node


def test_a_read_is_retried_and_a_write_is_not(net: Net, raw: Raw):
    net.get(f"{API}/v2/addon/", status=503)
    net.get(f"{API}/v2/addon/", json=[])
    net.post(f"{API}/v2/new/", status=503)
    assert raw.read("/v2/addon/") == []
    with pytest.raises(OutcomeUnknown) as caught:
        raw.write("POST", "/v2/new/", {"a": None})
    assert caught.value.hint == "Find out what became of it before you send it again"
    assert [call.request.method for call in net.calls] == ["GET", "GET", "POST"]
    assert json.loads(net.calls[-1].request.body or "") == {"a": None}


def test_the_values_of_secrets_do_not_come_back_in_an_error(net: Net, raw: Raw):
    net.patch(f"{API}/v2/app/kaasshop/", json={"new_relic_secret": ["hush-hush is no key"]}, status=400)
    with pytest.raises(Rejected) as refused:
        raw.write("PATCH", "/v2/app/kaasshop/", {"new_relic_secret": "hush-hush"}, secrets=[Secret("hush-hush")])
    assert "hush" not in str(refused.value)


def test_pages_are_joined_and_what_has_none_is_told(net: Net, raw: Raw):
    net.get(f"{API}/v2/x/?offset=1", json={"results": [2], "next": None}, match_querystring=None)
    net.get(f"{API}/v2/x/", json={"results": [1], "next": "http://elsewhere.example/v2/x/?offset=1"})
    net.get(f"{API}/v2/product/", json=[])
    assert list(raw.iter("/v2/x/")) == [1, 2]
    with pytest.raises(BadAnswer, match="GET /v2/product/ answered no page of results"):
        list(raw.iter("/v2/product/"))


def test_options_are_asked_for_without_a_body(net: Net, raw: Raw):
    net.options(f"{API}/v2/whitelist/kaasshop/", json={"name": "Whitelist"})
    assert raw.read("/v2/whitelist/kaasshop/", method="OPTIONS") == {"name": "Whitelist"}
    assert not net.calls[0].request.body
