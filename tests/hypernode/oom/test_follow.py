"""A log that is being written: each event is told once, soon, and with its year."""

from __future__ import annotations

import io
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernel_reports import ERAS, Process, Report
from kernel_wording import kill, records
from log_styles import SYSLOG, written
from report_strategies import NOISE, logs

from hypernode.oom.events import Event
from hypernode.oom.follow import AFTER_KILL, WITHOUT_KILL, Follower
from hypernode.oom.reports import read_events

WHEN = datetime(2024, 3, 5, 10)
TICK = 0.2


class Log:
    """A log and its follower, on a clock that is set by hand."""

    def __init__(self, now: datetime = WHEN + timedelta(hours=1)) -> None:
        self.clock = 100.0
        self.now = now
        self.follower = Follower("kern.log", clock=lambda: self.clock, now=lambda: self.now)

    def append(self, data: bytes = b"") -> list[Event]:
        """Append `data`, and return what is told with the next look at it."""
        self.clock += TICK
        return list(self.follower.read(data))

    def wait(self, seconds: float, noise: bytes = b"") -> list[Event]:
        """Look at the log for so long, while perhaps others write to it."""
        return [event for _ in range(round(seconds / TICK)) for event in self.append(noise)]


def said(*records: str, when: datetime = WHEN) -> bytes:
    return b"".join(written(records, SYSLOG, when=when))


def kill_of(pid: int, when: datetime = WHEN) -> bytes:
    return said(kill(Process(pid, "php"), ERAS[-1]), when=when)


def in_two() -> tuple[bytes, bytes]:
    """Return a report up to its kill, and the rest."""
    log = said(*records(Report(), ERAS[-1]))
    place = log.rindex(b"\n", 0, log.index(b"Killed process")) + 1
    return log[:place], log[place:]


def pids(events: list[Event]) -> list[int]:
    return [victim.pid for event in events for victim in event.victims]


def test_a_kill_is_told_within_a_second_although_nothing_comes_after_it():
    log = Log()
    assert log.append(kill_of(7)) == []
    (event,) = log.wait(1 - TICK)
    assert (pids([event]), event.source, event.at) == ([7], "kern.log", "2024-03-05T10:00:00")
    assert log.wait(10) == [], "and only once"


def test_a_kill_is_told_within_a_second_although_others_write_without_end():
    log = Log()
    noise = said(NOISE[0])
    assert pids(log.append(kill_of(7)) + log.wait(1 - TICK, noise)) == [7]
    assert log.wait(20, noise) == []


def test_a_report_in_two_parts_is_one_event_although_its_log_pauses_before_the_kill():
    log = Log()
    head, line = in_two()
    assert log.append(head) + log.wait(WITHOUT_KILL - 1) == []
    log.append(line)
    (event,) = log.wait(1)
    assert event.trigger == "nginx"
    assert len(event.victims) == 1


def test_a_report_whose_kill_is_lost_is_told_in_the_end():
    log = Log()
    log.append(in_two()[0])
    (event,) = log.wait(WITHOUT_KILL + TICK)
    assert (event.trigger, event.victims) == ("nginx", ())


def test_a_second_kill_gets_its_own_time_to_be_whole():
    log = Log()
    log.append(kill_of(1))
    told = log.append(kill_of(2))
    assert pids(told) == [1], "the next one ends the first"
    assert log.wait(AFTER_KILL - TICK) == []
    assert pids(log.wait(1)) == [2]


def test_a_line_without_its_end_waits_for_it():
    log = Log()
    line = kill_of(7)
    assert log.append(line[:-30]) + log.wait(10) == []
    assert pids(log.append(line[-30:]) + log.wait(1)) == [7]


def test_a_line_without_end_takes_no_memory():
    log = Log()
    for _ in range(40):
        log.append(b"x" * 65_536)
    assert len(log.follower._scanner._tail) <= 131_072
    log.append(b"\n" + kill_of(7))
    assert pids(log.wait(1)) == [7]


@pytest.mark.parametrize(
    ("written_at", "now", "year"),
    [
        (datetime(2024, 3, 5), datetime(2024, 3, 5), 2024),
        (datetime(2023, 12, 31, 23, 59), datetime(2024, 1, 1), 2023),
        (datetime(2024, 1, 1), datetime(2023, 12, 31, 23, 59), 2024),
        (datetime(2023, 5, 5), datetime(2024, 3, 5), 2023),
    ],
)
def test_a_log_without_years_gets_the_last_that_is_not_to_come(written_at: datetime, now: datetime, year: int):
    log = Log(now)
    (event,) = log.append(kill_of(7, written_at)) + log.wait(1)
    assert event.at == written_at.replace(year=year).isoformat()


def test_the_year_turns_while_it_is_followed():
    log = Log(datetime(2023, 12, 31, 23, 59, 59))
    first = log.append(kill_of(1, datetime(2023, 12, 31, 23, 59))) + log.wait(1)
    log.now = datetime(2024, 1, 1, 0, 5)
    second = log.append(kill_of(2, datetime(2024, 1, 1, 0, 4))) + log.wait(1)
    assert [event.at for event in first + second] == ["2023-12-31T23:59:00", "2024-01-01T00:04:00"]


@given(logs(), st.data())
def test_a_log_in_parts_tells_of_the_same_kills_as_the_whole(lines: list[bytes], data: st.DataObject):
    whole = b"".join(lines)
    places = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=6)))
    log = Log()
    told = []
    for start, end in zip([0, *places], [*places, len(whole)], strict=True):
        log.clock -= TICK  # as quickly as that the parts come
        told += log.append(whole[start:end])
    told += log.append(b"\n") + log.wait(WITHOUT_KILL + 1)
    assert pids(told) == pids(list(read_events(io.BytesIO(whole))))


@given(st.lists(st.binary(max_size=300), max_size=5))
def test_no_text_makes_it_raise(parts: list[bytes]):
    log = Log()
    for part in parts:
        log.append(part)
    log.wait(10)
