"""The table of routes against ``openapi/hypernode.yaml``: one for each operation, under its own name."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
import requests
import yaml

from hypernode.sandbox.routes import OF_THE_PAST, ROUTES, find_place
from hypernode.sandbox.server import Sandbox

CONTRACT = Path(__file__).parents[2] / "openapi" / "hypernode.yaml"
METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")


def described() -> dict[str, tuple[str, str]]:
    """Return method and path of each operation of the contract, by its operationId."""
    paths = yaml.load(CONTRACT.read_bytes(), yaml.CSafeLoader)["paths"]
    return {
        item[method]["operationId"]: (method.upper(), path)
        for path, item in paths.items()
        for method in METHODS
        if method in item
    }


def test_every_operation_has_exactly_one_route_and_every_route_an_operation() -> None:
    assert len(ROUTES) == 38
    assert {route.operation: (route.method, route.path) for route in ROUTES} == described()
    assert set(Counter((route.method, route.path) for route in ROUTES).values()) == {1}
    assert {route.operation for route in ROUTES} >= OF_THE_PAST


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.operation)
def test_a_path_leads_to_its_own_route_and_to_no_other(route) -> None:
    path = re.sub(r"\{(\w+)\}", r"value-of-\1", route.path)
    found = find_place(path)
    assert found is not None
    place, args = found
    assert place.routes[route.method] is route
    assert args == {name: f"value-of-{name}" for name in re.findall(r"\{(\w+)\}", route.path)}


def test_what_no_source_attests_or_no_client_should_use_is_not_there(box: Sandbox) -> None:
    headers = {"Authorization": f"Token {box.tokens['kaasshop']}"}
    for method, path, status in (
        ("PUT", "/v2/app/kaasshop/", 405),
        ("DELETE", "/v2/app/kaasshop/", 405),
        ("GET", "/v2/app/order/", 405),
        ("GET", "/v1/app/kaasshop/", 404),
        ("GET", "/v2/app/kaasshop/with_addons", 404),
        ("GET", "/v2/app/kaasshop/brancher/", 404),
        ("GET", "/v2/brancher/kaasshop/", 405),
        ("DELETE", "/v2/brancher/kaasshop/", 404),
    ):
        answer = requests.request(method, box.url + path, headers=headers, timeout=5)
        assert answer.status_code == status, (method, path)
    assert not any(entry.changed for entry in box.log())
