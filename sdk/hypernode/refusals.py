"""What a refusal says: a status and a body in, the error that it stands for out. No I/O.

Bodies come in every shape of CONTRACT.md 1.5: objects by field, lists, bare texts, nothing, and HTML of a gateway. The
API answers with them, and hypernode-systemctl prints them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import Any

from hypernode.errors import (
    ApiError,
    ApiUseSwitchedOff,
    Forbidden,
    NotFound,
    Rejected,
    TokenRefused,
    TryLater,
)
from hypernode.names import parent_of
from hypernode.secrets import Secret, redact

_LONGEST_TEXT = 500
_LONGEST_MESSAGE = 2_000
_TITLE = re.compile(r"<title[^<>]*>([^<]+)", re.IGNORECASE)
# What moves a cursor, and halves of surrogate pairs, which no stream takes.
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\ud800-\udfff]")
# The one text that is matched: it is English because we always ask for English (CONTRACT.md 1.1, 1.4).
_SWITCHED_OFF = re.compile(r"financial|api token usage|allow_api_token_usage", re.IGNORECASE)

Fields = dict[str, tuple[str, ...]]


def failure(
    status: int,
    body: bytes,
    *,
    what: str,
    node: str | None,
    secrets: Collection[Secret] = (),
    retry_after: float | None = None,
) -> ApiError | TokenRefused:
    """Return the error that an answer with a failing `status` stands for.

    Args:
        status: HTTP status, 300 or more.
        body: As received.
        what: The request, as ``GET /v2/app/kaasshop/``.
        node: The node it was about.
        secrets: Texts that must not show up in the error even if the server repeats them.
        retry_after: Seconds that the server asks to wait.
    """
    fields = {
        tidy(redact(name, secrets)): tuple(tidy(redact(text, secrets)) for text in texts)
        for name, texts in messages(body, secrets).items()
    }
    words = "; ".join(f"{name}: {text}" if name else text for name, texts in fields.items() for text in texts if text)
    said = f": {tidy(words, _LONGEST_MESSAGE)}" if words else ""
    hint: str | None
    match status:
        case 401:
            return TokenRefused(
                f"the API refused the token (401){said}",
                hint="Take the token from /etc/hypernode/hypernode_api_token on the node itself",
                node=node,
            )
        case 400:
            kind: type[ApiError] = Rejected
            text, hint = f"the API refused it (400){said}", None
        case 403 if _SWITCHED_OFF.search(words):
            kind = ApiUseSwitchedOff
            text = f"use of the API token is switched off for this (403){said}"
            hint = "An owner or admin turns it on in the control panel: Configuration, Settings, API token usage"
        case 403:
            kind = Forbidden
            text = f"the token may not do this (403){said}"
            hint = "A token belongs to one node: is this the token of that node?"
        case 404:
            kind = NotFound
            text = f"{what} was not found (404){said}"
            hint = _hint_of_absence(what, node)
        case 429 | 502 | 503 | 504:
            text, hint = f"{what} answered {status}{said}", "Try again later"
            return TryLater(text, status=status, fields=fields, retry_after=retry_after, hint=hint, node=node)
        case _:
            kind = ApiError
            text, hint = f"{what} answered {status}{said}", None
    return kind(text, status=status, fields=fields, hint=hint, node=node)


def _hint_of_absence(what: str, node: str | None) -> str | None:
    """Return what a 404 can mean, which the path of `what` tells: only one that names a node is about a node."""
    names = what.partition("?")[0].rstrip("/").split("/")
    if "brancher" in names[-2:-1] and (parent := parent_of(names[-1])):
        return f"It may be gone: hnctl brancher list -n {parent}"
    if node is None:
        return None
    if node not in names:
        return (
            f"The path does not name {node}, whose token was sent: either it leads nowhere, or what it names belongs "
            "to another node"
        )
    nothing = "" if names[-1] == node else " or nothing at this path"
    return f"Either there is no such node{nothing}, or the token belongs to another one"


def messages(body: bytes, secrets: Collection[Secret] = ()) -> Fields:
    """Return the server's messages by field out of any body; "" holds those of no field.

    Decoded texts come without `secrets`, since a message that spells an object anew would escape a part of them.
    """
    text = body.decode("utf-8", errors="replace").strip()
    if not text:
        return {}
    if text[0] == "<":
        title = _TITLE.search(text)
        return {"": (f"an HTML page, {title[1].strip()}" if title else "an HTML page",)}
    try:
        return _by_field(_redacted(json.loads(text), secrets))
    except (ValueError, RecursionError):
        return {"": (text,)}


def _redacted(value: Any, secrets: Collection[Secret]) -> Any:
    """Return decoded JSON with `secrets` masked in all its texts, names included."""
    match value:
        case str():
            return redact(value, secrets)
        case list():
            return [_redacted(item, secrets) for item in value]
        case dict():
            return {redact(name, secrets): _redacted(item, secrets) for name, item in value.items()}
        case _:
            return value


def _by_field(data: Any) -> Fields:
    if not isinstance(data, dict):
        return {"": _texts(data)}
    fields: Fields = {}
    for name, value in data.items():
        key = "" if name in ("detail", "non_field_errors", "errors", "message") else name
        fields[key] = fields.get(key, ()) + _texts(value)
    return fields


def _texts(value: Any) -> tuple[str, ...]:
    match value:
        case None:
            return ()
        case str():
            return (value,)
        case list():
            return tuple(text for item in value for text in _texts(item))
        case _:
            return (json.dumps(value),)


def tidy(text: str, longest: int = _LONGEST_TEXT) -> str:
    """Return one printable line of bounded length: the text came over the network."""
    text = _UNPRINTABLE.sub(" ", text)
    return text if len(text) <= longest else text[:longest] + "..."
