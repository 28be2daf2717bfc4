"""Answers of the API and their error bodies (CONTRACT.md 1.4, 1.5), not yet on any socket."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlencode

PAGE_SIZE = 50  # CONTRACT.md 1.3

Headers = tuple[tuple[bytes, bytes], ...]

_COMMON: Headers = (
    (b"vary", b"Accept, Accept-Language"),
    (b"content-language", b"en"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),
)
_JSON: Headers = ((b"content-type", b"application/json"),)


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer; `headers` lack the length, the date and the connection, which belong to the socket."""

    status: int
    body: bytes = b""
    headers: Headers = _COMMON

    def with_header(self, name: str, value: str) -> Answer:
        """Return the same answer with one header more."""
        return Answer(self.status, self.body, (*self.headers, (name.encode(), value.encode("latin-1", "replace"))))


def json_bytes(body: bytes, status: int = 200) -> Answer:
    """Return an answer with a body that is JSON already."""
    return Answer(status, body, _COMMON + _JSON)


def json_answer(value: object, status: int = 200) -> Answer:
    """Return an answer with `value` as JSON."""
    return json_bytes(json.dumps(value).encode(), status)


def detail(status: int, text: str) -> Answer:
    """Return an error in the shape ``{"detail": text}``."""
    return json_answer({"detail": text}, status)


def refuse(text: str) -> Answer:
    """Return an error that is about no field in particular, as Branchers' are (CONTRACT.md 1.5)."""
    return json_answer({"non_field_errors": [text]}, 400)


def page(results: list[dict[str, object]], *, url: str, query: Mapping[str, str]) -> Answer:
    """Return the page of `results` that `query` asks for, in the envelope of CONTRACT.md 1.3.

    Args:
        results: All of them.
        url: Absolute address of the list, for ``next`` and ``previous``.
        query: The request's, with a valid ``limit`` and ``offset`` or none.
    """
    limit, offset = int(query.get("limit", PAGE_SIZE)), int(query.get("offset", 0))

    def link(to: int) -> str:
        asked = {**query, "limit": limit, "offset": to}
        if to <= 0:
            del asked["offset"]
        return f"{url}?{urlencode(asked)}"

    return json_answer(
        {
            "count": len(results),
            "next": link(offset + limit) if offset + limit < len(results) else None,
            "previous": link(offset - limit) if offset > 0 else None,
            "results": results[offset : offset + limit],
        }
    )


EMPTY = Answer(200, headers=(*_COMMON, (b"content-type", b"text/plain")))
"""Nothing had to change. No content type is attested for it; this one agrees with ``openapi/hypernode.yaml``."""
ACCEPTED = Answer(202)
NO_CONTENT = Answer(204)
TOO_LONG = detail(413, "The body is too long.")
NOT_FOUND = detail(404, "Not found.")
NO_TOKEN = detail(401, "Authentication credentials were not provided.").with_header("www-authenticate", "Token")
WRONG_TOKEN = detail(401, "Invalid token.").with_header("www-authenticate", "Token")
NOT_YOURS = detail(403, "You do not have permission to perform this action.")
API_USE_OFF = detail(
    403,
    "Because of the financial nature of this command, API token usage has to be turned on for this app "
    "in the control panel first.",
)


METADATA = {
    "name": "Sandbox",
    "description": "",
    "renders": ["application/json"],
    "parses": ["application/json", "application/x-www-form-urlencoded", "multipart/form-data"],
}
"""What OPTIONS says of every path, in Django REST framework's manner (CONTRACT.md 2.7, row 54)."""


def describe_path(allow: str) -> Answer:
    """Return the answer to OPTIONS of a path that takes the methods in `allow`."""
    return json_answer(METADATA).with_header("allow", allow)


def redirect(status: int, to: str) -> Answer:
    """Return a redirect to `to`."""
    return Answer(status).with_header("location", to)


def not_allowed(method: str, allow: str) -> Answer:
    """Return the 405 of a path that takes only the methods in `allow`."""
    return detail(405, f'Method "{method}" not allowed.').with_header("allow", allow)


def gateway_error(status: int) -> Answer:
    """Return what a gateway says when nobody answers it: HTML (CONTRACT.md 1.4)."""
    title = f"{status} {HTTPStatus(status).phrase}"
    html = (
        f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n"
        f"<center><h1>{title}</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
    )
    return Answer(status, html.encode(), ((b"content-type", b"text/html"),))
