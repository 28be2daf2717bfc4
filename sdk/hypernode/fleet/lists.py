"""Allowlists in the fleet file: addresses by type, each with the comment behind it as its description."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence

import yaml

from hypernode.allowlists import PREFIX, TYPES, Entries, canonical, is_address
from hypernode.errors import InputError
from hypernode.fleet.tree import Problems, cut, is_null, items, pairs, text_of

MODES = ("add", "exact")
"""``add`` leaves entries that the file does not list; ``exact`` removes them."""
_COMMENT = re.compile(r"[ \t,]*(?:[ \t]|(?<=,))#[ \t]*(.*?)[ \t\r]*")
_LONGEST_DESCRIPTION = 200

Listed = tuple[str, Entries | None, yaml.Node]
"""Name, entries (None: `null`), and where they stand."""


def read_lists(node: yaml.Node | None, layer: str, lines: Sequence[str], problems: Problems) -> list[Listed]:
    """Return what ``allowlist`` of a layer says, by type.

    Args:
        node: Its value.
        layer: For messages.
        lines: The file's, for comments.
        problems: Is told what cannot be read.
    """
    found: list[Listed] = []
    for key, value in pairs(node, f"the allowlist of {layer}", problems):
        if key.value not in TYPES:
            hint = problems.suggest(key.value, TYPES) or f"Known are {', '.join(TYPES)}"
            problems.tell(key, f"there is no allowlist of type {cut(key.value)}", hint)
            continue
        entries = None if is_null(value) else _read_entries(value, key.value, lines, problems)
        found.append((f"{PREFIX}{key.value}", entries, value))
    return found


def _read_entries(node: yaml.Node, kind: str, lines: Sequence[str], problems: Problems) -> Entries:
    listed = items(node)
    if listed is None:
        problems.tell(node, f"the allowlist of {kind} must be a list of addresses", f"Write {kind}: [192.0.2.9]")
        return Entries({})
    descriptions: dict[str, str] = {}
    for item in listed:
        try:
            ip = check_address(text_of(item) or "")
        except InputError as exc:
            problems.tell(item, exc.message, exc.hint)
            continue
        if canonical(ip) in descriptions:
            problems.tell(item, f"{ip} stands twice in the allowlist of {kind}")
        descriptions[canonical(ip)] = _comment(item, lines)
    return Entries(descriptions)


def _comment(item: yaml.Node, lines: Sequence[str]) -> str:
    """Return the comment that is the rest of the line after `item`."""
    line = lines[item.end_mark.line] if item.end_mark.line < len(lines) else ""
    match = _COMMENT.fullmatch(line[item.end_mark.column :])
    return match[1][:_LONGEST_DESCRIPTION] if match else ""


def check_address(text: str) -> str:
    """Return `text` if it is an address or a whole range.

    Raises:
        InputError: It is neither.
    """
    if not is_address(text):
        hint = "Write an address, or a range such as 192.0.2.0/24 or 2001:db8::/32"
        raise InputError(f"{cut(text) or 'nothing'} is no address", hint=hint)
    try:
        ipaddress.ip_network(text.strip())
    except ValueError:
        raise InputError(f"{text} is not the start of a range", hint=f"Its range is {canonical(text)}") from None
    return text.strip()


def check_mode(text: str) -> str:
    """Return `text` if it is one of `MODES`.

    Raises:
        InputError: It is none.
    """
    if text not in MODES:
        raise InputError(f"allowlist_mode must be {' or '.join(MODES)}")
    return text
