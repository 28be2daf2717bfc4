"""The pictures of a report, as SVG text to be put into a page; matplotlib draws them (extra `report`). No I/O.

Each is drawn twice, for a wide page and for a phone: scaled down, words could not be read. Words keep being words, in
the page's own colour, so that they can be read in the dark, found and copied.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import cycle
from typing import Any

from hypernode.oom.clock import in_words
from hypernode.oom.history import WEEKDAYS, History
from hypernode.oom.incidents import Incident
from hypernode.oom.logs import Entry
from hypernode.oom.services import Usage
from hypernode.printable import printable

_INK = "#010101"
"""Stands for the page's own colour of text."""
_COLOURS = {
    "mysql": "#d55e00",
    "php-fpm": "#3a86c8",
    "php cli": "#8ecae6",
    "redis": "#c77dba",
    "search": "#1fa37b",
    "varnish": "#b5a642",
    "nginx": "#6a994e",
    "rabbitmq": "#e0a100",
    "node": "#9c6644",
    "backup": "#7d6bb5",
    "ssh sessions": "#e07a9b",
}
_OTHER = "#9a9a9a"
_UNKNOWN = ("#6f7f91", "#a98f73", "#7f6a8a", "#5f8a7a")
"""For processes of no known service that are large enough to be shown by name."""
_OUTLINE = "#777777"
_GIB = 1 << 20
_MOST_SERVICES = 6
_LONGEST_LABEL = 18
_LEAST_MINUTES = 5
_LONGEST_BY_DAY = 100
"""Days; a longer time is counted by week."""


@dataclass(frozen=True, slots=True)
class Plot:
    """One picture, with the same in words and as a table."""

    key: str
    title: str
    alt: str
    wide: str
    narrow: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class _Shape:
    """How large a picture is, in inches, and how much goes into it."""

    width: float
    height: float
    incidents: int
    ticks: int


_WIDE = _Shape(8.6, 2.9, incidents=24, ticks=8)
_NARROW = _Shape(3.5, 2.9, incidents=7, ticks=3)


def kills_over_time(history: History) -> Plot:
    """Draw how many processes were killed each day, or each week of a long time."""
    times = [(datetime.fromisoformat(one.at[:19]).date(), one.kills) for one in history.incidents if one.at is not None]
    first, last = min(day for day, _ in times), max(day for day, _ in times)
    step = 1 if (last - first).days <= _LONGEST_BY_DAY else 7
    counts: dict[date, int] = {}
    for day, kills in times:
        begin = first + timedelta(days=(day - first).days // step * step)
        counts[begin] = counts.get(begin, 0) + kills
    slots = [first + timedelta(days=step * n) for n in range((last - first).days // step + 1)]

    def draw(axes: Any, shape: _Shape) -> None:
        axes.bar(range(len(slots)), [counts.get(slot, 0) for slot in slots], color=_COLOURS["mysql"], width=0.8)
        every = max(1, -(-len(slots) // shape.ticks))
        axes.set_xticks(range(0, len(slots), every), [f"{slot:%d %b}" for slot in slots[::every]])
        axes.set_xlim(-0.6, max(len(slots), 3) - 0.4)
        axes.set_ylabel("processes killed")
        axes.yaxis.get_major_locator().set_params(integer=True)

    unit = "day" if step == 1 else "week"
    most = max(counts.values())
    alt = f"{history.kills} processes were killed between {first} and {last}, at most {most} a {unit}."
    rows = [(str(slot), str(counts[slot])) for slot in slots if counts.get(slot)]
    return _plot("time", f"Kills each {unit}", alt, draw, (unit, "processes killed"), rows)


def memory_by_service(history: History, worst: Incident, ram_kib: int | None) -> Plot:
    """Draw what each service held, at most, in the youngest incidents whose reports tell; `worst` is one of them."""
    told = [one for one in history.incidents if one.worst.verdict.usages]
    totals: dict[str, int] = {}
    for one in told:
        for usage in one.worst.verdict.usages:
            totals[usage.service] = totals.get(usage.service, 0) + usage.at_most_kib
    shown = sorted(totals, key=lambda name: -totals[name])[:_MOST_SERVICES]
    unknown = cycle(_UNKNOWN)
    colours = [*(_COLOURS.get(service) or next(unknown) for service in shown), _OTHER]

    def draw(axes: Any, shape: _Shape) -> None:
        bars = told[-shape.incidents :]
        floor = [0.0] * len(bars)
        for service, colour in zip((*shown, None), colours, strict=True):
            heights = [_held(one, service, shown) / _GIB for one in bars]
            label = _label(service) if service else "the rest"
            axes.bar(range(len(bars)), heights, 0.8, bottom=floor, color=colour, label=label)
            floor = [low + height for low, height in zip(floor, heights, strict=True)]
        if ram_kib:
            axes.axhline(ram_kib / _GIB, color=_INK, linestyle="--", linewidth=1)
            axes.annotate("memory of the node", (0, ram_kib / _GIB), (0, 3), textcoords="offset points", color=_INK)
        every = max(1, -(-len(bars) // shape.ticks))
        labels = [in_words(one.at)[5:16] if one.at else f"event {one.worst.number}" for one in bars]
        axes.set_xticks(range(0, len(bars), every), labels[::every])
        axes.set_xlim(-0.6, max(len(bars), 3) - 0.4)
        axes.set_ylabel("GiB, at most")
        top = max([*floor, (ram_kib or 0) / _GIB])
        axes.set_ylim(0, top * 1.12 or 1)
        axes.legend(
            loc="upper center",
            bbox_to_anchor=(0.5, -0.16),
            ncols=4 if shape is _WIDE else 2,
            frameon=False,
            labelcolor=_INK,
        )

    first = worst.worst.verdict.usages[0]
    alt = (
        f"{len(told)} incident{'s' * (len(told) != 1)} with a table of processes; at {in_words(worst.at)} "
        f"{printable(first.service)} held the most, at most {first.at_most_kib / _GIB:.1f} GiB."
    )
    heads = ("incident", *map(printable, shown), "the rest")
    rows = [
        (in_words(one.at), *(f"{_held(one, name, shown) / _GIB:.1f}" for name in (*shown, None)))
        for one in told[-_WIDE.incidents :]
    ]
    return _plot("memory", "Memory by service at each incident, in GiB", alt, draw, heads, rows, height=1.3)


def _held(incident: Incident, service: str | None, shown: Sequence[str]) -> int:
    """Return what a service held, in KiB; None is all that are not shown."""
    usages = incident.worst.verdict.usages

    def counts(usage: Usage) -> bool:
        return usage.service == service if service is not None else usage.service not in shown

    return sum(usage.at_most_kib for usage in usages if counts(usage))


def by_hour_and_weekday(history: History) -> Plot:
    """Draw when in the week incidents began."""
    counts = history.by_hour()
    most = max(map(max, counts))

    def draw(axes: Any, shape: _Shape) -> None:
        seen = [[count or float("nan") for count in day] for day in counts]
        axes.pcolormesh(range(25), range(8), seen, cmap=_heat(), vmin=0, vmax=most)
        for day, hours in enumerate(counts):
            for hour, count in enumerate(hours):
                if count:
                    ink = "#ffffff" if count > 0.5 * most else _INK
                    size = 8 if shape is _WIDE else 6
                    axes.text(hour + 0.5, day + 0.5, str(count), ha="center", va="center", color=ink, fontsize=size)
        axes.set_yticks([day + 0.5 for day in range(7)], [name[:3] for name in WEEKDAYS])
        marked = range(0, 24, 3 if shape is _WIDE else 6)
        axes.set_xticks([hour + 0.5 for hour in marked], [f"{hour:02d}h" for hour in marked])
        axes.set_xlim(0, 24)
        axes.set_ylim(7, 0)
        axes.set_axisbelow(True)

    cells = [(day, hour, count) for day, hours in enumerate(counts) for hour, count in enumerate(hours) if count]
    by_hour = [sum(hours) for hours in zip(*counts, strict=True)]
    hour = by_hour.index(max(by_hour))
    most_of = f"{by_hour[hour]} of {sum(by_hour)}"
    alt = f"Most incidents, {most_of}, began in the hour from {hour:02d}:00 on, by the log's own clock."
    rows = [(WEEKDAYS[day], f"{hour:02d}:00", str(count)) for day, hour, count in cells]
    return _plot("week", "Incidents by hour and weekday", alt, draw, ("weekday", "hour", "incidents"), rows)


def _heat() -> Any:
    """Return shades that are seen on white and on black alike: of one colour, the more the less transparent."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("heat", [(0.71, 0.29, 0.0, 0.15), (0.71, 0.29, 0.0, 1.0)])


def top_culprits(history: History) -> Plot:
    """Draw in how many incidents which service held most."""
    ranked = [*history.culprits[:8], *([("not told", history.not_told)] if history.not_told else [])]

    def draw(axes: Any, shape: _Shape) -> None:
        names = [_label(name) for name, _ in ranked]
        colours = [_COLOURS.get(name, _OTHER) for name, _ in ranked]
        axes.barh(range(len(ranked)), [count for _, count in ranked], color=colours, height=0.7)
        axes.set_yticks(range(len(ranked)), names)
        axes.set_ylim(len(ranked) - 0.4, -0.6)
        axes.set_xlabel("incidents in which it held most")
        axes.xaxis.get_major_locator().set_params(integer=True)

    alt = "; ".join(
        f"{printable(name)} held most in {count}" if name != "not told" else f"{count} do not tell"
        for name, count in ranked
    )
    rows = [(printable(name), str(count)) for name, count in ranked]
    total = len(history.incidents)
    alt = f"Of {total} incident{'s' * (total != 1)}: {alt}."
    height = 0.4 + 0.6 * min(1.0, len(ranked) / 6)
    return _plot("culprits", "Who held most", alt, draw, ("service", "incidents"), rows, height=height)


def around_one(entries: Sequence[Entry], at: datetime) -> Plot:
    """Draw what the node's logs tell of the time around one event, a row for each kind."""
    kinds = list(dict.fromkeys(entry.kind for entry in entries))
    kinds.sort(key=lambda kind: kind != "out of memory")

    def draw(axes: Any, shape: _Shape) -> None:
        minutes = [(entry.at - at).total_seconds() / 60 for entry in entries]
        rows = [kinds.index(entry.kind) for entry in entries]
        colours = [_COLOURS["mysql"] if entry.kind == "out of memory" else _COLOURS["php-fpm"] for entry in entries]
        axes.scatter(minutes, rows, c=colours, s=22, zorder=3)
        axes.axvline(0, color=_COLOURS["mysql"], linewidth=1)
        axes.set_yticks(range(len(kinds)), kinds)
        axes.set_ylim(max(len(kinds), 3) - 0.5, -0.5)
        axes.set_xlabel("minutes from the event")
        reach = max(_LEAST_MINUTES, *map(abs, minutes))
        axes.set_xlim(-1.05 * reach, 1.05 * reach)

    counted = ", ".join(f"{sum(entry.kind == kind for entry in entries)} {kind}" for kind in kinds)
    rows = [
        (f"{entry.at:%H:%M:%S}", f"{(entry.at - at).total_seconds():+.0f} s", entry.kind, printable(entry.text))
        for entry in entries
    ]
    alt = f"Around {at:%Y-%m-%d %H:%M:%S}, on the clock of the machine that made this, the logs tell of: {counted}."
    return _plot("around", "Around the worst event", alt, draw, ("when", "offset", "what", "text"), rows)


def _label(name: str) -> str:
    """Return a name that leaves room for the picture."""
    text = printable(name)
    return text if len(text) <= _LONGEST_LABEL else f"{text[: _LONGEST_LABEL - 1]}\N{HORIZONTAL ELLIPSIS}"


def _plot(
    key: str,
    title: str,
    alt: str,
    draw: Callable[[Any, _Shape], None],
    heads: tuple[str, ...],
    rows: Sequence[tuple[str, ...]],
    *,
    height: float = 1.0,
) -> Plot:
    """Draw both forms; `height` is a factor."""
    wide, narrow = (_svg(f"{key}-{name}", draw, shape, height) for name, shape in (("w", _WIDE), ("n", _NARROW)))
    return Plot(key, title, alt, wide, narrow, heads, tuple(rows))


def _svg(key: str, draw: Callable[[Any, _Shape], None], shape: _Shape, height: float) -> str:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(_style(key)):
        figure = Figure(figsize=(shape.width, shape.height * height), layout="constrained")
        axes = figure.add_subplot()
        draw(axes, shape)
        axes.spines[["top", "right"]].set_visible(False)
        buffer = io.StringIO()
        figure.savefig(
            buffer, format="svg", transparent=True, metadata=dict.fromkeys(("Creator", "Date", "Format", "Type"))
        )
    text = buffer.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    text = text.replace("<svg", f'<svg class="{key.rpartition("-")[2]}" aria-hidden="true" focusable="false"', 1)
    # Each picture's names for its own parts have to be its own in the page.
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{key}-", text)
    return text.replace(_INK, "currentColor")


def _style(key: str) -> Any:
    return {
        "svg.fonttype": "none",
        "svg.hashsalt": key,  # the same report twice is the same text
        "text.parse_math": False,  # a name with two dollar signs is a name
        "font.family": "sans-serif",
        "font.size": 8,
        "text.color": _INK,
        "axes.labelcolor": _INK,
        "axes.edgecolor": _OUTLINE,
        "xtick.color": _OUTLINE,
        "ytick.color": _OUTLINE,
        "xtick.labelcolor": _INK,
        "ytick.labelcolor": _INK,
        "axes.grid": False,
    }
