"""What else happened around an event: the other logs of a node, brought to one clock."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from hypernode.oom import logs
from hypernode.oom.logs import Entry
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
"""The kind of each log that is looked into, and its place on a node; the last two of Magento belong to Magento 2."""
MOST_ENTRIES = 1_000
_LONGEST_LINE = 64 * 1024


def around(
    moment: datetime,
    window: timedelta,
    *,
    raw: bool = False,
    on_problem: Callable[[str, str], None] = lambda path, text: None,
) -> list[Entry]:
    """Return what the node's logs tell of the time around `moment`, which has a zone, in order of time.

    Args:
        moment: When the event was.
        window: How long before and after it is looked.
        raw: Whether SQL keeps its literals.
        on_problem: Told the path of a log that is missing or cannot be read, and why.
    """
    found: list[Entry] = []
    for kind, path in _find(on_problem):
        try:
            with path.open("rb") as file:
                lines = (
                    line[:_LONGEST_LINE].rstrip(b"\r\n").decode("utf-8", "backslashreplace")
                    for line in iter(lambda: file.readline(_LONGEST_LINE), b"")
                )
                near = (entry for entry in _read(kind, lines, moment, raw=raw) if abs(_local(entry) - moment) <= window)
                found += itertools.islice(near, MOST_ENTRIES)
        except OSError as exc:
            on_problem(str(path), exc.strerror or str(exc))
    return sorted((entry._replace(at=_local(entry)) for entry in found), key=lambda entry: entry.at)


def _find(on_problem: Callable[[str, str], None]) -> Iterator[tuple[str, Path]]:
    """Yield the logs that are there; where one of several places will do, the others are not missed."""
    missing: dict[str, list[str]] = {}
    seen: set[str] = set()
    for kind, pattern in LOGS:
        place = on_node(pattern)
        paths: Sequence[Path] = sorted(place.parent.glob(place.name)) if "*" in pattern else [place]
        for path in paths:
            if kind == "php-fpm" and path.name == "php-slow.log":
                continue
            if path.exists():
                seen.add(kind)
                yield kind, path
            else:
                missing.setdefault(kind, []).append(str(path))
        if not paths:
            missing.setdefault(kind, []).append(str(place))
    for kind, places in missing.items():
        if kind not in seen:
            on_problem(" or ".join(places[:2]), "there is none")


def _read(kind: str, lines: Iterator[str], moment: datetime, *, raw: bool) -> Iterator[Entry]:
    match kind:
        case "mysql-slow":
            return logs.mysql_slow(lines, raw=raw)
        case "php-slow":
            return logs.php_slow(lines)
        case "php-fpm":
            return logs.php_fpm(lines)
        case "magento":
            return logs.magento(lines)
        case _:
            return logs.cron(lines, lambda month, day: _nearest_year(month, day, moment))


def _nearest_year(month: int, day: int, moment: datetime) -> int:
    """Return the year in which the day comes nearest to `moment`."""

    def distance(year: int) -> float:
        try:
            return abs((datetime(year, month, day, tzinfo=moment.tzinfo) - moment).total_seconds())
        except ValueError:
            return float("inf")

    return min((moment.year - 1, moment.year, moment.year + 1), key=distance)


def _local(entry: Entry) -> datetime:
    return entry.at.astimezone()
