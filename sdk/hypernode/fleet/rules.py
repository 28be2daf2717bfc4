"""How a plan is carried out: `rollout` of the fleet file, and the same as options. Pure.

A run goes in waves: the canaries first, then as many nodes as each entry of `waves` says. Entries count all nodes of
the run from its start: with `waves: [1, 10%, 100%]` and 50 nodes one is changed first, then four more, then the rest.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from math import ceil
from typing import Any, Final, Literal, TypeVar, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml

from hypernode.config import parse_seconds
from hypernode.errors import InputError
from hypernode.fleet.gates import Gate, read_gates, spell_gate
from hypernode.fleet.shares import Share, parse_share
from hypernode.fleet.tree import Problems, cut, is_null, items, text_of

T = TypeVar("T")

Order = Literal["name", "file", "risk", "smallest-product-first"]
ORDERS: Final[tuple[Order, ...]] = get_args(Order)
OnFailure = Literal["stop", "rollback"]
ON_FAILURE: Final[tuple[OnFailure, ...]] = get_args(OnFailure)
ALL: Final = Share(100, True)
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WINDOW = re.compile(r"([A-Za-z,-]+) +([0-9]{2}:[0-9]{2})-([0-9]{2}:[0-9]{2}) +([A-Za-z0-9_+/-]{1,64})")
_LONGEST_PAUSE = 7 * 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Window:
    """The hours of the week in which nodes may be begun."""

    text: str
    """As it was written: ``Mon-Thu 09:00-16:00 Europe/Amsterdam``."""
    days: frozenset[int]
    """Monday is 0. Hours after midnight belong to the day on which they began."""
    begins: time
    ends: time
    """Not part of it. Before `begins`: on the next day."""
    zone: ZoneInfo

    def __str__(self) -> str:
        return self.text

    def is_open(self, now: datetime) -> bool:
        """Tell whether a node may be begun at `now`, which knows its zone."""
        there = now.astimezone(self.zone)
        today, clock = there.weekday(), there.time()
        if self.begins < self.ends:
            return today in self.days and self.begins <= clock < self.ends
        return (today in self.days and clock >= self.begins) or ((today - 1) % 7 in self.days and clock < self.ends)

    def opens_after(self, now: datetime) -> datetime:
        """Return the next time after `now` at which it opens, in its zone."""
        day = now.astimezone(self.zone).date()
        openings = (
            datetime.combine(day + timedelta(days=ahead), self.begins, self.zone)
            for ahead in range(8)
            if (day + timedelta(days=ahead)).weekday() in self.days
        )
        return next(opening for opening in openings if opening > now.astimezone(UTC))


@dataclass(frozen=True, slots=True)
class Rules:
    """How a plan is carried out."""

    waves: tuple[Share, ...] = (ALL,)
    """How many nodes of the run, counted from its start, are done when each wave ends; the last is all of them."""
    order: Order = "name"
    """In which order nodes are begun: by name, as the fleet file lists them, the fewest hazards first, or the product
    with the least memory first (CONTRACT.md 2.8; nodes whose product is not known come last)."""
    canary: tuple[str, ...] = ()
    """Nodes that are a wave of their own before all others; those that do not change are passed over."""
    pause: float = 0.0
    """Seconds between two waves."""
    max_failures: Share | None = None
    """Failed or unknown nodes of the whole run after which no more are begun; a percentage is rounded up."""
    on_failure: OnFailure = "stop"
    """What happens when the budget is spent or a gate fails."""
    window: Window | None = None
    gates: tuple[Gate, ...] = ()
    """What has to hold after each wave."""

    def divide(self, nodes: Sequence[str]) -> list[list[str]]:
        """Return the waves of a run over `nodes`, which are in the order of the run; none is empty."""
        first = [node for node in self.canary if node in set(nodes)]
        line = [*first, *(node for node in nodes if node not in first)]
        ends = [len(first), *(min(ceil(share.of(len(line))), len(line)) for share in self.waves)]
        waves, begin = [], 0
        for end in ends:
            if end > begin:
                waves.append(line[begin:end])
                begin = end
        return waves

    def most_failures(self, nodes: int) -> int | None:
        """Return how many of a run's nodes may fail before no more are begun; None: any number."""
        # With less than one, the run would be over before it began.
        return None if self.max_failures is None else max(1, ceil(self.max_failures.of(nodes)))

    def spelled(self) -> dict[str, Any]:
        """Return these rules as the fleet file has them, without what is the default."""
        said: dict[str, Any] = {
            "waves": [str(share) for share in self.waves] if self.waves != (ALL,) else None,
            "order": self.order if self.order != "name" else None,
            "canary": list(self.canary) or None,
            "pause": f"{self.pause * 1000:.0f}ms" if self.pause else None,
            "max_failures": None if self.max_failures is None else str(self.max_failures),
            "on_failure": self.on_failure if self.on_failure != "stop" else None,
            "window": None if self.window is None else self.window.text,
            "gates": [spell_gate(gate) for gate in self.gates] or None,
        }
        return {name: value for name, value in said.items() if value is not None}


DEFAULT: Final = Rules()


def read_rules(keys: Mapping[str, yaml.Node], problems: Problems, known_nodes: Mapping[str, Any] | None) -> Rules:
    """Return the rules that the entries of `rollout` say.

    Args:
        keys: The entries, by key.
        problems: Is told of all that is wrong with them.
        known_nodes: The nodes that there are; None: any.
    """

    def read(key: str, parse: Callable[[str], T], default: T) -> T:
        node = keys.get(key)
        if node is None or is_null(node):
            return default
        try:
            return parse(text_of(node) or "")
        except ValueError as exc:
            problems.tell(node, f"{key} {exc}")
            return default

    gates = keys.get("gates")
    return Rules(
        _read_waves(keys.get("waves"), problems),
        read("order", _parse_order, DEFAULT.order),
        _read_canary(keys.get("canary"), problems, known_nodes),
        read("pause", _parse_pause, DEFAULT.pause),
        read("max_failures", _parse_budget, None),
        read("on_failure", _parse_on_failure, DEFAULT.on_failure),
        read("window", parse_window, None),
        () if is_null(gates) or gates is None else read_gates(gates, problems),
    )


def _read_waves(node: yaml.Node | None, problems: Problems) -> tuple[Share, ...]:
    if node is None or is_null(node):
        return DEFAULT.waves
    try:
        return _check_waves([text_of(item) or "" for item in items(node) or []])
    except ValueError as exc:
        problems.tell(node, f"waves {exc}", "Write waves: [1, 10%, 100%]")
        return DEFAULT.waves


def _read_canary(node: yaml.Node | None, problems: Problems, known_nodes: Mapping[str, Any] | None) -> tuple[str, ...]:
    if node is None or is_null(node):
        return ()
    listed = items(node)
    if listed is None:
        problems.tell(node, "canary must be a list of nodes", "Write canary: [kaasshop]")
        return ()
    names: dict[str, None] = {}
    for item in listed:
        name = text_of(item) or ""
        if known_nodes is not None and name not in known_nodes:
            problems.tell(item, f"there is no node {cut(name)}", problems.suggest(name, known_nodes))
        elif name in names:
            problems.tell(item, f"{name} is listed twice in canary")
        else:
            names[name] = None
    return tuple(names)


def _parse_waves(text: str) -> tuple[Share, ...]:
    """Return the waves that ``1,10%,100%`` spells."""
    return _check_waves([part.strip() for part in text.split(",")])


def _check_waves(texts: Sequence[str]) -> tuple[Share, ...]:
    try:
        waves = tuple(parse_share(text, least=1) for text in texts)
    except ValueError:
        raise ValueError("must be numbers from 1 or percentages up to 100%") from None
    if not waves or waves[-1] != ALL:
        raise ValueError("must end with 100%, or some nodes would never have their turn")
    for before, after in pairwise(waves):
        if before.percent == after.percent and before.number >= after.number:
            raise ValueError(f"must grow, as they are counted from the start of the run; {after} follows {before}")
    return waves


def _parse_order(text: str) -> Order:
    """Return the order that `text` names."""
    return _one_of(text, ORDERS)


def _parse_on_failure(text: str) -> OnFailure:
    """Return what `text` says is to happen when a run is stopped by failures."""
    return _one_of(text, ON_FAILURE)


def _one_of(text: str, words: tuple[T, ...]) -> T:
    for word in words:
        if word == text:
            return word
    *most, last = map(str, words)
    raise ValueError(f"must be {', '.join(most)} or {last}")


def _parse_pause(text: str) -> float:
    """Return the seconds that `text` spells, a week at most."""
    try:
        seconds = parse_seconds(text)
    except InputError:
        seconds = -1.0
    if not 0 <= seconds <= _LONGEST_PAUSE:
        raise ValueError("must be a time of a week at most, such as 90s or 10m")
    return seconds


def _parse_budget(text: str) -> Share:
    return parse_share(text, least=1)


def parse_window(text: str) -> Window:
    """Return the window that ``Mon-Thu 09:00-16:00 Europe/Amsterdam`` spells, or ``always``.

    Raises:
        ValueError: It spells none; the message begins with "must".
    """
    if text.strip() == "always":
        return Window("always", frozenset(range(7)), time(), time(), ZoneInfo("UTC"))
    match = _WINDOW.fullmatch(text.strip())
    if match is None:
        raise ValueError("must be days, hours and a time zone, such as 'Mon-Thu 09:00-16:00 Europe/Amsterdam'")
    try:
        begins, ends = time.fromisoformat(match[2]), time.fromisoformat(match[3])
    except ValueError:
        raise ValueError(f"must have hours from 00:00 to 23:59, not {match[2]}-{match[3]}") from None
    if begins == ends:
        raise ValueError("must end at another time than it begins")
    try:
        zone = ZoneInfo(match[4])
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"must have a time zone that exists, such as Europe/Amsterdam, not {match[4]}") from None
    return Window(" ".join(text.split()), frozenset(_parse_days(match[1])), begins, ends, zone)


def _parse_days(text: str) -> set[int]:
    days: set[int] = set()
    for part in text.lower().split(","):
        first, dash, last = part.partition("-")
        if first not in _DAYS or (dash and last not in _DAYS):
            raise ValueError(f"must have days such as Mon, Mon-Thu or Mon,Wed, not {cut(text)}")
        begin = _DAYS.index(first)
        length = (_DAYS.index(last) - begin) % 7 if dash else 0
        days.update((begin + step) % 7 for step in range(length + 1))
    return days


PARSERS: Final[Mapping[str, Callable[[str], Any]]] = {
    "waves": _parse_waves,
    "order": _parse_order,
    "pause": _parse_pause,
    "max_failures": _parse_budget,
    "on_failure": _parse_on_failure,
    "window": parse_window,
}
"""What reads a key of `rollout` that is one text. Each raises ValueError with a message that begins with "must"."""
