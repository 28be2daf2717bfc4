"""The JSON Schema of the fleet file, made from the same keys that `spec` reads and from the catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypernode.allowlists import PREFIX, TYPES
from hypernode.catalogue import Catalogue, Setting, as_text
from hypernode.fleet.keys import (
    ARGV,
    COMMAND_KEYS,
    FPM_KEYS,
    HTTP_KEYS,
    IGNORE_KEYS,
    LAYER_KEYS,
    LIMIT_KEYS,
    NODE_KEYS,
    PAGE,
    ROLLOUT_KEYS,
    SSH_KEYS,
    TOP_KEYS,
    Key,
)
from hypernode.names import NODE_PATTERN
from hypernode.secrets import KINDS

_BOOLEAN_WORDS = "^([Tt][Rr][Uu][Ee]|[Ff][Aa][Ll][Ss][Ee]|[Yy][Ee][Ss]|[Nn][Oo]|[Oo][Nn]|[Oo][Ff][Ff])$"
_REFERENCE = f"^({'|'.join(KINDS)}):[\\s\\S]*\\S"


def make_schema(catalogue: Catalogue) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of fleet files that use the settings of `catalogue`."""
    settings = {name: _setting(setting) for name, setting in catalogue.items() if not setting.read_only}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "hnctl fleet file",
        **_object(TOP_KEYS),
        "required": ["version"],
        "$defs": {
            "layer": _or_null(_object(LAYER_KEYS)),
            "node": _or_null(_object(NODE_KEYS)),
            "groups": _or_null(_named("^(?!all$)[A-Za-z0-9_-]{1,64}$", "layer")),
            "nodes": _or_null(_named(NODE_PATTERN, "node")),
            "allowlist": _or_null(_addresses()),
            "ssh": _or_null(_object(SSH_KEYS)),
            "limits": _or_null(_object(LIMIT_KEYS)),
            "rollout": _or_null(_object(ROLLOUT_KEYS)),
            "ignore": {"type": ["array", "null"], "items": _ignored()},
            "name": {"enum": sorted([*settings, *(f"{PREFIX}{kind}" for kind in TYPES)])},
            "gate": {
                "oneOf": [
                    {"const": "flows"},
                    _gate("http", {"oneOf": [PAGE, {**_object(HTTP_KEYS), "required": ["url"]}]}),
                    _gate("fpm", {**_object(FPM_KEYS), "required": ["max_busy"]}),
                    _gate("command", {"oneOf": [ARGV, {**_object(COMMAND_KEYS), "required": ["run"]}]}),
                ]
            },
            "settings": _or_null({"type": "object", "properties": settings, "additionalProperties": False}),
        },
    }


def _object(keys: Mapping[str, Key]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {name: {"description": key.text, **key.schema} for name, key in keys.items()},
        "additionalProperties": False,
    }


def _addresses() -> dict[str, Any]:
    listed = {"type": ["array", "null"], "items": {"type": "string"}, "uniqueItems": True}
    return {"type": "object", "properties": dict.fromkeys(TYPES, listed), "additionalProperties": False}


def _ignored() -> dict[str, Any]:
    return {
        **_object(IGNORE_KEYS),
        "required": ["setting", "reason", "until"],
        "oneOf": [{"required": ["node"]}, {"required": ["group"]}],
    }


def _gate(kind: str, said: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": {kind: said}, "required": [kind], "additionalProperties": False}


def _named(pattern: str, kind: str) -> dict[str, Any]:
    return {
        "type": "object",
        "patternProperties": {pattern: {"$ref": f"#/$defs/{kind}"}},
        "additionalProperties": False,
    }


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    return {"oneOf": [{"type": "null"}, schema]}


def _setting(setting: Setting) -> dict[str, Any]:
    forms: list[dict[str, Any]] = [{"type": "null"}]
    if setting.secret:
        forms.append({"type": "string", "pattern": _REFERENCE})
    elif setting.type == "boolean":
        forms += [{"type": "boolean"}, {"type": "string", "pattern": _BOOLEAN_WORDS}]
    elif setting.values is not None:
        texts = [as_text(value) for value in setting.values]
        # A schema sees an unquoted 8.3 as a number. One that a number cannot spell (8.10) has to be quoted for it.
        forms.append({"enum": [*texts, *(number for text in texts if (number := _as_number(text)) is not None)]})
    elif setting.type == "integer":
        most = 10**18 - 1
        forms += [
            {"type": "integer", "minimum": -most, "maximum": most},
            {"type": "string", "pattern": "^-?[0-9]{1,18}$"},
        ]
    else:
        forms += [{"type": ["number", "boolean"]}, {"type": "string", "not": {"pattern": _REFERENCE}}]
    described = {"description": setting.description} if setting.description else {}
    return {**described, "anyOf": forms}


def _as_number(text: str) -> int | float | None:
    try:
        number = float(text) if "." in text else int(text)
    except ValueError:
        return None
    return number if str(number) == text else None
