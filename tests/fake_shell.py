"""A `Shell` in memory: it notes what it is asked to run, and answers by script or as a node's own tools would."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from hypernode.errors import HypernodeError
from hypernode.node.shell import Output

HEADING = "ACTION  START  END  STATE  TASKS  RUNNING\n"
SUCCESS = "Operation was successful, use `livelog` to see the progress\n"


class Call(NamedTuple):
    """One command that was run."""

    argv: tuple[str, ...]
    stdin: str
    timeout: float

    @property
    def line(self) -> str:
        return shlex.join(self.argv)


Answer: TypeAlias = "Output | HypernodeError | Callable[[Call], Answer]"


def said(out: str = "", err: str = "", status: int = 0) -> Output:
    return Output(status, out, err)


class FakeShell:
    """Answers each command line by script, and else from `values`, if there are any.

    Args:
        answers: Command line to what it leaves, raises, or calls; of a list one after the other, the last for good.
        values: Setting to its value as hypernode-systemctl spells it; writes are kept in it.
    """

    def __init__(
        self, answers: Mapping[str, Answer | list[Answer]] | None = None, *, values: dict[str, str] | None = None
    ) -> None:
        self._answers = {
            tuple(shlex.split(line)): list(answer) if isinstance(answer, list) else [answer]
            for line, answer in (answers or {}).items()
        }
        self.values = values
        self.calls: list[Call] = []

    def run(self, argv: Sequence[str], *, timeout: float, stdin: str = "") -> Output:
        call = Call(tuple(argv), stdin, timeout)
        self.calls.append(call)
        scripted = self._answers.get(call.argv)
        if scripted is None:
            return self._by_values(call)
        answer = scripted.pop(0) if len(scripted) > 1 else scripted[0]
        while callable(answer):
            answer = answer(call)
        if isinstance(answer, HypernodeError):
            raise answer
        return answer

    def _by_values(self, call: Call) -> Output:
        assert self.values is not None, f"nothing is scripted for: {call.line}"
        match call.argv:
            case ("hypernode-log",):
                return said(HEADING)
            case ("hypernode-systemctl", "settings"):
                return said("".join(f"{name:<25}\t['a', 'b']\n" for name in self.values))
            case ("hypernode-systemctl", "settings", name) if name in self.values:
                return said(f"{name} is set to value {self.values[name]}\n")
            case ("hypernode-systemctl", "settings", name, value, *_):
                self.values[name] = value
                return said(SUCCESS)
        raise AssertionError(f"nothing is scripted for: {call.line}")

    @property
    def lines(self) -> list[str]:
        return [call.line for call in self.calls]

    @property
    def writes(self) -> list[str]:
        """The settings that were sent, in order, each as ``NAME VALUE``."""
        start = ("hypernode-systemctl", "settings")
        return [shlex.join(call.argv[2:4]) for call in self.calls if call.argv[:2] == start and len(call.argv) > 3]
