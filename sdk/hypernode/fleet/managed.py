"""What a fleet file manages: settings, and the allowlist of each type as if it were one, called ``allowlist.TYPE``.

Plans, journals, drift and rollbacks know no difference. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from hypernode.allowlists import PREFIX, TYPES, Entries
from hypernode.catalogue import Catalogue, Risk, Setting, SettingValue, closest
from hypernode.errors import InputError, SafetyError

Managed = SettingValue | Entries
"""A value on either side of a change."""


_NO_RISK = Risk()


@dataclass(frozen=True, slots=True)
class AddressList:
    """The allowlist of one type, in the place of a `Setting`."""

    name: str
    risk: Risk = _NO_RISK
    """What a change of it risks depends on both of its sides: see `Change.hazards`."""
    secret: bool = False
    tool_prompts: bool | None = None

    def typed(self, raw: object) -> Entries:
        """Return what a reader told, or a journal or a plan kept, of the list."""
        return Entries(raw if isinstance(raw, Mapping) else {})


def managed(catalogue: Catalogue, name: str) -> Setting | AddressList:
    """Return what is called `name` in a plan.

    Raises:
        UnknownSetting, ReadOnlySetting: A fleet file cannot manage it.
    """
    return _LISTS.get(name) or catalogue.writable(name)


def explained(catalogue: Catalogue, name: str) -> Setting | AddressList:
    """Return what is called `name`, whether or not a fleet file can manage it.

    Raises:
        UnknownSetting: There is no such setting.
        InputError: There is no such allowlist.
    """
    kind = name.removeprefix(PREFIX)
    if name in _LISTS or (kind == name and name != PREFIX.rstrip(".")):
        return _LISTS.get(name) or catalogue.find(name)
    near = closest(kind, TYPES)
    raise InputError(
        f"there is no allowlist {name}",
        hint=f"Did you mean {PREFIX}{near}?" if near else f"Known are {', '.join(_LISTS)}",
    )


def names_of_lists(names: Iterable[str]) -> dict[str, str]:
    """Return those of `names` that are allowlists, each with its type."""
    return {name: name.removeprefix(PREFIX) for name in names if name in _LISTS}


def refuse_lists(names: Collection[str], node: str) -> None:
    """Refuse allowlists among `names` where something else than the API, asked from here, is the way to `node`.

    Raises:
        SafetyError: There are some; nothing was changed.
    """
    if lists := sorted(names_of_lists(names)):
        raise SafetyError(
            f"{', '.join(lists)}: allowlists are managed through the API, from this machine; nothing was changed",
            hint="Leave --executor away, or use via: api for this node",
            node=node,
        )


def settings_only(wished: Mapping[str, Managed], node: str) -> dict[str, SettingValue]:
    """Return `wished` if there is no allowlist in it; else see `refuse_lists`."""
    refuse_lists(wished, node)
    return {name: value for name, value in wished.items() if not isinstance(value, Entries)}


def as_json(value: Managed) -> Any:
    """Return a value that is no secret as JSON has it."""
    return dict(value) if isinstance(value, Entries) else value


_LISTS = {f"{PREFIX}{kind}": AddressList(f"{PREFIX}{kind}") for kind in TYPES}
