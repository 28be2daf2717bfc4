"""The shops of the sandbox, and the PHP-FPM workers behind them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import requests

from hypernode.api.fpm import parse_workers
from hypernode.errors import InputError, InvalidNode, UnknownSetting
from hypernode.sandbox.server import Sandbox


def page(box: Sandbox, node: str = "kaasshop") -> requests.Response:
    return requests.get(box.shop_url(node), timeout=5)


def control(box: Sandbox, what: str, body: Any, node: str = "kaasshop") -> requests.Response:
    return requests.put(f"{box.url}/_sandbox/nodes/{node}/{what}", json=body, timeout=5)


def busy(client: Any) -> tuple[int, int]:
    """Return how many workers are at work, and how many there are."""
    answer = client.session.post(f"{client.box.url}/v2/nats/{client.node}/hypernode.show-fpm-status", timeout=5)
    workers, odd = parse_workers(answer.json()["data"])
    assert not odd
    return sum(worker.is_busy for worker in workers), len(workers)


def test_a_shop_names_its_node_and_needs_no_token_and_no_log(box: Sandbox) -> None:
    answer = page(box)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert "<title>Welcome to kaasshop</title>" in answer.text
    assert page(box, "nowhere").status_code == 404
    assert requests.post(box.shop_url("kaasshop"), timeout=5).status_code == 405
    assert box.log() == []


def test_a_shop_is_broken_until_it_is_mended(box: Sandbox) -> None:
    box.break_page("kaasshop")
    assert page(box).status_code == 500
    assert "Fatal error" in page(box).text
    assert page(box, "theeplein").status_code == 200
    box.mend_page("kaasshop")
    assert page(box).status_code == 200


def test_a_shop_is_broken_while_its_node_has_a_setting(box: Sandbox, shop: Any) -> None:
    box.set("kaasshop", php_version="8.1")
    box.break_page("kaasshop", php_version="8.4")
    shop.wait(shop.patch(php_version="8.4"))
    assert page(box).status_code == 500
    shop.wait(shop.patch(php_version="8.3"))
    assert page(box).status_code == 200


def test_it_is_broken_by_the_control_path_too(box: Sandbox) -> None:
    value = box.settings("kaasshop")["php_version"]
    assert control(box, "shop", {"broken": {"php_version": value}}).status_code == 200
    assert page(box).status_code == 500
    assert control(box, "shop", {"broken": None}).status_code == 200
    assert page(box).status_code == 200


@pytest.mark.parametrize(
    ("what", "body"),
    [
        ("shop", {}),
        ("shop", {"broken": True}),
        ("shop", {"broken": {"php_versoin": "8.4"}}),
        ("shop", {"broken": {"varnish_enabled": "on"}}),
        ("fpm", {}),
        ("fpm", {"busy": -1}),
        ("fpm", {"busy": True}),
        ("fpm", {"busy": 1001}),
        ("fpm", {"busy": "many"}),
    ],
)
def test_what_the_control_path_does_not_understand_is_refused_and_changes_nothing(
    box: Sandbox, shop: Any, what: str, body: Any
) -> None:
    refused = control(box, what, body)
    assert (refused.status_code, list(refused.json())) == (400, ["error"])
    assert page(box).status_code == 200
    assert busy(shop) == (1, 10)


def test_a_node_or_a_setting_that_is_not_there_cannot_be_broken(box: Sandbox) -> None:
    with pytest.raises(InvalidNode):
        box.break_page("nowhere")
    with pytest.raises(UnknownSetting):
        box.break_page("kaasshop", php_versoin="8.4")
    with pytest.raises(InputError):
        box.keep_busy("nowhere", 3)


def test_a_node_is_as_busy_as_it_is_told_to_be(box: Sandbox, client: Callable[[str], Any]) -> None:
    box.keep_busy("kaasshop", 12)
    assert busy(client("kaasshop")) == (12, 12)
    assert control(box, "fpm", {"busy": 0}).status_code == 200
    assert busy(client("kaasshop")) == (0, 10)
    assert busy(client("theeplein")) == (1, 10)


def test_asking_for_the_workers_needs_the_node_s_own_token_and_is_logged(box: Sandbox, shop: Any) -> None:
    url = f"{box.url}/v2/nats/theeplein/hypernode.show-fpm-status"
    assert shop.session.post(url, timeout=5).status_code == 403
    assert requests.post(url, timeout=5).status_code == 401
    assert requests.get(url, headers=dict(shop.session.headers), timeout=5).status_code == 405
    assert [entry.method for entry in box.log()] == ["POST", "POST", "GET"]
