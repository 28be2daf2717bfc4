"""What each record of a journal holds. One that holds something else was edited, and so is the journal. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, get_args

from hypernode.fleet.gates import Verdict
from hypernode.fleet.journal import STATES

_Check = Callable[[Any], bool]


def check(record: Any) -> None:
    """Refuse what is no record.

    Raises:
        ValueError, KeyError, TypeError: It is none.
    """
    if not _RECORDS[record["record"]](record):
        raise ValueError(record["record"])


def _holds(**fields: _Check) -> _Check:
    """Take an object that has these fields, and perhaps more."""
    return lambda value: (
        isinstance(value, dict) and all(name in value and holds(value[name]) for name, holds in fields.items())
    )


def _record(**fields: _Check) -> _Check:
    return _holds(at=_is_moment, **fields)


def _each(holds: _Check) -> _Check:
    return lambda value: isinstance(value, list) and all(map(holds, value))


def _or_null(holds: _Check) -> _Check:
    return lambda value: value is None or holds(value)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_moment(value: Any) -> bool:
    return isinstance(value, str) and datetime.fromisoformat(value).tzinfo is not None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)


def _is_anything(value: Any) -> bool:
    return True


def _is_finding(value: Any) -> bool:
    return _each(_is_text)(value) and len(value) == 3 and value[1] in get_args(Verdict)


_TEXT_OR_NULL = _or_null(_is_text)
_OBJECT = _holds()
_CHANGE = _holds(
    node=_is_text,
    setting=_is_text,
    secret=lambda value: isinstance(value, bool),
    current=_is_anything,
    desired=_is_anything,
)
_PLAN = _holds(
    checksum=_is_text,
    api_url=_is_text,
    compared=_each(_is_text),
    changes=_each(_CHANGE),
    unread=_each(_holds(node=_is_text, reason=_is_text)),
)
"""As far as it is read here; `planfile.load` looks at all of it."""
_RECORDS: Mapping[str, _Check] = {
    "run begun": _record(
        run=_is_text,
        who=_is_text,
        host=_is_text,
        pid=_is_number,
        job=_TEXT_OR_NULL,
        message=_TEXT_OR_NULL,
        salt=_is_text,
        folder=_is_text,
        file=_TEXT_OR_NULL,
        digest=_TEXT_OR_NULL,
        rolls_back=_TEXT_OR_NULL,
        plan=_PLAN,
    ),
    "run resumed": _record(who=_is_text, message=_TEXT_OR_NULL),
    "probed": _record(nodes=lambda value: _OBJECT(value) and all(map(_each(_is_finding), value.values()))),
    "node begun": _record(node=_is_text),
    "sending": _record(node=_is_text, settings=_OBJECT),
    "flows": _record(node=_is_text, flows=_each(_is_text)),
    "read back": _record(node=_is_text, settings=_OBJECT),
    "node ended": _record(
        node=_is_text,
        state=lambda value: value in STATES,
        error=_TEXT_OR_NULL,
        reason=_TEXT_OR_NULL,
        flows=_each(_is_text),
        seconds=_is_number,
    ),
    "gate": _record(node=_is_text, gate=_is_text, verdict=_is_text, reason=_is_text),
    "wave passed": _record(nodes=_each(_is_text)),
    "run ended": _record(state=_is_text),
}
