"""Jobs and their flows as functions of the time: nothing runs in the background.

A job is made with all its times fixed, as fractions of the flow time F from the moment the node is free for it:

    0 -------- 0.1 F --------- 0.25 F -------------------- F
    posted     visible         running                     success or reverted
               state null

While another job is before it, a flow that is visible shows ``waiting``. A job of two flows runs them one after the
other, the second from 0.6 F on (CONTRACT.md 1.7).
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal, get_args

from hypernode.catalogue import Value
from hypernode.sandbox.products import Product

Ending = Literal["success", "reverted"]
ENDINGS: tuple[Ending, ...] = get_args(Ending)

VISIBLE, RUNNING, SECOND = 0.1, 0.25, 0.6
UNKNOWN_STATE = "rescheduled"
"""The word of `Fault.UNKNOWN_STATE`; no source attests it."""

_TASKS = tuple(
    f"{service}_update_node_to_update_flow"
    for service in ("nginx", "mysql", "redis", "varnish", "opensearch", "php", "supervisor", "ssh")
)
"""Only the one with php is attested (CONTRACT.md 1.7)."""


@dataclass(frozen=True, slots=True)
class Flow:
    """One entry of a logbook. Times are seconds on the world's clock."""

    uuid: str
    tracker: str | None
    name: str
    created_at: float
    visible_at: float
    free_at: float
    """When the jobs before it are over."""
    starts_at: float
    ends_at: float
    ending: Ending = "success"
    odd: bool = False
    """Whether it shows a state nobody knows for the middle third of its time."""

    def state(self, now: float) -> str | None:
        """Return the state that the API shows at `now`."""
        if now >= self.ends_at:
            return self.ending
        if now < self.starts_at:
            return "waiting" if now < self.free_at else None
        third = (self.ends_at - self.starts_at) / 3
        if self.odd and self.starts_at + third <= now < self.ends_at - third:
            return UNKNOWN_STATE
        return "running"

    def as_json(self, now: float, node: str, epoch: float) -> dict[str, object]:
        """Return the entry as the API shows it at `now`; `epoch` is the Unix time of the clock's zero."""
        state = self.state(now)
        started = state is not None and state != "waiting"
        done = min(max((now - self.starts_at) / (self.ends_at - self.starts_at), 0.0), 1.0) if started else 0.0
        completed = int(done * len(_TASKS))
        return {
            "uuid": self.uuid,
            "state": state,
            "name": self.name,
            "created_at": stamp(epoch + self.created_at),
            "updated_at": stamp(epoch + min(now, self.ends_at)) if started else None,
            "progress": {
                "running": list(_TASKS[completed : completed + 1]) if state == "running" else [],
                "total": len(_TASKS) if started else 0,
                "completed": completed,
            },
            "logbook": node,
            "tracker": {"uuid": self.tracker, "description": None},
        }


def stamp(seconds: float) -> str:
    """Return a Unix time as most dates of the API look (CONTRACT.md 1.6)."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, slots=True)
class Job:
    """A write that was accepted: its flows, and what the node has once the last of them succeeded."""

    tracker: str
    flows: tuple[Flow, ...]
    settings: Mapping[str, Value | None] = field(default_factory=dict)
    product: Product | None = None
    """None: it stays what it is."""

    @property
    def ends_at(self) -> float:
        """When the last flow is over."""
        return self.flows[-1].ends_at

    @property
    def succeeds(self) -> bool:
        """Whether no flow will be rolled back."""
        return all(flow.ending == "success" for flow in self.flows)


def make_uuid(*parts: object) -> str:
    """Return the uuid that belongs to `parts`, always the same one."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, ":".join(map(str, parts))))


def make_job(
    key: str,
    name: str,
    *,
    now: float,
    free_at: float,
    flow_time: float,
    settings: Mapping[str, Value | None] | None = None,
    product: Product | None = None,
    flows: int = 1,
    ending: Ending = "success",
    odd: bool = False,
) -> Job:
    """Return the job of a write posted at `now` on a node whose other jobs are over at `free_at`.

    Args:
        key: What makes its uuids differ from those of other jobs.
        name: What its flows are called.
        now: When it was posted, on the world's clock.
        free_at: When its turn comes; not before `now`.
        flow_time: How long it takes from its turn to its end, in seconds.
        settings: What the node has afterwards besides those it has.
        product: What the node is afterwards, if it changes.
        flows: 1 or 2.
        ending: How the last flow ends.
        odd: Whether the last flow shows an unknown state for a while.
    """
    tracker = make_uuid(key, "tracker")
    second = free_at + SECOND * flow_time
    spans = [(free_at + RUNNING * flow_time, free_at + flow_time)]
    if flows == 2:
        spans = [(spans[0][0], second), (second, free_at + flow_time)]
    return Job(
        tracker,
        tuple(
            Flow(
                uuid=make_uuid(key, index),
                tracker=tracker,
                name=name,
                created_at=now,
                visible_at=now + VISIBLE * flow_time,
                free_at=free_at,
                starts_at=starts_at,
                ends_at=ends_at,
                ending=ending if index == flows - 1 else "success",
                odd=odd and index == flows - 1,
            )
            for index, (starts_at, ends_at) in enumerate(spans)
        ),
        settings or {},
        product,
    )


def make_delivery(
    key: str, *, now: float, seconds: float, visible_at: float, ending: Ending = "success", odd: bool = False
) -> Job:
    """Return the job that delivers a Brancher: `ensure_app`, then `ensure_copied_app` (CONTRACT.md 2.10).

    Args:
        key: What makes its uuids differ from those of other jobs.
        now: When the Brancher was ordered, on the world's clock.
        seconds: How long it takes; infinity: it never ends.
        visible_at: When the flows appear, and with them the Brancher's logbook.
        ending: How both flows end.
        odd: Whether the second flow shows an unknown state for a while.
    """
    tracker = make_uuid(key, "tracker")
    second = now + SECOND * seconds
    spans = (("ensure_app", now, second), ("ensure_copied_app", second, now + seconds))
    return Job(
        tracker,
        tuple(
            Flow(
                uuid=make_uuid(key, index),
                tracker=tracker,
                name=name,
                created_at=now,
                visible_at=visible_at,
                free_at=starts_at,
                starts_at=starts_at,
                ends_at=ends_at,
                ending=ending,
                odd=odd and index == 1,
            )
            for index, (name, starts_at, ends_at) in enumerate(spans)
        ),
    )


def make_other(key: str, name: str, *, now: float, seconds: float, ending: Ending = "success") -> Job:
    """Return a job of one flow called `name` that runs from `now` on for `seconds` and changes no setting."""
    flow = Flow(
        uuid=make_uuid(key, 0),
        tracker=make_uuid(key, "tracker"),
        name=name,
        created_at=now,
        visible_at=now,
        free_at=now,
        starts_at=now,
        ends_at=now + seconds,
        ending=ending,
    )
    return Job(flow.tracker or "", (flow,))
