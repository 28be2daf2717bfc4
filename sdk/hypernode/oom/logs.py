"""The other logs of a shop, read for what may have to do with an event: lines in, entries with a time out. Pure.

Each log has its own clock (OOM_FORMATS.md 9): MySQL and Magento write UTC, php-fpm and cron the machine's own time. An
entry without a zone is of the machine's own time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from typing import NamedTuple

from hypernode.command_lines import mask_words
from hypernode.oom.kernlog import month_number

_LONGEST = 200
_LONGEST_COMMAND = 1_000
CUT = " ..."
"""What a text ends with that was longer."""
_LONGEST_STATEMENT = 4_000
_MOST_LINES = 500
"""Lines of one query or trace that are looked at."""

_SLOW_TIME = re.compile(
    r"# Time: ([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9:]{8})(?:\.[0-9]{1,9})?(Z|[+-][0-9]{2}:?[0-9]{2})?"
)
_OLD_SLOW_TIME = re.compile(r"# Time: ([0-9]{2})([0-9]{2})([0-9]{2}) +([0-9]{1,2}):([0-9]{2}):([0-9]{2})")
_PAIR = re.compile(r"([A-Za-z_]{1,40}): *([0-9.]{1,20})")
_SET_TIMESTAMP = re.compile(r"SET timestamp=([0-9]{1,11})", re.IGNORECASE)
_BANNER = ", Version: "
_SQL = re.compile(  # what is cut off ends with the text; a comment may hold data too
    r"'(?:[^'\\]|\\.|'')*(?:'|\\?\Z)|\"(?:[^\"\\]|\\.|\"\")*(?:\"|\\?\Z)|/\*.*?(?:\*/|\Z)|(?:--(?=\s|\Z)|#)[^\n]*"
    r"|(?P<name>`(?:[^`]|``)*`)|`.*|\b(?:0x[0-9a-fA-F]+|[0-9]+(?:\.[0-9]+)?)\b",
    re.DOTALL,
)
_LOOKS_LIKE_SQL = re.compile(r"SQLSTATE|\b(?:SELECT|INSERT|UPDATE|DELETE|REPLACE)\b")
_PERSONAL = re.compile(r"(?<!\w)'(?:[^'\\]|\\.)*(?:'|\\?\Z)|\"(?:[^\"\\]|\\.)*(?:\"|\\?\Z)|[^\s@]{1,64}@[^\s@]{1,255}")

_FPM = re.compile(r"\[([0-9]{2})-([A-Za-z]{3})-([0-9]{4}) ([0-9]{2}):([0-9]{2}):([0-9]{2})[^\]]{0,20}\] *(.*)")
_POOL = re.compile(r"\[pool ([^\]]{1,100})\] pid ([0-9]{1,10})")
_CHILD = re.compile(r"WARNING: \[pool ([^\]]{1,100})\] child ([0-9]{1,10}) exited on signal 9\b(.{0,100})")
_FRAME = re.compile(r"\[0x[0-9a-fA-F]{1,16}\] (.{1,200}) (/\S{1,500})")
_MODULE = re.compile(r"/(?:vendor|app/code)/([^/]{1,100})/([^/]{1,100})/")

_MONOLOG = re.compile(
    r"\[([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]([0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.[0-9]{1,9})?([+-][0-9]{2}:[0-9]{2})?\] "
    r"([\w.-]{1,60})\.([A-Z]{4,9}): (.*)"
)
_CRON = re.compile(r"\S{1,255} CRON\[[0-9]{1,10}\]: \(([^)]{1,40})\) CMD \((.*)\)")
_SYSLOG_TIME = re.compile(r"([A-Z][a-z]{2}) +([0-9]{1,2}) ([0-9]{2}):([0-9]{2}):([0-9]{2}) ")
_ISO_TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2}) "
)
PHP_LIMIT = re.compile(r"Allowed memory size of ([0-9]{1,20}) bytes exhausted")
PHP_OUT_OF_MEMORY = re.compile(r"Out of memory \(allocated ([0-9]{1,20})(?: bytes)?\)")
REDIS_LIMIT = "OOM command not allowed"
LIMITS = ("php limit", "php out of memory", "redis limit")
"""The kinds of entries of limits that are not the kernel's; none of them killed anything."""
_PLACE = re.compile(r" in (/\S{1,300}) on line ([0-9]{1,9})")


class Entry(NamedTuple):
    """One thing that a log tells."""

    at: datetime
    kind: str
    text: str
    doubt: str = ""
    """How far the time can be off; empty when it is what it seems."""


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit that is not the kernel's, and how often it was reached."""

    kind: str
    """One of `LIMITS`."""
    count: int
    first: datetime
    last: Entry


def mysql_slow(lines: Iterable[str], *, raw: bool = False) -> Iterator[Entry]:
    """Yield the queries of a MySQL slow log, and MySQL's restarts; literals are masked unless `raw`."""
    at = _slow_time("")  # none yet
    facts: dict[str, str] = {}
    statement: list[str] = []
    restarted = False
    for line in chain(lines, ["# Time:"]):
        begins = line.startswith("# ") and (bool(statement) or line.startswith("# Time:"))
        banner = _BANNER in line and "started with" in line
        if begins or banner:
            if at is not None and "Query_time" in facts:
                yield _query(at, facts, "\n".join(statement), raw=raw)
            facts, statement, restarted = {}, [], restarted or banner
        if line.startswith("# "):
            if (when := _slow_time(line)) is None:
                facts |= dict(_PAIR.findall(line))
                continue
            at = when
            if restarted:
                yield Entry(at, "mysql restart", "MySQL was started again", "some time before the next slow query")
                restarted = False
        elif (stamp := _SET_TIMESTAMP.match(line)) and at is None:
            at = datetime.fromtimestamp(int(stamp[1]), UTC)
        elif "Query_time" not in facts or (not statement and line.startswith(("use ", "SET timestamp"))):
            continue
        elif len(statement) < _MOST_LINES:
            statement.append(line)


def _query(at: datetime, facts: Mapping[str, str], statement: str, *, raw: bool) -> Entry:
    text = statement[:_LONGEST_STATEMENT]  # a comment ends with its line, so the lines are joined afterwards
    text = " ".join((text if raw else masked(text)).split())
    rows = f", {facts['Rows_examined']} rows examined" if "Rows_examined" in facts else ""
    text = f"{facts['Query_time'].partition('.')[0]} s{rows}: {text[:_LONGEST]}"
    return Entry(at, "mysql query", text, "logged at its end")


def php_slow(lines: Iterable[str]) -> Iterator[Entry]:
    """Yield the traces of a php-fpm slow log by their top frame, with the first module they are in."""
    entry: Entry | None = None  # the trace so far
    top = module = ""
    for line in lines:
        if match := _FPM.match(line):
            if entry is not None and top:
                yield entry._replace(text=f"{entry.text}: {top}{module}")
            when, found = _fpm_time(match), _POOL.search(match[7])
            pool = f"pool {found[1]}, pid {found[2]}" if found else "php-fpm"
            entry, top, module = None if when is None else Entry(when, "php slow", pool), "", ""
        elif frame := _FRAME.match(line):
            top = top or f"{frame[1]} {frame[2]}"[:_LONGEST]
            if not module and (owner := _MODULE.search(frame[2])):
                module = f" in {owner[1]}/{owner[2]}"
    if entry is not None and top:
        yield entry._replace(text=f"{entry.text}: {top}{module}")


def php_fpm(lines: Iterable[str]) -> Iterator[Entry]:
    """Yield the php-fpm children that died of signal 9, and PHP's own limits, out of php-fpm's or PHP's error log."""
    for line in lines:
        if match := _FPM.match(line):
            when = _fpm_time(match)
            if when is None:
                continue
            if child := _CHILD.match(match[7]):
                yield Entry(
                    when, "php-fpm killed", f"pool {child[1]}, child {child[2]} died of signal 9{child[3][:60]}"
                )
            elif limit := _php_limit(match[7]):
                yield Entry(when, *limit)


def magento(lines: Iterable[str], *, raw: bool = False) -> Iterator[Entry]:
    """Yield the entries of Magento's exception.log and system.log from WARNING on, and what hit a limit of memory.

    What is quoted in them, and literals of SQL, are masked unless `raw`.
    """
    for line in lines:
        if match := _MONOLOG.match(line):
            zone = match[3] or "+00:00"  # older releases write UTC too, and no zone
            try:
                when = datetime.fromisoformat(f"{match[1]}T{match[2]}{zone}")
            except ValueError:
                continue
            limit = _php_limit(match[6])
            if limit is None and REDIS_LIMIT in match[6]:
                limit = "redis limit", "Redis refused a write: its own maxmemory was reached"
            if limit is not None:
                yield Entry(when, *limit)
            elif match[5] in ("WARNING", "ERROR", "CRITICAL", "ALERT", "EMERGENCY"):
                message = match[6].removesuffix(" [] []").partition(" {")[0][:_LONGEST_STATEMENT]
                message = message if raw else _message(message)
                yield Entry(when, "magento", f"{match[4]}.{match[5]}: {message[:_LONGEST]}")


def cron(lines: Iterable[str], year_of: Callable[[int, int], int]) -> Iterator[Entry]:
    """Yield the starts of cron jobs out of syslog; where it has no year, `year_of` tells it for a month and a day."""
    for line in lines:
        if "CRON[" not in line or (time := _ISO_TIME.match(line) or _SYSLOG_TIME.match(line)) is None:
            continue
        job = _CRON.match(line, time.end())
        when = None if job is None else _syslog_time(time, year_of)
        if job is not None and when is not None:
            yield Entry(when, "cron", f"{job[1]}: {_command(job[2])}")


def masked(statement: str) -> str:
    """Return an SQL statement without its literals and comments: they hold customers' data."""
    return _SQL.sub(lambda found: found["name"] or "?", statement)


def _message(text: str) -> str:
    """Return what Magento says without what customers typed, as far as that can be told."""
    return masked(text) if _LOOKS_LIKE_SQL.search(text) else _PERSONAL.sub("?", text)


def _command(text: str) -> str:
    """Return a line of a crontab with what looks like a secret masked."""
    shown = " ".join(mask_words(text.split()))
    return shown if len(shown) <= _LONGEST_COMMAND else shown[:_LONGEST_COMMAND] + CUT


def _php_limit(text: str) -> tuple[str, str] | None:
    place = f" in {found[1]}:{found[2]}" if (found := _PLACE.search(text)) else ""
    if match := PHP_LIMIT.search(text):
        return "php limit", f"a request reached memory_limit ({int(match[1]) >> 20} MB){place}; nothing was killed"
    if match := PHP_OUT_OF_MEMORY.search(text):
        held = int(match[1]) >> 20
        return "php out of memory", f"the kernel refused PHP more ({held} MB held){place}; nothing was killed"
    return None


def _syslog_time(match: re.Match[str], year_of: Callable[[int, int], int]) -> datetime | None:
    try:
        if match.re is _ISO_TIME:
            return datetime.fromisoformat(f"{match[1]}{match[2]}")
        month = month_number(match[1])
        if month is None:
            return None
        day, hour, minute, second = (int(match[number]) for number in range(2, 6))
        return datetime(year_of(month, day), month, day, hour, minute, second)
    except ValueError:
        return None


def _slow_time(line: str) -> datetime | None:
    try:
        if match := _SLOW_TIME.match(line):
            zone = match[5] or ""
            text = f"{match[1]}-{match[2]}-{match[3]}T{match[4]}{'+00:00' if zone in ('Z', '') else zone}"
            return datetime.fromisoformat(text)
        if match := _OLD_SLOW_TIME.match(line):
            year, month, day, hour, minute, second = (int(match[number]) for number in range(1, 7))
            return datetime(2000 + year, month, day, hour, minute, second)
    except ValueError:
        return None
    return None


def _fpm_time(match: re.Match[str]) -> datetime | None:
    month = month_number(match[2])
    if month is None:
        return None
    try:
        when = datetime(int(match[3]), month, int(match[1]), int(match[4]), int(match[5]), int(match[6]))
    except ValueError:
        return None
    return when.replace(tzinfo=UTC) if " UTC]" in match[0] else when
