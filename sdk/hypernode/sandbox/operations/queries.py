"""Judge the query of a read. Stricter than the real API may be, which could pass over what it does not like."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

Query = Mapping[str, str]

TRUTHS = {"true": True, "True": True, "false": False, "False": False}  # CONTRACT.md 1.8
NODE_NAME = r"[a-z0-9]{1,16}(-eph[a-z0-9]+)?"  # CONTRACT.md 2.9


def check_pages(query: Query) -> dict[str, object]:
    """Return what is wrong with ``limit`` and ``offset``, by field."""
    problems: dict[str, object] = {}
    if not re.fullmatch(r"[1-9][0-9]?|100", query.get("limit", "1")):
        problems["limit"] = ["Enter a whole number from 1 to 100."]
    if not re.fullmatch(r"[0-9]{1,1000}", query.get("offset", "0")):
        problems["offset"] = ["Enter a whole number."]
    return problems


def check_destroyed(query: Query) -> dict[str, object]:
    """Return what is wrong with ``destroyed``, by field."""
    if query.get("destroyed", "false") in TRUTHS:
        return {}
    return {"destroyed": ["Must be a valid boolean."]}


def check_name(query: Query, field: str) -> dict[str, object]:
    """Return what is wrong with the name of a node, by field."""
    if re.fullmatch(NODE_NAME, query.get(field, "any")):
        return {}
    return {field: ["Enter the name of an app."]}


def check_choice(query: Query, field: str, choices: Collection[str]) -> dict[str, object]:
    """Return what is wrong with a field that takes one of `choices`, by field; an absent one is well."""
    if field not in query or query[field] in choices:
        return {}
    return {field: ["Select a valid choice."]}
