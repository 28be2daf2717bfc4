"""What an operation is given and what it gives back; an operation never sees a socket."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hypernode.sandbox.answers import Answer
from hypernode.sandbox.bodies import Fields
from hypernode.sandbox.faults import Fault
from hypernode.sandbox.nodes import Node
from hypernode.sandbox.stage import Stage

NOTHING = Fields({})


@dataclass(frozen=True, slots=True)
class Call:
    """A request that passed every check and may go ahead."""

    stage: Stage
    caller: Node | None
    """Whose token it came with; None: the token is the one that may order."""
    named: Node | None
    """The node that the path names, the caller itself or one of its Branchers; None: the path names none."""
    args: Mapping[str, str]
    """What stands in the path where ``openapi/hypernode.yaml`` has braces."""
    query: Mapping[str, str]
    fields: Fields = NOTHING
    """The body of a write."""
    fault: Fault | None = None
    """What goes wrong with it after it was accepted."""

    @property
    def node(self) -> Node:
        """The node that the path names, where every path of the operation names one."""
        assert self.named is not None  # noqa: S101  # the table of routes says so
        return self.named

    def own(self, name: str) -> Node | None:
        """Return the node called `name` if the token may see it: the caller, or one of its Branchers."""
        if self.caller is None:
            return None
        return next((node for node in (self.caller, *self.caller.branchers) if node.name == name), None)


@dataclass(frozen=True, slots=True)
class Done:
    """What became of a write."""

    answer: Answer
    changed: bool = False
    """Whether it started a flow or changed something."""
    settings: tuple[str, ...] = ()
    """Names of the settings in a valid change of settings."""
    overlap: bool = False
    """Whether another job of the node was not over yet."""
