"""Prefixes of section 7 of OOM_FORMATS.md: how a message of the kernel stands in a log, and what of its time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from hypernode.oom.kernlog import Stamp

WHEN = datetime(2024, 3, 5, 10, 15, 30, 123456)
UPTIME = 928270.384548
MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
_WEEKDAYS = {
    "english": ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"],
    "german": ["Mo", "Di", "Mi", "Do", "Fr", "Sa", "So"],
    "french": ["lun.", "mar.", "mer.", "jeu.", "ven.", "sam.", "dim."],
    "spanish": ["lun", "mar", "mié", "jue", "vie", "sáb", "dom"],
    "dutch": ["ma", "di", "wo", "do", "vr", "za", "zo"],
    "italian": ["lun", "mar", "mer", "gio", "ven", "sab", "dom"],
    "japanese": ["月", "火", "水", "木", "金", "土", "日"],
    "russian": ["Пн", "Вт", "Ср", "Чт", "Пт", "Сб", "Вс"],  # noqa: RUF001  # it is Cyrillic
}
_MONTHS = {
    "english": MONTHS,
    "german": ["Jan", "Feb", "Mär", "Apr", "Mai", "Jun", "Jul", "Aug", "Sep", "Okt", "Nov", "Dez"],
    "french": ["janv.", "févr.", "mars", "avril", "mai", "juin", "juil.", "août", "sept.", "oct.", "nov.", "déc."],
    "spanish": ["ene", "feb", "mar", "abr", "may", "jun", "jul", "ago", "sep", "oct", "nov", "dic"],
    "dutch": ["jan", "feb", "mrt", "apr", "mei", "jun", "jul", "aug", "sep", "okt", "nov", "dec"],
    "italian": ["gen", "feb", "mar", "apr", "mag", "giu", "lug", "ago", "set", "ott", "nov", "dic"],
    "japanese": [f"{month}月" for month in range(1, 13)],
    "russian": ["янв", "фев", "мар", "апр", "мая", "июн", "июл", "авг", "сен", "окт", "ноя", "дек"],
}
LANGUAGES = tuple(_WEEKDAYS)
UNKNOWN = ("russian",)
"""Of these the parser need not know the months, only what was said."""


class Said(NamedTuple):
    """A message, and which program said it."""

    text: str
    tag: str = "kernel"
    """Empty: a line as it stands, such as journald's explanations."""


@dataclass(frozen=True, slots=True)
class Style:
    """A way to write a log."""

    name: str
    prefix: Callable[[datetime, float, str], str]
    """Of a time, an uptime and the tag."""
    stamp: Callable[[datetime], Stamp | None]
    joins: Literal["again", "blanks", "octal"] = "again"
    """What becomes of a message of several lines: a prefix for each, blanks in its place, or all in one."""
    has_uptime: bool = True
    others: bool = False
    """Whether other programs' lines stand in it."""

    def __str__(self) -> str:
        return self.name


def _classic(when: datetime) -> str:
    return f"{MONTHS[when.month - 1]} {when.day:2d} {when:%H:%M:%S}"


def _short(when: datetime) -> str:
    return f"{MONTHS[when.month - 1]} {when:%d %H:%M:%S}"


def _up(uptime: float) -> str:
    return f"[{uptime:12.6f}] "


def _yearless(when: datetime) -> Stamp:
    return Stamp(None, when.month, when.day, when.hour, when.minute, when.second)


def _whole(fraction: str = "", zone: str = "") -> Callable[[datetime], Stamp]:
    def stamp(when: datetime) -> Stamp:
        parts = (when.year, when.month, when.day, when.hour, when.minute, when.second)
        return Stamp(*parts, when.strftime(fraction), zone)

    return stamp


def _untold(when: datetime) -> None:
    return None


def _ctime(language: str) -> Style:
    def prefix(when: datetime, uptime: float, tag: str) -> str:
        day, month = _WEEKDAYS[language][when.weekday()], _MONTHS[language][when.month - 1]
        words = f"{day} {when.day} {month}" if language == "french" else f"{day} {month} {when.day:2d}"
        return f"[{words} {when:%H:%M:%S %Y}] "

    def stamp(when: datetime) -> Stamp:
        month = None if language in UNKNOWN else when.month
        return Stamp(when.year, month, when.day, when.hour, when.minute, when.second)

    return Style(f"dmesg -T in {language}", prefix, stamp, "blanks", has_uptime=False)


STYLES = (
    Style("rsyslog", lambda w, u, t: f"{_classic(w)} host {t}: {_up(u)}", _yearless, "octal", others=True),
    Style("rsyslog without uptime", lambda w, u, t: f"{_classic(w)} host {t}: ", _yearless, "octal", False, True),
    Style("journalctl", lambda w, u, t: f"{_short(w)} host {t}: ", _yearless, "blanks", False, True),
    Style(
        "journalctl short-precise",
        lambda w, u, t: f"{_short(w)}.{w:%f} host {t}: ",
        lambda w: _yearless(w)._replace(fraction=f"{w:%f}"),
        "blanks",
        False,
        True,
    ),
    Style("el6", lambda w, u, t: f"{_classic(w)} host {t}: {': ' * (t == 'kernel')}", _yearless, "octal", False, True),
    Style(
        "rsyslog RFC 3339",
        lambda w, u, t: f"{w.isoformat(timespec='microseconds')}+01:00 host {t}: {_up(u) * (t == 'kernel')}",
        _whole("%f", "+01:00"),
        "octal",
        others=True,
    ),
    Style(
        "rsyslog RFC 3339 without uptime",
        lambda w, u, t: f"{w.isoformat(timespec='microseconds')}Z host {t}: ",
        _whole("%f", "Z"),
        "octal",
        False,
        True,
    ),
    Style(
        "journalctl short-iso",
        lambda w, u, t: f"{w.isoformat(timespec='seconds')}+0100 host {t}: ",
        _whole("", "+01:00"),
        "blanks",
        False,
        True,
    ),
    Style("dmesg", lambda w, u, t: _up(u), _untold),
    Style("dmesg with a thread's id", lambda w, u, t: f"{_up(u)[:-1]}[ T1234] ", _untold),
    Style("dmesg with a core's id", lambda w, u, t: f"{_up(u)[:-1]}[    C0] ", _untold),
    Style("dmesg in colour", lambda w, u, t: f"\x1b[32m{_up(u)}\x1b[0m\x1b[1m\x1b[31m\x1b[0m", _untold),
    Style("dmesg with deltas", lambda w, u, t: "[<    0.000006>] ", _untold, has_uptime=False),
    *map(_ctime, LANGUAGES),
    Style(
        "dmesg iso",
        lambda w, u, t: f"{w.isoformat(timespec='microseconds').replace('.', ',')}+01:00 ",
        _whole("%f", "+01:00"),
        "blanks",
        False,
    ),
    Style("dmesg -H", lambda w, u, t: f"[{MONTHS[w.month - 1]}{w.day:2d} {w:%H:%M}] ", _yearless, has_uptime=False),
    Style("kmsg", lambda w, u, t: f"6,3057,{round(u * 1e6)},-;", _untold),
    Style("kmsg with caller", lambda w, u, t: f"4,3057,{round(u * 1e6)},-,caller=T1234;", _untold),
    Style("syslog(2)", lambda w, u, t: f"<4>{_up(u)}", _untold),
    Style("nothing", lambda w, u, t: "", _untold, has_uptime=False),
)
BY_NAME = {style.name: style for style in STYLES}
SYSLOG = BY_NAME["rsyslog"]


def written(
    said: Iterable[str | Said],
    style: Style = SYSLOG,
    *,
    when: datetime = WHEN,
    uptime: float = UPTIME,
    step: float = 7e-6,
) -> list[bytes]:
    """Return the lines of a log, each `step` seconds after the one before."""
    lines: list[str] = []
    for number, word in enumerate(said):
        message = word if isinstance(word, Said) else Said(word)
        at, up = when + timedelta(seconds=number * step), uptime + number * step
        if message.tag != "kernel" and not style.others:
            continue
        prefix = style.prefix(at, up, message.tag) if message.tag else ""
        if style.name == "dmesg -H" and number:
            prefix = f"[  +{step:.6f}] "
        lines += _joined(message.text, prefix, style.joins)
    return [f"{line}\n".encode("utf-8", "surrogateescape") for line in lines]


def _joined(text: str, prefix: str, joins: str) -> Sequence[str]:
    if joins == "octal":
        return [prefix + text.replace("\n", "#012").replace("\t", "#011").replace("\x1b", "#033")]
    if joins == "blanks":
        return [prefix + text.replace("\n", "\n" + " " * len(prefix))]
    return [prefix + part for part in text.split("\n")]
