"""Many out-of-memory events together, for a person and as a document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hnctl.render.listing import FORMAT_VERSION, cell, plain_table
from hypernode.oom.clock import in_words
from hypernode.oom.history import WEEKDAYS, History
from hypernode.oom.incidents import Incident
from hypernode.oom.ranking import Ranking
from hypernode.printable import printable

_MOST_INCIDENTS = 10


def history_document(history: History) -> dict[str, Any]:
    """Return what incidents have in common as JSON values."""
    return {
        "format_version": FORMAT_VERSION,
        "verdict": {
            "kind": history.kind,
            "sentence": history.sentence,
            "confidence": history.confidence,
            "reasons": list(history.reasons),
        },
        "events": history.events,
        "kills": history.kills,
        "culprits": dict(history.culprits),
        "culprit_not_told": history.not_told,
        "victims": dict(_victims(history)),
        "by_hour": dict(zip(WEEKDAYS, history.by_hour(), strict=True)),
        "incidents": [_incident(one) for one in history.incidents],
    }


def render_history(history: History) -> str:
    """Return what incidents have in common: the verdict first, then what it rests on."""
    lines = [f"{history.sentence}."]
    if history.incidents:
        lines += [f"Confidence: {history.confidence}.", *(f"  - {reason}" for reason in history.reasons)]
    text = "\n".join(map(printable, lines))
    if not history.incidents:
        return text
    heads = ["incident", "events", "kills", "killed", "held most", "confidence"]
    rows = [_row(one) for one in history.incidents[-_MOST_INCIDENTS:]]
    title = f"The last {_MOST_INCIDENTS} of {len(history.incidents)} incidents\n"
    text += "\n\n" + title * (len(history.incidents) > _MOST_INCIDENTS) + plain_table(heads, rows)
    total = len(history.incidents)
    held = [[name, f"{count} of {total}"] for name, count in history.culprits]
    held += [["not told", f"{history.not_told} of {total}"]] if history.not_told else []
    text += "\n\n" + plain_table(["held most", "incidents"], [[printable(cell) for cell in row] for row in held])
    killed = [[name, str(count)] for name, count in _victims(history)]
    if killed:
        text += "\n\n" + plain_table(["killed", "processes"], killed)
    return text


def ranking_document(
    ranking: Ranking, histories: Mapping[str, History], failures: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return nodes, the worst first, and what they have in common, as JSON values."""
    document: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "verdict": {"sentence": ranking.sentence, "culprits": dict(ranking.culprits)},
        "nodes": [{"node": node, **_node(histories[node])} for node in ranking.nodes],
    }
    return {**document, "failures": list(failures)} if failures else document


def render_ranking(ranking: Ranking, histories: Mapping[str, History]) -> str:
    """Return nodes, the worst first, and what they have in common."""
    text = printable(f"{ranking.sentence}.")
    rows = [_node(histories[node]) for node in ranking.nodes]
    if not rows:
        return text
    heads = ["node", "incidents", "kills", "last", "held most", "kind"]
    cells = [
        [node, str(row["incidents"]), str(row["kills"]), cell(row["last"]), cell(row["culprit"]), row["kind"]]
        for node, row in zip(ranking.nodes, rows, strict=True)
    ]
    return text + "\n\n" + plain_table(heads, cells)


def _node(history: History) -> dict[str, Any]:
    last = history.incidents[-1].last.event.at if history.incidents else None
    return {
        "incidents": len(history.incidents),
        "kills": history.kills,
        "last": last and in_words(last),
        "culprit": history.culprit,
        "kind": history.kind,
        "kind_sentence": history.sentence,
    }


def _victims(history: History) -> list[tuple[str, int]]:
    return sorted(history.victims.items(), key=lambda item: (-item[1], item[0]))


def _incident(one: Incident) -> dict[str, Any]:
    verdict = one.worst.verdict
    return {
        "at": one.at,
        "first_event": one.first.number,
        "last_event": one.last.number,
        "kills": one.kills,
        "victims": dict(one.victims),
        "culprit": verdict.culprit,
        "confidence": verdict.confidence,
    }


def _row(one: Incident) -> list[str]:
    numbers = str(one.first.number) + (f" to {one.last.number}" if one.events > 1 else "")
    killed = ", ".join(f"{service} ({count})" if count > 1 else service for service, count in one.victims) or "nobody"
    culprit = one.worst.verdict.culprit or "not told"
    return [in_words(one.at), numbers, str(one.kills), killed, printable(culprit), one.worst.verdict.confidence]
