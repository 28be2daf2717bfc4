"""Read the body of a write and judge it by the catalogue, worded as Django REST framework would.

Stricter than the real API may be: in JSON a boolean is a boolean and a version is a text, and a name that nobody
knows is refused rather than passed over. A client that gets along with this gets along with more (CONTRACT.md 1.5, 3).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.parser import BytesParser
from email.policy import HTTP
from typing import NoReturn
from urllib.parse import parse_qsl

from hypernode.catalogue import Catalogue, Setting, Value, as_text

Settings = dict[str, Value | None]
_TRUTHS = {"true": True, "false": False}


@dataclass(frozen=True, slots=True)
class Refusal:
    """What is wrong with a body, in one of the shapes of CONTRACT.md 1.5."""

    problems: Mapping[str, object]
    status: int = 400


def read_settings(content_type: str, body: bytes) -> Settings | Refusal:
    """Return the settings that a PATCH asks for, in the catalogue's types, or all that is wrong with it.

    Args:
        content_type: JSON, a form or multipart (CONTRACT.md 1.1); none at all counts as JSON.
        body: What was sent.
    """
    kind = content_type.partition(";")[0].strip().lower()
    try:
        match kind:
            case "application/json" | "":
                given = json.loads(body, parse_constant=_refuse_constant)
            case "application/x-www-form-urlencoded":
                given = dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=1000))
            case "multipart/form-data":
                given = _read_multipart(content_type, body)
            case _:
                return Refusal({"detail": f'Unsupported media type "{kind}" in request.'}, 415)
    except (ValueError, RecursionError) as exc:
        return Refusal({"detail": f"Parse error - {exc}"})
    if not isinstance(given, dict):
        text = f"Invalid data. Expected a dictionary, but got {type(given).__name__}."
        return Refusal({"non_field_errors": [text]})
    if not given:
        return Refusal({"non_field_errors": ["Name at least one setting."]})
    return judge(given, is_form=kind not in ("application/json", ""))


def judge(given: Mapping[str, object], *, is_form: bool = False) -> Settings | Refusal:
    """Return `given` in the catalogue's types, or what is wrong with it, all fields at once."""
    settings: Settings = {}
    problems: dict[str, object] = {}
    for name, value in given.items():
        try:
            settings[name] = _judge_one(name, value, is_form=is_form)
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
        # A form knows texts only (CONTRACT.md 1.1).
        value = _TRUTHS.get(str(value).lower(), value)
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


def _refuse_constant(word: str) -> NoReturn:
    raise ValueError(f"Out of range float values are not JSON compliant: {word}")


def _read_multipart(content_type: str, body: bytes) -> dict[str, object]:
    head = f"Content-Type: {content_type}\r\n\r\n".encode("latin-1", "replace")
    message = BytesParser(policy=HTTP).parsebytes(head + body)
    if not message.is_multipart():
        raise ValueError("Invalid boundary in multipart")
    given: dict[str, object] = {}
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(content, bytes):
            given[name] = content.decode("utf-8", "replace")
    return given
