"""One PATCH that is followed until its outcome is known, and that is never sent twice without a look in between."""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
import responses

import hypernode.api.settings
from hypernode.api.flows import Flows
from hypernode.api.settings import Settings, Update
from hypernode.api.transport import Transport
from hypernode.catalogue import Catalogue
from hypernode.errors import (
    ApiError,
    ApiUseSwitchedOff,
    ConnectionFailed,
    FlowFailed,
    FlowTimedOut,
    Forbidden,
    HypernodeError,
    InputError,
    InvalidValue,
    NotApplied,
    NotFound,
    OutcomeUnknown,
    ReadOnlySetting,
    Rejected,
    TokenRefused,
    TryLater,
    UnknownSetting,
)
from hypernode.secrets import Secret

API = "https://api.hypernode.com"
APP = "https://api.hypernode.com/v2/app/kaasshop/"
FLOWS = "https://api.hypernode.com/logbook/v1/logbooks/kaasshop/flows/"
TRACKER = "6c0e0000-0000-4000-8000-0000000000aa"
TOKEN = "canary-token-4f1d9b"
CANARY = "canary-setting-77aa"

Answer = tuple[int, dict[str, str], str]
Body = dict[str, Any]


class Shop:
    """The API of one node: its values, its logbook, what it is told to do wrong; `log` is the order of the calls."""

    def __init__(self, net: responses.RequestsMock) -> None:
        self.values: Body = {
            "name": "kaasshop",
            "php_version": "8.3",
            "varnish_enabled": False,
            "mysql_ft_min_word_len": "4",
            "new_relic_secret": None,
        }
        self.flows: list[Body] = []
        self.log: list[str] = []
        self.sent: list[Body] = []
        self.answers: list[Callable[[Body], Answer | Exception]] = []
        """What each PATCH does; the last one is kept. None: `job`."""
        self.reads: list[Answer | Exception] = []
        """What the next reads answer instead of the truth; the last one is kept."""
        self.ahead = timedelta(0)
        """How far the server's clock is ahead of ours."""
        net.add_callback(responses.PATCH, APP, self._patch)
        net.add_callback(responses.GET, APP, self._detail)
        net.add_callback(responses.GET, FLOWS, self._logbook)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def post(self, body: Body | None = None, *states: str | None, age: float = 0, **more: Any) -> Body:
        """Put a flow on top of the logbook; each look shows its next state, and the last applies `body`."""
        flow = {
            "uuid": f"6c0e0000-0000-4000-8000-{len(self.flows) + 1:012}",
            "name": "update_node",
            "created_at": (self.now() - timedelta(seconds=age)).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "tracker": {"uuid": TRACKER},
            "states": list(states or ("success",)),
            "body": body or {},
        } | more
        self.flows.insert(0, flow)
        return flow

    def job(self, *states: str | None, location: str | None = f"{API}/logbook/v1/jobs/{TRACKER}/") -> Any:
        """Make the PATCH post a job, as it does on a good day."""

        def answer(body: Body) -> Answer:
            self.post(body, *states)
            return 202, {"Location": location} if location else {}, ""

        return answer

    def _headers(self) -> dict[str, str]:
        return {"Date": format_datetime(self.now().replace(microsecond=0), usegmt=True)}

    def _patch(self, request: Any) -> Any:
        self.log.append("PATCH")
        body = json.loads(request.body)
        self.sent.append(body)
        act = (self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]) if self.answers else self.job()
        answer = act(body)
        if isinstance(answer, Exception):
            return answer
        return answer[0], self._headers() | answer[1], answer[2]

    def _broken(self) -> Answer | Exception | None:
        if not self.reads:
            return None
        return self.reads.pop(0) if len(self.reads) > 1 else self.reads[0]

    def _detail(self, _: Any) -> Any:
        self.log.append("GET app")
        return self._broken() or (200, self._headers(), json.dumps(self.values))

    def _logbook(self, request: Any) -> Any:
        tracker = parse_qs(urlsplit(request.url).query).get("tracker_uuid", [None])[0]
        self.log.append("GET flows of the tracker" if tracker else "GET flows")
        if broken := self._broken():
            return broken
        shown = []
        for flow in self.flows:
            if tracker is None or flow["tracker"]["uuid"] == tracker:
                state = flow["states"].pop(0) if len(flow["states"]) > 1 else flow["states"][0]
                if state == "success":
                    self.values.update(flow["body"])
                shown.append(
                    {name: flow[name] for name in ("uuid", "name", "created_at", "tracker")} | {"state": state}
                )
        return 200, self._headers(), json.dumps({"count": len(shown), "next": None, "results": shown})


@pytest.fixture
def shop(net: responses.RequestsMock) -> Shop:
    return Shop(net)


@pytest.fixture
def settings(transport: Transport, clock: Any) -> Settings:
    return Settings(transport, "kaasshop", Secret(TOKEN), Catalogue.bundled(), sleep=clock.sleep, clock=clock)


def plain(status: int, body: str = "", **headers: str) -> Callable[[Body], Answer]:
    return lambda _: (status, headers, body)


def lost(exception: Exception | None = None) -> Callable[[Body], Exception]:
    return lambda _: exception or requests.ReadTimeout()


def shown(error: BaseException) -> str:
    return (
        "".join(traceback.format_exception(error)) + repr(error) + repr(vars(error)) + str(getattr(error, "hint", ""))
    )


# --- reading -------------------------------------------------------------------------------------------------------


def test_a_setting_is_read_with_its_type(shop: Shop, settings: Settings):
    shop.values |= {"varnish_http_max_hdr": "64", "mysql_ft_min_word_len": 4}
    assert settings.get("php_version") == "8.3"
    assert settings.get("varnish_enabled") is False
    assert settings.get("varnish_http_max_hdr") == 64
    assert settings.get("mysql_ft_min_word_len") == "4"
    assert settings.get("new_relic_secret") is None


def test_a_secret_setting_is_read_as_a_secret(shop: Shop, settings: Settings):
    shop.values["new_relic_secret"] = CANARY
    value = settings.get("new_relic_secret")
    assert value == Secret(CANARY)
    assert CANARY not in repr(settings.read())


def test_all_known_settings_are_read_sorted_and_nothing_else(shop: Shop, settings: Settings):
    shop.values |= {"account_user": {"email": "x"}, "brand_new": 3}
    assert list(settings.read().items()) == [
        ("mysql_ft_min_word_len", "4"),
        ("new_relic_secret", None),
        ("php_version", "8.3"),
        ("varnish_enabled", False),
    ]
    assert shop.log == ["GET app"]


def test_an_unknown_setting_costs_no_request(shop: Shop, settings: Settings):
    with pytest.raises(UnknownSetting, match="there is no setting php_verson"):
        settings.get("php_verson")
    assert shop.log == []


def test_a_setting_that_the_node_does_not_have_is_told(shop: Shop, settings: Settings):
    with pytest.raises(UnknownSetting) as caught:
        settings.get("redis_version")
    assert str(caught.value) == "kaasshop: the API says nothing of redis_version for this node"


# --- what is sent --------------------------------------------------------------------------------------------------


def test_a_change_is_one_patch_with_all_settings_typed(shop: Shop, settings: Settings):
    settings.set({"php_version": "8.4", "varnish_http_max_hdr": "64"}, varnish_enabled="on", new_relic_app_name=None)
    assert shop.log == ["PATCH"]
    assert shop.sent == [
        {"php_version": "8.4", "varnish_http_max_hdr": 64, "varnish_enabled": True, "new_relic_app_name": None}
    ]


@pytest.mark.parametrize(
    ("wished", "kind", "text"),
    [
        ({"php_version": "9.9"}, InvalidValue, "php_version cannot be 9.9"),
        ({"php_verson": "8.4"}, UnknownSetting, "there is no setting php_verson"),
        (
            {"uses_floating_ip": True},
            ReadOnlySetting,
            "uses_floating_ip is read-only: a node's token cannot change it",
        ),
        ({}, InvalidValue, "there is no setting to change"),
        ({"php_version": Secret("8.4")}, InvalidValue, "php_version is not secret: give its value as it is"),
        ({"new_relic_secret": ""}, InvalidValue, "new_relic_secret cannot be empty"),
        ({"new_relic_secret": Secret("")}, InvalidValue, "new_relic_secret cannot be empty"),
    ],
)
def test_a_wrong_wish_sends_nothing_not_even_its_right_part(
    shop: Shop, settings: Settings, wished: Body, kind: type[InputError], text: str
):
    right: Body = {"varnish_enabled": True} if wished else {}
    with pytest.raises(kind) as caught:
        settings.set({**right, **wished})
    assert caught.value.message == text
    assert shop.log == []


@pytest.mark.parametrize(("status", "kind"), [(400, Rejected), (401, TokenRefused), (403, Forbidden), (404, NotFound)])
def test_a_refusal_is_told_and_never_repeated(
    shop: Shop, settings: Settings, clock: Any, status: int, kind: type[HypernodeError]
):
    shop.answers = [plain(status, '{"rabbitmq_enabled": ["not on this plan"]}')]
    with pytest.raises(kind, match="rabbitmq_enabled: not on this plan"):
        settings.set(php_version="8.4")
    assert shop.log == ["PATCH"]
    assert clock.slept == []


@pytest.mark.parametrize("status", [301, 302, 307, 405, 409, 418])
def test_an_answer_that_says_nothing_of_later_is_never_repeated(shop: Shop, settings: Settings, status: int):
    shop.answers = [plain(status, "", Location=APP)]
    with pytest.raises(ApiError):
        settings.set(php_version="8.4")
    assert shop.log == ["PATCH"]


def test_the_switched_off_account_is_told_with_the_hint(shop: Shop, settings: Settings):
    shop.answers = [plain(403, '{"detail": "Due to the financial nature of this command enable API token usage."}')]
    with pytest.raises(ApiUseSwitchedOff) as caught:
        settings.set(php_version="8.4")
    assert caught.value.hint == (
        "An owner or admin turns it on in the control panel: Configuration, Settings, API token usage"
    )
    assert shop.log == ["PATCH"]


# --- a change that goes well ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", ["", '{"name": "kaasshop", "php_version": "8.3"}'])
def test_nothing_to_do_is_an_update_without_a_job(shop: Shop, settings: Settings, body: str):
    shop.answers = [plain(200, body)]
    update = settings.set(php_version="8.3")
    assert (update.posted, update.tracker, update.flow) == (False, None, None)
    assert update.wait() == ()
    assert shop.log == ["PATCH", "GET app"]


def test_a_200_is_believed_only_after_reading_back(shop: Shop, settings: Settings):
    shop.answers = [plain(200)]
    with pytest.raises(NotApplied) as caught:
        settings.set(php_version="8.4").wait()
    assert str(caught.value) == "kaasshop: the platform says the change is done, and still php_version is 8.3"
    assert caught.value.hint == ("Look at the node with `hnctl settings get`; something else may be changing it")


@pytest.mark.parametrize(
    "location",
    [
        f"{API}/logbook/v1/jobs/{TRACKER}/",
        f"https://internal.example:8443/jobs/{TRACKER}",
        f"http://10.0.0.1/x/{TRACKER}/y",
        f"/logbook/v1/jobs/{TRACKER.upper()}/",
        f"{TRACKER}",
        f"{API}/logbook/v1/jobs/{TRACKER}/?next=11111111-1111-4111-8111-111111111111",
    ],
)
def test_the_tracker_is_taken_out_of_the_location_whatever_its_host(shop: Shop, settings: Settings, location: str):
    shop.answers = [shop.job(None, "running", "success", location=location)]
    update = settings.set(php_version="8.4")
    assert (update.posted, update.tracker) == (True, TRACKER)
    assert [flow.state for flow in update.wait()] == ["success"]
    assert shop.log == ["PATCH", *["GET flows of the tracker"] * 3, "GET app"]


def test_posting_does_not_wait_and_looks_at_nothing(shop: Shop, settings: Settings, clock: Any):
    settings.set(php_version="8.4")
    assert shop.log == ["PATCH"]
    assert clock.slept == []


def test_every_flow_of_the_job_is_waited_for(shop: Shop, settings: Settings):
    shop.answers = [shop.job("success")]
    update = settings.set(php_version="8.4")
    shop.post(None, "running", "running", "success", name="update_alerting")
    assert {flow.name for flow in update.wait()} == {"update_node", "update_alerting"}
    assert shop.log.count("GET flows of the tracker") == 3


def test_a_logbook_that_is_not_there_yet_is_waited_for(shop: Shop, settings: Settings):
    empty = (200, {}, '{"count": 0, "next": null, "results": []}')
    missing = (404, {}, '{"detail": "Not found."}')
    update = settings.set(php_version="8.4")
    for broken in (missing, empty, missing):
        shop.reads = [broken]
        told: list[int] = []
        with pytest.raises(FlowTimedOut):
            update.wait(timeout=5, on_look=lambda flows, told=told: told.append(len(flows)))  # type: ignore[misc]
        assert set(told) == {0}
    shop.reads = []
    assert [flow.state for flow in update.wait()] == ["success"]


def test_a_value_of_another_type_is_the_same_value(shop: Shop, settings: Settings):
    shop.answers = [plain(200)]
    shop.values |= {"mysql_ft_min_word_len": 2, "varnish_http_max_hdr": "64", "varnish_enabled": "True"}
    update = settings.set(mysql_ft_min_word_len="2", varnish_http_max_hdr=64, varnish_enabled=True)
    assert update.wait() == ()


def test_versions_are_compared_as_texts(shop: Shop, settings: Settings):
    shop.answers = [plain(200)]
    shop.values["opensearch_version"] = "2.1"
    with pytest.raises(NotApplied, match=r"opensearch_version is 2\.1$"):
        settings.set(opensearch_version="2.12").wait()


def test_a_cleared_setting_is_read_back_as_not_set(shop: Shop, settings: Settings):
    shop.values["new_relic_secret"] = CANARY
    settings.set(new_relic_secret=None).wait()
    assert shop.sent == [{"new_relic_secret": None}]
    assert shop.values["new_relic_secret"] is None


def test_waiting_asks_a_bounded_number_of_times(shop: Shop, settings: Settings, clock: Any):
    shop.answers = [shop.job("running")]
    update = settings.set(php_version="8.4")
    with pytest.raises(FlowTimedOut) as caught:
        update.wait(timeout=900)
    assert str(caught.value) == "kaasshop: not done after 900 seconds: update_node is running"
    assert caught.value.node == "kaasshop"
    assert clock.now - 1000 == pytest.approx(900)
    assert len(shop.log) < 70
    assert min(clock.slept[1:-1]) > 2.0
    assert clock.slept[0] == 2.0
    assert max(clock.slept) == 15.0


def test_an_unknown_state_is_waited_on_and_told(shop: Shop, settings: Settings, caplog: pytest.LogCaptureFixture):
    shop.answers = [shop.job("paused", "paused", "success")]
    assert [flow.state for flow in settings.set(php_version="8.4").wait()] == ["success"]
    assert [record.getMessage() for record in caplog.records] == [
        "update_node is in a state that hnctl does not know, 'paused'; waiting on"
    ]


# --- a change that goes wrong --------------------------------------------------------------------------------------

REVERTED = "the flow update_node was reverted: the platform could not apply the change and rolled it back"


def test_a_reverted_flow_fails_with_what_the_node_has_now(shop: Shop, settings: Settings):
    shop.answers = [shop.job(None, "running", "reverted")]
    with pytest.raises(FlowFailed) as caught:
        settings.set(php_version="8.4", varnish_enabled=True).wait()
    assert str(caught.value) == f"kaasshop: {REVERTED}; the node has php_version 8.3, varnish_enabled false"
    assert caught.value.flow == shop.flows[0]["uuid"]
    assert (caught.value.state, caught.value.node) == ("reverted", "kaasshop")
    assert shop.flows[0]["uuid"] in (caught.value.hint or "")
    assert shop.log[-1] == "GET app"


def test_a_reverted_flow_whose_values_are_there_all_the_same_says_so(shop: Shop, settings: Settings):
    shop.answers = [shop.job("reverted")]
    update = settings.set(php_version="8.4")
    shop.values["php_version"] = "8.4"
    with pytest.raises(FlowFailed) as caught:
        update.wait()
    assert str(caught.value) == f"kaasshop: {REVERTED}; and yet the node answers the new values"


def test_a_reverted_flow_of_a_node_that_cannot_be_read_says_so(shop: Shop, settings: Settings):
    shop.answers = [shop.job("reverted")]
    update = settings.set(php_version="8.4")
    flows = json.dumps({"results": [{"uuid": "u", "name": "update_node", "state": "reverted"}]})
    shop.reads = [(200, {}, flows), (403, {}, '{"detail": "no"}')]
    with pytest.raises(FlowFailed) as caught:
        update.wait()
    assert str(caught.value) == (
        f"kaasshop: {REVERTED}; the node could not be read afterwards (the token may not do this (403): no)"
    )


def test_a_done_job_whose_values_are_not_there_is_not_applied(shop: Shop, settings: Settings):
    shop.answers = [lambda _: shop.job("success")({"php_version": "8.2"})]
    shop.values["new_relic_app_name"] = "x"
    with pytest.raises(NotApplied) as caught:
        settings.set(php_version="8.4", new_relic_app_name=None, new_relic_secret=Secret("y")).wait()
    assert caught.value.message == (
        "the platform says the change is done, and still "
        "php_version is 8.2; new_relic_app_name is x; new_relic_secret is not set"
    )


def test_flows_that_never_show_up_are_no_failure_when_the_values_are_there(shop: Shop, settings: Settings):
    update = settings.set(php_version="8.4")
    shop.flows.clear()
    shop.values["php_version"] = "8.4"
    assert update.wait() == ()


def test_flows_that_never_show_up_leave_the_outcome_unknown_when_the_values_are_not_there(
    shop: Shop, settings: Settings, clock: Any
):
    update = settings.set(php_version="8.4")
    shop.flows.clear()
    with pytest.raises(OutcomeUnknown) as caught:
        update.wait()
    assert str(caught.value) == (
        "kaasshop: the API took the change, no flow of it ever showed up in the logbook, and php_version is 8.3"
    )
    assert caught.value.hint == "Look at the logbook with `hnctl flows list`, then run the same command again"
    assert 60 <= clock.now - 1000 <= 80


@pytest.mark.parametrize(
    ("broken", "text"),
    [
        ((403, {}, ""), "the token may not do this (403)"),
        ((401, {}, ""), "the API refused the token (401)"),
        ((503, {}, ""), "GET /logbook/v1/logbooks/kaasshop/flows/"),
        ((200, {}, "<html>"), "GET /logbook/v1/logbooks/kaasshop/flows/"),
        ((200, {}, '{"results": [3]}'), "the API answered a flow that cannot be read"),
        (requests.ConnectionError(), "GET /logbook/v1/logbooks/kaasshop/flows/"),
    ],
)
def test_a_change_that_can_no_longer_be_watched_has_an_unknown_outcome(
    shop: Shop, settings: Settings, broken: Any, text: str
):
    update = settings.set(php_version="8.4")
    shop.reads = [broken]
    with pytest.raises(OutcomeUnknown) as caught:
        update.wait()
    assert caught.value.message.startswith(f"the API took the change, and the node cannot be watched any more: {text}")
    assert caught.value.hint == "Look at it later with `hnctl flows list` and `hnctl settings get`"
    assert isinstance(caught.value.__cause__, HypernodeError)


# --- no Location ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ahead", [timedelta(0), timedelta(hours=1), timedelta(hours=-1), timedelta(days=40)])
@pytest.mark.parametrize("location", [None, f"{API}/logbook/v1/jobs/", "https://api.hypernode.com/?x=" + TRACKER])
def test_without_a_location_the_newest_change_since_the_call_is_followed_by_the_servers_clock(
    shop: Shop, settings: Settings, ahead: timedelta, location: str | None
):
    shop.ahead = ahead
    shop.post(None, "reverted", age=10, tracker={"uuid": "b" * 8 + TRACKER[8:]})
    shop.answers = [shop.job("running", "running", "success", location=location)]
    update = settings.set(php_version="8.4")
    assert (update.posted, update.tracker, update.flow) == (True, None, None)
    shop.post(None, "reverted", name="create_backup", tracker={"uuid": None})
    (flow,) = update.wait()
    assert (flow.name, flow.state) == ("update_node", "success")


def test_without_a_location_all_flows_of_the_found_tracker_count(shop: Shop, settings: Settings):
    shop.answers = [shop.job("success", location=None)]
    update = settings.set(php_version="8.4")
    shop.post(None, "running", "running", "running", "success", name="update_alerting", age=0)
    assert len(update.wait()) == 2
    assert "GET flows of the tracker" in shop.log


def test_without_location_and_tracker_the_one_flow_counts(shop: Shop, settings: Settings):
    shop.answers = [lambda body: (shop.post(body, "running", "success", tracker={"uuid": None}), (202, {}, ""))[1]]
    (flow,) = settings.set(php_version="8.4").wait()
    assert flow.state == "success"
    assert "GET flows of the tracker" not in shop.log


def test_without_a_location_an_older_change_is_never_taken_for_ours(shop: Shop, settings: Settings):
    shop.post({"php_version": "8.4"}, "running", age=10)
    shop.answers = [plain(202)]
    with pytest.raises(OutcomeUnknown, match="no flow of it ever showed up"):
        settings.set(php_version="8.4").wait()


# --- a write whose outcome is not clear ----------------------------------------------------------------------------

UNCLEAR = [
    lost(requests.ReadTimeout()),
    lost(requests.ConnectionError("reset")),
    lost(requests.exceptions.ChunkedEncodingError()),
    plain(500, "<html><title>oops</title>"),
    plain(502),
    plain(503),
    plain(504),
    plain(520),
]
TURNED_AWAY = [plain(429), lost(requests.ConnectTimeout()), lost(requests.exceptions.ProxyError())]


def arrives(shop: Shop, act: Callable[[Body], Any], *states: str | None) -> Callable[[Body], Any]:
    """Let the write arrive, and its answer go wrong."""
    return lambda body: (shop.post(body, *states), act(body))[1]


def reads_between_writes(log: list[str]) -> list[list[str]]:
    """Return what was asked after each PATCH, up to the next one."""
    text = "\n".join(log)
    return [part.split("\n")[1:-1] for part in (text + "\n").split("PATCH")[1:]]


@pytest.mark.parametrize("act", UNCLEAR)
def test_a_lost_answer_of_a_change_that_arrived_is_found_in_the_logbook_and_not_sent_again(
    shop: Shop, settings: Settings, act: Callable[[Body], Any]
):
    shop.answers = [arrives(shop, act, "running", "running", "success")]
    update = settings.set(php_version="8.4")
    assert (update.posted, update.tracker, update.flow) == (True, TRACKER, shop.flows[0]["uuid"])
    assert [flow.state for flow in update.wait()] == ["success"]
    assert shop.log.count("PATCH") == 1


@pytest.mark.parametrize("act", UNCLEAR)
def test_a_lost_answer_of_a_change_that_the_node_shows_is_not_sent_again(
    shop: Shop, settings: Settings, act: Callable[[Body], Any]
):
    shop.answers = [lambda body: (shop.values.update(body), act(body))[1]]
    update = settings.set(php_version="8.4")
    assert (update.posted, update.wait()) == (False, ())
    assert shop.log == ["PATCH", "GET flows", "GET app", "GET app"]


@pytest.mark.parametrize("delay", [1, 6, 25])
def test_a_flow_that_shows_up_late_is_still_found(shop: Shop, settings: Settings, clock: Any, delay: float):
    """The logbook lags (CONTRACT.md 1.7), so one look is not enough before a write is sent again."""
    shop.answers = [lost()]
    sleep = clock.sleep

    def post_late(seconds: float) -> None:
        sleep(seconds)
        if clock.now > 1000 + delay and not shop.flows:
            shop.post({"php_version": "8.4"})

    late = Settings(settings._transport, "kaasshop", Secret(TOKEN), Catalogue.bundled(), sleep=post_late, clock=clock)
    assert late.set(php_version="8.4").flow is not None
    assert shop.log.count("PATCH") == 1


@pytest.mark.parametrize("act", UNCLEAR + TURNED_AWAY)
def test_a_lost_change_that_never_arrived_is_sent_again_after_reading(
    shop: Shop, settings: Settings, act: Callable[[Body], Any]
):
    shop.answers = [act, act, shop.job("running", "success")]
    update = settings.set(php_version="8.4")
    assert update.tracker == TRACKER
    assert shop.sent == [{"php_version": "8.4"}] * 3
    for reads in reads_between_writes(shop.log)[:2]:
        assert reads[:2] == ["GET flows", "GET app"]
    assert [flow.state for flow in update.wait()] == ["success"]


@pytest.mark.parametrize("act", UNCLEAR + TURNED_AWAY)
def test_the_number_of_sends_is_bounded_and_each_is_followed_by_a_look(
    shop: Shop, settings: Settings, act: Callable[[Body], Any], clock: Any
):
    shop.answers = [act]
    with pytest.raises(HypernodeError):
        settings.set(php_version="8.4")
    assert shop.log.count("PATCH") == 5
    assert all(reads[:2] == ["GET flows", "GET app"] for reads in reads_between_writes(shop.log)[:4])
    assert clock.now - 1000 < 5 * 31


def test_the_last_send_too_is_looked_for_before_it_is_called_a_failure(shop: Shop, settings: Settings):
    """It may have arrived like any other; "try later" would be wrong."""
    away = plain(503)
    shop.answers = [away, away, away, away, arrives(shop, away, "success")]
    update = settings.set(php_version="8.4")
    assert [flow.state for flow in update.wait()] == ["success"]
    assert shop.log.count("PATCH") == 5


@pytest.mark.parametrize("age", [5, 60, 3600])
def test_an_older_change_of_the_node_is_not_taken_for_the_lost_one(shop: Shop, settings: Settings, age: float):
    shop.post(None, "success", age=age)
    shop.answers = [lost(), shop.job("success")]
    settings.set(php_version="8.4").wait()
    assert shop.log.count("PATCH") == 2


@pytest.mark.parametrize("ahead", [timedelta(hours=1), timedelta(hours=-1)])
def test_a_lost_change_is_found_by_the_servers_clock(shop: Shop, settings: Settings, ahead: timedelta):
    shop.ahead = ahead
    shop.post(None, "success", age=30)
    shop.answers = [arrives(shop, lost(), "running", "running", "success")]
    update = settings.set(php_version="8.4")
    assert update.flow == shop.flows[0]["uuid"]
    assert next(flow.state for flow in update.wait()) == "success"
    assert shop.log.count("PATCH") == 1


def test_a_part_of_a_change_that_is_there_does_not_count(shop: Shop, settings: Settings):
    shop.values["varnish_enabled"] = True
    shop.answers = [lost(), shop.job("success")]
    settings.set(php_version="8.4", varnish_enabled=True).wait()
    assert shop.sent == [{"php_version": "8.4", "varnish_enabled": True}] * 2


@pytest.mark.parametrize("act", UNCLEAR)
@pytest.mark.parametrize(
    "broken", [(403, {}, ""), (401, {}, ""), (503, {}, ""), (200, {}, "<html>"), requests.ReadTimeout()]
)
def test_a_lost_change_of_a_node_that_cannot_be_read_has_an_unknown_outcome_and_is_not_sent_again(
    shop: Shop, settings: Settings, act: Callable[[Body], Any], broken: Any
):
    shop.answers = [act]
    shop.reads = [broken]
    with pytest.raises(OutcomeUnknown) as caught:
        settings.set(php_version="8.4")
    assert shop.log.count("PATCH") == 1
    assert caught.value.node == "kaasshop"
    assert caught.value.hint == "Run the same command again: it reads first and sends only what is missing"


def test_an_unknown_outcome_says_what_was_lost_and_why_reading_failed(shop: Shop, settings: Settings):
    shop.answers = [lost()]
    shop.reads = [(403, {}, "")]
    with pytest.raises(OutcomeUnknown) as caught:
        settings.set(php_version="8.4")
    assert caught.value.message == (
        "a change was sent and its answer was lost (PATCH /v2/app/kaasshop/: no answer in time); "
        "reading the node failed too: the token may not do this (403)"
    )


@pytest.mark.parametrize("act", [lost(requests.ConnectTimeout()), lost(requests.exceptions.ProxyError())])
def test_a_change_that_never_left_is_no_unknown_outcome_even_if_reading_fails_too(
    shop: Shop, settings: Settings, act: Callable[[Body], Any]
):
    """Nothing was sent, and that is known."""
    shop.answers = [act]
    shop.reads = [requests.ConnectTimeout()]
    with pytest.raises(ConnectionFailed) as caught:
        settings.set(php_version="8.4")
    assert caught.value.maybe_applied is False


def test_what_may_have_arrived_stays_unknown_when_a_later_send_never_left(shop: Shop, settings: Settings):
    empty = (200, {}, '{"count": 0, "next": null, "results": []}')
    shop.answers = [lost(), lost(requests.ConnectTimeout())]
    shop.reads = [*[empty, (200, {}, json.dumps(shop.values))] * 6, requests.ConnectTimeout()]
    with pytest.raises(OutcomeUnknown, match="no answer in time"):
        settings.set(php_version="8.4")
    assert shop.log.count("PATCH") == 2


def test_a_certificate_that_cannot_be_trusted_is_not_tried_again(shop: Shop, settings: Settings):
    shop.answers = [lost(requests.exceptions.SSLError())]
    with pytest.raises(ConnectionFailed) as caught:
        settings.set(php_version="8.4")
    assert caught.value.permanent
    assert shop.log == ["PATCH"]


@pytest.mark.parametrize("act", UNCLEAR)
@pytest.mark.parametrize(
    ("after", "words"),
    [
        (plain(400, '{"php_version": ["no"]}'), "the API refused it (400): php_version: no"),
        (plain(403), "the token may not do this (403)"),
        (plain(401), "the API refused the token (401)"),
    ],
)
def test_a_refusal_after_a_lost_answer_is_told_and_leaves_the_outcome_open(
    shop: Shop, settings: Settings, act: Callable[[Body], Any], after: Callable[[Body], Any], words: str
):
    shop.answers = [act, after]
    with pytest.raises(OutcomeUnknown) as caught:
        settings.set(php_version="8.4")
    assert "its answer was lost" in caught.value.message
    assert f"it was sent again, and {words}" in caught.value.message
    assert shop.log.count("PATCH") == 2


@pytest.mark.parametrize("act", UNCLEAR)
def test_a_write_whose_answers_are_all_lost_has_an_unknown_outcome(
    shop: Shop, settings: Settings, act: Callable[[Body], Any]
):
    shop.answers = [act]
    with pytest.raises(OutcomeUnknown):
        settings.set(php_version="8.4")


def test_the_flow_of_the_first_lost_send_is_found_after_later_ones(
    shop: Shop, settings: Settings, clock: Any, monkeypatch: pytest.MonkeyPatch
):
    """It is older than the second send, and its own all the same."""
    shop.answers = [lost(), lost()]
    sleep, started = clock.sleep, datetime.now(UTC)

    class Now(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return started + timedelta(seconds=clock.now - 1000)

    monkeypatch.setattr(hypernode.api.settings, "datetime", Now)

    def post_late(seconds: float) -> None:
        sleep(seconds)
        if clock.now > 1040 and not shop.flows:
            shop.post({"php_version": "8.4"}, "running", "running", "success")

    late = Settings(settings._transport, "kaasshop", Secret(TOKEN), Catalogue.bundled(), sleep=post_late, clock=clock)
    assert late.set(php_version="8.4").flow == shop.flows[0]["uuid"]
    assert shop.log.count("PATCH") == 2


@pytest.mark.parametrize("value", [8.10, ["8.4"], {"a": 1}, b"8.4", object()])
def test_only_texts_booleans_and_whole_numbers_are_values(shop: Shop, settings: Settings, value: Any):
    with pytest.raises(InvalidValue) as caught:
        settings.set(php_version=value)
    assert "cannot be a" in caught.value.message
    assert ("quotes" in (caught.value.hint or "")) is isinstance(value, float)
    assert shop.log == []


def test_a_write_that_is_always_turned_away_is_told_as_such(shop: Shop, settings: Settings):
    shop.answers = [plain(429)]
    with pytest.raises(TryLater) as caught:
        settings.set(php_version="8.4")
    assert caught.value.status == 429


def test_a_write_that_is_turned_away_for_an_hour_is_told_at_once(shop: Shop, settings: Settings, clock: Any):
    """It was not applied, and that is known; reading would have to wait as long."""
    shop.answers = [plain(429, **{"Retry-After": "3600"})]
    with pytest.raises(TryLater) as caught:
        settings.set(php_version="8.4")
    assert caught.value.retry_after == 3600
    assert shop.log.count("PATCH") == 1
    assert sum(clock.slept) <= 90


# --- secrets -------------------------------------------------------------------------------------------------------

ENDINGS: list[Callable[[Shop], None]] = [
    lambda shop: shop.answers.append(plain(400, json.dumps({"new_relic_secret": [f"{CANARY} of {TOKEN}"]}))),
    lambda shop: shop.answers.append(plain(400, json.dumps({CANARY: {TOKEN: CANARY}}))),
    lambda shop: shop.answers.append(plain(403, f"{CANARY} {TOKEN}")),
    lambda shop: shop.answers.append(plain(429, f"<title>{CANARY} {TOKEN}</title>")),
    lambda shop: shop.answers.append(plain(503, json.dumps([CANARY, TOKEN]))),
    lambda shop: shop.answers.append(plain(401, json.dumps({"detail": f"{TOKEN} {CANARY}"}))),
    lambda shop: shop.answers.append(lost()),
    lambda shop: (shop.answers.append(lost()), shop.reads.append((403, {}, f'"{TOKEN}"')), None)[2],
    lambda shop: shop.answers.append(shop.job("reverted")),
    lambda shop: shop.answers.append(plain(200)),
    lambda shop: shop.answers.append(shop.job("running")),
    lambda shop: (shop.answers.append(shop.job()), shop.reads.append((500, {}, f'"{TOKEN}"')), None)[2],
    lambda shop: (shop.answers.append(shop.job()), shop.reads.append((404, {}, f'"{TOKEN}"')), None)[2],
]


@pytest.mark.parametrize("ending", ENDINGS)
def test_no_error_of_a_change_shows_the_token_or_the_value_of_a_secret_setting(
    shop: Shop, settings: Settings, caplog: pytest.LogCaptureFixture, ending: Callable[[Shop], None]
):
    caplog.set_level(logging.DEBUG)
    shop.values["new_relic_secret"] = "canary-old-90fe"
    ending(shop)
    with pytest.raises(HypernodeError) as caught:
        settings.set(new_relic_secret=Secret(CANARY)).wait(timeout=100)
    assert shop.sent[0] == {"new_relic_secret": CANARY}
    for secret in (CANARY, TOKEN, "canary"):
        assert secret not in shown(caught.value)
        assert secret not in caplog.text
        assert secret not in repr(settings)


def test_a_secret_that_is_not_there_is_told_by_its_mask(shop: Shop, settings: Settings):
    shop.values["new_relic_secret"] = "canary-old-90fe"
    shop.answers = [plain(200)]
    with pytest.raises(NotApplied) as caught:
        settings.set(new_relic_secret=CANARY).wait()
    assert caught.value.message == "the platform says the change is done, and still new_relic_secret is ***"


def test_an_update_shows_its_wishes_with_secrets_masked(shop: Shop, settings: Settings):
    update = settings.set(new_relic_secret=CANARY, php_version="8.4")
    assert isinstance(update, Update)
    assert "8.4" in repr(update)
    assert CANARY not in repr(update)
    assert TOKEN not in repr(update)


def test_a_failing_answer_never_shows_a_value_of_the_node(shop: Shop, settings: Settings):
    """The body of an app holds secrets in clear (CONTRACT.md 2.8)."""
    shop.values["varnish_secret"] = CANARY
    whole = json.dumps(shop.values)
    for body in (whole[:-2], f"[{whole}]", "<" + whole):
        shop.reads = [(200, {}, body)]
        with pytest.raises(HypernodeError) as caught:
            settings.read()
        assert CANARY not in shown(caught.value)


def test_a_logbook_and_its_settings_are_of_the_same_node(shop: Shop, transport: Transport):
    assert Flows(transport, "kaasshop", Secret(TOKEN)).newest() == ()
    assert shop.log == ["GET flows"]


# A write that another process sent, and did not live to see the end of

SENT = {"php_version": "8.4"}


def ago(seconds: float) -> datetime:
    return datetime.now(UTC) - timedelta(seconds=seconds)


def test_a_write_of_before_is_found_by_its_flows_and_waited_for(shop: Shop, settings: Settings):
    flow = shop.post(dict(SENT), "running", "success", age=600)
    shop.post({}, "running", tracker={"uuid": TRACKER.replace("aa", "bb")})
    update = settings.find_sent(SENT, ago(600), [flow["uuid"]])
    assert update is not None
    assert [one.uuid for one in update.wait()] == [flow["uuid"]]
    assert shop.sent == []


def test_a_write_of_before_whose_flows_nobody_saw_is_found_by_its_time(shop: Shop, settings: Settings):
    shop.post({}, "success", age=3600)
    shop.post(dict(SENT), "running", "success", age=60)
    update = settings.find_sent(SENT, ago(61))
    assert update is not None
    assert update.wait()
    assert settings.get("php_version") == "8.4"


def test_a_write_of_before_that_the_node_shows_is_done(shop: Shop, settings: Settings):
    shop.values["php_version"] = "8.4"
    update = settings.find_sent(SENT, ago(60))
    assert update is not None
    assert update.wait() == ()


def test_a_write_that_never_arrived_is_told_so_once_it_would_be_seen(shop: Shop, settings: Settings, clock: Any):
    began = clock()
    assert settings.find_sent(SENT, ago(3600)) is None
    assert clock() == began, "an hour later nothing is waited for"
    assert settings.find_sent(SENT, ago(0)) is None
    assert clock() - began == pytest.approx(30, abs=1)


@pytest.mark.parametrize("ahead", [60, 86_400])
def test_a_clock_that_was_set_back_meanwhile_makes_nobody_wait_longer(
    shop: Shop, settings: Settings, clock: Any, ahead: float
):
    began = clock()
    assert settings.find_sent(SENT, ago(-ahead)) is None
    assert clock() - began == pytest.approx(30, abs=1)


def test_a_reverted_write_of_before_is_a_failure_and_not_sent_again(shop: Shop, settings: Settings):
    shop.post({}, "reverted", age=60)
    update = settings.find_sent(SENT, ago(61))
    assert update is not None
    with pytest.raises(FlowFailed):
        update.wait()


def test_a_flow_that_succeeded_and_left_other_values_is_another_one(shop: Shop, settings: Settings):
    shop.post({"varnish_enabled": True}, "success", age=60)
    assert settings.find_sent(SENT, ago(61)) is None
