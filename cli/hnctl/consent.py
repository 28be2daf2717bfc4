"""Having one act agreed to: an ordinary yes, or a confirmation by name that no --yes stands for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from hnctl.options import option
from hnctl.printing import print_note
from hypernode.errors import NotAgreed
from hypernode.printable import printable

F = TypeVar("F", bound=Callable[..., Any])

yes_option = option("-y", "--yes", is_flag=True, help="Do not ask; never covers what needs --confirm.")


def confirm_option(metavar: str) -> Callable[[F], F]:
    """Declare --confirm for acts that are named like `metavar`."""
    return option(
        "--confirm", metavar=metavar, multiple=True, help="Agree by name to what --yes does not cover; see above."
    )


def ask(what: str, *, yes: bool) -> None:
    """Tell `what` is about to be done, a sentence without a full stop, and have an ordinary yes said to it.

    Raises:
        NotAgreed: It was not; nothing was sent.
    """
    if yes:
        return
    from hnctl.agreement import ask as ask_for_yes

    print_note(printable(f"{what}."))
    ask_for_yes("Go on?", yes=yes, undone="nothing was sent")


def ask_for_name(name: str, why: str, *, confirm: Sequence[str], node: str | None = None) -> None:
    """Have `name` typed on a terminal, unless it is among `confirm`.

    Args:
        name: What has to be typed, as in ``kaasshop:allowlist.ssh``.
        why: What the act does.
        confirm: What was confirmed on the command line.
        node: Where it happens, for the error.

    Raises:
        NotAgreed: It was not confirmed; nothing was sent.
    """
    if name in confirm:
        return
    from hnctl.agreement import may_ask

    if may_ask() and click.prompt(f"{why}.\nType {name} to agree", err=True, default="", show_default=False) == name:
        return
    raise NotAgreed(f"{why}; it was not confirmed, and nothing was sent", hint=f"--confirm {name} allows it", node=node)
