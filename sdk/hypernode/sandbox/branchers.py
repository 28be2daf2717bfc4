"""Branchers: made of a node, delivered after a while, billed by the minute, destroyed (CONTRACT.md 2.5, 2.8, 2.10).

What no source tells is decided here: a Brancher leaves the list and costs nothing more as soon as it is cancelled,
what is under way on it is rolled back, and it is gone when the flow that destroys it is over; one whose delivery was
rolled back never has an address; a Brancher answers on all paths before it has one; it counts to the month in which it
was made, in UTC.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from itertools import count
from typing import Any

from hypernode.errors import InputError, InvalidNode
from hypernode.sandbox.faults import Fault
from hypernode.sandbox.flows import ENDINGS, VISIBLE, Ending, make_delivery
from hypernode.sandbox.names import make_brancher_name
from hypernode.sandbox.nodes import Brancher, Node, copy_node, make_address
from hypernode.sandbox.world import World

SERVICES = ("cron", "elasticsearch", "mysql", "supervisor")
"""What can start without its data."""
FREE_MINUTES = 400
PRICE_PER_MINUTE = 1

_FIRST_ID = 501
_FIRST_ADDRESS = 508
_ADDRESSES = 254


@dataclass(frozen=True, slots=True)
class Delivery:
    """How Branchers are delivered from now on. Times are seconds from the order."""

    brancher_time: float | None = 3.0
    """Until it has its address; None: it never gets one."""
    logbook_delay: float | None = None
    """Until it has a logbook; None: a tenth of `brancher_time`, or at once when that is None."""
    ending: Ending = "success"
    """How its flows end."""

    def __post_init__(self) -> None:
        """Refuse what cannot be.

        Raises:
            InputError: A time is no number or below zero, or there is no such ending.
        """
        for name in ("brancher_time", "logbook_delay"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0):
                raise InputError(f"{name} is {value!r}, which is no number of seconds")
        if self.ending not in ENDINGS:
            raise InputError(f"ending is {self.ending!r}: it is one of {', '.join(ENDINGS)}")


class Branchers:
    """The Branchers of all nodes of `world`."""

    def __init__(self, world: World, delivery: Delivery) -> None:
        self.delivery = delivery
        self._world = world
        self._ids = count(_FIRST_ID)

    def set_delivery(self, given: Mapping[str, Any]) -> None:
        """Change how those are delivered that are made from now on, ``{"brancher_time": 3, "ending": "reverted"}``.

        Raises:
            InputError: A name or a value is not understood; nothing was changed.
        """
        known = [each.name for each in fields(Delivery)]
        if strange := sorted(given.keys() - set(known)):
            raise InputError(f"{strange[0]} is not one of {', '.join(known)}")
        self.delivery = replace(self.delivery, **given)

    def create(
        self, parent: Node, labels: Iterable[str], cleared: Sequence[str] = (), fault: Fault | None = None
    ) -> Node:
        """Make a Brancher of `parent`, as that is now.

        Args:
            parent: The node to copy.
            labels: As they are written, ``k=v`` or a text.
            cleared: The services that start without their data.
            fault: What goes wrong with its delivery.
        """
        world, delivery = self._world, self.delivery
        now = world.settle(parent)
        seconds = math.inf if delivery.brancher_time is None else max(delivery.brancher_time, 0.001)
        ending = "reverted" if fault is Fault.REVERT else delivery.ending
        id_ = next(self._ids)
        brancher = Brancher(
            id=id_,
            parent=parent.name,
            address=make_address(_FIRST_ADDRESS + (id_ - _FIRST_ID) % _ADDRESSES),
            created_at=now,
            delivered_at=now + seconds if ending == "success" else math.inf,
            labels=parse_labels(labels),
            cleared=tuple(cleared),
        )
        node = copy_node(parent, self._free_name(parent), brancher)
        delay = delivery.logbook_delay
        if delay is None:
            delay = 0.0 if delivery.brancher_time is None else VISIBLE * seconds
        job = make_delivery(
            world.key(node),
            now=now,
            seconds=seconds,
            visible_at=now + delay,
            ending=ending,
            odd=fault is Fault.UNKNOWN_STATE,
        )
        world.follow(node, job)
        world.nodes[node.name] = node
        parent.branchers.append(node)
        return node

    def label(self, node: Node, labels: Iterable[str]) -> dict[str, str | None]:
        """Replace all labels of the Brancher `node`, and return the new ones."""
        brancher = _of(node)
        brancher.labels = parse_labels(labels)
        node.change(labels=brancher.list_labels())
        return brancher.labels

    def end(self, node: Node) -> bool:
        """Start to destroy the Brancher `node`; return whether nobody did before."""
        if _of(node).ended_at is not None:
            return False
        self._stop(node)
        job = self._world.start_flow(node, "destroying_node", self._world.flow_time)
        _of(node).gone_at = job.ends_at
        return True

    def destroy(self, node: Node) -> None:
        """Let the Brancher `node` be gone at once and without a flow.

        Raises:
            InvalidNode: It is no Brancher.
        """
        brancher = _of(node)
        if brancher.ended_at is None:
            self._stop(node)
        brancher.gone_at = min(self._world.clock(), brancher.gone_at)

    def living(self, parent: Node) -> list[Node]:
        """Return the Branchers of `parent` that nobody destroyed, oldest first."""
        return [node for node in parent.branchers if _of(node).ended_at is None]

    def all_living(self) -> list[dict[str, object]]:
        """Return the Branchers of all nodes, with their parents and the services that were cleared."""
        return [
            {**self._show(node), "parent": parent.name, "clear_services": list(_of(node).cleared)}
            for parent in list(self._world.nodes.values())
            for node in self.living(parent)
        ]

    def bill(self, parent: Node) -> dict[str, object]:
        """Return the list of the Branchers of `parent` with what they cost this month."""
        month = self._month(self._world.clock())
        billed = [node for node in parent.branchers if self._month(_of(node).created_at) == month]
        minutes = sum(map(self._minutes, billed))
        return {
            "monthly_total_time": sum(map(self._seconds, billed)),
            "total_minutes_elapsed": minutes,
            "actual_monthly_total_cost": minutes * PRICE_PER_MINUTE,
            "monthly_total_cost": max(minutes - FREE_MINUTES, 0) * PRICE_PER_MINUTE,
            "currency": "EUR",
            "price_per_minute": PRICE_PER_MINUTE,
            "branchers": [self._show(node) for node in self.living(parent)],
        }

    def history(self, parent: Node, only: tuple[int, int] | None = None) -> dict[str, object]:
        """Return what the Branchers of `parent` cost by month; `only` is one year and month."""
        by_month: dict[tuple[int, int], list[Node]] = defaultdict(list)
        for node in parent.branchers:
            by_month[self._month(_of(node).created_at)].append(node)
        years: dict[int, list[dict[str, int]]] = defaultdict(list)
        for (year, month), made in sorted(by_month.items()):
            if only is None or only == (year, month):
                cost = sum(map(self._minutes, made)) * PRICE_PER_MINUTE
                years[year].append({"month": month, "total_time": sum(map(self._seconds, made)), "total_cost": cost})
        return {"years": [{"year": year, "months": months} for year, months in years.items()]}

    def _stop(self, node: Node) -> None:
        """Let `node` cost nothing more and never get what it has not got yet."""
        brancher, now = _of(node), self._world.settle(node)
        self._world.abort(node)
        brancher.ended_at = now
        if brancher.delivered_at > now:
            brancher.delivered_at = math.inf

    def _show(self, node: Node) -> dict[str, object]:
        self._world.settle(node)
        brancher = _of(node)
        created = datetime.fromtimestamp(self._world.unix(brancher.created_at), UTC)
        return {
            "id": brancher.id,
            "name": node.name,
            "cost": self._minutes(node) * PRICE_PER_MINUTE,
            "created": created.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "ip": node.fields["ip"],
            "end_time": None,
            "elapsed_time": self._seconds(node),
            "labels": brancher.labels,
        }

    def _seconds(self, node: Node) -> int:
        brancher = _of(node)
        end = self._world.clock() if brancher.ended_at is None else brancher.ended_at
        return int(end - brancher.created_at)

    def _minutes(self, node: Node) -> int:
        """Return the minutes that were started, the first of them at once."""
        return max(math.ceil(self._seconds(node) / 60), 1)

    def _month(self, at: float) -> tuple[int, int]:
        moment = datetime.fromtimestamp(self._world.unix(at), UTC)
        return moment.year, moment.month

    def _free_name(self, parent: Node) -> str:
        names = (make_brancher_name(parent.name, number, self._world.seed) for number in count(len(parent.branchers)))
        return next(name for name in names if name not in self._world.nodes)


def parse_labels(written: Iterable[str]) -> dict[str, str | None]:
    """Return labels as an object: ``k=v`` is split at the first ``=``, a text without one has no value."""
    labels: dict[str, str | None] = {}
    for text in written:
        name, equals, value = text.partition("=")
        labels[name] = value if equals else None
    return labels


def _of(node: Node) -> Brancher:
    if node.brancher is None:
        raise InvalidNode(f"{node.name} is no Brancher")
    return node.brancher
