"""Out-of-memory events for a person."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from hnctl.render.listing import FORMAT_VERSION, plain_table
from hypernode.oom.clock import in_words
from hypernode.oom.events import Event, Task, Victim
from hypernode.oom.logs import Entry
from hypernode.oom.replay import NOT_KNOWN, TRIGGER_SOURCE, Replay
from hypernode.oom.services import PAGE_KIB, PROTECTED, Commands, Usage, service_of
from hypernode.oom.sizes import size
from hypernode.oom.verdict import Verdict
from hypernode.printable import printable

COLUMNS = ("number", "when", "asked", "died", "size", "protection", "scope", "largest")
TIMELINE_COLUMNS = ("when", "offset", "what", "doubt", "text")
_BAR = 30
_MOST_PROCESSES = 10


def event_row(number: int, event: Event) -> dict[str, Any]:
    """Return the row of one event in the tables."""
    top = event.top
    return {
        "number": number,
        "when": event.at.replace("T", " ") if event.at else f"uptime {event.uptime:.0f} s" if event.uptime else None,
        "asked": event.trigger,
        "died": [f"{victim.name} ({victim.pid})" for victim in event.victims] or "nobody",
        "size": [size(resident) for victim in event.victims if (resident := resident_kib(victim)) is not None],
        "protection": [victim.oom_score_adj for victim in event.victims if victim.oom_score_adj is not None],
        "scope": event.scope if event.memcg is None else f"{event.scope} {event.memcg}",
        "largest": None if top is None else f"{top.name} ({top.pid}) about {size(top.rss_pages * PAGE_KIB)}",
    }


def resident_kib(victim: Victim) -> int | None:
    """Return what a victim held in memory, by its kill line."""
    parts = [victim.anon_rss_kib, victim.file_rss_kib, victim.shmem_rss_kib]
    return sum(part for part in parts if part is not None) if any(part is not None for part in parts) else None


def verdict_document(number: int, event: Event, verdict: Verdict, commands: Commands) -> dict[str, Any]:
    """Return an explanation as JSON values."""
    return {
        "format_version": FORMAT_VERSION,
        "number": number,
        "event": event.as_json(),
        "verdict": {
            "sentence": verdict.sentence,
            "confidence": verdict.confidence,
            "reasons": list(verdict.reasons),
            "culprit": verdict.culprit,
            "victim_is_culprit": verdict.victim_is_culprit,
            "victim_place": verdict.victim_place,
            "ending": event.ending,
        },
        "memory": {
            "usage_kib": event.usage_kib,
            "limit_kib": event.limit_kib,
            "swap_total_kib": event.swap_total_kib,
            "swap_free_kib": event.swap_free_kib,
            "ram_kib": None if event.ram_pages is None else event.ram_pages * PAGE_KIB,
        },
        "services": [
            {
                "service": usage.service,
                "processes": usage.processes,
                "at_least_kib": usage.at_least_kib,
                "at_most_kib": usage.at_most_kib,
                "protected_kib": usage.protected_kib,
                "swap_kib": usage.swap_kib,
            }
            for usage in verdict.usages
        ],
        "largest": [
            {
                "pid": task.pid,
                "name": task.name,
                "service": service_of(task.name, commands.get((task.pid, task.name))),
                "rss_kib": task.rss_pages * PAGE_KIB,
                "oom_score_adj": task.oom_score_adj,
            }
            for task in _largest(event)
        ],
    }


def render_verdict(number: int, event: Event, verdict: Verdict, commands: Commands) -> str:
    """Return an explanation for a person: the verdict first, then what it rests on."""
    lines = [f"{verdict.sentence}.", f"Confidence: {verdict.confidence}."]
    lines += [f"  - {reason}" for reason in verdict.reasons]
    lines += ["", f"Event {number}, {in_words(event.at)}", *_numbers(event, verdict)]
    text = "\n".join(map(printable, lines))
    if verdict.usages:
        text += "\n\nMemory by service\n" + _bars(event, verdict.usages)
        heads = ["process", "pid", "service", "rss", "protection"]
        rows = [
            [
                task.name,
                str(task.pid),
                service_of(task.name, commands.get((task.pid, task.name))) or "-",
                size(task.rss_pages * PAGE_KIB),
                _adj(task.oom_score_adj),
            ]
            for task in _largest(event)
        ]
        text += "\n\nLargest processes\n" + plain_table(heads, [[printable(cell) for cell in row] for row in rows])
    return text


def timeline_row(entry: Entry, center: datetime) -> dict[str, Any]:
    """Return the row of one entry: when it was on this machine's clock, how far from the event, and what."""
    offset = (entry.at - center).total_seconds()
    return {
        "when": entry.at.astimezone().isoformat(sep=" ", timespec="seconds"),
        "offset": f"{offset:+.0f} s",
        "what": entry.kind,
        "text": entry.text,
        "doubt": entry.doubt or None,
    }


def replay_document(found: Replay) -> dict[str, Any]:
    """Return a replay as JSON values."""
    return {
        "format_version": FORMAT_VERSION,
        "threshold": found.threshold,
        "window_seconds": found.window,
        "source": TRIGGER_SOURCE,
        "incidents": [asdict(incident) for incident in found.incidents],
        "stepped_in": found.stepped_in,
        "unclear": found.unclear,
        "untimed_kills": found.untimed_kills,
        "verdict": found.sentence,
        "not_known": NOT_KNOWN,
    }


def render_replay(found: Replay) -> str:
    """Return a replay for a person."""
    lines = [
        found.sentence,
        "",
        f"Trigger: {found.threshold} cgroup kills within {found.window:g} s ({TRIGGER_SOURCE}).",
        f"Not known: {NOT_KNOWN}",
    ]
    if found.untimed_kills:
        lines.append(f"Left out: {found.untimed_kills} kills without a time.")
    text = "\n".join(lines)
    notable = [incident for incident in found.incidents if incident.at_most >= 2]
    if notable:
        rows = [
            [(one.at or "").replace("T", " "), str(one.kills), str(one.cgroup_kills), _span(one.at_least, one.at_most)]
            for one in notable
        ]
        text += "\n\n" + plain_table(["incident", "kills", "in a cgroup", "most within the window"], rows)
    return text


def _span(least: int, most: int) -> str:
    return str(least) if least == most else f"{least} to {most}"


def _numbers(event: Event, verdict: Verdict) -> list[str]:
    lines = []
    if event.trigger is not None:
        asked = "" if event.order is None else f" {_pages(event.order)}"
        lines.append(
            f"  asked      {event.trigger} asked for{asked or ' memory'} ({event.gfp_names or event.gfp_mask})"
        )
    for number, victim in enumerate(event.victims):
        held = resident_kib(victim)
        place = ""
        if number == 0 and verdict.victim_place:
            place = f", the {_ordinal(verdict.victim_place)}largest of {event.task_count}"
        told = "" if held is None else f", held {size(held)}"
        lines.append(f"  died       {victim.name} ({victim.pid}){told}{place}; protection {_adj(victim.oom_score_adj)}")
    if event.ending is not None:
        lines.append(f"  ended      {'a kernel panic, and so a reboot' if event.ending == 'panic' else event.ending}")
    if event.limit_kib is not None and event.usage_kib is not None:
        lines.append(f"  limit      the cgroup used {size(event.usage_kib)} of {size(event.limit_kib)}")
    if event.ram_pages is not None:
        lines.append(f"  machine    {size(event.ram_pages * PAGE_KIB)} of memory")
    if event.swap_total_kib:
        free = "unknown" if event.swap_free_kib is None else size(event.swap_free_kib)
        lines.append(f"  swap       {free} free of {size(event.swap_total_kib)}")
    elif event.swap_total_kib == 0:
        lines.append("  swap       none")
    return lines


def _bars(event: Event, usages: tuple[Usage, ...]) -> str:
    most = max(usage.at_most_kib for usage in usages) or 1
    ram = event.ram_pages * PAGE_KIB if event.ram_pages else None
    rows = []
    for usage in usages:
        filled = round(_BAR * usage.at_most_kib / most)
        spared = round(_BAR * usage.protected_kib / most)
        bar = "#" * spared + "=" * (filled - spared)
        counted = size(usage.at_most_kib)
        if usage.at_least_kib != usage.at_most_kib:
            counted = f"{size(usage.at_least_kib)} to {counted}"
        share = "" if ram is None else f"{usage.at_most_kib / ram:.0%}"
        rows.append([printable(usage.service), str(usage.processes), bar, counted, share])
    heads = ["service", "processes", "# protected, = killable", "memory", "of RAM" if ram else ""]
    return plain_table(heads, rows)


def _largest(event: Event) -> list[Task]:
    return sorted(event.tasks, key=lambda task: (-task.rss_pages, task.pid))[:_MOST_PROCESSES]


def _adj(adj: int | None) -> str:
    return "not told" if adj is None else "protected (-1000)" if adj == PROTECTED else str(adj)


def _pages(order: int) -> str:
    return f"{1 << order} page{'s' * (order > 0)}" if 0 <= order <= 20 else "memory by hand (sysrq)"


def _ordinal(place: int) -> str:
    if place == 1:
        return ""
    ending = "th" if 10 < place % 100 < 14 else {1: "st", 2: "nd", 3: "rd"}.get(place % 10, "th")
    return f"{place}{ending} "
