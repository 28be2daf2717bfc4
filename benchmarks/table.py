"""The table that `make bench` prints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

HEADS = ("what", "measured", "goal", "holds")


@dataclass(frozen=True, slots=True)
class Row:
    """What was measured, and the goal that DESIGN 8 sets for it if it does."""

    what: str
    measured: str
    goal: str
    holds: bool | None
    """None: no goal is set for it, or it could not be measured."""

    def cells(self) -> tuple[str, str, str, str]:
        """Return the row as texts."""
        return self.what, self.measured, self.goal, {True: "yes", False: "NO", None: "-"}[self.holds]


def render(rows: Sequence[Row]) -> str:
    """Return the rows as a table in Markdown, aligned for a terminal."""
    cells = [HEADS, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(HEADS))]
    padded = [[text.ljust(width) for text, width in zip(line, widths, strict=True)] for line in cells]
    lines = [f"| {' | '.join(line)} |" for line in padded]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)
