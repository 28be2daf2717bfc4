"""Telling what becomes of the nodes of a run while it goes on: the cause must not leave the screen for the many."""

from __future__ import annotations

from collections.abc import Callable

from hnctl.render.outcomes import outcome_line, together_line
from hypernode.fleet.bring import Outcome
from hypernode.fleet.rollout import DONE_BEFORE

_MANY = 10
"""Lines after which what failed is told once more."""
_MOST_AGAIN = 20


class Telling:
    """Tells outcomes by `tell`, those of a kind together; with `verbose` each by itself."""

    def __init__(self, tell: Callable[[str], None], *, verbose: bool) -> None:
        self._tell = tell
        self._verbose = verbose
        self._hinted: set[str] = set()
        self._together: dict[tuple[str, str], list[Outcome]] = {}
        """State and reason to the nodes that nothing was tried on."""
        self._bad: list[Outcome] = []
        self._between = 0
        """Lines about other nodes since the first bad one."""

    def add(self, outcome: Outcome) -> None:
        """Tell an outcome, now or at the end."""
        untouched = outcome.reason and outcome.state not in ("done", "unchanged")
        if outcome.error is None and (untouched or outcome.reason == DONE_BEFORE):
            self._together.setdefault((outcome.state, outcome.reason), []).append(outcome)
            return
        self._tell(outcome_line(outcome, self._hinted))
        if outcome.error is not None:
            self._bad.append(outcome)
        elif self._bad:
            self._between += 1

    def end(self) -> None:
        """Tell what is told together, by name: in which order they came is chance."""
        for outcomes in self._together.values():
            outcomes.sort(key=lambda outcome: outcome.node)
            lines = [outcome_line(one, self._hinted) for one in outcomes]
            if not self._verbose and len(lines) > 1:
                lines = [together_line(outcomes)]
            self._between += len(lines)
            for line in lines:
                self._tell(line)

    def again(self) -> list[str]:
        """Return the lines of the nodes that something is wrong with, if many others have come after them."""
        if not self._bad or self._between < _MANY:
            return []
        lines = [outcome_line(one, self._hinted) for one in self._bad[:_MOST_AGAIN]]
        more = len(self._bad) - len(lines)
        return ["Not done:", *(f"  {line}" for line in lines), *([f"  and {more} more"] if more else [])]
