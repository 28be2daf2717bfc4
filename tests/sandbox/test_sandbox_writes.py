"""Every write of the sandbox: from JSON, a form or multipart, and what can go wrong with it."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from hypernode.sandbox.names import make_brancher_name
from hypernode.sandbox.routes import ROUTES, Route
from hypernode.sandbox.server import Sandbox

SHOP = "kaasshop"
BRANCHER = make_brancher_name(SHOP, 0, 7)
BODIES: dict[str, dict[str, Any]] = {
    "change_settings": {"php_version": "8.5", "unixodbc_enabled": True},
    "order_node": {"app_name": "brandnew", "product": "FALCON_S_202203"},
    "change_product": {"product": "FALCON_2XL_202203"},
    "cancel_brancher": {},
    "perform_preinstall": {"preinstall_type": "magento_2", "sample_data": False},
    "block_attack": {"attack_name": "BlockAhrefsBot"},
    "create_backup": {},
    "create_brancher": {"labels": ["a=1", "b"], "clear_services": ["cron", "mysql"]},
    "change_brancher_labels": {"labels": ["c", "d=2"]},
    "destroy_brancher": {},
    "add_allowlist_entry": {"type": "ftp", "ip": "192.0.2.9"},
    "remove_allowlist_entry": {"type": "waf", "ip": "192.0.2.1"},
    "create_annotation": {"name": "release", "x_axis": 1780000000, "app": SHOP},
}
WRITES = [route for route in ROUTES if route.writes]


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with Sandbox(nodes=3, flow_time=0.05, brancher_time=0.05) as box:
        box.set_product(SHOP, "FALCON_M_202203")
        headers = {"Authorization": f"Token {box.tokens[SHOP]}"}
        requests.post(f"{box.url}/v2/brancher/app/{SHOP}/", headers=headers, timeout=5)
        entry = BODIES["remove_allowlist_entry"]
        requests.post(f"{box.url}/v2/whitelist/{SHOP}/", json=entry, headers=headers, timeout=5)
        box.clear_log()
        yield box


@pytest.fixture
def send(box: Sandbox) -> Callable[..., requests.Response]:
    """Send a request to a route, with the token that may."""

    def sending(route: Route, **kwargs: Any) -> requests.Response:
        token = box.order_token if route.operation == "order_node" else box.tokens[SHOP]
        path = route.path.format(
            app=BRANCHER if "cancel" in route.path else SHOP, brancher=BRANCHER, code="x", year=1, month=1
        )
        headers = {"Authorization": f"Token {token}", **kwargs.pop("headers", {})}
        return requests.request(route.method, box.url + path, headers=headers, timeout=5, **kwargs)

    return sending


def as_form(body: dict[str, Any]) -> list[tuple[str, str]]:
    """Return a body as a form says it: texts only, and a list as a name that comes again."""
    return [
        (name, str(each)) for name, value in body.items() for each in (value if isinstance(value, list) else [value])
    ]


def test_every_write_has_a_body_here() -> None:
    assert {route.operation for route in WRITES} == BODIES.keys()


@pytest.mark.parametrize("way", ["json", "form", "multipart"])
def test_json_and_forms_do_the_same(way: str, box: Sandbox, send: Any) -> None:
    # One after the other: the Brancher goes last.
    for route in sorted(WRITES, key=lambda route: route.operation in ("cancel_brancher", "destroy_brancher")):
        if route.operation == "destroy_brancher":
            continue  # as `cancel_brancher` does
        body = BODIES[route.operation]
        ways: dict[str, dict[str, Any]] = {
            "json": {"json": body},
            "form": {"data": as_form(body)},
            "multipart": {"files": [(name, (None, text)) for name, text in as_form(body)]},
        }
        answer = send(route, **ways[way])
        assert answer.ok, (route.operation, answer.text)
        assert box.log()[-1].changed, route.operation
        if route.operation == "create_brancher":
            made = box.branchers()[-1]
            assert (made["labels"], made["clear_services"]) == ({"a": "1", "b": None}, ["cron", "mysql"])
        if route.operation == "change_brancher_labels":
            assert answer.json() == {"labels": {"c": None, "d": "2"}}


@pytest.mark.parametrize("route", WRITES, ids=lambda route: route.operation)
def test_what_cannot_be_read_is_refused_and_changes_nothing(route: Route, box: Sandbox, send: Any) -> None:
    answers = [
        send(route, data=b"{not json", headers={"Content-Type": "application/json"}),
        send(route, data=b"[]", headers={"Content-Type": "application/json"}),
        send(route, data=b"<a/>", headers={"Content-Type": "application/xml"}),
    ]
    assert [answer.status_code for answer in answers] == [400, 400, 415]
    assert not any(entry.changed for entry in box.log())


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.operation)
def test_a_fault_strikes_every_operation_and_only_for_those_who_may(route: Route, box: Sandbox, send: Any) -> None:
    box.set_faults({"unavailable": "100%"})
    assert send(route, json=BODIES.get(route.operation, {})).status_code == 503
    assert send(route, headers={"Authorization": "Token no"}).status_code == 401
    assert [(entry.fault, entry.changed) for entry in box.log()] == [("unavailable", False), (None, False)]


@pytest.mark.parametrize("route", WRITES, ids=lambda route: route.operation)
def test_a_lost_answer_did_its_work(route: Route, box: Sandbox, send: Any) -> None:
    box.set_faults({"lost_answer": "100%"})
    with pytest.raises(requests.ConnectionError):
        send(route, json=BODIES[route.operation])
    [entry] = box.log()
    assert (entry.status, entry.fault, entry.changed) == (None, "lost_answer", True)


@pytest.mark.parametrize("route", WRITES, ids=lambda route: route.operation)
@pytest.mark.parametrize(("fault", "status"), [("reject", 400), ("api_use_off", 403)])
def test_a_write_can_be_refused_on_request(fault: str, status: int, route: Route, box: Sandbox, send: Any) -> None:
    box.set_faults({fault: "100%"})
    answer = send(route, json=BODIES[route.operation])
    assert answer.status_code == status
    if fault == "reject":
        assert list(answer.json()) == [next(iter(BODIES[route.operation]), "non_field_errors")]
    assert not any(entry.changed for entry in box.log())


def test_a_request_that_never_came_whole_did_nothing(box: Sandbox) -> None:
    address = ("127.0.0.1", int(box.url.rpartition(":")[2]))
    head = (
        f"POST /v2/brancher/app/{box.names[0]}/ HTTP/1.1\r\nHost: sandbox\r\nContent-Type: application/json\r\n"
        f"Authorization: Token {box.tokens[box.names[0]]}\r\nContent-Length: 40\r\n\r\n"
    )
    before = box.branchers()
    with socket.create_connection(address, 5) as connection:
        connection.sendall(head.encode())
    time.sleep(0.05)  # that nothing happens cannot be waited for
    assert [entry.path for entry in box.log() if entry.method == "POST"] == []
    assert [one["name"] for one in box.branchers()] == [one["name"] for one in before]
