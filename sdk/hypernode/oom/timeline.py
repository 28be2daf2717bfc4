"""What else happened around events: the other logs of a node, brought to one clock."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from functools import partial
from pathlib import Path

from hypernode.oom import logs
from hypernode.oom.events import Event
from hypernode.oom.files import Problem, text_lines
from hypernode.oom.logs import LIMITS, Entry, Limit
from hypernode.places import on_node

LOGS: tuple[tuple[str, str], ...] = (
    ("mysql-slow", "/var/log/mysql/mysql-slow.log"),
    ("php-slow", "/var/log/php-fpm/php-slow.log"),
    ("php-fpm", "/var/log/php-fpm/*.log"),
    ("magento", "/data/web/public/var/log/exception.log"),
    ("magento", "/data/web/public/var/log/system.log"),
    ("magento", "/data/web/magento2/var/log/exception.log"),
    ("magento", "/data/web/magento2/var/log/system.log"),
    ("cron", "/var/log/syslog"),
)
"""The kind of each log that is looked into, and its place on a node; the last two of Magento belong to Magento 2.

Their rotated and compressed forms stand beside them.
"""
MOST_ENTRIES = 1_000
"""Of one file."""
_DAY = timedelta(days=1)
_ODD_BEFORE, _ODD_AFTER = 1970, 9000
_OFTEN, _STARTS_A_DAY = 3, 4
"""A job that started at least so often, and more often than that each day, runs all day."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the other logs of a node tell."""

    entries: tuple[Entry, ...]
    """What they tell of the times asked for, in order of time."""
    limits: tuple[Limit, ...]
    """All that they tell of other limits, at any time."""
    all_day: frozenset[str] = frozenset()
    """The texts of cron jobs that start so often that they tell nothing of any one time."""


def look_around(
    moments: Sequence[datetime],
    window: timedelta,
    *,
    zone: tzinfo | None = None,
    raw: bool = False,
    on_problem: Problem = lambda path, text: None,
) -> Surroundings:
    """Return what the node's other logs tell, on this machine's clock.

    Args:
        moments: When the events were, each with a zone. Without any, logs are only searched for limits.
        window: How long before and after each of them it is looked.
        zone: That of the node, for logs without one; None: this machine's.
        raw: Whether SQL keeps its literals.
        on_problem: Told the path of a log that is missing, cannot be read, or tells too much, and why.
    """
    distance = _distance_from(moments)
    earliest = min(moments) - window if moments else None
    found: list[Entry] = []
    limits: dict[str, Limit] = {}
    jobs = _Jobs()
    for kind, path, written in _find(earliest, on_problem):
        entries = _read(kind, text_lines(path, on_problem=on_problem), written, raw=raw)
        near = (entry for entry in _seen(entries, zone, limits, jobs) if distance(entry) <= window)
        found += nearest(near, distance, partial(on_problem, str(path)))
    return Surroundings(
        tuple(sorted(found, key=lambda entry: entry.at)),
        tuple(sorted(limits.values(), key=lambda limit: limit.kind)),
        jobs.all_day(),
    )


def nearest(
    entries: Iterable[Entry], distance: Callable[[Entry], timedelta], tell: Callable[[str], None]
) -> list[Entry]:
    """Return `MOST_ENTRIES` of `entries`, the nearest, and `tell` when there were more."""
    kept: list[Entry] = []
    is_cut = False
    for entry in entries:
        kept.append(entry)
        if len(kept) > 2 * MOST_ENTRIES:
            kept = sorted(kept, key=distance)[:MOST_ENTRIES]
            is_cut = True
    if is_cut or len(kept) > MOST_ENTRIES:
        tell(f"there are so many that only the {MOST_ENTRIES:,} nearest are shown")
    return sorted(kept, key=distance)[:MOST_ENTRIES]


def _seen(entries: Iterable[Entry], zone: tzinfo | None, limits: dict[str, Limit], jobs: _Jobs) -> Iterator[Entry]:
    """Yield entries on this machine's clock, and count limits and cron jobs as they pass."""
    for entry in entries:
        local = _local(entry, zone)
        if local is None:
            continue
        if local.kind in LIMITS:
            limits[local.kind] = _reached(limits.get(local.kind), local)
        elif local.kind == "cron":
            jobs.add(local)
        yield local


def event_entry(number: int, event: Event, at: datetime, *, chosen: bool) -> Entry:
    """Return an event as an entry of a timeline."""
    died = ", ".join(f"{victim.name} ({victim.pid})" for victim in event.victims) or "nobody"
    asked = f", {event.trigger} asked" if event.trigger else ""
    return Entry(at, "out of memory", f"event {number}{' (this one)' * chosen}: killed {died}{asked}")


def search_limits(*, on_problem: Problem = lambda path, text: None) -> tuple[Limit, ...]:
    """Return which other limits the node's logs tell of, at any time; see `look_around`."""
    return look_around((), timedelta(0), on_problem=on_problem).limits


def _distance_from(moments: Sequence[datetime]) -> Callable[[Entry], timedelta]:
    """Return what tells how far an entry is from the nearest of the moments."""
    ordered = sorted(moments)

    def distance(entry: Entry) -> timedelta:
        place = bisect_left(ordered, entry.at)
        return min((abs(entry.at - one) for one in ordered[max(0, place - 1) : place + 1]), default=timedelta.max)

    return distance


def _local(entry: Entry, zone: tzinfo | None) -> Entry | None:
    """Return an entry on this machine's clock; None when its time is beyond what a clock can hold."""
    if not _ODD_BEFORE < entry.at.year < _ODD_AFTER:
        return None
    at = entry.at if entry.at.tzinfo is not None or zone is None else entry.at.replace(tzinfo=zone)
    return entry._replace(at=at.astimezone())


class _Jobs:
    """How often each cron job starts."""

    def __init__(self) -> None:
        self._starts: Counter[str] = Counter()
        self._times: tuple[datetime, datetime] | None = None

    def add(self, entry: Entry) -> None:
        """Count one start; of very many different jobs only the first."""
        first, last = self._times or (entry.at, entry.at)
        self._times = min(first, entry.at), max(last, entry.at)
        if entry.text in self._starts or len(self._starts) < MOST_ENTRIES:
            self._starts[entry.text] += 1

    def all_day(self) -> frozenset[str]:
        """Return the texts of those that start several times a day."""
        if self._times is None:
            return frozenset()
        days = max((self._times[1] - self._times[0]) / _DAY, 1 / 24)
        return frozenset(
            text for text, count in self._starts.items() if count >= _OFTEN and count / days > _STARTS_A_DAY
        )


def _reached(limit: Limit | None, entry: Entry) -> Limit:
    if limit is None:
        return Limit(entry.kind, 1, entry.at, entry)
    last = entry if entry.at >= limit.last.at else limit.last
    return Limit(entry.kind, limit.count + 1, min(limit.first, entry.at), last)


def _find(earliest: datetime | None, on_problem: Problem) -> Iterator[tuple[str, Path, datetime]]:
    """Yield the logs that are there, and when each was written last; none that ends before `earliest`.

    Where one of several places will do, the others are not missed.
    """
    missing: dict[str, list[str]] = {}
    seen: set[str] = set()
    for kind, pattern in LOGS:
        place = on_node(pattern)
        paths = sorted(path for path in place.parent.glob(f"{place.name}*") if _is_of(kind, path))
        if not paths:
            missing.setdefault(kind, []).append(str(place))
        for path in paths:
            seen.add(kind)
            try:
                written = datetime.fromtimestamp(path.stat().st_mtime).astimezone()
            except OSError as exc:
                on_problem(str(path), exc.strerror or str(exc))
                continue
            if earliest is None or written >= earliest:
                yield kind, path, written
    for kind, places in missing.items():
        if kind not in seen:
            on_problem(" or ".join(places[:2]), "there is none")


def _is_of(kind: str, path: Path) -> bool:
    """Tell whether a file is a log of that kind; a pipe would hold us up."""
    return path.is_file() and not (kind == "php-fpm" and path.name.startswith("php-slow.log"))


def _read(kind: str, lines: Iterator[str], written: datetime, *, raw: bool) -> Iterator[Entry]:
    match kind:
        case "mysql-slow":
            return logs.mysql_slow(lines, raw=raw)
        case "php-slow":
            return logs.php_slow(lines)
        case "php-fpm":
            return logs.php_fpm(lines)
        case "magento":
            return logs.magento(lines, raw=raw)
        case _:
            return logs.cron(lines, partial(_year, written))


def _year(written: datetime, month: int, day: int) -> int:
    """Return the youngest year in which the day is not after `written`, but for a day of odd clocks."""
    try:
        late = datetime(written.year, month, day, tzinfo=written.tzinfo) > written + _DAY
    except ValueError:
        return written.year
    return written.year - 1 if late else written.year
