"""How fast we ask: not held back at all until the server says so, and a little faster again with every good answer."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from hypernode.api.pace import Pace
from hypernode.errors import TryLater


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


def test_429s_one_after_the_other_slow_down_further_but_never_beyond_a_second(clock: Any):
    pace = Pace(clock=clock)
    intervals = []
    for _ in range(12):
        turns(pace, clock, 40)
        pace.slow_down(0)
        clock.now += 60
        intervals.append(turns(pace, clock, 2)[1])
    assert intervals == sorted(intervals)
    assert intervals[0] < intervals[3] < intervals[-1] <= 5.0 + 1e-9
    assert intervals[-1] == pytest.approx(1)


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


def test_who_cannot_wait_for_the_end_of_the_servers_pause_is_told_at_once_and_takes_no_turn(clock: Any):
    pace = Pace(rps=1, clock=clock)
    pace.slow_down(60)
    with pytest.raises(TryLater) as caught:
        pace.wait_for_turn(59)
    assert str(caught.value) == "the API asked for a pause that lasts 60 more seconds"
    assert (caught.value.status, caught.value.retry_after, caught.value.hint) == (429, 60, "Try again later")
    assert pace.wait_for_turn(60) == pytest.approx(60)
    clock.now += 30
    with pytest.raises(TryLater):
        pace.wait_for_turn(29)


def test_waiting_for_a_cap_of_ones_own_is_never_too_long(clock: Any):
    """A hundred threads at one request a second are what the caller asked for."""
    pace = Pace(rps=1, clock=clock)
    assert [pace.wait_for_turn(5) for _ in range(100)] == pytest.approx(list(range(100)))


def test_times_of_waiting_between_bursts_do_not_count_as_a_slow_rate():
    """A rollout asks in bursts and waits for flows in between; a 429 then is no reason to come to a standstill."""
    now = [0.0]
    pace = Pace(clock=lambda: now[0])
    for _ in range(4):
        for _ in range(8):
            pace.wait_for_turn()
            now[0] += 0.05
        now[0] += 20
    pace.slow_down(0)
    waits = []
    for _ in range(3):
        waits.append(pace.wait_for_turn())
        now[0] += waits[-1]
    assert max(waits) <= 0.2
