"""What options, variables and the config take, with the words for what they do not take."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from hypernode.config import parse_seconds
from hypernode.errors import InputError
from hypernode.node.target import check_host, check_user

if TYPE_CHECKING:
    from hypernode.fleet.plan import Confirmation
    from hypernode.node.budget import MaxTotal

_LONGEST = 7 * 24 * 3600.0  # the operating system's own timers end at 24 days


def _in_hours(text: str) -> str:
    """Return a number of days, 7d, in hours, and any other text as it is."""
    days = re.fullmatch(r"\s*([0-9]{1,6})d\s*", text)
    return f"{int(days[1]) * 24}h" if days else text


class Seconds(click.ParamType):  # type: ignore[type-arg]  # before click 8.4 it took no parameter
    """A time such as 900, 1.5, 250ms, 90s, 15m, 2h or 7d; becomes seconds, `least` to a week."""

    name = "time"

    def __init__(self, least: float = 0.0) -> None:
        self._least = least

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the seconds that `value` spells."""
        try:
            seconds = float(value) if isinstance(value, int | float) else parse_seconds(_in_hours(str(value)))
        except InputError:
            self.fail(f"{value!r} is no time; write 90s, 250ms, 15m, 2h or 7d", param, ctx)
        if not self._least <= seconds <= _LONGEST:
            least = f"{self._least * 1000:.0f}ms" if self._least else "0"
            self.fail(f"{value!r} is not between {least} and 7d", param, ctx)
        return seconds


class Moment(click.ParamType):  # type: ignore[type-arg]  # see Seconds
    """A date, a date and time (without a zone: this machine's own), or how long ago; becomes Unix time."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the Unix time that `value` spells."""
        if isinstance(value, float):
            return value
        text = _in_hours(str(value).strip())
        with suppress(InputError):
            return time.time() - parse_seconds(text)
        try:
            return datetime.fromisoformat(text).astimezone().timestamp()
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is no time; write 2024-03-05, 2024-03-05T10:15, or how long ago: 24h, 7d", param, ctx)


class ZonedMoment(click.ParamType):  # type: ignore[type-arg]  # see Seconds
    """A date and time with its zone, as the API needs them."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Return the aware time that `value` spells."""
        if isinstance(value, datetime):
            return value
        try:
            moment = datetime.fromisoformat(str(value).strip())
        except ValueError:
            moment = None
        if moment is None or moment.utcoffset() is None:
            self.fail(f"{value!r} is no time with its zone; write 2026-09-01T03:00+02:00", param, ctx)
        return moment


class Month(click.ParamType):  # type: ignore[type-arg]  # see Seconds
    """A month, 2026-08; becomes the year and the month."""

    name = "month"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """Return the year and the month that `value` spells."""
        if isinstance(value, tuple):
            return value
        match = re.fullmatch(r"([2-9][0-9]{3})-(0[1-9]|1[0-2])", str(value))
        if match is None:
            self.fail(f"{value!r} is no month; write 2026-08", param, ctx)
        return int(match[1]), int(match[2])


class Words(click.ParamType):  # type: ignore[type-arg]  # see Seconds
    """Words with commas between them, out of `known`; or none. Becomes a tuple."""

    name = "words"

    def __init__(self, *known: str) -> None:
        self._known = known

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """Return the words that `value` spells."""
        if isinstance(value, tuple):
            return value
        if value == "none":
            return ()
        words = tuple(dict.fromkeys(word.strip() for word in str(value).split(",")))
        for word in words:
            if word not in self._known:
                self.fail(f"{word!r} is not one of {', '.join(self._known)}; or write none alone", param, ctx)
        return words


class ConfirmationType(click.ParamType):  # type: ignore[type-arg]  # see Seconds
    """A yes to hazards: NODE:SETTING, GROUP:SETTING=COUNT or all:SETTING=COUNT."""

    name = "confirmation"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Confirmation:
        """Return the confirmation that `value` spells."""
        from hypernode.fleet.plan import parse_confirmation

        try:
            return parse_confirmation(value)
        except InputError as exc:
            self.fail(f"{exc.message}. {exc.hint}", param, ctx)


class RuleType(click.ParamType):  # type: ignore[type-arg]  # see Seconds
    """What a key of `rollout` in the fleet file takes."""

    name = "rule"

    def __init__(self, key: str) -> None:
        self._key = key

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return what `value` spells."""
        from hypernode.fleet.rules import PARSERS

        try:
            return PARSERS[self._key](str(value))
        except ValueError as exc:
            self.fail(f"{value!r}: it {exc}", param, ctx)


class ShareOrSize(click.ParamType):  # type: ignore[type-arg]  # see Seconds
    """A share of the memory, or a size: 40%, 2G."""

    name = "share"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> MaxTotal:
        """Return what `value` spells."""
        from hypernode.node.budget import parse_max_total

        try:
            return parse_max_total(str(value))
        except InputError as exc:
            self.fail(exc.message, param, ctx)


class ClusterType(click.ParamType):  # type: ignore[type-arg]  # see Seconds
    """A Dask cluster, dask://HOST:PORT; becomes Dask's own address of its scheduler."""

    name = "cluster"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the address that `value` spells."""
        if str(value).startswith(("tcp://", "tls://")):  # click converts what it has converted already
            return str(value)
        from hypernode.fleet.clusters import parse_address

        try:
            return parse_address(str(value))
        except InputError as exc:
            self.fail(exc.message, param, ctx)


class Checked(click.ParamType):  # type: ignore[type-arg]  # see Seconds
    """A text for which `check` raises no `InputError`."""

    name = "text"

    def __init__(self, check: Callable[[str], str]) -> None:
        self._check = check

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return `value` if it is good."""
        try:
            return self._check(str(value))
        except InputError as exc:
            self.fail(exc.message, param, ctx)


class _InWords(click.ParamType):  # type: ignore[type-arg]  # see Seconds
    """Says of what is no number what to write instead; click speaks of an "integer range"."""

    reads: Callable[[Any], Any]
    called: str
    min: Any
    max: Any

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number that `value` spells."""
        try:
            self.reads(value)
        except ValueError:
            self.fail(f"{value!r} is no {self.called}; write one from {self.min} to {self.max}", param, ctx)
        return super().convert(value, param, ctx)


class Whole(_InWords, click.IntRange):
    """A whole number from `min` to `max`."""

    reads, called = int, "whole number"


class Number(_InWords, click.FloatRange):
    """A number from `min` to `max`."""

    reads, called = float, "number"


SECONDS = Seconds()
TICK = Seconds(least=0.001)
MOMENT = Moment()
PARALLEL = Whole(1, 256)
RPS = Number(0.01, 100_000)
FORMAT = click.Choice(("table", "json", "jsonl", "yaml", "markdown"))
OF_CONFIG: dict[str, click.ParamType[Any]] = {
    "output": FORMAT,
    "parallel": PARALLEL,
    "poll_interval": TICK,
    "rps": RPS,
    "ssh_host": Checked(check_host),
    "ssh_port": Whole(1, 65535),
    "ssh_user": Checked(check_user),
    "timeout": TICK,
    "wait": SECONDS,
}
"""What the keys of the config take, which are options too; the other keys take any text."""
