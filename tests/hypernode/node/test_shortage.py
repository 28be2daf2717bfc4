"""A shortage is told once as it begins, and once as it is over."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from hypernode.node.budget import parse_max_total
from hypernode.node.meminfo import Memory
from hypernode.node.pressure import Sample, Stall
from hypernode.node.shortage import Alarm, Limits, Shortage

Told = list[tuple[str, bool]]


def stalled(percent: float) -> Sample:
    return Sample(Stall(99, 99, 99), Stall(percent, 0, 0))


def available(kib: int) -> Sample:
    return Sample(memory=Memory(kib, 10_000))


def watch(samples: Iterable[Sample], *, pressure: float = 20, least: str = "5%") -> Told:
    """Return what is told of samples half a second apart."""
    shortage = Shortage(Limits(pressure, parse_max_total(least)))
    return [(alarm.kind, alarm.begins) for at, sample in enumerate(samples) for alarm in shortage.look(sample, at / 2)]


@pytest.mark.parametrize(
    ("percents", "told"),
    [
        ([0, 19.99, 0], []),
        ([0, 20], [True]),
        ([25], [True]),
        ([0, 20, 19, 20, 10, 30], [True]),
        ([0, 20, 9.99, 5, 0], [True, False]),
        ([20, 0, 20, 0], [True, False, True, False]),
    ],
)
def test_pressure_begins_at_its_limit_and_is_over_below_half_of_it(percents: list[float], told: list[bool]):
    assert watch(map(stalled, percents)) == [("pressure", begins) for begins in told]


@pytest.mark.parametrize(
    ("kib", "least", "told"),
    [
        ([500, 9000], "5%", []),
        ([499], "5%", [True]),
        ([499, 600, 400, 749], "5%", [True]),
        ([499, 750, 499], "5%", [True, False, True]),
        ([1023, 1024], "1M", [True]),
        ([7000, 9000, 9500], "90%", [True, False]),
        ([0, 1], "0", []),
    ],
)
def test_low_memory_begins_below_its_limit_and_is_over_well_above_it(kib: list[int], least: str, told: list[bool]):
    assert watch(map(available, kib), least=least) == [("available", begins) for begins in told]


def test_a_limit_of_0_is_none():
    assert watch([stalled(100), stalled(0)], pressure=0) == []


def test_what_is_not_known_begins_nothing_and_ends_nothing():
    assert watch([stalled(50), Sample(), stalled(50)]) == [("pressure", True)]


def count(steps: Iterable[tuple[int, int]]) -> list[int]:
    """Return the kills that the log did not tell of; each second has a counter, and the kills that the log told."""
    shortage = Shortage(Limits(0, parse_max_total("0")))
    alarms: list[Alarm] = []
    for at, (counter, logged) in enumerate(steps):
        shortage.log(logged, at)
        alarms += shortage.look(Sample(kills=counter), at)
    return [alarm.kills for alarm in alarms]


@pytest.mark.parametrize(
    ("steps", "unlogged"),
    [
        ([(7, 0)] * 9, []),
        ([(7, 0), (8, 0), *[(8, 0)] * 6], [1]),
        ([(7, 0), (8, 1), *[(8, 0)] * 6], []),
        ([(7, 1), (8, 0), *[(8, 0)] * 6], []),
        ([(7, 0), (8, 0), (8, 0), (8, 1), *[(8, 0)] * 6], []),
        ([(7, 0), (9, 1), (10, 0), *[(10, 0)] * 6], [2]),
        ([(7, 5), *[(7, 0)] * 5, (8, 0), *[(8, 0)] * 6], [1]),
        ([(7, 0), (8, 0), *[(8, 0)] * 5, (9, 0), *[(9, 0)] * 5], [1, 1]),
        ([(7, 0), (0, 0), (1, 1), *[(1, 0)] * 5], []),
    ],
    ids=[
        "nothing new at the start",
        "not in the log",
        "in the log too",
        "the log was quicker",
        "the log was slower",
        "some in the log",
        "what the log told long before is of others",
        "each once",
        "a new cgroup counts anew",
    ],
)
def test_kills_that_are_counted_and_not_in_the_log_are_told(steps: list[tuple[int, int]], unlogged: list[int]):
    assert count(steps) == unlogged
