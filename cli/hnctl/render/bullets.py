"""Sentences as a list for a person, folded to the terminal."""

from __future__ import annotations

from collections.abc import Iterable
from textwrap import fill

from hypernode.printable import printable


def bullets(sentences: Iterable[str], *, stderr: bool = False) -> list[str]:
    """Return each of `sentences` as an item of a list; no line is folded where there is no terminal."""
    from hnctl.render.console import make_console

    width = make_console(stderr=stderr).width
    return [
        fill(printable(text), width, initial_indent="  - ", subsequent_indent="    ", break_long_words=False)
        for text in sentences
    ]
