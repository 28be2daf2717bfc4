"""The client as its users meet it: a node's name in, settings and flows out."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import keyring.backend
import pytest
import requests
import responses

import hypernode
from hypernode.api.transport import Transport
from hypernode.catalogue import Catalogue
from hypernode.errors import CredentialsError, FileError, InputError, InvalidNode, NoToken
from hypernode.secrets import Secret

API = "https://api.hypernode.com"
APP = f"{API}/v2/app/kaasshop/"
FLOWS = f"{API}/logbook/v1/logbooks/kaasshop/flows/"
TRACKER = "6c0e0000-0000-4000-8000-0000000000aa"
CANARY = "canary-token-4f1d9b"

Net = responses.RequestsMock


def test_the_example_of_the_package_works(net: Net, clock: Any):
    net.get(APP, json={"name": "kaasshop", "php_version": "8.3"})
    net.get(APP, json={"name": "kaasshop", "php_version": "8.4"})
    net.patch(APP, status=202, headers={"Location": f"{API}/logbook/v1/jobs/{TRACKER}/"})
    flow = {"uuid": TRACKER, "name": "update_node", "created_at": datetime.now(UTC).isoformat()}
    net.get(FLOWS, status=404)
    net.get(FLOWS, json={"count": 1, "next": None, "results": [flow | {"state": None}]})
    net.get(FLOWS, json={"count": 1, "next": None, "results": [flow | {"state": "success"}]})
    with hypernode.Client("kaasshop", token=CANARY, sleep=clock.sleep, clock=clock) as node:
        if node.settings.get("php_version") != "8.4":
            flows = node.settings.set(php_version="8.4").wait(timeout=900)
    assert [one.state for one in flows] == ["success"]
    asked = [f"{call.request.method} {str(call.request.url).removeprefix(API)}" for call in net.calls]
    look = f"GET /logbook/v1/logbooks/kaasshop/flows/?tracker_uuid={TRACKER}"
    read = "GET /v2/app/kaasshop/?destroyed=false"
    assert asked == [read, "PATCH /v2/app/kaasshop/", look, look, look, read]
    assert {call.request.headers["Authorization"] for call in net.calls} == {f"Token {CANARY}"}


def test_making_a_client_sends_nothing(net: Net):
    client = hypernode.Client("kaasshop", token=CANARY)
    assert repr(client) == "Client('kaasshop')"
    assert CANARY not in repr(client)
    client.close()
    assert len(net.calls) == 0


@pytest.mark.parametrize("name", ["../app", "Kaasshop", "", "kaasshop/../bigshop", "kaasshop?x=", "a b"])
def test_a_name_that_could_change_the_path_is_refused(net: Net, name: str):
    """The official client puts any text into its paths (CONTRACT.md 5, defect 10)."""
    with pytest.raises(InvalidNode):
        hypernode.Client(name, token=CANARY)
    assert len(net.calls) == 0


def test_the_token_is_found_by_itself(net: Net, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HYPERNODE_API_TOKEN", CANARY)
    net.get(APP, json={"name": "kaasshop"})
    with hypernode.Client("kaasshop") as node:
        assert node.get_node().name == "kaasshop"
    assert net.calls[0].request.headers["Authorization"] == f"Token {CANARY}"


def test_without_a_token_no_client_is_made():
    with pytest.raises(NoToken):
        hypernode.Client("kaasshop")


@pytest.mark.parametrize("token", ["", "two words", "line\nbreak", "é", Secret("a\r\nX: 1")])
def test_a_text_that_cannot_be_a_token_makes_no_client(token: Any):
    with pytest.raises(CredentialsError):
        hypernode.Client("kaasshop", token=token)


def test_the_address_is_given_or_configured(net: Net, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for host in ("given", "variable", "file"):
        net.get(f"https://{host}.example/v2/app/kaasshop/", json={"name": host})
    (tmp_path / "config.toml").write_text('api_url = "https://file.example"\n')
    monkeypatch.setenv("HNCTL_CONFIG", str(tmp_path / "config.toml"))
    with hypernode.Client("kaasshop", token="t") as node:
        assert node.get_node().name == "file"
    monkeypatch.setenv("HNCTL_API_URL", "https://variable.example")
    with hypernode.Client("kaasshop", token="t") as node:
        assert node.get_node().name == "variable"
    with hypernode.Client("kaasshop", token="t", api_url="https://given.example") as node:
        assert node.get_node().name == "given"


def test_the_time_limit_of_the_config_is_used(net: Net, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "config.toml").write_text("timeout = 3\n")
    monkeypatch.setenv("HNCTL_CONFIG", str(tmp_path / "config.toml"))
    net.get(APP, json={"name": "kaasshop"})
    with hypernode.Client("kaasshop", token="t") as node:
        node.get_node()
    assert net.calls[0].request.req_kwargs["timeout"] == (5.0, 3.0)


@pytest.mark.parametrize("text", ["soon", "0", "-1", "nan", "inf"])
def test_a_time_limit_of_the_environment_that_is_none_is_an_error_of_ours(monkeypatch: pytest.MonkeyPatch, text: str):
    monkeypatch.setenv("HNCTL_TIMEOUT", text)
    with pytest.raises(InputError):
        hypernode.Client("kaasshop", token="t")


def test_a_broken_config_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "config.toml").write_text("api_ulr = 3\n")
    monkeypatch.setenv("HNCTL_CONFIG", str(tmp_path / "config.toml"))
    with pytest.raises(FileError, match="unknown key api_ulr"):
        hypernode.Client("kaasshop", token="t")


def test_a_shared_transport_outlives_its_clients(net: Net, transport: Transport, monkeypatch: pytest.MonkeyPatch):
    closed: list[bool] = []
    monkeypatch.setattr(requests.adapters.HTTPAdapter, "close", lambda _: closed.append(True))
    net.get(APP, json={"name": "kaasshop"})
    net.get(f"{API}/v2/app/bigshop/", json={"name": "bigshop"})
    for name in ("kaasshop", "bigshop"):
        with hypernode.Client(name, token=f"token-of-{name}", transport=transport) as node:
            assert node.get_node().name == name
    assert closed == []
    with hypernode.Client("kaasshop", token="t"):
        pass
    assert closed == [True]
    assert [call.request.headers["Authorization"] for call in net.calls] == [
        ("Token token-of-kaasshop"),
        ("Token token-of-bigshop"),
    ]


def test_a_shared_transport_names_the_host_that_the_token_is_looked_up_for(clock: Any):
    asked: list[str] = []

    class Empty(keyring.backend.KeyringBackend):
        priority = 1.0  # type: ignore[assignment]

        def get_password(self, service: str, username: str) -> str | None:
            asked.append(service)
            return None

        def set_password(self, service: str, username: str, password: str) -> None:
            raise AssertionError("nothing here writes to the keyring")

    keyring.set_keyring(Empty())
    with Transport("http://127.0.0.1:8080") as transport, pytest.raises(NoToken):
        hypernode.Client("kaasshop", transport=transport)
    assert asked == ["hnctl 127.0.0.1:8080"]


def test_a_client_can_know_the_live_settings(net: Net):
    net.patch(APP, status=200)
    live = Catalogue.bundled().overlay({"brand_new": ["a", "b"]})
    with hypernode.Client("kaasshop", token="t", catalogue=live) as node:
        node.settings.set(brand_new="b")
    body = net.calls[0].request.body
    assert body is not None
    assert json.loads(body) == {"brand_new": "b"}
