"""All nodes, and what requests do to them. Pure: the clock is an argument, nothing here knows HTTP."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from hypernode.catalogue import Catalogue, Value
from hypernode.errors import InputError, InvalidNode, InvalidValue
from hypernode.sandbox.faults import Fault
from hypernode.sandbox.flows import Ending, Flow, Job, make_job, make_other, stamp
from hypernode.sandbox.names import make_names, make_token
from hypernode.sandbox.nodes import Node, make_node
from hypernode.sandbox.products import Product, find
from hypernode.sandbox.settings import check_type

MOST_WORKERS = 1000
_INSTANT = 0.001


@dataclass(frozen=True, slots=True)
class Posted:
    """What became of a write."""

    job: Job | None
    """None: every value was already there."""
    overlap: bool
    """Whether another job of the node was not over yet."""


class World:
    """The nodes of a sandbox.

    Attributes:
        clock: Seconds, only ever rising.
        epoch: The Unix time at which `clock` was 0.
        born: When it was made.
        nodes: By name, in the order in which they were made; Branchers too, even those that are gone.
        by_token: By token; without Branchers, which have none of their own.
        order_token: A token that belongs to no node and may order new ones.
    """

    def __init__(
        self,
        nodes: int,
        *,
        seed: int = 7,
        flow_time: float = 2.0,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.seed = seed
        self.flow_time = max(flow_time, 0.001)
        self.clock = clock
        now = clock()
        self.epoch = wall_clock() - now
        self.born = now
        names = make_names(nodes, seed)
        self.nodes = {name: make_node(name, index, seed=seed, now=now) for index, name in enumerate(names)}
        self.by_token = {node.token: node for node in self.nodes.values()}
        self.order_token = make_token(seed, "an order's")

    def find(self, name: str) -> Node:
        """Return the node called `name`.

        Raises:
            InvalidNode: There is none.
        """
        if name not in self.nodes:
            raise InvalidNode(f"the sandbox has no node {name!r}")
        return self.nodes[name]

    def age(self) -> float:
        """Return the seconds since this world began, to the microsecond."""
        return round(self.clock() - self.born, 6)

    def settle(self, node: Node) -> float:
        """Bring `node` up to date and return the time: the values of every job that is over are now its own."""
        now = self.clock()
        while node.pending and node.pending[0].ends_at <= now:
            job = node.pending.pop(0)
            if job.succeeds and job.settings:
                node.set(job.settings)
            if job.succeeds and job.product:
                node.move(job.product)
        if node.brancher is not None:
            if node.fields["ip"] is None and node.brancher.delivered_at <= now:
                node.change(ip=node.brancher.address)
            if node.is_gone(now) and not node.fields["destroyed"]:
                node.change(destroyed=True)
        return now

    def unix(self, at: float) -> float:
        """Return the Unix time of a moment on this world's clock."""
        return self.epoch + at

    def stamp(self, at: float) -> str:
        """Return a moment on this world's clock as most dates of the API look."""
        return stamp(self.unix(at))

    def write(self, node: Node, settings: Mapping[str, Value | None], fault: Fault | None = None) -> Posted:
        """Post a change of settings that is known to be valid.

        A value counts as already there when a read would show it, whatever jobs are on their way. A job waits for
        those before it.
        """
        self.settle(node)
        if all(node.settings[name] == value for name, value in settings.items()):
            return Posted(None, bool(node.pending))
        return Posted(*self.post(node, "update_node", fault, settings=settings, flows=node.flows_per_update))

    def post(
        self,
        node: Node,
        name: str,
        fault: Fault | None = None,
        *,
        settings: Mapping[str, Value | None] | None = None,
        product: Product | None = None,
        flows: int = 1,
    ) -> tuple[Job, bool]:
        """Post a job that waits for those before it; return it, and whether there are some.

        Args:
            node: Where.
            name: What its flows are called.
            fault: What goes wrong with it.
            settings: What the node has when it is done, besides those it has.
            product: What the node is when it is done; None: what it was.
            flows: 1 or 2.
        """
        now = self.settle(node)
        overlap = bool(node.pending)
        job = make_job(
            self.key(node),
            name,
            now=now,
            free_at=max([now, *(job.ends_at for job in node.pending)]),
            flow_time=self.flow_time,
            settings=settings,
            product=product,
            flows=flows,
            ending="reverted" if fault is Fault.REVERT else "success",
            odd=fault is Fault.UNKNOWN_STATE,
        )
        self.follow(node, job)
        return job, overlap

    def set(self, node: Node, values: Mapping[str, object]) -> None:
        """Give `node` these values at once and without a flow, even those that no PATCH can change.

        Only the type of a value is checked: the real API may know values that we do not.

        Raises:
            UnknownSetting: There is no such setting; nothing was changed.
            InvalidValue: A value is of the wrong type; nothing was changed.
        """
        self.settle(node)
        node.set(_typed(values, node))

    def move(self, node: Node, code: object, used_gb: object = None) -> None:
        """Let `node` be of the product `code` at once and without a flow, and so much of its disk be in use.

        Raises:
            InputError: There is no such product, or that is no number of gigabytes; nothing was changed.
        """
        product = find(code) if isinstance(code, str) else None
        if product is None:
            raise InputError(f"there is no product {code!r}")
        self.settle(node)
        if used_gb is None:
            used_gb = node.used_gb
        if isinstance(used_gb, bool) or not isinstance(used_gb, int) or used_gb < 0:
            raise InputError(f"{used_gb!r} is no number of gigabytes")
        node.used_gb = used_gb
        node.move(product)

    def break_shop(self, node: Node, values: Mapping[str, object] | None) -> None:
        """Let the shop of `node` be broken while it has these values; with none always, with None never.

        Raises:
            UnknownSetting, InvalidValue: As for `set`.
        """
        node.broken = None if values is None else _typed(values, node)

    def keep_busy(self, node: Node, workers: object) -> None:
        """Let so many PHP-FPM workers of `node` be at work.

        Raises:
            InvalidValue: That is no number of workers.
        """
        if isinstance(workers, bool) or not isinstance(workers, int) or not 0 <= workers <= MOST_WORKERS:
            raise InvalidValue(f"a node can have from 0 to {MOST_WORKERS} workers at work", node=node.name)
        node.busy = workers

    def is_broken(self, node: Node) -> bool:
        """Tell whether the shop of `node` is broken now."""
        self.settle(node)
        return node.broken is not None and all(node.settings[name] == value for name, value in node.broken.items())

    def start_flow(self, node: Node, name: str, seconds: float, ending: Ending = "success") -> Job:
        """Start a flow that nobody asked for over the API, such as ``xgrade_app``."""
        job = make_other(self.key(node), name, now=self.settle(node), seconds=seconds, ending=ending)
        self.follow(node, job)
        return job

    def abort(self, node: Node) -> None:
        """Roll back every job of `node` that is not over."""
        now = self.settle(node)
        node.pending.clear()
        node.flows = [
            flow
            if flow.ends_at <= now
            else replace(flow, ending="reverted", starts_at=min(flow.starts_at, now - _INSTANT), ends_at=now)
            for flow in node.flows
        ]

    def visible_flows(self, node: Node) -> list[Flow] | None:
        """Return the flows that a read shows, newest first; None while the node has no logbook."""
        now = self.settle(node)
        return [flow for flow in reversed(node.flows) if flow.visible_at <= now] or None

    def show(self, flow: Flow, node: Node) -> dict[str, object]:
        """Return `flow` as the API shows it now."""
        return flow.as_json(self.clock(), node.name, self.epoch)

    def key(self, node: Node) -> str:
        """Return what makes the uuids of the next job of `node` its own; by node, whatever others do meanwhile."""
        return f"{self.seed}:{node.name}:{len(node.flows)}"

    def follow(self, node: Node, job: Job) -> None:
        """Write a job of `node` into its logbook."""
        node.flows.extend(job.flows)
        node.pending.append(job)
        node.pending.sort(key=lambda pending: pending.ends_at)


def _typed(values: Mapping[str, object], node: Node) -> dict[str, Value | None]:
    """Return settings of `node` in the catalogue's types, or raise `UnknownSetting` or `InvalidValue`."""
    catalogue = Catalogue.bundled()
    settings: dict[str, Value | None] = {}
    for name, value in values.items():
        try:
            settings[name] = check_type(catalogue.find(name), value)
        except ValueError as exc:
            raise InvalidValue(f"{name}: {exc}", node=node.name) from None
    return settings
