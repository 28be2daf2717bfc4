"""Flows: the jobs in a node's logbook, and waiting for them (CONTRACT.md 1.7)."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from hypernode.api.answers import read_as
from hypernode.api.transport import Transport
from hypernode.errors import FlowFailed, FlowTimedOut, NotFound
from hypernode.secrets import Secret

if TYPE_CHECKING:
    from hypernode.api.models import Flow

logger = logging.getLogger(__name__)

FIRST_INTERVAL = 2.0
LONGEST_INTERVAL = 15.0
_GROWTH = 1.4
_KNOWN_STATES = frozenset({None, "waiting", "running", "success", "reverted"})
BLOCKING = frozenset({"update_node", "xgrade_app", "xgrade_app_flow", "restore_backup_flow"})
"""Flows during which a node is not to be changed (CONTRACT.md 7)."""


class Flows:
    """The logbook of one node."""

    def __init__(self, transport: Transport, node: str, token: Secret) -> None:
        self._transport = transport
        self._node = node
        self._token = token
        self._path = f"/logbook/v1/logbooks/{node}/flows/"

    def iter(self, limit: int | None = None, *, tracker: str | None = None) -> Iterator[Flow]:
        """Yield flows, newest first, fetching pages as they are consumed; a node without a logbook has none.

        Source: GET /logbook/v1/logbooks/{app}/flows/

        Args:
            limit: Most flows to yield; None: all that the logbook still has. Old ones vanish (CONTRACT.md 1.7).
            tracker: Only the flows of this tracker uuid.
        """
        if limit is not None and limit <= 0:
            return
        left = limit
        for page in self._pages(tracker):
            for item in page:
                yield _read(item, self._node)
                if left is not None:
                    left -= 1
                    if not left:
                        return

    def newest(self, *, tracker: str | None = None) -> tuple[Flow, ...]:
        """Return the first page, newest first: at most 50 flows."""
        page = next(self._pages(tracker), [])
        return tuple(_read(item, self._node) for item in page)

    def blocking(self) -> Flow | None:
        """Return a flow that is under way and during which the node must not be changed, or None."""
        return next((flow for flow in self.newest() if flow.name in BLOCKING and not flow.is_over), None)

    def _pages(self, tracker: str | None) -> Iterator[list[Any]]:
        query = {"tracker_uuid": tracker} if tracker else None
        try:
            yield from self._transport.iter_pages(self._path, token=self._token, node=self._node, query=query)
        except NotFound:
            return  # no logbook yet, or not this tracker yet (CONTRACT.md 1.7, step 4)


def posted_since(moment: datetime, flows: Sequence[Flow]) -> Flow | None:
    """Return the first of `flows`, newest first, that changes settings and was created at `moment` or later.

    `moment` is the server's time (`Transport.server_time`), as ``created_at`` is.
    """
    for flow in flows:
        if flow.name == "update_node" and flow.created_at is not None and flow.created_at >= moment:
            return flow
    return None


def watch(
    fetch: Callable[[], Sequence[Flow]],
    *,
    timeout: float,
    interval: float = FIRST_INTERVAL,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Flow]:
    """Yield the flows that are under way, again whenever one changes its state or progress, until all have ended.

    Raises:
        FlowTimedOut: `timeout` seconds are over.
    """
    started = clock()
    seen: dict[str, Flow] = {}
    while True:
        flows = fetch()
        for flow in reversed(flows):
            before = seen.get(flow.uuid)
            if before != flow and (before is not None or not flow.is_over):
                seen[flow.uuid] = flow
                yield flow
        going_on = [flow for flow in flows if not flow.is_over]
        if not going_on:
            return
        left = started + timeout - clock()
        if left <= 0:
            raise FlowTimedOut(
                f"{going_on[0].name} is not done after {in_seconds(timeout)}; it goes on",
                flow=going_on[0].uuid,
                state=going_on[0].state,
            )
        sleep(min(interval, left))
        interval = min(interval * _GROWTH, max(LONGEST_INTERVAL, interval))


def wait(
    fetch: Callable[[], Sequence[Flow]],
    *,
    timeout: float,
    interval: float = FIRST_INTERVAL,
    grace: float = 60.0,
    on_look: Callable[[Sequence[Flow]], None] | None = None,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> tuple[Flow, ...]:
    """Look at the flows of one change until all have succeeded, and return them.

    The first look comes after `interval` seconds; the looks get rarer, down to one in 15 seconds. Running out of time
    does not cancel the flows.

    Args:
        fetch: Returns the flows of the change; none means that they are not in the logbook yet.
        timeout: Seconds to wait in all.
        interval: Seconds until the first look.
        grace: Seconds after which flows that never showed up are given up.
        on_look: Told what each look saw.
        sleep: Waits.
        clock: Monotonic seconds.

    Returns:
        The flows, all successful; empty when none showed up within `grace`.

    Raises:
        FlowFailed: One was reverted.
        FlowTimedOut: `timeout` is over.
    """
    started = clock()
    told: set[str] = set()
    flows: Sequence[Flow] = ()
    while True:
        left = started + timeout - clock()
        if left <= 0:
            last = next((flow for flow in flows if flow.state != "success"), None)
            raise FlowTimedOut(
                f"not done after {in_seconds(timeout)}"
                + (f": {last.name} is {last.state or 'not started'}" if last else ""),
                flow=last.uuid if last else None,
                state=last.state if last else None,
                hint="The flow goes on; look at it with `hnctl flows watch`",
            )
        sleep(min(interval, left))
        interval = min(interval * _GROWTH, max(LONGEST_INTERVAL, interval))
        flows = fetch()
        if on_look is not None:
            on_look(flows)
        for flow in flows:
            if flow.state == "reverted":
                raise FlowFailed(
                    f"the flow {flow.name} was reverted: the platform could not apply the change and rolled it back",
                    flow=flow.uuid,
                    state=flow.state,
                    hint=f"Look at the node's own log (hypernode-log), or ask support@hypernode.com about {flow.uuid}",
                )
            if flow.state not in _KNOWN_STATES and flow.uuid not in told:
                told.add(flow.uuid)
                logger.warning("%s is in a state that hnctl does not know, %r; waiting on", flow.name, flow.state)
        if flows and all(flow.state == "success" for flow in flows):
            return tuple(flows)
        if not flows and clock() - started >= grace:
            return ()


def _read(item: object, node: str) -> Flow:
    from hypernode.api.models import Flow

    return read_as(Flow, item, "flow", node=node)


def in_seconds(seconds: float) -> str:
    """Return a time in words, as ``1 second`` or ``0.5 seconds``."""
    number = round(seconds) if seconds >= 10 else round(seconds, 3)
    return f"{number:g} second{'' if number == 1 else 's'}"
