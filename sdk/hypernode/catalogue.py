"""What settings there are: types, allowed values, defaults and the risk of changing each.

The catalogue ships as data/settings.json (from CONTRACT.md 3). The live list of the API can be laid over it; that
list knows newer settings and values, and nothing else is taken from it. Versions are texts: "8.10" is not "8.1".
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

from hypernode.errors import InvalidValue, ReadOnlySetting, UnknownSetting
from hypernode.secrets import Secret

TypeName = Literal["boolean", "enum", "integer", "string"]
Value = bool | int | str
SettingValue = Value | Secret | None
"""A value as it is handed around: a secret setting's is a `Secret`, and None means not set."""

UNREADABLE = "(cannot be read)"
"""Stands for the value of a setting that the node's tool does not tell (CONTRACT.md 4.1)."""
_TRUE = frozenset({"true", "yes", "on"})
_FALSE = frozenset({"false", "no", "off"})
_NAME = re.compile(r"[a-z][a-z0-9_]{0,99}")
_SECRETIVE = re.compile(r"secret|token|password|passwd|credential|api_?key|cloud_key|private_key")


def as_text(value: object) -> str:
    """Return the spelling in which values are compared and shown; booleans are ``true`` and ``false``."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def as_shown(value: object) -> str:
    """Return a value as a person is shown it; a secret one as its mask."""
    return "not set" if value is None else as_text(value)


def looks_secret(name: str) -> bool:
    """Tell whether a field that no catalogue describes had better be masked, by its name alone."""
    return _SECRETIVE.search(name) is not None


@dataclass(frozen=True, slots=True)
class Hazard:
    """Something a change can do that nobody can undo."""

    text: str
    when: Value | None = None
    """The new value that does it; None: any change does."""

    def strikes(self, value: SettingValue) -> bool:
        """Tell whether changing the setting to `value` (None: clearing it) does it."""
        return self.when is None or value is None or value == self.when


HAZARDS = ("irreversible", "destroys_data", "locks_out")
"""The hazards that need a confirmation of their own, by their names in `Risk`."""


@dataclass(frozen=True, slots=True)
class Risk:
    """The risk card of a setting (CONTRACT.md 3, danger list)."""

    irreversible: Hazard | None = None
    destroys_data: Hazard | None = None
    locks_out: Hazard | None = None
    restarts: str | None = None
    """The service that restarts."""
    costs: str | None = None
    """What it takes: memory, disk or speed."""
    needs: tuple[str, ...] = ()
    """``setting:NAME=VALUE``, ``product:...``, ``value:...``, ``allowlist:TYPE``, ``account:...``, ``feature:...``."""
    note: str | None = None

    def hazards(self, value: SettingValue) -> tuple[str, ...]:
        """Return the names of the hazards of changing the setting to `value`, worst first."""
        return tuple(name for name in HAZARDS if (hazard := getattr(self, name)) is not None and hazard.strikes(value))


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting of a node."""

    name: str
    type: TypeName
    values: tuple[Value, ...] | None = None
    """What it takes, in the form the API wants; None: any text or any number."""
    default: Value | None = None
    """What a new node starts with by the documentation; None when no default is stated."""
    description: str = ""
    group: str = ""
    secret: bool = False
    read_only: bool = False
    tool_prompts: bool | None = None
    """Whether hypernode-systemctl asks before a change; None: unknown (CONTRACT.md 3)."""
    removed_from_docs: bool = False
    live_only: bool = False
    """Known from the API's own list only, so nothing is known of its risk."""
    risk: Risk = Risk()
    _by_text: Mapping[str, Value] = field(default_factory=dict, repr=False, compare=False)

    def typed(self, raw: object) -> SettingValue:
        """Return what the API answered as this setting's type; an odd answer comes back as its text.

        Numbers and texts are told apart by the catalogue, not by the answer: several settings look like integers
        and are texts (CONTRACT.md 3).
        """
        if raw is None or (raw.__class__ is bool and self.type == "boolean"):
            return raw
        text = as_text(raw)
        if self.secret:
            return Secret(text) if text else None
        known = self._by_text.get(text)
        if known is not None:
            return known
        try:
            return self._read(text)
        except ValueError:
            return text

    def parse(self, text: str) -> Value | Secret:
        """Return the value that a person wrote as `text`.

        Raises:
            InvalidValue: The setting does not take it; the hint lists what it takes.
        """
        if self.secret:
            if not text:
                raise InvalidValue(f"{self.name} cannot be empty")
            return Secret(text)
        known = self._by_text.get(text)
        if known is not None:
            return known
        shown = text[:80] or "empty"
        try:
            value = self._read(text)
        except ValueError:
            raise InvalidValue(f"{self.name} cannot be {shown}", hint=self.takes()) from None
        if self.values is not None and self.type != "boolean":
            raise InvalidValue(f"{self.name} cannot be {shown}", hint=self._nearest(text) + self.takes())
        return value

    def takes(self) -> str:
        """Say in a sentence what the setting takes."""
        if self.type == "boolean":
            return "It takes true or false"
        if self.values is not None:
            return f"It takes {', '.join(as_text(value) for value in self.values)}"
        return "It takes a whole number" if self.type == "integer" else "It takes any text"

    def _read(self, text: str) -> Value:
        match self.type:
            case "boolean":
                word = text.lower()
                if word in _TRUE:
                    return True
                if word in _FALSE:
                    return False
                raise ValueError(text)
            case "integer":
                if not re.fullmatch(r"-?[0-9]{1,18}", text):
                    raise ValueError(text)
                return int(text)
            case _:
                return text

    def _nearest(self, text: str) -> str:
        near = closest(text, (as_text(value) for value in self.values or ()))
        return f"Did you mean {near}? " if near else ""


def closest(word: str, known: Iterable[str]) -> str | None:
    """Return the one of `known` that `word` was probably meant to be, or None."""
    from difflib import get_close_matches

    near = get_close_matches(word.lower(), list(known), n=1, cutoff=0.7)
    return near[0] if near else None


class Catalogue(Mapping[str, Setting]):
    """All known settings by name. It never changes; `overlay` makes a new one."""

    def __init__(self, settings: Iterable[Setting]) -> None:
        self._settings = {setting.name: setting for setting in sorted(settings, key=lambda s: s.name)}

    def __getitem__(self, name: str) -> Setting:
        return self._settings[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._settings)

    def __len__(self) -> int:
        return len(self._settings)

    @staticmethod
    @cache
    def bundled() -> Catalogue:
        """Return the catalogue that ships with this version."""
        cards = json.loads(Path(__file__).with_name("data").joinpath("settings.json").read_bytes())
        return Catalogue(_from_card(card) for card in cards["settings"])

    def find(self, name: str) -> Setting:
        """Return the setting called `name`.

        Raises:
            UnknownSetting: There is none; the hint names the nearest one.
        """
        try:
            return self._settings[name]
        except KeyError:
            near = closest(name, self._settings)
            raise UnknownSetting(
                f"there is no setting {name[:80]}",
                hint=f"Did you mean {near}?" if near else "`hnctl settings describe` lists all; --refresh asks the API",
            ) from None

    def parse(self, name: str, text: str) -> Value | Secret:
        """Return `text` as the typed value of the setting `name`.

        Raises:
            UnknownSetting: See `find`.
            ReadOnlySetting: A node's token cannot change it.
            InvalidValue: It does not take that value.
        """
        return self.writable(name).parse(text)

    def writable(self, name: str) -> Setting:
        """Return the setting called `name` if a node's token can change it (CONTRACT.md 3).

        Raises:
            UnknownSetting: See `find`.
            ReadOnlySetting: Nothing attests that it can be changed.
        """
        setting = self.find(name)
        if setting.read_only:
            raise ReadOnlySetting(
                f"{name} is read-only: a node's token cannot change it",
                hint="Change it in the control panel or ask support@hypernode.com",
            )
        return setting

    def overlay(self, live: Mapping[str, Any]) -> Catalogue:
        """Return a catalogue that also knows the settings and values of `live` (eav_descriptions, CONTRACT.md 2.8).

        Everything else, risk and secrecy above all, stays as we know it. Entries of another shape are passed over.
        """
        merged = dict(self._settings)
        for name, listed in live.items():
            if not isinstance(name, str) or not _NAME.fullmatch(name):
                continue
            values = tuple(v for v in listed if isinstance(v, bool | int | str)) if isinstance(listed, list) else ()
            known = merged.get(name)
            if known is None:
                merged[name] = _from_live(name, values)
            elif known.type != "boolean" and known.values is not None:
                # The API's own form of a value wins (CONTRACT.md 3, doubtful ints), and its order too.
                forms = {as_text(v): v for v in known.values} | {as_text(v): v for v in values}
                merged[name] = replace(known, values=tuple(forms.values()), _by_text=forms)
        return Catalogue(merged.values())


def _from_card(card: dict[str, Any]) -> Setting:
    risk = dict(card.get("risk", {}))
    for name in HAZARDS:
        if name in risk:
            risk[name] = Hazard(**risk[name])
    if "needs" in risk:
        risk["needs"] = tuple(risk["needs"])
    values = tuple(card["values"]) if "values" in card else None
    return Setting(
        name=card["name"],
        type=card["type"],
        values=(True, False) if card["type"] == "boolean" else values,
        default=card["default"],
        description=card["description"],
        group=card["group"],
        secret=card.get("secret", False),
        read_only=card.get("read_only", False),
        tool_prompts=card.get("tool_prompts"),
        removed_from_docs=card.get("removed_from_docs", False),
        risk=Risk(**risk),
        _by_text={as_text(value): value for value in values or ()},
    )


def _from_live(name: str, values: tuple[Value, ...]) -> Setting:
    kind: TypeName = "string"
    if values and all(isinstance(value, bool) for value in values):
        kind = "boolean"
    elif values and all(isinstance(value, int) for value in values):
        kind = "integer"
    elif values:
        kind = "enum"
    return Setting(
        name=name,
        type=kind,
        values=values or None,
        description="Known from the API's own list only.",
        secret=kind == "string" and looks_secret(name),
        live_only=True,
        _by_text={} if kind == "boolean" else {as_text(value): value for value in values},
    )
