"""Having one act agreed to: an ordinary yes, or a confirmation by name that no --yes stands for."""

from __future__ import annotations

import sys
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


def may_ask() -> bool:
    """Tell whether somebody is at a terminal to answer."""
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()


def ask(question: str, *, yes: bool, undone: str) -> None:
    """Have an ordinary yes said to `question`, unless it was given.

    Args:
        question: Asked on a terminal.
        yes: Whether it was given.
        undone: What a refusal says at its end, as ``nothing was restarted``.

    Raises:
        NotAgreed: Nobody said yes.
    """
    if yes:
        return
    if not may_ask():
        raise NotAgreed(f"nobody is there to say yes; {undone}", hint="Add --yes")
    if not click.confirm(question, err=True):
        raise NotAgreed(f"not agreed; {undone}")


def ask_to_send(what: str, *, yes: bool) -> None:
    """Tell `what` is about to be done, a sentence without a full stop, and have an ordinary yes said to it.

    Raises:
        NotAgreed: It was not; nothing was sent.
    """
    if not yes:
        print_note(printable(f"{what}."))
        ask("Go on?", yes=yes, undone="nothing was sent")


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
    given = "".join(f" --confirm {other[:80]}" for other in dict.fromkeys(confirm))
    because = f"{given.strip()} does not cover it" if given else "it was not confirmed"
    if may_ask():
        if given:
            print_note(printable(f"{because}."))
        typed: str = click.prompt(f"{why}.\nType {name} to agree", err=True, default="", show_default=False)
        if typed == name:
            return
        if typed.strip():
            because = f"{typed[:80]!r} was typed and not {name}"
    because = printable(because)
    raise NotAgreed(f"{why}; {because}, and nothing was sent", hint=f"--confirm {name} allows it", node=node)
