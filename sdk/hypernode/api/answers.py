"""What the API answers when all is well: one answer, and its body decoded. No I/O; for failures see `refusals`."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from hypernode.errors import BadAnswer

if TYPE_CHECKING:
    from hypernode.api.models import ApiModel

M = TypeVar("M", bound="ApiModel")


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


def read_as(model: type[M], data: object, what: str, *, node: str | None) -> M:
    """Return `data`, decoded JSON, as a `model`.

    Args:
        model: What it should be.
        data: The body of a good answer, or a part of one.
        what: How errors name it, such as ``product``.
        node: The node that was asked about.

    Raises:
        BadAnswer: A field is missing or has a type that nothing attests. The message names it and not its value.
    """
    from pydantic import ValidationError  # here, since reading a setting does without models

    try:
        return model.model_validate(data)
    except ValidationError as exc:
        where = ", ".join(".".join(map(str, error["loc"])) or "all of it" for error in exc.errors())
        raise BadAnswer(f"the API answered a {what} that cannot be read ({where})", status=200, node=node) from None


def read_list(model: type[M], data: object, what: str, *, node: str | None) -> tuple[M, ...]:
    """Return `data`, a JSON list, as values of a `model`, in the order of the API; errors as for `read_as`."""
    if not isinstance(data, list):
        raise BadAnswer(f"the API answered no list where each item is a {what}", status=200, node=node)
    return tuple(read_as(model, item, what, node=node) for item in data)
