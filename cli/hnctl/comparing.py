"""Reading nodes and planning what has to change on them, with the options of a command laid over the fleet file."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

from hnctl.connection import Connection
from hnctl.render.progress import progress
from hypernode.catalogue import Catalogue, closest
from hypernode.errors import InputError
from hypernode.fleet.compare import Comparison, Desired, compare


def compare_nodes(
    link: Connection, catalogue: Catalogue, desired: Desired, where: str | None, rules: Mapping[str, Any] | None = None
) -> Comparison:
    """Read the nodes of `desired` and plan their changes; `rules` wins over what the fleet file says of `Rules`."""
    from hypernode.fleet.where import parse_where

    test, asked = parse_where(where, catalogue) if where else (None, frozenset[str]())
    desired = replace(desired, rules=replace(desired.rules, **(rules or {})))
    check_canaries((rules or {}).get("canary", ()), desired.values)
    link.address(list(desired.values))
    with progress("reading", len(desired.values)) as bar, link.executor() as executor:
        reader = link.reader(catalogue, desired.ways)
        return compare(desired, reader, catalogue, executor, where=test, asked=asked, on_node=bar.step)


def check_canaries(
    canaries: Iterable[str], nodes: Collection[str], *, known: Collection[str] | None = None, path: str = ""
) -> None:
    """Refuse a canary that was named and is none of `nodes`: with a slip of the pen, all others would have none.

    Args:
        canaries: The names.
        nodes: Those of this run.
        known: All that there are to choose from; None: nobody knows.
        path: Of the file that knows them.

    Raises:
        InputError: One is not there.
    """
    for name in canaries:
        if name in nodes:
            continue
        if known is not None and name not in known:
            near = closest(name, known)
            raise InputError(
                f"{path} has no node {name} to be a canary", hint=f"Did you mean {near}?" if near else None
            )
        near = None if known is not None else closest(name, nodes)
        raise InputError(
            f"the canary {name} is not among the nodes of this run",
            hint=f"Did you mean {near}?" if near else "Choose it too, or name others with --canary",
        )
