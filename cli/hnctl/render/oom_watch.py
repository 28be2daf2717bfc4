"""What `hnctl oom watch` tells: as lines for a person, as documents, and as variables for a command."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from hnctl.render.listing import FORMAT_VERSION
from hnctl.render.oom import resident_kib
from hypernode.node.meminfo import Memory
from hypernode.node.shortage import Alarm
from hypernode.oom.events import Event
from hypernode.oom.sizes import size
from hypernode.printable import printable


def event_line(event: Event) -> str:
    """Return a kill as one line."""
    killed = []
    for victim in event.victims:
        held = resident_kib(victim)
        killed.append(f"{victim.name} ({victim.pid})" + (f" with {size(held)}" if held is not None else ""))
    parts = ["killed " + ", ".join(killed) if killed else "out of memory, and the log names nobody who was killed"]
    if event.trigger is not None:
        parts.append(f"{event.trigger} asked")
    parts.append(event.scope if event.memcg is None else f"{event.scope} {event.memcg}")
    return printable(f"{(event.at or 'no time').replace('T', ' ')}  {'; '.join(parts)}")


def event_document(event: Event) -> dict[str, Any]:
    """Return a kill as JSON values."""
    return {"format_version": FORMAT_VERSION, "event": "oom", **event.as_json()}


def event_variables(event: Event) -> Mapping[str, str]:
    """Return what a command is told of a kill; of several victims the first."""
    victim = event.victims[0] if event.victims else None
    return {
        "HNCTL_EVENT": "oom",
        "HNCTL_AT": event.at or "",
        "HNCTL_VICTIM": printable(victim.name) if victim else "",
        "HNCTL_PID": str(victim.pid) if victim else "",
        "HNCTL_SCOPE": event.scope,
        "HNCTL_MEMCG": printable(event.memcg or ""),
        "HNCTL_TRIGGER": printable(event.trigger or ""),
    }


def alarm_line(alarm: Alarm, at: datetime) -> str:
    """Return a shortage, or its end, as one line."""
    return f"{at.isoformat(sep=' ', timespec='seconds')}  {_sentence(alarm)}"


def alarm_document(alarm: Alarm, at: datetime) -> dict[str, Any]:
    """Return a shortage as JSON values."""
    sample = alarm.sample
    return {
        "format_version": FORMAT_VERSION,
        "event": "pressure",
        "at": at.isoformat(timespec="seconds"),
        "kind": alarm.kind,
        "state": "begins" if alarm.begins else "over",
        "limit_percent": alarm.limit if alarm.kind == "pressure" else None,
        "limit_kib": alarm.limit if alarm.kind == "available" else None,
        "unlogged_kills": alarm.kills if alarm.kind == "kills" else None,
        "some": None if sample.some is None else asdict(sample.some),
        "full": None if sample.full is None else asdict(sample.full),
        "available_kib": None if sample.memory is None else sample.memory.available_kib,
        "total_kib": None if sample.memory is None else sample.memory.total_kib,
    }


def alarm_variables(at: datetime) -> Mapping[str, str]:
    """Return what a command is told of a shortage; the rest is in the document."""
    empty = dict.fromkeys(("HNCTL_VICTIM", "HNCTL_PID", "HNCTL_SCOPE", "HNCTL_MEMCG", "HNCTL_TRIGGER"), "")
    return {"HNCTL_EVENT": "pressure", "HNCTL_AT": at.isoformat(timespec="seconds"), **empty}


def _sentence(alarm: Alarm) -> str:
    full, memory = alarm.sample.full, alarm.sample.memory
    if alarm.kind == "pressure" and full is not None:
        told = f"for {full.avg10:g}% of the last 10 s all work waited for memory"
        if alarm.begins:
            return f"memory pressure: {told} (limit {alarm.limit:g}%)"
        return f"memory pressure is over: {told}"
    if alarm.kind == "available" and memory is not None:
        if alarm.begins:
            return f"low memory: {_of(memory)} available (limit {size(int(alarm.limit or 0))})"
        return f"low memory is over: {_of(memory)} available"
    return f"{alarm.kills} kill{'s' * (alarm.kills != 1)} in our cgroup of which the log does not tell"


def _of(memory: Memory) -> str:
    return f"{size(memory.available_kib)} of {size(memory.total_kib or 0)}"
