"""What the API answers when all is well: one answer, and its body decoded. No I/O; for failures see `refusals`."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from hypernode.errors import BadAnswer


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of the API.

    Attributes:
        data: The decoded JSON; None for an empty body.
        location: The Location header.
    """

    status: int
    data: Any = field(repr=False)  # a node's holds secrets in clear
    location: str | None = None


def decode(body: bytes, *, status: int, what: str, node: str | None) -> Any:
    """Return the JSON of a good answer; None when it is empty.

    Raises:
        BadAnswer: It is no JSON. The body is not shown, since an app's body holds secrets in clear (CONTRACT.md 2.8).
    """
    if not body.strip():
        return None
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        kind = "an HTML page" if body.lstrip()[:1] == b"<" else f"{len(body)} bytes that are no JSON"
        raise BadAnswer(
            f"{what} answered {status} with {kind}",
            status=status,
            node=node,
            hint="A proxy or a gateway may stand between you and the API; see `hnctl config list`",
        ) from None
