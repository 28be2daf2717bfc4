"""Branchers: made once, found again when the answer is lost, waited for in three phases (CONTRACT.md 2.5, 2.10)."""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
import requests
import responses
from hypothesis import given
from hypothesis import strategies as st

from hypernode.api.branchers import Branchers, Phase, is_over, ssh_answers, try_ssh
from hypernode.api.client import Client
from hypernode.api.labels import parse_label, spell_labels
from hypernode.api.models import Brancher
from hypernode.api.transport import Transport
from hypernode.errors import (
    ApiUseSwitchedOff,
    BadAnswer,
    FlowFailed,
    FlowTimedOut,
    InputError,
    InvalidNode,
    NotFound,
    OutcomeUnknown,
    Rejected,
)

API = "https://api.hypernode.com"
LIST = f"{API}/v2/brancher/app/kaasshop/"
NAME = "kaasshop-eph7h2k9q"
FLOWS = f"{API}/logbook/v1/logbooks/{NAME}/flows/"
ONE: dict[str, Any] = {
    "id": 501,
    "name": NAME,
    "cost": 12,
    "created": "2026-08-20T09:00:00.123456Z",
    "ip": None,
    "end_time": None,
    "elapsed_time": 700,
    "labels": {"ticket": "42", "demo": None},
}

Net = responses.RequestsMock


@pytest.fixture
def branchers(transport: Transport, clock: Any) -> Branchers:
    return Client("kaasshop", token="t0ken", transport=transport, sleep=clock.sleep).branchers


def answer(net: Net, *branchers: dict[str, Any], **more: Any) -> None:
    net.get(LIST, json={"branchers": list(branchers), **more})


def sent(net: Net, method: str) -> list[Any]:
    return [json.loads(call.request.body or "null") for call in net.calls if call.request.method == method]


def test_the_list_is_read_with_seconds_minutes_and_costs_as_they_come(net: Net, branchers: Branchers):
    answer(net, ONE, monthly_total_time=700, total_minutes_elapsed=12, currency="EUR", price_per_minute=1)
    account = branchers.account()
    (one,) = account.branchers
    assert (one.name, one.elapsed_time, one.cost, one.ip) == (NAME, 700.0, 12, None)
    assert one.created == datetime(2026, 8, 20, 9, 0, 0, 123456, UTC)
    assert (account.monthly_total_time, account.total_minutes_elapsed, account.price_per_minute) == (700.0, 12, 1)


def test_an_older_list_lacks_fields_and_writes_seconds_as_a_text(net: Net, branchers: Branchers):
    old = {"elapsed_time": "332.5", "created": "2023-01-05T10:00:00.5+02:00"}
    answer(net, ONE | old, monthly_total_time=332, monthly_total_cost=0)
    account = branchers.account()
    assert account.branchers[0].elapsed_time == 332.5
    assert (account.currency, account.price_per_minute, account.total_minutes_elapsed) == (None, None, None)


@pytest.mark.parametrize(
    "labels", [{"ticket": "42", "demo": None}, ["ticket=42", "demo"]], ids=["row labels: object", "row labels: list"]
)
def test_labels_are_read_in_both_forms(net: Net, branchers: Branchers, labels: Any):
    answer(net, ONE | {"labels": labels})
    assert branchers.account().branchers[0].labels == {"ticket": "42", "demo": None}


LABELS = st.dictionaries(st.text(min_size=1).filter(lambda text: "=" not in text), st.none() | st.text())


@given(LABELS)
def test_labels_come_back_as_they_were_spelled(labels: dict[str, str | None]):
    assert dict(map(parse_label, spell_labels(labels))) == labels


@pytest.mark.parametrize(("seconds", "minutes"), [(0, 1), (60, 1), (332, 6), (7224, 121), (7824, 131), (91693, 1529)])
def test_each_minute_that_was_started_counts(seconds: int, minutes: int):
    assert Brancher(name=NAME, elapsed_time=seconds).minutes == minutes


@pytest.mark.parametrize(
    ("fields", "minutes"),
    [
        ({"monthly_total_time": 700, "total_minutes_elapsed": 13}, 13),
        ({"monthly_total_time": "332.5"}, 6),
        ({}, None),
    ],
    ids=str,
)
def test_the_minutes_of_a_month_are_those_of_the_answer_or_of_its_seconds(
    net: Net, branchers: Branchers, fields: dict[str, Any], minutes: int | None
):
    answer(net, **fields)
    assert branchers.account().minutes == minutes


def test_what_is_no_number_of_seconds_is_a_bad_answer(net: Net, branchers: Branchers):
    net.get(LIST, body=json.dumps({"branchers": [ONE | {"elapsed_time": float("inf")}]}))
    with pytest.raises(BadAnswer, match="elapsed_time"):
        branchers.account()


def test_labels_are_replaced_but_for_those_of_hnctl(net: Net, branchers: Branchers):
    answer(net, ONE | {"labels": {"old": None, "hnctl": "3f", "hnctl_until": "1780000000"}})
    net.put(f"{API}/v2/brancher/{NAME}/", json={"labels": {}})
    now = branchers.set_labels(NAME, {"ticket": "4=2", "demo": None})
    assert now == {"ticket": "4=2", "demo": None, "hnctl": "3f", "hnctl_until": "1780000000"}
    assert sent(net, "PUT") == [{"labels": ["ticket=4=2", "demo", "hnctl=3f", "hnctl_until=1780000000"]}]


def test_one_that_is_not_in_the_list_is_not_found_and_nothing_is_sent(net: Net, branchers: Branchers):
    answer(net)
    with pytest.raises(NotFound, match=f"kaasshop has no Brancher {NAME}"):
        branchers.set_labels(NAME, {"demo": None})
    assert [call.request.method for call in net.calls] == ["GET"]


def test_a_value_that_holds_an_equals_sign_is_cut_at_the_first_one():
    assert parse_label("query=a=b") == ("query", "a=b")


@pytest.mark.parametrize("status", [200, 201], ids=["row Brancher create code: 200", "row Brancher create code: 201"])
def test_both_codes_of_a_creation_are_good(net: Net, branchers: Branchers, status: int):
    net.post(LIST, json={"name": NAME, "parent": "kaasshop", "product": "FALCON_M_202203"}, status=status)
    assert branchers.create().name == NAME


def test_a_creation_clears_cron_and_carries_a_label_of_ours_that_is_never_the_same(net: Net, branchers: Branchers):
    net.post(LIST, json={"name": NAME})
    branchers.create(labels={"ticket": "42", "demo": None, "query": "a=b"})
    branchers.create(clear_services=[])
    first, second = sent(net, "POST")
    assert first["clear_services"] == ["cron"]
    assert second["clear_services"] == []
    assert first["labels"][:3] == ["ticket=42", "demo", "query=a=b"]
    assert re.fullmatch("hnctl=[0-9a-f]{12}", first["labels"][3])
    assert first["labels"][3] != second["labels"][0]


def test_a_time_limit_is_a_label_by_the_servers_clock(net: Net, branchers: Branchers):
    answer(net)
    net.replace(responses.GET, LIST, json={"branchers": []}, headers={"Date": "Thu, 20 Aug 2026 09:00:00 GMT"})
    branchers.account()
    net.post(LIST, json={"name": NAME})
    made = branchers.create(ttl=3600)
    until = int(made.labels["hnctl_until"] or "")
    assert abs(until - datetime(2026, 8, 20, 10, tzinfo=UTC).timestamp()) <= 2
    assert not is_over(made, datetime.fromtimestamp(until - 1, UTC))
    assert is_over(made, datetime.fromtimestamp(until, UTC))


@pytest.mark.parametrize("value", [None, "", "soon", "٣", "-5", "9" * 5000])
def test_what_is_no_time_limit_of_ours_never_ends(value: str | None):
    assert not is_over(Brancher(name=NAME, labels={"hnctl_until": value}), datetime(2100, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize("labels", [{"": None}, {"a=b": None}, {"x\ny": None}, {"hnctl": "1"}, {"hnctl_until": "1"}])
def test_what_can_be_no_label_is_refused_before_anything_is_sent(net: Net, branchers: Branchers, labels: Any):
    with pytest.raises(InputError):
        branchers.create(labels=labels)
    assert not net.calls


def test_a_service_that_cannot_be_cleared_is_refused(net: Net, branchers: Branchers):
    with pytest.raises(InputError, match="redis cannot be cleared") as caught:
        branchers.create(clear_services=["cron", "redis"])
    assert caught.value.hint == "Name one of cron, elasticsearch, mysql, supervisor"
    assert not net.calls


@pytest.mark.parametrize("lost", [{"status": 502}, {"body": requests.ReadTimeout()}], ids=["502", "timed out"])
def test_a_creation_whose_answer_is_lost_is_found_by_its_label(net: Net, branchers: Branchers, lost: Any):
    net.post(LIST, **lost)
    looks = 0

    def listed(request: Any) -> tuple[int, dict[str, str], str]:
        nonlocal looks
        looks += 1
        (order,) = sent(net, "POST")
        mine = ONE | {"labels": dict(map(parse_label, order["labels"]))}
        return 200, {}, json.dumps({"branchers": [ONE, mine | {"name": "kaasshop-ephnew000"}][: looks - 1]})

    net.add_callback(responses.GET, LIST, listed)
    assert branchers.create().name == "kaasshop-ephnew000"
    assert looks == 3
    assert len(sent(net, "POST")) == 1


def test_a_creation_that_is_found_nowhere_is_unknown_and_not_sent_again(net: Net, branchers: Branchers, clock: Any):
    net.post(LIST, status=504)
    answer(net, ONE)
    with pytest.raises(OutcomeUnknown, match=r"none with the label hnctl=[0-9a-f]{12} showed up") as caught:
        branchers.create()
    assert caught.value.hint == "Look for it with `hnctl brancher list -n kaasshop` before you make another"
    assert len(sent(net, "POST")) == 1
    assert 30 <= sum(clock.slept) < 40


def test_a_creation_that_never_left_is_told_as_that(net: Net, branchers: Branchers):
    net.post(LIST, json={"non_field_errors": ["Only Falcon."]}, status=400)
    with pytest.raises(Rejected, match="Only Falcon"):
        branchers.create()
    assert [call.request.method for call in net.calls] == ["POST"]


def test_the_account_switch_is_told_and_not_tried_again(net: Net, branchers: Branchers):
    net.post(LIST, json={"detail": "Because of the financial nature of this command ..."}, status=403)
    with pytest.raises(ApiUseSwitchedOff):
        branchers.create()
    assert len(net.calls) == 1


@pytest.mark.parametrize("end", ["destroy", "cancel"])
@pytest.mark.parametrize("name", ["kaasshop", "KAASSHOP-EPH1", "../kaasshop-eph123456", "kaasshop-eph"])
def test_only_the_name_of_a_brancher_can_be_ended(net: Net, branchers: Branchers, end: str, name: str):
    with pytest.raises(InvalidNode):
        getattr(branchers, end)(name)
    assert not net.calls


@pytest.mark.parametrize(
    "name", ["kaasshop-eph7h2k9q", "kaasshop-eph123456"], ids=["row Brancher ids: letters", "row Brancher ids: digits"]
)
def test_ids_of_letters_and_of_digits_are_good(net: Net, branchers: Branchers, name: str):
    net.delete(f"{API}/v2/brancher/{name}/", status=204)
    assert branchers.destroy(name) is True


def test_ending_what_is_gone_is_no_failure(net: Net, branchers: Branchers):
    net.delete(f"{API}/v2/brancher/{NAME}/", json={"detail": "Not found."}, status=404)
    answer(net)
    assert branchers.destroy(NAME) is False


def test_what_is_being_taken_down_already_may_still_be_in_the_list(net: Net, branchers: Branchers):
    net.delete(f"{API}/v2/brancher/{NAME}/", json=[f"Brancher app {NAME} has already been cancelled."], status=400)
    assert branchers.destroy(NAME) is False


def test_an_end_that_is_refused_is_told(net: Net, branchers: Branchers):
    net.delete(f"{API}/v2/brancher/{NAME}/", json=["Not now."], status=400)
    answer(net, ONE)
    with pytest.raises(Rejected, match="Not now"):
        branchers.destroy(NAME)


def test_an_end_whose_answer_is_lost_is_looked_for_and_sent_again_only_when_it_is_still_there(
    net: Net, branchers: Branchers
):
    net.delete(f"{API}/v2/brancher/{NAME}/", status=502)
    net.delete(f"{API}/v2/brancher/{NAME}/", status=204)
    answer(net, ONE)
    assert branchers.destroy(NAME) is True
    assert [call.request.method for call in net.calls] == ["DELETE", "GET", "DELETE"]


def test_a_branchers_client_works_with_its_parents_list(net: Net, transport: Transport):
    answer(net, ONE)
    assert Client(NAME, token="t0ken", transport=transport).branchers.account().branchers[0].name == NAME


@pytest.mark.parametrize(("year", "month"), [(26, 8), (2026, 0), (2026, 13)])
def test_what_is_no_month_is_refused(net: Net, branchers: Branchers, year: int, month: int):
    with pytest.raises(InputError):
        branchers.month_history(year, month)
    assert not net.calls


def flow(name: str, state: str | None) -> dict[str, Any]:
    return {"uuid": f"6c0e0000-0000-4000-8000-00000000{len(name):04}", "name": name, "state": state}


def logged(net: Net, *flows: dict[str, Any]) -> None:
    net.get(FLOWS, json={"results": list(flows)})


ALL_MADE = (flow("ensure_copied_app", "success"), flow("ensure_app", "success"))


def test_it_is_waited_for_by_its_flows_then_its_address_then_ssh_six_times_in_a_row(net: Net, branchers: Branchers):
    net.get(FLOWS, status=404)
    logged(net)
    logged(net, flow("ensure_app", "running"))
    logged(net, flow("ensure_copied_app", None), flow("ensure_app", "success"))
    logged(net, *ALL_MADE)
    for ip in (None, None, None, None, None, None, "192.0.2.9"):
        answer(net, ONE | {"ip": ip})
    said = iter([True, True, False, True, True, True, True, True, True])
    asked: list[tuple[str, int]] = []

    def answers(host: str, port: int) -> bool:
        asked.append((host, port))
        return next(said)

    phases: list[Phase] = []
    there = branchers.wait(NAME, on_phase=phases.append, answers=answers)
    assert there.ip == "192.0.2.9"
    assert asked == [(f"{NAME}.hypernode.io", 22)] * 9
    assert [phase.detail for phase in phases[:5]] == [
        "its first flow in the logbook",
        "its first flow in the logbook",
        "its flow ensure_app",
        "its flow ensure_copied_app",
        "its address",
    ]
    assert phases[-1] == Phase("ssh", f"SSH, which answered 5 of 6 times in a row at {NAME}.hypernode.io:22")


def never(host: str, port: int) -> bool:
    return False


@pytest.mark.parametrize(
    ("flows", "ip", "words"),
    [
        ((), None, "its first flow in the logbook"),
        ((flow("ensure_app", "success"),), None, "its flow ensure_copied_app"),
        (ALL_MADE, None, "its address"),
        (ALL_MADE, "192.0.2.9", f"SSH, which answered 0 of 6 times in a row at {NAME}.hypernode.io:22"),
    ],
)
def test_each_phase_that_takes_too_long_is_told_in_its_own_words(
    net: Net, transport: Transport, clock: Any, flows: Sequence[Any], ip: str | None, words: str
):
    logged(net, *flows)
    answer(net, ONE | {"ip": ip})
    branchers = Branchers(transport, "kaasshop", Client("kaasshop", token="x")._token, sleep=clock.sleep)
    before = clock.now
    with pytest.raises(FlowTimedOut) as caught:
        branchers.wait(NAME, timeout=1500, answers=never, clock=clock)
    assert caught.value.message == f"not there after 1500 seconds; still waiting for {words}"
    assert "It is paid for" in (caught.value.hint or "")
    assert clock.now - before == pytest.approx(1500)


def test_one_that_could_not_be_made_is_told_at_once(net: Net, branchers: Branchers):
    logged(net, flow("ensure_app", "reverted"), flow("ensure_copied_app", "running"))
    answer(net, ONE)
    with pytest.raises(FlowFailed, match="the flow ensure_app was reverted"):
        branchers.wait(NAME, answers=never)


def test_one_that_is_gone_is_told_at_once(net: Net, branchers: Branchers):
    net.get(FLOWS, status=404)
    answer(net)
    with pytest.raises(FlowFailed, match="is gone"):
        branchers.wait(NAME, answers=never)


@pytest.mark.parametrize("flows", [(), (flow("update_node", "success"),)], ids=["no flow", "later ones only"])
def test_of_an_old_one_the_logbook_may_have_lost_its_making(net: Net, branchers: Branchers, flows: Sequence[Any]):
    logged(net, *flows)
    answer(net, ONE | {"ip": "192.0.2.9", "elapsed_time": 90_000})
    assert branchers.wait(NAME, answers=lambda host, port: True).name == NAME


def test_however_little_time_there_is_a_young_one_is_not_taken_for_an_old_one(
    net: Net, transport: Transport, clock: Any
):
    net.get(FLOWS, status=404)
    answer(net, ONE | {"ip": "192.0.2.9", "elapsed_time": 90})
    branchers = Branchers(transport, "kaasshop", Client("kaasshop", token="x")._token, sleep=clock.sleep)
    with pytest.raises(FlowTimedOut, match="its first flow in the logbook"):
        branchers.wait(NAME, timeout=60, answers=lambda host, port: True, clock=clock)


@pytest.mark.parametrize(("greeting", "expected"), [(b"SSH-2.0-OpenSSH\r\n", True), (b"HTTP/1.1 200", False)])
def test_only_a_greeting_of_ssh_counts(greeting: bytes, expected: bool):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(greeting)

        thread = threading.Thread(target=greet)
        thread.start()
        assert ssh_answers("127.0.0.1", server.getsockname()[1]) is expected
        thread.join()
    assert ssh_answers("127.0.0.1", server.getsockname()[1] if server.fileno() >= 0 else 9) is False


def test_what_came_instead_of_a_greeting_is_told_apart(monkeypatch: pytest.MonkeyPatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert try_ssh("127.0.0.1", port, timeout=0.05) == "silent"
    assert try_ssh("127.0.0.1", port) == "refused"

    def connect(error: OSError) -> Callable[..., socket.socket]:
        def fail(*_: object) -> socket.socket:
            raise error

        return fail

    for error, came in (
        (socket.gaierror(-2, "Name or service not known"), "no_name"),
        (OSError(113, "No route to host"), "unreachable"),
    ):
        monkeypatch.setattr(socket, "create_connection", connect(error))
        assert try_ssh("kaasshop-eph7.hypernode.io", 22) == came
