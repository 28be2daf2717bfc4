"""Some nodes out of many: a number of them, or a percentage. Pure."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple

NUMBER = "[0-9]{1,9}"
PERCENTAGE = "(100|[0-9]{1,2})%"


class Share(NamedTuple):
    """A number of nodes, or a percentage of them."""

    number: int
    percent: bool = False

    def __str__(self) -> str:
        return f"{self.number}{'%' if self.percent else ''}"

    def of(self, total: int) -> int | Fraction:
        """Return how many of `total` this is, exactly: 30% of 5 is one and a half."""
        return Fraction(self.number * total, 100) if self.percent else self.number


def parse_share(text: str, *, percent: bool = True, least: int = 0) -> Share:
    """Return the number or percentage of nodes that `text` spells.

    Raises:
        ValueError: It spells none; the message begins with "must be".
    """
    forms = f"{NUMBER}|{PERCENTAGE}" if percent else NUMBER
    if re.fullmatch(forms, text):
        share = Share(int(text.removesuffix("%")), text.endswith("%"))
        if share.number >= least:
            return share
    raise ValueError(
        f"must be a number from {least}" + (", or a percentage up to 100%, such as 10%" if percent else "")
    )
