"""A history of kills under the trigger of the platform's own killer."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypernode.oom.events import Event, Victim
from hypernode.oom.kernlog import Stamp
from hypernode.oom.replay import Replay, replay

START = datetime(2024, 3, 5, 10, 0, 0)


def kill(seconds: float | None, scope: str = "memcg", victims: int = 1, *, exact: bool = True) -> Event:
    when = None if seconds is None else START + timedelta(seconds=seconds)
    fraction = f"{when.microsecond:06d}" if when and exact else ""
    values: dict[str, Any] = dict.fromkeys(
        ("uptime", "trigger", "trigger_oom_score_adj", "gfp_mask", "order", "memcg", "top")
    )
    return Event(
        **values,
        stamp=None if when is None else Stamp(2024, 3, 5, when.hour, when.minute, when.second, fraction),
        scope=scope,  # type: ignore[arg-type]
        victims=tuple(Victim(n, "php") for n in range(victims)),
        task_count=0,
        at=None if when is None else when.isoformat(timespec="microseconds" if exact else "seconds"),
    )


def played(*kills: Event, threshold: int = 5, window: float = 1.0) -> Replay:
    return replay(kills, threshold=threshold, window=window)


def test_five_cgroup_kills_within_a_second_set_it_off():
    found = played(*(kill(n * 0.2) for n in range(5)))
    assert (found.stepped_in, found.unclear, len(found.incidents)) == (1, 0, 1)


def test_four_do_not_and_neither_do_five_that_take_longer():
    assert played(*(kill(n * 0.2) for n in range(4))).stepped_in == 0
    assert played(*(kill(n * 0.3) for n in range(5))).stepped_in == 0


def test_the_trigger_can_be_another_one():
    kills = [kill(0), kill(0.5)]
    assert played(*kills, threshold=2).stepped_in == 1
    assert played(*kills, threshold=2, window=0.4).stepped_in == 0


def test_kills_of_the_whole_machine_do_not_count():
    found = played(*(kill(n * 0.1, "global") for n in range(9)))
    assert (found.stepped_in, found.unclear) == (0, 0)
    assert (found.incidents[0].kills, found.incidents[0].cgroup_kills) == (9, 0)


def test_kills_whose_scope_is_not_told_leave_it_open():
    found = played(*(kill(n * 0.1, "unknown") for n in range(5)))
    assert (found.stepped_in, found.unclear) == (0, 1)


def test_a_log_of_whole_seconds_leaves_open_what_it_cannot_tell():
    same = played(*(kill(0, exact=False) for _ in range(5)))
    assert (same.stepped_in, same.unclear) == (1, 0), "all in one second of the clock"
    around = played(*(kill(n // 3, exact=False) for n in range(5)))
    assert (around.stepped_in, around.unclear) == (0, 1), "three in one second and two in the next"


def test_all_victims_of_one_report_count():
    assert played(kill(0, victims=5)).stepped_in == 1


@pytest.mark.parametrize(("gap", "incidents"), [(59.0, 1), (61.0, 2)])
def test_kills_a_minute_apart_are_two_incidents(gap: float, incidents: int):
    assert len(played(kill(0), kill(gap)).incidents) == incidents


def test_kills_without_a_time_are_counted_apart():
    found = played(kill(None, victims=3), kill(1))
    assert (found.untimed_kills, len(found.incidents)) == (3, 1)


def test_no_kill_is_no_incident():
    assert played().incidents == ()
    assert played(kill(1, victims=0)).incidents == ()


@given(st.lists(st.floats(0, 600), max_size=40), st.integers(2, 6), st.sampled_from([0.5, 1.0, 3.0]))
def test_what_is_sure_is_never_more_than_what_may_be(times: list[float], threshold: int, window: float):
    times.sort()
    exact = played(*(kill(time) for time in times), threshold=threshold, window=window)
    coarse = played(*(kill(time, exact=False) for time in times), threshold=threshold, window=window)
    assert sum(one.kills for one in exact.incidents) == len(times)
    for found in (exact, coarse):
        assert all(one.at_least <= one.at_most <= one.kills for one in found.incidents)
    if exact.stepped_in:
        assert coarse.stepped_in + coarse.unclear, "what surely was, is at least open when seconds are whole"
