"""Many incidents together: what they have in common, and what is left open."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypernode.oom.events import Event, Task, Victim
from hypernode.oom.history import MOST_INCIDENTS, History, look_back
from hypernode.oom.incidents import incidents

MONDAY = datetime(2026, 11, 2, 3, 10)


def kill(
    at: datetime | None, *, mysql: int = 400_000, victim: str = "php8.3", table: bool = True, **more: Any
) -> Event:
    tasks = (
        Task(100, "mysqld", 112, 900_000, mysql, 0, -1000),
        Task(200, victim, 1000, 90_000, 50_000, 0, 1000),
    )
    values: dict[str, Any] = dict.fromkeys(("uptime", "trigger", "trigger_oom_score_adj", "gfp_mask", "order", "memcg"))
    values |= {
        "stamp": None,
        "scope": "global",
        "victims": (Victim(200, victim, 1000),),
        "task_count": 2 * table,
        "top": tasks[0] if table else None,
        "tasks": tasks if table else (),
        "at": at.isoformat() if at else None,
        **more,
    }
    return Event(**values)


def seen(*events: Event) -> History:
    return look_back(incidents(enumerate(events, start=1)))


def test_no_event_is_none():
    history = seen()
    assert (history.kind, history.events, history.kills, history.culprit) == ("none", 0, 0, None)


def test_one_event_is_a_one_off_and_nobody_is_sure_of_more():
    history = seen(kill(MONDAY))
    assert (history.kind, history.confidence, history.culprit) == ("one-off", "low", "mysql")


def test_kills_within_a_minute_of_each_other_are_one_incident():
    history = seen(*(kill(MONDAY + timedelta(seconds=50 * n)) for n in range(4)), kill(MONDAY + timedelta(seconds=211)))
    assert [one.kills for one in history.incidents] == [4, 1]
    assert history.incidents[0].victims == (("php cli", 4),)
    assert (history.events, history.kills) == (5, 5)


def test_an_incident_is_judged_by_its_surest_report():
    bare, whole = kill(MONDAY, table=False), kill(MONDAY + timedelta(seconds=1))
    (one,) = seen(bare, whole, replace(bare, at=(MONDAY + timedelta(seconds=2)).isoformat())).incidents
    assert (one.worst.number, one.worst.verdict.culprit, one.worst.event.tasks) == (2, "mysql", ())


@pytest.mark.parametrize(
    ("days", "sentence", "confidence"),
    [
        ((0, 1, 2), "Each day at 03:10: 3 of 3 incidents", "medium"),
        ((0, 1, 2, 3, 4), "Each day at 03:10: 5 of 5 incidents", "high"),
        ((0, 1, 3, 4), "On 4 of 5 days at 03:10: 4 of 4 incidents", "medium"),
        ((0, 7, 14), "Each Monday at 03:10: 3 of 3 incidents", "medium"),
        ((0, 7, 21), "On Mondays at 03:10: 3 of 3 incidents", "medium"),
        ((0, 9), "On 2 of 10 days at 03:10: 2 of 2 incidents", "low"),
    ],
)
def test_incidents_at_the_same_time_of_the_day_are_a_pattern(days: tuple[int, ...], sentence: str, confidence: str):
    history = seen(*(kill(MONDAY + timedelta(days=day)) for day in days))
    assert (history.kind, history.sentence, history.confidence) == ("pattern", sentence, confidence)


def test_a_pattern_may_go_over_midnight_and_have_exceptions():
    night = datetime(2026, 11, 2, 23, 50)
    events = [kill(night + timedelta(days=day, minutes=15 * (day % 2))) for day in range(4)]
    history = seen(*events, kill(datetime(2026, 11, 9, 14, 0)))
    assert (history.kind, history.sentence) == ("pattern", "Each day between 23:50 and 00:05: 4 of 5 incidents")


def test_two_hours_of_the_day_are_not_the_same_time():
    assert seen(*(kill(MONDAY + timedelta(days=day, minutes=61 * day)) for day in range(3))).kind == "structural"
    assert seen(*(kill(MONDAY + timedelta(days=day, minutes=29 * day)) for day in range(3))).kind == "pattern"


def test_only_the_youngest_of_very_many_incidents_are_looked_at():
    history = seen(*(kill(MONDAY + timedelta(hours=n)) for n in range(MOST_INCIDENTS + 5)))
    assert len(history.incidents) == MOST_INCIDENTS
    assert history.incidents[0].first.number == 6


def test_incidents_all_over_the_day_are_structural():
    history = seen(*(kill(MONDAY + timedelta(days=day, hours=7 * day)) for day in range(5)))
    assert (history.kind, history.confidence) == ("structural", "high")


def test_incidents_that_are_rare_are_not_structural():
    history = seen(*(kill(MONDAY + timedelta(days=60 * n, hours=5 * n)) for n in range(4)))
    assert (history.kind, history.confidence) == ("unclear", "none")


def test_kills_that_never_stop_are_more_than_one_incident():
    history = seen(*(kill(MONDAY + timedelta(seconds=50 * n)) for n in range(60)))
    assert [one.kills for one in history.incidents] == [13, 13, 13, 13, 8]


def test_too_few_incidents_are_said_to_be_too_few():
    history = seen(kill(MONDAY), kill(MONDAY + timedelta(hours=5)))
    assert (history.kind, history.confidence) == ("unclear", "none")


def test_incidents_without_a_time_are_not_compared():
    history = seen(kill(None, uptime=10.0), kill(None, uptime=30.0), kill(None, uptime=500.0), kill(MONDAY))
    assert (history.kind, history.confidence) == ("unclear", "none")
    assert [one.kills for one in history.incidents] == [2, 1, 1]


def test_a_service_that_grows_is_named_with_what_it_held():
    history = seen(*(kill(MONDAY + timedelta(days=day), mysql=400_000 + 80_000 * day) for day in range(4)))
    assert history.reasons[-1].startswith("mysql grows: it held 1.7 GiB in the first half of the incidents and 2.3 GiB")
    steady = seen(*(kill(MONDAY + timedelta(days=day)) for day in range(4)))
    assert not any("grows" in reason for reason in steady.reasons)


def test_who_held_most_has_to_do_so_in_more_than_half_of_the_incidents_that_tell():
    own = [kill(MONDAY + timedelta(days=day), mysql=1) for day in (0, 1)]
    history = seen(*own, *(kill(MONDAY + timedelta(days=day)) for day in (2, 3)), kill(MONDAY, table=False))
    assert (dict(history.culprits), history.not_told, history.culprit) == ({"mysql": 2, "php cli": 2}, 1, None)


def test_hours_are_those_of_the_logs_own_clock():
    event = replace(kill(MONDAY), at="2026-11-02T23:30:00.5+09:00")
    assert seen(event).by_hour()[0][23] == 1


@given(st.lists(st.integers(0, 10**7), max_size=60))
def test_every_kill_is_in_one_incident_and_close_to_its_neighbours(seconds: list[int]):
    moments = [MONDAY + timedelta(seconds=number) for number in sorted(seconds)]
    history = seen(*map(kill, moments))
    assert history.kills == len(seconds)
    assert sum(map(sum, history.by_hour())) == len(history.incidents)
    gaps = sum((later - earlier).total_seconds() > 60 for earlier, later in pairwise(moments))
    assert len(history.incidents) >= (gaps + 1 if moments else 0)
    for one in history.incidents:
        begin, end = (datetime.fromisoformat(str(case.event.at)) for case in (one.first, one.last))
        assert (end - begin).total_seconds() <= 600
    assert len(history.incidents) <= MOST_INCIDENTS
