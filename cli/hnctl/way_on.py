"""The ways on from a run: what makes a new plan for nodes that it cannot bring, and when it may go on."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from hnctl.printing import print_note
from hypernode.fleet.history import Source
from hypernode.fleet.plan import Plan
from hypernode.fleet.planfile import KIND
from hypernode.fleet.rules import Window

_MOST_NAMED = 4
_ENOUGH = 4096
"""Bytes at whose beginning a plan says what it is."""


def command_anew(source: Source, rolls_back: str | None, usual: Path) -> str:
    """Return the command that makes a new plan of what a run was made of; nodes are named behind it.

    Args:
        source: What its plan was made of.
        rolls_back: The run that it takes back, if it does.
        usual: The fleet file that is meant when none is named.
    """
    if rolls_back is not None:
        return f"hnctl rollback {rolls_back}"
    if source.file is None:
        return "hnctl settings set ..."
    file = Path(source.file)
    if file == usual.absolute() or _holds_plan(file):
        return "hnctl apply"  # of what file a plan was made is not known
    shown = file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file
    return f"hnctl apply -f {shlex.quote(str(shown))}"


def _holds_plan(file: Path) -> bool:
    with suppress(OSError):
        if file.is_file():  # a pipe was read already
            with file.open("rb") as opened:
                return f'"{KIND}"'.encode() in opened.read(_ENOUGH)
    return False


def naming(nodes: Sequence[str]) -> str:
    """Return the options that choose `nodes`, if they are few; else nothing."""
    return "".join(f" -n {node}" for node in nodes) if len(nodes) <= _MOST_NAMED else ""


def tell_closed_window(plan: Plan) -> None:
    """Tell whoever is about to agree to `plan` that it will not begin now, if it will not."""
    window, now = plan.rules.window, datetime.now(UTC)
    if plan.changes and window is not None and not window.is_open(now):
        opens = spell_opening(window, now)
        print_note(f"Nodes are begun {window} only, from {opens} on. Now: --window always")


def spell_opening(window: Window, now: datetime) -> str:
    """Return when `window` opens next."""
    return f"{window.opens_after(now):%a %Y-%m-%d %H:%M} {window.zone.key}"
