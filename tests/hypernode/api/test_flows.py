"""The logbook of a node, and waiting until a change is done (CONTRACT.md 1.7)."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import pytest
import responses

from hypernode.api.flows import Flows, in_seconds, posted_since, wait, watch
from hypernode.api.models import Flow
from hypernode.api.transport import Transport
from hypernode.errors import BadAnswer, FlowFailed, FlowTimedOut, TryLater
from hypernode.secrets import Secret

API = "https://api.hypernode.com"
FLOWS = f"{API}/logbook/v1/logbooks/kaasshop/flows/"
FIRST = "6c0e0000-0000-4000-8000-000000000001"

Net = responses.RequestsMock


def recorded(number: int = 1, **more: Any) -> dict[str, Any]:
    """Return a flow as the API answers it (CONTRACT.md 1.7)."""
    return {
        "uuid": f"6c0e0000-0000-4000-8000-{number:012}",
        "state": "running",
        "name": "update_node",
        "created_at": "2026-08-20T09:00:00Z",
        "updated_at": "2026-08-20T09:00:04Z",
        "logbook": "kaasshop",
        "progress": {"running": ["php_update_node_to_update_flow"], "total": 8, "completed": 5},
        "tracker": {"uuid": "6c0e0000-0000-4000-8000-0000000000aa", "description": None},
    } | more


def flow(state: str | None, number: int = 1, **more: Any) -> Flow:
    return Flow.model_validate(recorded(number, state=state, **more))


def page(*results: Any, follow: str | None = None) -> dict[str, Any]:
    return {"count": 100, "next": follow, "previous": None, "results": list(results)}


@pytest.fixture
def logbook(transport: Transport) -> Flows:
    return Flows(transport, "kaasshop", Secret("token"))


@pytest.fixture
def two_pages(net: Net) -> None:
    none = [responses.matchers.query_param_matcher({})]
    net.get(FLOWS, json=page(*map(recorded, range(1, 51)), follow=f"{FLOWS}?limit=50&offset=50"), match=none)
    net.get(f"{FLOWS}?limit=50&offset=50", json=page(*map(recorded, range(51, 61))))


# --- reading the logbook -------------------------------------------------------------------------------------------


def test_a_flow_is_read_as_the_api_tells_it(net: Net, logbook: Flows):
    net.get(FLOWS, json=page(recorded()))
    (read,) = logbook.iter()
    assert (read.uuid, read.state, read.name, read.node) == (FIRST, "running", "update_node", "kaasshop")
    assert read.created_at == datetime(2026, 8, 20, 9, 0, 0, tzinfo=UTC)
    assert read.updated_at == datetime(2026, 8, 20, 9, 0, 4, tzinfo=UTC)
    assert (read.progress.running, read.progress.total, read.progress.completed) == (
        ("php_update_node_to_update_flow",),
        8,
        5,
    )
    assert read.tracker.uuid == "6c0e0000-0000-4000-8000-0000000000aa"
    assert not read.is_over


def test_a_flow_may_lack_progress_tracker_and_dates(net: Net, logbook: Flows):
    net.get(
        FLOWS,
        json=page(
            {"uuid": FIRST, "state": None, "name": "update_node"},
            {"uuid": FIRST, "progress": None, "tracker": None, "updated_at": None, "brand_new": 1},
        ),
    )
    first, second = logbook.iter()
    assert (first.state, first.progress.total, first.tracker.uuid, first.updated_at) == (None, 0, None, None)
    assert (second.name, second.progress.running) == ("", ())


@pytest.mark.parametrize("item", [{}, [], "x", None, {"uuid": None}, {"uuid": FIRST, "created_at": "yesterday"}])
def test_what_cannot_be_a_flow_is_a_bad_answer_without_its_content(net: Net, logbook: Flows, item: Any):
    net.get(FLOWS, json=page(item))
    with pytest.raises(BadAnswer) as caught:
        list(logbook.iter())
    assert caught.value.message.startswith("the API answered a flow that cannot be read (")
    assert "yesterday" not in "".join(traceback.format_exception(caught.value))


def test_the_error_names_the_field_that_cannot_be_read(net: Net, logbook: Flows):
    net.get(FLOWS, json=page({"uuid": FIRST, "progress": {"total": "many"}}))
    with pytest.raises(BadAnswer) as caught:
        list(logbook.iter())
    assert str(caught.value) == "kaasshop: the API answered a flow that cannot be read (progress.total)"


@pytest.mark.usefixtures("two_pages")
def test_all_flows_come_page_by_page(net: Net, logbook: Flows):
    flows = logbook.iter()
    assert len(net.calls) == 0
    assert next(flows).uuid == FIRST
    assert len(net.calls) == 1
    assert len(list(flows)) == 59
    assert len(net.calls) == 2


@pytest.mark.usefixtures("two_pages")
@pytest.mark.parametrize(
    ("limit", "count", "requests"), [(1, 1, 1), (50, 50, 1), (51, 51, 2), (99, 60, 2), (None, 60, 2)]
)
def test_no_page_is_fetched_beyond_the_limit(net: Net, logbook: Flows, limit: int | None, count: int, requests: int):
    assert len(list(logbook.iter(limit))) == count
    assert len(net.calls) == requests


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_of_none_at_all_sends_nothing(net: Net, logbook: Flows, limit: int):
    """The official client downloads everything and returns nothing (CONTRACT.md 5, defect 6)."""
    assert list(logbook.iter(limit)) == []
    assert len(net.calls) == 0


@pytest.mark.usefixtures("two_pages")
def test_a_caller_may_stop_at_any_time(net: Net, logbook: Flows):
    assert len(list(islice(logbook.iter(), 3))) == 3
    assert len(net.calls) == 1


def test_a_node_without_a_logbook_has_no_flows(net: Net, logbook: Flows):
    net.get(FLOWS, json={"detail": "Not found."}, status=404)
    assert list(logbook.iter()) == []
    assert logbook.newest() == ()
    assert logbook.blocking() is None


def test_the_flows_of_one_change_are_asked_for_by_their_tracker(net: Net, logbook: Flows):
    net.get(FLOWS, json=page(recorded(), recorded(2)))
    assert [one.uuid for one in logbook.newest(tracker="abc")] == [FIRST, FIRST[:-1] + "2"]
    assert list(logbook.iter(tracker="abc"))
    assert {str(call.request.url) for call in net.calls} == {f"{FLOWS}?tracker_uuid=abc"}


@pytest.mark.parametrize("name", ["update_node", "xgrade_app", "xgrade_app_flow", "restore_backup_flow"])
@pytest.mark.parametrize("state", [None, "waiting", "running", "brand_new"])
def test_a_flow_under_way_that_changes_the_node_blocks_it(net: Net, logbook: Flows, name: str, state: str | None):
    net.get(FLOWS, json=page(recorded(1, name="create_backup"), recorded(2, name=name, state=state)))
    blocking = logbook.blocking()
    assert blocking is not None
    assert blocking.uuid.endswith("2")


def test_flows_that_are_over_or_change_nothing_block_nothing(net: Net, logbook: Flows):
    net.get(
        FLOWS,
        json=page(
            recorded(1, state="success"),
            recorded(2, state="reverted"),
            recorded(3, name="create_backup"),
            recorded(4, name="block_attack", state=None),
        ),
    )
    assert logbook.blocking() is None


def test_the_flow_of_a_change_is_the_newest_settings_flow_of_its_time():
    moment = datetime(2026, 8, 20, 9, 0, 0, tzinfo=UTC)

    def at(number: int, seconds: int, name: str = "update_node") -> Flow:
        return flow("running", number, name=name, created_at=(moment + timedelta(seconds=seconds)).isoformat())

    backup, newer, exact, older = at(1, 9, "create_backup"), at(2, 5), at(3, 0), at(4, -1)
    assert posted_since(moment, [backup, newer, exact, older]) == newer
    assert posted_since(moment, [exact, older]) == exact
    assert posted_since(moment, [backup, older, flow(None, created_at=None)]) is None
    assert posted_since(moment, []) is None


# --- waiting -------------------------------------------------------------------------------------------------------


class Looks:
    """Answers each look with the next of what it was given, the last one for ever; notes when it was asked."""

    def __init__(self, clock: Any, *seen: Sequence[Flow]) -> None:
        self.clock = clock
        self.seen = list(seen)
        self.at: list[float] = []

    def __call__(self) -> Sequence[Flow]:
        self.at.append(self.clock.now - 1000)
        return self.seen.pop(0) if len(self.seen) > 1 else self.seen[0]


def waited(looks: Looks, *, timeout: float = 900.0, **more: Any) -> tuple[Flow, ...]:
    return wait(looks, timeout=timeout, sleep=looks.clock.sleep, clock=looks.clock, **more)


def test_waiting_ends_when_the_flow_has_succeeded(clock: Any):
    looks = Looks(clock, [], [flow(None)], [flow("waiting")], [flow("running")], [flow("success")])
    assert [one.state for one in waited(looks)] == ["success"]
    assert len(looks.at) == 5


def test_the_looks_start_after_two_seconds_and_grow_to_at_most_fifteen_apart(clock: Any):
    looks = Looks(clock, [flow("running")])
    with pytest.raises(FlowTimedOut):
        waited(looks)
    gaps = [second - first for first, second in zip([0.0, *looks.at], looks.at, strict=False)]
    assert gaps[0] == 2.0
    assert gaps[:-1] == sorted(gaps[:-1])
    assert max(gaps) == 15.0
    assert len(looks.at) < 70
    assert clock.now - 1000 == pytest.approx(900)


def test_the_first_interval_can_be_longer_and_then_stays(clock: Any):
    looks = Looks(clock, [flow("running")])
    with pytest.raises(FlowTimedOut):
        waited(looks, timeout=100, interval=30)
    assert looks.at == pytest.approx([30, 60, 90, 100])


def test_every_flow_of_a_change_has_to_succeed(clock: Any):
    """The official clients look at the first one only (CONTRACT.md 1.7)."""
    looks = Looks(
        clock,
        [flow("success", 1), flow("running", 2)],
        [flow("success", 1), flow(None, 2)],
        [flow("success", 1), flow("success", 2)],
    )
    assert len(waited(looks)) == 2
    assert len(looks.at) == 3


@pytest.mark.parametrize("others", [[], [flow("success", 2)], [flow("running", 2)]])
def test_one_reverted_flow_fails_the_change(clock: Any, others: list[Flow]):
    with pytest.raises(FlowFailed) as caught:
        waited(Looks(clock, [*others, flow("reverted")]))
    assert str(caught.value) == (
        "the flow update_node was reverted: the platform could not apply the change and rolled it back"
    )
    assert caught.value.hint == (
        f"Look at the node's own log (hypernode-log), or ask support@hypernode.com about {FIRST}"
    )
    assert (caught.value.flow, caught.value.state) == (FIRST, "reverted")


def test_running_out_of_time_says_what_was_seen_last(clock: Any):
    with pytest.raises(FlowTimedOut) as caught:
        waited(Looks(clock, [flow("running")]), timeout=60)
    assert str(caught.value) == "not done after 60 seconds: update_node is running"
    assert caught.value.hint == "The flow goes on; look at it with `hnctl flows watch`"
    assert (caught.value.flow, caught.value.state) == (FIRST, "running")
    with pytest.raises(FlowTimedOut, match="not done after 10 seconds: update_node is not started"):
        waited(Looks(clock, [flow(None)]), timeout=10)
    with pytest.raises(FlowTimedOut) as caught:
        waited(Looks(clock, []), timeout=10)
    assert str(caught.value) == "not done after 10 seconds"
    assert (caught.value.flow, caught.value.state) == (None, None)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (1, "1 second"),
        (1.0, "1 second"),
        (0.15, "0.15 seconds"),
        (1.5, "1.5 seconds"),
        (0.001, "0.001 seconds"),
        (299.998, "300 seconds"),
        (604800.0, "604800 seconds"),
    ],
)
def test_a_time_is_told_in_words(seconds: float, words: str):
    assert in_seconds(seconds) == words


def test_running_out_of_time_names_the_flow_that_is_not_done(clock: Any):
    with pytest.raises(FlowTimedOut) as caught:
        waited(
            Looks(clock, [flow("success", 1, name="update_node"), flow("running", 2, name="update_alerting")]),
            timeout=9,
        )
    assert str(caught.value) == "not done after 9 seconds: update_alerting is running"
    assert caught.value.flow == FIRST[:-1] + "2"


def test_a_timeout_of_nothing_looks_at_nothing(clock: Any):
    looks = Looks(clock, [flow("success")])
    with pytest.raises(FlowTimedOut):
        waited(looks, timeout=0)
    assert looks.at == []


def test_the_last_look_is_at_the_end_of_the_time(clock: Any):
    looks = Looks(clock, [flow("running")])
    with pytest.raises(FlowTimedOut):
        waited(looks, timeout=10)
    assert looks.at[-1] == pytest.approx(10)


def test_an_unknown_state_is_waited_on_and_told_once(clock: Any, caplog: pytest.LogCaptureFixture):
    looks = Looks(clock, [flow("paused")], [flow("paused")], [flow("success")])
    with caplog.at_level(logging.WARNING):
        assert [one.state for one in waited(looks)] == ["success"]
    assert [record.getMessage() for record in caplog.records] == [
        "update_node is in a state that hnctl does not know, 'paused'; waiting on"
    ]


def test_known_states_are_not_worth_a_word(clock: Any, caplog: pytest.LogCaptureFixture):
    waited(Looks(clock, [flow(None)], [flow("waiting")], [flow("running")], [flow("success")]))
    assert caplog.records == []


def test_flows_that_never_show_up_are_given_up_after_the_grace(clock: Any):
    looks = Looks(clock, [])
    assert waited(looks) == ()
    assert 60 <= clock.now - 1000 <= 75
    assert len(looks.at) < 12


def test_a_flow_that_shows_up_late_within_the_grace_is_waited_for(clock: Any):
    looks = Looks(clock, *[[]] * 6, [flow("running")], [flow("success")])
    assert [one.state for one in waited(looks)] == ["success"]


def test_each_look_is_told(clock: Any):
    told: list[Sequence[Flow]] = []
    waited(Looks(clock, [], [flow("running")], [flow("success")]), on_look=told.append)
    assert [[one.state for one in look] for look in told] == [[], ["running"], ["success"]]


def test_an_error_of_a_look_ends_the_wait(clock: Any):
    def fetch() -> Sequence[Flow]:
        raise TryLater("GET answered 503", status=503)

    with pytest.raises(TryLater):
        wait(fetch, timeout=60, sleep=clock.sleep, clock=clock)


# --- watching ------------------------------------------------------------------------------------------------------


def watched(looks: Looks, *, timeout: float = 900.0) -> list[tuple[str, str | None, int]]:
    flows = watch(looks, timeout=timeout, sleep=looks.clock.sleep, clock=looks.clock)
    return [(one.uuid[-1], one.state, one.progress.completed) for one in flows]


def step(state: str | None, completed: int, number: int = 1) -> Flow:
    return flow(state, number, progress={"running": [], "total": 8, "completed": completed})


def test_watching_tells_each_flow_under_way_again_when_it_moves_until_all_have_ended(clock: Any):
    looks = Looks(
        clock,
        [step(None, 0, 2), step("running", 1, 1), step("success", 8, 3)],
        [step(None, 0, 2), step("running", 1, 1), step("success", 8, 3)],
        [step("running", 4, 2), step("running", 5, 1), step("success", 8, 3)],
        [step("reverted", 4, 2), step("success", 8, 1), step("success", 8, 3)],
    )
    assert watched(looks) == [
        ("1", "running", 1),
        ("2", None, 0),
        ("1", "running", 5),
        ("2", "running", 4),
        ("1", "success", 8),
        ("2", "reverted", 4),
    ]
    assert looks.at[:2] == [0, 2]


def test_watching_a_node_where_nothing_is_under_way_ends_at_once(clock: Any):
    assert watched(Looks(clock, [step("success", 8)])) == []
    assert watched(Looks(clock, [])) == []
    assert clock.slept == []


def test_watching_ends_when_its_time_is_over_and_asks_at_most_every_fifteen_seconds(clock: Any):
    looks = Looks(clock, [step("success", 8, 2), step("running", 1)])
    with pytest.raises(FlowTimedOut) as caught:
        watched(looks, timeout=300)
    assert str(caught.value) == "update_node is not done after 300 seconds; it goes on"
    assert (caught.value.flow, caught.value.state) == (FIRST, "running")
    assert max(clock.slept) == 15.0
    assert len(looks.at) < 30


@pytest.mark.parametrize("timeout", [3, 10, 60, 100])
def test_watching_does_not_outlast_its_time(clock: Any, timeout: float):
    with pytest.raises(FlowTimedOut):
        watched(Looks(clock, [step("running", 1)]), timeout=timeout)
    assert clock.now - 1000 <= timeout
