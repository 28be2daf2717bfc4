"""One line of a kernel log: when it was written, and what the kernel said. No I/O, and no line makes it raise.

The same sentence comes with many prefixes: syslog's with and without a year, journald's, dmesg's in all its styles, or
none. Lines of other programs are told by their tag and are no lines of the kernel, even when they quote it.
"""

from __future__ import annotations

import re
from typing import NamedTuple

LONGEST_LINE = 64 * 1024

_COLOUR = re.compile(r"(?:\x1b|#033)\[[0-9;]{0,20}[mK]")
_LEVEL = re.compile(r"<[0-9]{1,3}>")
_KMSG = re.compile(r"[0-9]{1,4},[0-9]{1,20},([0-9]{1,20}),[^;]{0,20};")
_UPTIME = re.compile(r"\[ *([0-9]{1,12}\.[0-9]{1,9})(?: <[ 0-9.]{1,24}>)?\](?:\[ *[TC][0-9]{1,10}\])? ?")
_SYSLOG = re.compile(r"([A-Z][a-z]{2}) {1,2}([0-9]{1,2}) ([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,9}))? ")
_ISO = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[T ]([0-9]{2}):([0-9]{2}):([0-9]{2})"
    r"(?:([.,])([0-9]{1,9}))? ?(Z|[+-][0-9]{2}:?[0-9]{2})? ?"
)
_EAST_ASIAN_MONTH = re.compile("([0-9]{1,2}) ?[月월]")
_CTIME = re.compile(r"\[([^\[\]]{1,60}?) ([0-9]{2}):([0-9]{2}):([0-9]{2}) ([0-9]{4})(?: <[ 0-9.]{1,24}>)?\] ?")
_SHORT = re.compile(r"\[([A-Z][a-z]{2}) {0,2}([0-9]{1,2}) ([0-9]{2}):([0-9]{2})\] ?")
_DELTA = re.compile(r"\[ *[+<] *[0-9]{1,12}\.[0-9]{1,9}>?\] ?")
_HOST_AND_TAG = re.compile(r"\S{1,255} (\S{1,128}?)(?:\[[0-9]{1,10}\])?: ?")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_OTHER_MONTHS = {
    "mär": 3, "mrt": 3, "maa": 3, "abr": 4, "avr": 4, "mai": 5, "mei": 5, "maj": 5, "maggio": 5, "mag": 5, "giu": 6,
    "juin": 6, "juil": 7, "lug": 7, "ago": 8, "aoû": 8, "set": 9, "okt": 10, "ott": 10, "out": 10, "dez": 12, "dic": 12,
    "déc": 12, "ene": 1, "fév": 2, "fev": 2, "gen": 1,
}  # fmt: skip


class Stamp(NamedTuple):
    """A moment as the log spells it; classic syslog has neither year nor zone."""

    year: int | None
    month: int | None
    """None: in a language that is not known."""
    day: int
    hour: int
    minute: int
    second: int
    fraction: str = ""
    zone: str = ""
    """``Z``, ``+01:00``, or nothing: the machine's own time."""


class Line(NamedTuple):
    """What the kernel said, and when."""

    text: str
    stamp: Stamp | None = None
    uptime: float | None = None
    """Seconds since the machine started."""


def read_lines(raw: bytes) -> list[Line]:
    """Return the lines of the kernel that one line of a log holds: mostly one, none for a line of another program."""
    text = raw[:LONGEST_LINE].rstrip(b"\r\n").decode("utf-8", "backslashreplace")
    if "\x1b" in text or "#033" in text:
        text = _COLOUR.sub("", text)
    line = _split(text)
    if line is None:
        return []
    if "#01" not in line.text:
        return [line]
    # rsyslog writes control characters as octal numbers, and so several lines as one.
    return [line._replace(text=part.replace("#011", "\t")) for part in line.text.split("#012")]


def read_stamp(raw: bytes) -> Stamp | None:
    """Return when a line was written, by whichever program."""
    text = raw[:300].decode("utf-8", "backslashreplace")
    if match := _SYSLOG.match(text):
        return _syslog_stamp(match)
    if match := _ISO.match(text):
        return _iso_stamp(match)
    return None


def _split(text: str) -> Line | None:
    if match := _LEVEL.match(text):
        text = text[match.end() :]
    if match := _SYSLOG.match(text):
        return _of_the_kernel(text[match.end() :], _syslog_stamp(match))
    if match := _ISO.match(text):
        stamp = _iso_stamp(match)
        if match[7] == ",":  # dmesg --time-format iso: no host, no tag
            return _tail(text[match.end() :], stamp)
        return _of_the_kernel(text[match.end() :], stamp)
    if match := _KMSG.match(text):
        return Line(text[match.end() :], None, int(match[1]) / 1e6)
    if text.startswith("["):
        if match := _CTIME.match(text):
            day, month = _day_and_month(match[1])
            when = Stamp(int(match[5]), month, day, int(match[2]), int(match[3]), int(match[4])) if day else None
            return _tail(text[match.end() :], when)
        if match := _SHORT.match(text):
            month = month_number(match[1])
            when = Stamp(None, month, int(match[2]), int(match[3]), int(match[4]), 0) if month else None
            return _tail(text[match.end() :], when)
        if match := _DELTA.match(text):
            return _tail(text[match.end() :], None)
        return _tail(text, None)
    head, tag, rest = text[:300].partition(" kernel: ")
    if tag and "(" not in head and "=" not in head:  # a prefix that is not known
        return _tail(rest + text[300:], None)
    return Line(text)


def _of_the_kernel(rest: str, stamp: Stamp | None) -> Line | None:
    """Return what follows host and tag, if the tag is the kernel's."""
    match = _HOST_AND_TAG.match(rest)
    if match is None or match[1] != "kernel":
        return None
    text = rest[match.end() :]
    return _tail(text.removeprefix(": "), stamp)


def _tail(text: str, stamp: Stamp | None) -> Line:
    """Take the uptime away. A bracket without a dot is the row of a process, not a time."""
    match = _UPTIME.match(text)
    if match is None:
        return Line(text, stamp)
    return Line(text[match.end() :], stamp, float(match[1]))


def _syslog_stamp(match: re.Match[str]) -> Stamp | None:
    month = month_number(match[1])
    if month is None:
        return None
    return Stamp(None, month, int(match[2]), int(match[3]), int(match[4]), int(match[5]), match[6] or "")


def _iso_stamp(match: re.Match[str]) -> Stamp:
    year, month, day, hour, minute, second = (int(match[number]) for number in range(1, 7))
    zone = match[9] or ""
    if len(zone) == 5:
        zone = f"{zone[:3]}:{zone[3:]}"
    return Stamp(year, month, day, hour, minute, second, match[8] or "", zone)


def month_number(word: str) -> int | None:
    """Return the number of a month by its three English letters; None when it is none."""
    word = word.lower()
    return _MONTHS.index(word) + 1 if word in _MONTHS else None


def _day_and_month(words: str) -> tuple[int, int | None]:
    """Find day and month in the words of `dmesg -T`, in several languages: ``Di Aug 12``, ``mar. 5 mars``."""
    day, month = 0, None
    if east_asian := _EAST_ASIAN_MONTH.search(words):
        month = int(east_asian[1])
        words = words[: east_asian.start()] + words[east_asian.end() :]
    for word in words.replace(".", " ").replace("日", " ").replace("일", " ").lower().split():
        if word.isdecimal() and word.isascii() and len(word) <= 2:
            day = int(word)
        else:
            month = month_number(word[:3]) or _OTHER_MONTHS.get(word) or _OTHER_MONTHS.get(word[:3]) or month
    return day, month
