"""Text from elsewhere, made safe to show: nodes, servers and files may hold what a terminal takes for commands."""

from __future__ import annotations

import re

# Control characters, line and paragraph separators, what reverses the direction of writing, halves of surrogate pairs.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    r"""Return `text` as one line, with everything that is no letter but a command written out, as in ``\x1b``."""
    return _UNPRINTABLE.sub(lambda match: match[0].encode("unicode_escape").decode(), text)
