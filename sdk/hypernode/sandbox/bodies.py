"""Read the body of a write, and take its fields out one by one; worded as Django REST framework would.

JSON, forms and multipart are read alike (CONTRACT.md 1.1). A form knows texts only, and a list in it is a name that
comes several times; fields that nobody asks for are passed over, as Django does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from email.parser import BytesParser
from email.policy import HTTP
from typing import NoReturn
from urllib.parse import parse_qsl

TRUTHS = {"true": True, "false": False}
"""How a form spells a boolean, in small letters (CONTRACT.md 1.1)."""

_REQUIRED = "This field is required."
_NULL = "This field may not be null."
_NO_TEXT = "Not a valid string."


@dataclass(frozen=True, slots=True)
class Refusal:
    """What is wrong with a body, in one of the shapes of CONTRACT.md 1.5."""

    problems: Mapping[str, object]
    status: int = 400


@dataclass(frozen=True, slots=True)
class Fields:
    """What a body says, by name."""

    given: Mapping[str, object]
    """As JSON has it; of a form the last text of each name."""
    repeated: Mapping[str, Sequence[str]] | None = None
    """All texts of each name of a form; None: it was none."""

    @property
    def is_form(self) -> bool:
        """Whether all values are texts because nothing else could be said."""
        return self.repeated is not None


def read_fields(content_type: str, body: bytes) -> Fields | Refusal:
    """Return what a body says, or why it cannot be read.

    Args:
        content_type: JSON, a form or multipart; none at all counts as JSON.
        body: What was sent. An empty one says nothing, whatever its type.
    """
    if not body:
        return Fields({})
    kind = content_type.partition(";")[0].strip().lower()
    try:
        match kind:
            case "application/json" | "":
                given = json.loads(body, parse_constant=_refuse_constant)
            case "application/x-www-form-urlencoded":
                return _make_form(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=1000))
            case "multipart/form-data":
                return _make_form(_iter_parts(content_type, body))
            case _:
                return Refusal({"detail": f'Unsupported media type "{kind}" in request.'}, 415)
    except (ValueError, RecursionError) as exc:
        return Refusal({"detail": f"Parse error - {exc}"})
    if not isinstance(given, dict):
        text = f"Invalid data. Expected a dictionary, but got {type(given).__name__}."
        return Refusal({"non_field_errors": [text]})
    return Fields(given)


def _make_form(pairs: Iterable[tuple[str, str]]) -> Fields:
    repeated: dict[str, list[str]] = {}
    for name, text in pairs:
        repeated.setdefault(name, []).append(text)
    return Fields({name: texts[-1] for name, texts in repeated.items()}, repeated)


def _refuse_constant(word: str) -> NoReturn:
    raise ValueError(f"Out of range float values are not JSON compliant: {word}")


def _iter_parts(content_type: str, body: bytes) -> Iterator[tuple[str, str]]:
    head = f"Content-Type: {content_type}\r\n\r\n".encode("latin-1", "replace")
    message = BytesParser(policy=HTTP).parsebytes(head + body)
    if not message.is_multipart():
        raise ValueError("Invalid boundary in multipart")
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(content, bytes):
            yield name, content.decode("utf-8", "replace")


@dataclass(slots=True)
class Reader:
    """Takes values out of `fields`, and keeps what is wrong with them in `problems`, all fields at once.

    What a method returns means nothing once `problems` has something. A default makes a field optional.
    """

    fields: Fields
    problems: dict[str, object] = field(default_factory=dict)

    def text(self, name: str, default: str | None = None) -> str:
        """Return a text; one that is required may not be empty."""
        value = self._find(name, default)
        if isinstance(value, str):
            if value or default is not None:
                return value
            self.refuse(name, "This field may not be blank.")
        else:
            self.refuse(name, _NO_TEXT)
        return ""

    def choice(self, name: str, choices: Collection[str]) -> str:
        """Return one of `choices`."""
        value = self.text(name)
        if value not in choices:
            self.refuse(name, f'"{value}" is not a valid choice.')
        return value

    def texts(self, name: str, choices: Collection[str] | None = None) -> tuple[str, ...]:
        """Return a list of texts, each one of `choices` if there are some; an absent field is an empty list."""
        if self.fields.repeated is not None:
            values: object = list(self.fields.repeated.get(name, ()))
        else:
            values = self._find(name, [])
        if not isinstance(values, list):
            self.refuse(name, f'Expected a list of items but got type "{type(values).__name__}".')
            return ()
        texts = tuple(value for value in values if isinstance(value, str))
        if len(texts) != len(values):
            self.refuse(name, _NO_TEXT)
        elif choices is not None and (strange := [text for text in texts if text not in choices]):
            self.refuse(name, f'"{strange[0]}" is not a valid choice.')
        return texts

    def truth(self, name: str, default: bool) -> bool:
        """Return a boolean."""
        value = self._find(name, default)
        if self.fields.is_form and isinstance(value, str):
            value = TRUTHS.get(value.lower())
        if isinstance(value, bool):
            return value
        self.refuse(name, "Must be a valid boolean.")
        return default

    def whole(self, name: str) -> int:
        """Return a whole number; JSON knows one kind of number, so 2.0 is one, too."""
        value = self._find(name, None)
        if self.fields.is_form and isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,18}", value):
            value = int(value)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        self.refuse(name, "A valid integer is required.")
        return 0

    def refuse(self, name: str, text: str) -> None:
        """Note what is wrong with a field; what was noted first stays."""
        self.problems.setdefault(name, [text])

    def _find(self, name: str, default: object) -> object:
        value = self.fields.given.get(name, default)
        if value is None:
            self.refuse(name, _NULL if name in self.fields.given else _REQUIRED)
        return value
