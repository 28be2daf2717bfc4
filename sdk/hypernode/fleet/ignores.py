"""`ignore` in the fleet file: settings that are left as they are until a day, and why."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date

import yaml

from hypernode.catalogue import Catalogue
from hypernode.errors import InputError
from hypernode.fleet.keys import IGNORE_KEYS
from hypernode.fleet.managed import managed
from hypernode.fleet.tree import Problems, cut, is_null, items, mapping, text_of

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_NEEDED = ("setting", "reason", "until")


@dataclass(frozen=True, slots=True)
class Ignore:
    """Why, and until when, a setting is left as it is."""

    setting: str
    reason: str
    until: date
    """The last day."""


Ignores = Mapping[str, Mapping[str, Ignore]]
"""``group NAME`` or ``node NAME`` (as `spec.Wish.layer`) to what is ignored there, by setting."""


def read_ignores(
    node: yaml.Node | None,
    catalogue: Catalogue,
    *,
    nodes: Collection[str],
    groups: Collection[str],
    today: date,
    problems: Problems,
) -> Ignores:
    """Return what the list `node` says; `problems` is told of mistakes, and of entries whose last day is over."""
    if node is None or is_null(node):
        return {}
    listed = items(node)
    if listed is None:
        problems.tell(
            node, "ignore must be a list", "Write ignore: [{node: NODE, setting: ..., reason: ..., until: ...}]"
        )
        return {}
    found: dict[str, dict[str, Ignore]] = {}
    first: dict[tuple[str, str], int] = {}
    for item in listed:
        keys = mapping(item, "an entry of ignore", IGNORE_KEYS, problems)
        place = _place(item, keys, nodes, groups, problems)
        entry = _entry(keys, catalogue, problems)
        if place is None or entry is None:
            continue
        line = item.start_mark.line + 1
        if first.setdefault((place, entry.setting), line) != line:
            before = first[place, entry.setting]
            problems.tell(item, f"{entry.setting} of {place} is ignored twice; the first is on line {before}")
        if entry.until < today:
            what = f"the entry for {place.removeprefix('node ')} {entry.setting}"
            problems.tell(keys["until"], f"{what} has expired on {entry.until}: renew it or take it out")
        found.setdefault(place, {})[entry.setting] = entry
    return found


def _place(
    item: yaml.Node,
    keys: Mapping[str, yaml.Node],
    nodes: Collection[str],
    groups: Collection[str],
    problems: Problems,
) -> str | None:
    """Return the layer that an entry is about; None, after telling why, when it names none."""
    missing = [key for key in _NEEDED if key not in keys]
    named = [key for key in ("node", "group") if key in keys]
    if missing or len(named) != 1:
        lacks = ["either node or group"] * (len(named) != 1) + missing
        problems.tell(item, f"an entry of ignore needs {', '.join(lacks)}")
        return None
    kind = named[0]
    name = _text(keys, kind, problems)
    known = nodes if kind == "node" else groups
    if name is None:
        return None
    if name not in known:
        problems.tell(keys[kind], f"there is no {kind} {cut(name)}", problems.suggest(name, known))
        return None
    return f"{kind} {name}"


def _entry(keys: Mapping[str, yaml.Node], catalogue: Catalogue, problems: Problems) -> Ignore | None:
    """Return the rest of an entry; None, after telling why, when it cannot be read."""
    setting, reason, until = (_text(keys, key, problems) for key in _NEEDED)
    if setting is not None:
        try:
            managed(catalogue, setting)
        except InputError as exc:
            problems.tell(keys["setting"], exc.message, exc.hint)
            setting = None
    day = None if until is None else _day(until)
    if until is not None and day is None:
        problems.tell(keys["until"], "until must be a day, such as 2026-12-31")
    return None if setting is None or reason is None or day is None else Ignore(setting, reason, day)


def _text(keys: Mapping[str, yaml.Node], key: str, problems: Problems) -> str | None:
    if key not in keys:
        return None
    text = text_of(keys[key])
    if text is not None and not is_null(keys[key]) and text.strip():
        return text
    problems.tell(keys[key], f"{key} must {'have a single value' if text is None else 'not be empty'}")
    return None


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if _DAY.fullmatch(text) else None
    except ValueError:
        return None
