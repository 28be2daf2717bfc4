"""Agreeing to one act by its name, typed on a terminal: what does not match is said back."""

from __future__ import annotations

import io
import sys

import pytest

from hnctl.consent import ask_for_name
from hypernode.errors import NotAgreed

NAME = "kaasshop:FALCON_L_202203"


class Terminal(io.StringIO):
    """What somebody types at, or reads."""

    def isatty(self) -> bool:
        return True


def typed(monkeypatch: pytest.MonkeyPatch, text: str, *confirm: str) -> str:
    """Have `NAME` agreed to by `text`, and return what is shown."""
    shown = Terminal()
    monkeypatch.setattr(sys, "stdin", Terminal(f"{text}\n"))
    monkeypatch.setattr(sys, "stderr", shown)
    ask_for_name(NAME, "kaasshop: it costs money", confirm=confirm, node="kaasshop")
    return shown.getvalue()


def test_the_name_itself_agrees(monkeypatch: pytest.MonkeyPatch):
    assert "does not cover it" not in typed(monkeypatch, NAME)


@pytest.mark.parametrize(
    ("text", "because"),
    [
        ("", "it was not confirmed"),
        ("kaasshop:FALCON_M_202203", f"'kaasshop:FALCON_M_202203' was typed and not {NAME}"),
        ("yes", f"'yes' was typed and not {NAME}"),
        ("\x1b[2J", f"'\\x1b[2J' was typed and not {NAME}"),
    ],
)
def test_another_name_is_said_back_with_the_right_one(text: str, because: str, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(NotAgreed) as refused:
        typed(monkeypatch, text)
    assert refused.value.message == f"kaasshop: it costs money; {because}, and nothing was sent"
    assert refused.value.hint == f"--confirm {NAME} allows it"


def test_what_was_confirmed_and_does_not_cover_it_is_told_before_it_is_asked(monkeypatch: pytest.MonkeyPatch):
    shown = typed(monkeypatch, NAME, "bloemenhuis:ssh")
    assert shown.index("--confirm bloemenhuis:ssh does not cover it.\n") < shown.index(f"Type {NAME} to agree")
