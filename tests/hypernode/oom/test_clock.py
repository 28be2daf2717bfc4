"""Years for logs that have none, and times in ISO 8601."""

from __future__ import annotations

import io
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernel_reports import ERAS, Process
from kernel_wording import kill
from log_styles import written

from hypernode.oom.clock import Years, iso, moment
from hypernode.oom.files import read_stream
from hypernode.oom.kernlog import Stamp

_LONGEST_SILENCE = timedelta(days=330)
"""A month that comes again, or the one before it, looks like no time or like disorder."""

_starts = st.datetimes(datetime(1990, 1, 1), datetime(2030, 1, 1))
_gaps = st.lists(st.timedeltas(timedelta(0), _LONGEST_SILENCE) | st.timedeltas(timedelta(0), timedelta(2)), max_size=30)


def yearless(when: datetime) -> Stamp:
    return Stamp(None, when.month, when.day, when.hour, when.minute, when.second)


def with_years(times: list[datetime], latest: datetime) -> list[str | None]:
    years = Years()
    turns = [years.see(yearless(when)) for when in times]
    first = years.first_year(latest)
    return [iso(yearless(when), first + turn) for when, turn in zip(times, turns, strict=True)]


def _written(times: list[datetime]) -> list[str]:
    return [when.isoformat(timespec="seconds") for when in times]


def _after(start: datetime, gaps: list[timedelta]) -> list[datetime]:
    times = [start.replace(microsecond=0)]
    for gap in gaps:
        times.append((times[-1] + gap).replace(microsecond=0))
    return times


@given(_starts, _gaps)
def test_a_log_over_any_number_of_years_gets_back_those_that_were_taken_away(
    start: datetime, gaps: list[timedelta]
) -> None:
    times = _after(start, gaps)
    assert with_years(times, latest=times[-1]) == _written(times)


@given(_starts, _gaps, st.timedeltas(timedelta(hours=-23), timedelta(days=363)))
def test_the_bound_may_be_up_to_a_year_late_and_some_hours_early(
    start: datetime, gaps: list[timedelta], late: timedelta
) -> None:
    times = _after(start, gaps)
    if (times[-1].month, times[-1].day) == (2, 29):
        times[-1] -= timedelta(days=1)  # for that day the bound is of no use: the next such year is far
        times = [min(when, times[-1]) for when in times]
    assert with_years(times, latest=times[-1] + late) == _written(times)


@pytest.mark.parametrize("month", range(1, 13))
@given(st.lists(st.integers(-5, 5), min_size=2, max_size=12))
def test_some_seconds_of_disorder_around_the_turn_of_a_month_are_no_turn_of_the_year(
    month: int, seconds: list[int]
) -> None:
    turn = datetime(2024, month, 1)
    calm = [turn - timedelta(days=3), turn + timedelta(days=3)]
    times = [calm[0], *(turn + timedelta(seconds=second) for second in seconds), calm[1]]
    assert with_years(times, latest=calm[1]) == _written(times)


@pytest.mark.parametrize(
    ("latest", "year"),
    [
        (datetime(2024, 2, 29, 12), 2024),
        (datetime(2024, 3, 1), 2024),
        (datetime(2025, 1, 1), 2024),
        (datetime(2027, 12, 31), 2024),
        (datetime(2028, 2, 27), 2024),
        (datetime(2028, 2, 28, 13), 2028),
        (datetime(1904, 1, 1), 1896),
    ],
)
def test_the_29th_of_february_is_one_of_a_leap_year(latest: datetime, year: int) -> None:
    years = Years()
    stamp = Stamp(None, 2, 29, 12, 0, 0)
    years.see(stamp)
    assert iso(stamp, years.first_year(latest)) == f"{year}-02-29T12:00:00"


def test_a_log_that_goes_on_after_the_29th_of_february_keeps_it_in_its_leap_year() -> None:
    times = [datetime(2024, 2, 29, 12), datetime(2024, 12, 1), datetime(2025, 3, 1), datetime(2025, 12, 1)]
    assert with_years(times, latest=datetime(2025, 12, 2)) == _written(times)


def test_a_log_without_lines_begins_after_nothing() -> None:
    assert Years().first_year(datetime(2024, 3, 5)) in (2024, 2025)


@pytest.mark.parametrize(
    ("stamp", "text"),
    [
        (Stamp(2024, 3, 5, 10, 15, 30), "2024-03-05T10:15:30"),
        (Stamp(2024, 3, 5, 10, 15, 30, "123456", "+01:00"), "2024-03-05T10:15:30.123456+01:00"),
        (Stamp(2024, 3, 5, 10, 15, 30, "123456789", "Z"), "2024-03-05T10:15:30.123456789Z"),
        (Stamp(2024, 3, 5, 10, 15, 60), "2024-03-05T10:15:59"),
        (Stamp(2024, None, 5, 10, 15, 30), None),
        (Stamp(2024, 13, 5, 10, 15, 30), None),
        (Stamp(2023, 2, 29, 10, 15, 30), None),
        (Stamp(0, 1, 1, 0, 0, 0), None),
    ],
)
def test_a_moment_is_told_in_iso_8601_and_none_if_there_is_no_such_moment(stamp: Stamp, text: str | None) -> None:
    assert iso(stamp) == text


def test_moments_in_any_zone_are_compared_as_moments() -> None:
    texts = ["2024-03-05T10:15:30.5+01:00", "2024-03-05T09:15:30.6Z", "2024-03-05T04:15:30.700000001-05:00"]
    moments = [moment(text) for text in texts]
    assert moments == sorted(moments)
    assert moments[2] - moments[0] == timedelta(seconds=0.2)


@pytest.mark.parametrize(
    "time",
    ["0001-01-01T00:00:00", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "2024-03-05T10:15:30+99:99"],
)
def test_an_event_at_an_impossible_time_is_told_and_its_time_compared_all_the_same(time: str) -> None:
    line = f"{time} host kernel: Out of memory: Killed process 7 (x) total-vm:4kB, anon-rss:4kB\n".encode()
    [event] = read_stream(io.BytesIO(line).read, latest=datetime(2024, 3, 5), source="x")
    if event.at is not None:
        moment(event.at)


def test_a_quiet_log_of_several_years_that_fits_into_one_chunk_has_the_right_years() -> None:
    times = [datetime(2021, 3, 5) + timedelta(days=40 * number) for number in range(40)]
    killed = {0: 7, 12: 8, 39: 9}
    log = [
        written([kill(Process(killed[n], "x"), ERAS[-1]) if n in killed else "docker0: port 1 is up"], when=when)[0]
        for n, when in enumerate(times)
    ]
    read = io.BytesIO(b"".join(log)).read
    events = list(read_stream(read, latest=times[-1], source="x"))
    assert [event.at for event in events] == [times[number].isoformat(timespec="seconds") for number in killed]
