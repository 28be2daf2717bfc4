"""Annotations of Insights: marks on the graphs of a node (CONTRACT.md 2.7, 2.8)."""

from __future__ import annotations

from collections.abc import Mapping

from hypernode.sandbox.nodes import Node
from hypernode.sandbox.world import World


class Annotations:
    """The annotations of all nodes of `world`; there are none at first, and none is ever removed."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._made: list[dict[str, object]] = []

    def add(self, node: Node, said: Mapping[str, object]) -> dict[str, object]:
        """Keep an annotation of `node` that says all of `said`, and return it as the API shows it."""
        now = self._world.stamp(self._world.clock())
        annotation = {"id": len(self._made) + 1, **said, "app": node.name, "created": now, "modified": now}
        self._made.append(annotation)
        return annotation

    def show(self, names: set[str]) -> list[dict[str, object]]:
        """Return the annotations of the nodes called `names`, oldest first."""
        return [annotation for annotation in self._made if annotation["app"] in names]
