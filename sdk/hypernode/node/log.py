"""hypernode-log: the newest flows of a node through its own tool (CONTRACT.md 4.2)."""

from __future__ import annotations

import re
from typing import NamedTuple

from hypernode.errors import ToolError
from hypernode.node.shell import Shell
from hypernode.refusals import tidy

TOOL = "hypernode-log"
_TIMEOUT = 60.0
_TASKS = re.compile(r"[0-9]+/[0-9]+")
_OVER = frozenset({"success", "reverted"})


class LogEntry(NamedTuple):
    """One line of the log."""

    action: str
    """The flow's name."""
    state: str
    """As the tool prints it: ``running``, ``success``, ``reverted``, ``background`` and others."""

    @property
    def is_over(self) -> bool:
        """Whether the flow has ended, well or not."""
        return self.state in _OVER


def read_log(shell: Shell) -> list[LogEntry]:
    """Return what hypernode-log shows, newest first.

    Raises:
        ToolError: It shows something else than its columns.
        HypernodeError: See `Shell.run`.
    """
    answer = shell.run([TOOL], timeout=_TIMEOUT)
    lines = answer.out.strip() or answer.err.strip()
    heading, _, rest = lines.partition("\n")
    if heading.split()[:1] != ["ACTION"]:
        raise ToolError(f"{TOOL} does not show its columns: {tidy(heading.strip(), 200) or '(nothing)'}")
    return [entry for line in rest.split("\n") if (entry := _entry(line)) is not None]


def _entry(line: str) -> LogEntry | None:
    """Read a line by its only fixed points, as widths and dates have changed: STATE stands before TASKS."""
    words = line.split()
    for place in range(2, len(words)):
        if _TASKS.fullmatch(words[place]):
            return LogEntry(words[0], words[place - 1])
    return None
