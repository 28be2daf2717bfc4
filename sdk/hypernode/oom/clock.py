"""Times of a log in ISO 8601, and years for logs that have none. Pure: the clock is an argument."""

from __future__ import annotations

import re
from calendar import isleap
from datetime import datetime, timedelta, tzinfo

from hypernode.oom.kernlog import Stamp

_DAY = timedelta(days=1)
_ZONE = re.compile(r"(?:Z|[+-][0-9]{2}:?[0-9]{2})\Z")
_ODD_BEFORE, _ODD_AFTER = 1, 9999
"""Years at the edge of what Python's clock can hold, where another zone would be beyond it."""


class Years:
    """Counts how often the year turns in a log without years, as its lines come by."""

    def __init__(self) -> None:
        self.turns = 0
        self._last: Stamp | None = None

    def see(self, stamp: Stamp) -> int:
        """Return how many turns lie before a line written at `stamp`, which is the next that was looked at."""
        last = self._last
        if stamp.month is None or stamp.year is not None:
            return self.turns
        if last is not None and _just_before(stamp, last):
            return self.turns - (last.month == 1)
        if last is not None and last.month is not None and stamp.month < last.month:
            self.turns += 1
        self._last = stamp
        return self.turns

    def first_year(self, latest: datetime) -> int:
        """Return the year in which the log begins, if no line of it was written after `latest`.

        The last line is taken for as young as that allows, up to a day later, as clocks differ.
        """
        year = latest.year + 1
        if self._last is not None:
            while year > 1 and ((when := in_year(self._last, year)) is None or when > latest + _DAY):
                year -= 1
        return year - self.turns


def iso(stamp: Stamp, year: int | None = None) -> str | None:
    """Return `stamp` in ISO 8601, in its own zone if it tells one; None when it is no moment.

    Args:
        stamp: The moment.
        year: For a stamp without one. 29 February is taken for that of the leap year before.
    """
    year = stamp.year if stamp.year is not None else year
    if year is None or stamp.month is None:
        return None
    if stamp.year is None and (stamp.month, stamp.day) == (2, 29):
        year = next(leap for leap in range(year, year - 9, -1) if isleap(leap))
    when = in_year(stamp, year)
    if when is None or not _ODD_BEFORE < when.year < _ODD_AFTER or stamp.zone[1:3] > "23":
        return None
    fraction = f".{stamp.fraction}" if stamp.fraction else ""
    return f"{when.isoformat(timespec='seconds')}{fraction}{stamp.zone}"


def moment(at: str) -> datetime:
    """Return what `iso` wrote as a moment; one without a zone is this machine's own time."""
    head, dot, rest = at.partition(".")
    if dot:
        digits = len(rest) - len(rest.lstrip("0123456789"))
        rest = f"{rest[:digits][:6]:0<6}{rest[digits:]}"
    return datetime.fromisoformat(f"{head}{dot}{rest}".replace("Z", "+00:00")).astimezone()


def in_words(at: str | None) -> str:
    """Return what `iso` wrote for a person: to the second, on the log's own clock."""
    return "at an unknown time" if at is None else at[:19].replace("T", " ")


def zone_of(at: str) -> tzinfo | None:
    """Return the zone that `iso` wrote; None when it wrote none."""
    found = _ZONE.search(at)
    return (
        None if found is None else datetime.fromisoformat(f"2000-01-01T00:00{found[0]}".replace("Z", "+00:00")).tzinfo
    )


def _just_before(stamp: Stamp, last: Stamp) -> bool:
    """Tell whether `stamp` is some seconds of disorder around the turn of a month, and no turn of the year."""
    return last.month is not None and stamp.month == (last.month - 2) % 12 + 1 and last.day == 1 and stamp.day >= 28


def in_year(stamp: Stamp, year: int) -> datetime | None:
    """Return `stamp` in the given year, without its zone; None when it is no moment."""
    try:
        return datetime(year, stamp.month or 0, stamp.day, stamp.hour, stamp.minute, min(stamp.second, 59))
    except ValueError:
        return None
