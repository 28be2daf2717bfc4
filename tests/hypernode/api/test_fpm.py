"""The workers of PHP-FPM (CONTRACT.md 2.2 #20, 2.8)."""

from __future__ import annotations

from typing import Any

import pytest
import responses
from hypothesis import given
from hypothesis import strategies as st

from hypernode.api.fpm import FpmRequest, FpmStatus, Worker, get_fpm_status, parse_workers
from hypernode.api.transport import Transport
from hypernode.errors import ApiError, BadAnswer, Forbidden
from hypernode.secrets import Secret

ADDRESS = "https://api.hypernode.com/v2/nats/kaasshop/hypernode.show-fpm-status"
LINES = """\
4711 IDLE     0.1s - 192.0.2.33  GET  /checkout/ (ExampleAgent/1.0)
4712 RUNNING 12.0s NL phpfpm 192.0.2.34 POST /rest/V1/carts (Mozilla/5.0 (X11; Linux x86_64))

Total: 2
"""

Net = responses.RequestsMock


def ask(transport: Transport) -> FpmStatus:
    return get_fpm_status(transport, "kaasshop", Secret("t0ken"))


def answer(net: Net, data: Any) -> None:
    net.post(ADDRESS, json=data)


def test_each_line_is_a_worker() -> None:
    workers, odd = parse_workers(LINES)
    assert workers == (
        Worker(4711, "IDLE", 0.1, "- 192.0.2.33  GET  /checkout/ (ExampleAgent/1.0)"),
        Worker(4712, "RUNNING", 12.0, "NL phpfpm 192.0.2.34 POST /rest/V1/carts (Mozilla/5.0 (X11; Linux x86_64))"),
    )
    assert [worker.is_busy for worker in workers] == [False, True]
    assert odd == ("Total: 2",)


@pytest.mark.parametrize(
    ("rest", "request_"),
    [
        ("- 192.0.2.33  GET  /checkout/ (ExampleAgent/1.0)", FpmRequest(None, "GET", "/checkout/")),
        (
            "NL phpfpm 192.0.2.34 POST /rest/V1/carts?token=1#x (Mozilla (X11))",
            FpmRequest("NL", "POST", "/rest/V1/carts"),
        ),
        ("NL 2001:db8::9 HEAD / (curl)", FpmRequest("NL", "HEAD", "/")),
        ("192.0.2.33 GET /cron.php", FpmRequest(None, "GET", "/cron.php")),
        ("- ::1 GET /?email=jan@example.com (x)", FpmRequest(None, "GET", "/")),
        ("", None),
        ("-", None),
        ("NL phpfpm", None),
        ("NL phpfpm 192.0.2.34", None),
    ],
)
def test_what_a_worker_is_about_is_told_without_who_asked(rest: str, request_: FpmRequest | None) -> None:
    assert Worker(4711, "RUNNING", 1.0, rest).request == request_


@given(st.text())
def test_any_rest_of_a_line_is_about_something_or_nothing(rest: str) -> None:
    request = Worker(4711, "RUNNING", 1.0, rest).request
    assert request is None or "?" not in request.path


def test_a_node_that_did_not_answer_is_an_error() -> None:
    FpmStatus(status=200).check_answered("kaasshop")
    with pytest.raises(ApiError) as failed:
        FpmStatus(status=503, message="no\nresponders").check_answered("kaasshop")
    assert failed.value.message == "kaasshop: the node did not answer (503): no responders"


def test_it_is_asked_for_with_a_post_that_says_nothing(net: Net, transport: Transport) -> None:
    answer(net, {"message": None, "data": LINES, "status": 200})
    assert ask(transport) == FpmStatus(message=None, data=LINES, status=200)
    assert not net.calls[0].request.body


def test_a_node_that_does_not_answer_is_told_by_the_inner_status(net: Net, transport: Transport) -> None:
    answer(net, {"message": "no responders", "data": None, "status": 503})
    assert ask(transport) == FpmStatus(message="no responders", data="", status=503)


def test_addresses_of_visitors_show_themselves_nowhere() -> None:
    assert "192.0.2" not in repr(FpmStatus(data=LINES, status=200)) + repr(parse_workers(LINES)[0])


def test_it_is_tried_again_as_a_read_is(net: Net, transport: Transport) -> None:
    net.post(ADDRESS, status=502)
    answer(net, {"data": LINES, "status": 200})
    assert ask(transport).status == 200


def test_a_refusal_is_told(net: Net, transport: Transport) -> None:
    net.post(ADDRESS, status=403, json={"detail": "not yours"})
    with pytest.raises(Forbidden, match="not yours"):
        ask(transport)


@pytest.mark.parametrize(
    ("data", "where"), [([], "all of it"), ({"status": "up"}, "status"), ({"status": 200, "data": []}, "data")]
)
def test_another_shape_is_refused_and_named(net: Net, transport: Transport, data: Any, where: str) -> None:
    answer(net, data)
    with pytest.raises(BadAnswer) as refused:
        ask(transport)
    assert refused.value.message == f"the API answered a PHP-FPM status that cannot be read ({where})"


@given(st.text())
def test_every_line_of_any_text_is_a_worker_or_odd_or_empty(text: str) -> None:
    workers, odd = parse_workers(text)
    assert len(workers) + len(odd) == len([line for line in text.splitlines() if line.strip()])


def test_a_redirect_is_not_followed(net: Net, transport: Transport) -> None:
    net.post(ADDRESS, status=301, headers={"Location": ADDRESS + "/"})
    with pytest.raises(ApiError):
        ask(transport)
    assert len(net.calls) == 1
