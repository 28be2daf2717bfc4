"""Judge settings by the catalogue, worded as Django REST framework would.

Stricter than the real API may be: in JSON a boolean is a boolean and a version is a text, and a name that nobody
knows is refused rather than passed over. A client that gets along with this gets along with more (CONTRACT.md 1.5, 3).
"""

from __future__ import annotations

import json
import re

from hypernode.catalogue import Catalogue, Setting, Value, as_text
from hypernode.sandbox.bodies import TRUTHS, Fields, Refusal

Settings = dict[str, Value | None]


def judge(fields: Fields) -> Settings | Refusal:
    """Return the settings that `fields` ask for in the catalogue's types, or what is wrong with them, all at once."""
    if not fields.given:
        return Refusal({"non_field_errors": ["Name at least one setting."]})
    settings: Settings = {}
    problems: dict[str, object] = {}
    for name, value in fields.given.items():
        try:
            settings[name] = _judge_one(name, value, is_form=fields.is_form)
        except ValueError as exc:
            problems[name] = [str(exc)]
    return Refusal(problems) if problems else settings


def _judge_one(name: str, value: object, *, is_form: bool) -> Value | None:
    setting = Catalogue.bundled().get(name)
    if setting is None:
        raise ValueError("There is no such setting.")
    if setting.read_only:
        raise ValueError("This setting cannot be changed with this token.")
    if is_form and setting.type == "boolean":
        value = TRUTHS.get(str(value).lower(), value)
    typed = check_type(setting, value)
    if typed is not None and setting.values is not None and typed not in setting.values:
        shown = "This value" if setting.secret else json.dumps(as_text(typed))
        raise ValueError(f"{shown} is not a valid choice.")
    return typed


def check_type(setting: Setting, value: object) -> Value | None:
    """Return `value`, which is of the setting's type, else raise `ValueError` with the text for the field."""
    match setting.type:
        case "boolean":
            if isinstance(value, bool):
                return value
            raise ValueError("This field may not be null." if value is None else "Must be a valid boolean.")
        case "integer":
            # The API's own type is open, so texts are taken too (CONTRACT.md 3, doubtful ints).
            if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,18}", value):
                return int(value)
            # JSON knows one kind of number: 2.0 is a whole one.
            if isinstance(value, float) and value.is_integer():
                return int(value)
            if value is None or (isinstance(value, int) and not isinstance(value, bool)):
                return value
            raise ValueError("A valid integer is required.")
        case _:
            if value is None or isinstance(value, str):
                return value
            raise ValueError("Not a valid string.")
