"""How fast we ask: not held back at all until the server says so, and a little faster again with every good answer."""

from __future__ import annotations

import random
import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hypernode.api.pace import Pace, backoff, retry_after_seconds

NOW = 1_780_000_000


def turns(pace: Pace, clock: Any, count: int, *, every: float = 0.0) -> list[float]:
    """Take `count` turns as one thread does, and return the pauses."""
    pauses = []
    for _ in range(count):
        pause = pace.wait_for_turn()
        pauses.append(pause)
        clock.now += pause + every
    return pauses


def test_without_a_cap_and_without_a_429_nobody_waits(clock: Any):
    pace = Pace(clock=clock)
    assert turns(pace, clock, 1000) == [0.0] * 1000
    for _ in range(10):
        pace.speed_up()
    assert turns(pace, clock, 10) == [0.0] * 10


def test_a_cap_spaces_the_requests_evenly(clock: Any):
    pace = Pace(rps=4, clock=clock)
    assert turns(pace, clock, 5) == [0.0, 0.25, 0.25, 0.25, 0.25]


def test_requests_that_come_slower_than_the_cap_do_not_wait(clock: Any):
    pace = Pace(rps=4, clock=clock)
    assert turns(pace, clock, 5, every=0.3) == [0.0] * 5


def test_good_answers_never_lift_the_cap(clock: Any):
    pace = Pace(rps=4, clock=clock)
    pace.slow_down(0)
    for _ in range(1000):
        pace.speed_up()
    clock.now += 60
    assert turns(pace, clock, 3) == [0.0, 0.25, 0.25]


def test_after_a_429_everybody_waits_as_long_as_it_says(clock: Any):
    pace = Pace(clock=clock)
    pace.wait_for_turn()
    pace.slow_down(7)
    assert pace.wait_for_turn() == pytest.approx(7)
    assert pace.wait_for_turn() >= 7  # another thread, at the same moment


def test_a_429_that_says_nothing_is_a_pause_of_a_second(clock: Any):
    pace = Pace(clock=clock)
    pace.slow_down(None)
    assert pace.wait_for_turn() == pytest.approx(1)


def test_a_429_halves_the_rate_that_was_measured_before_it(clock: Any):
    pace = Pace(clock=clock)
    turns(pace, clock, 50, every=0.1)
    pace.slow_down(0)
    clock.now += 1
    assert turns(pace, clock, 4)[1:] == pytest.approx([0.2, 0.2, 0.2])


def test_several_429s_at_about_the_same_time_count_as_one(clock: Any):
    """32 threads in parallel get 32 of them for the same burst."""
    pace = Pace(clock=clock)
    turns(pace, clock, 50, every=0.1)
    for _ in range(32):
        pace.slow_down(1)
    clock.now += 2
    assert turns(pace, clock, 3)[1:] == pytest.approx([0.2, 0.2])


def test_429s_one_after_the_other_slow_down_further_but_never_beyond_five_seconds(clock: Any):
    pace = Pace(clock=clock)
    intervals = []
    for _ in range(12):
        turns(pace, clock, 40)
        pace.slow_down(0)
        clock.now += 60
        intervals.append(turns(pace, clock, 2)[1])
    assert intervals == sorted(intervals)
    assert intervals[0] < intervals[3] < intervals[-1] <= 5.0 + 1e-9
    assert intervals[-1] == pytest.approx(5.0)


def test_good_answers_bring_the_pace_back_until_it_is_free(clock: Any):
    pace = Pace(clock=clock)
    turns(pace, clock, 50, every=0.1)
    pace.slow_down(0)
    clock.now += 1
    held = []
    for _ in range(200):
        held.extend(turns(pace, clock, 1))
        pace.speed_up()
    assert held[1:] == sorted(held[1:], reverse=True)
    assert held[1] > 0.15
    assert held[-1] == 0.0


def test_threads_share_one_pace(clock: Any):
    pace = Pace(rps=10, clock=clock)
    pauses: list[float] = []
    threads = [threading.Thread(target=lambda: pauses.append(pace.wait_for_turn())) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(pauses) == pytest.approx([0.1 * number for number in range(20)])


def test_the_backoff_grows_to_a_bound_with_full_jitter(monkeypatch: pytest.MonkeyPatch):
    asked: list[tuple[float, float]] = []
    monkeypatch.setattr(random, "uniform", lambda low, high: asked.append((low, high)) or high)
    assert [backoff(attempt) for attempt in range(7)] == [0.5, 1, 2, 4, 8, 10, 10]
    assert {low for low, _ in asked} == {0}


@given(st.integers(0, 200))
def test_every_backoff_lies_between_nothing_and_its_bound(attempt: int):
    assert 0 <= backoff(attempt) <= min(10.0, 0.5 * 2**attempt)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0.0),
        ("7", 7.0),
        (" 120 ", 120.0),
        (None, None),
        ("", None),
        ("soon", None),
        ("-3", None),
        ("1.5", None),
        ("٣", None),
        (format_datetime(datetime.fromtimestamp(NOW + 30, UTC), usegmt=True), 30.0),
        (format_datetime(datetime.fromtimestamp(NOW + 30, UTC) + timedelta(0)), 30.0),
        (format_datetime(datetime.fromtimestamp(NOW - 30, UTC), usegmt=True), 0.0),
        ("Thu, 28 May 2026 20:27:10 -0000", 30.0),
    ],
)
def test_retry_after_is_read_in_seconds_and_as_a_date(header: str | None, seconds: float | None):
    assert retry_after_seconds(header, now=lambda: float(NOW)) == seconds


@given(
    st.text()
    | st.from_regex(r"[A-Z][a-z]{2}, \d{1,20} [A-Z][a-z]{2} \d{1,20} \d{1,9}:\d{1,9}:\d{1,9} ([A-Z]{1,3}|[+-]\d{1,20})")
)
@example("9" * 400)
@example("Mon, 99999999999999999999 Jan 2020 00:00:00 GMT")
@example("Mon, 01 Jan 2020 00:00:00 +99999999999999999999")
@example("Mon, 01 Jan 0001 00:00:00 +2359")
@example("Fri, 31 Dec 9999 23:59:59 -2359")
def test_any_text_in_retry_after_is_a_number_of_seconds_or_nothing(text: str):
    seconds = retry_after_seconds(text)
    assert seconds is None or 0 <= seconds < float("inf")
