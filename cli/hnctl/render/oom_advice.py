"""Advice about a node that runs out of memory, for a person and as a document."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from hnctl.render.console import make_console
from hnctl.render.listing import FORMAT_VERSION
from hypernode.oom.advice import Advice
from hypernode.oom.cures import Cure
from hypernode.oom.evidence import Evidence
from hypernode.oom.ranking import Ranking
from hypernode.printable import printable

_WIDEST = 100


def advice_document(evidence: Evidence, advice: Advice) -> dict[str, Any]:
    """Return advice as JSON values, the cure that most speaks for first."""
    history = evidence.history
    return {
        "format_version": FORMAT_VERSION,
        "verdict": {
            "sentence": advice.sentence,
            "decides": advice.decides,
            "culprit": evidence.culprit,
            "kind": history.kind,
            "kind_sentence": history.sentence,
            "confidence": history.confidence,
        },
        "node": evidence.node,
        "incidents": len(history.incidents),
        "kills": history.kills,
        "cures": [asdict(cure) for cure in advice.cures],
        "no_use": list(advice.no_use),
    }


def render_advice(evidence: Evidence, advice: Advice) -> str:
    """Return advice for a person."""
    width = min(make_console().width, _WIDEST)
    prompt = _prompt(evidence)
    lines = _folded("", f"{advice.sentence}.", width)
    if evidence.history.incidents:
        lines += _folded("", f"{evidence.history.sentence} (confidence: {evidence.history.confidence}).", width)
    for place, cure in enumerate(advice.cures, start=1):
        lines += ["", *_cure(place, cure, width, prompt)]
    if advice.no_use:
        lines += ["", "Would change nothing:"]
        for text in advice.no_use:
            lines += _folded("  - ", text, width)
    return "\n".join(map(printable, lines))


def nodes_document(
    ranking: Ranking,
    evidence: Mapping[str, Evidence],
    given: Mapping[str, Advice],
    failures: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """Return the advice for several nodes as JSON values, the worst off first."""
    document: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "verdict": {"sentence": ranking.sentence, "culprits": dict(ranking.culprits)},
        "nodes": [
            {"node": node, **_without_version(advice_document(evidence[node], given[node]))} for node in ranking.nodes
        ],
    }
    return {**document, "failures": list(failures)} if failures else document


def render_nodes(ranking: Ranking, given: Mapping[str, Advice]) -> str:
    """Return what to do first on each of several nodes, the worst off first."""
    width = min(make_console().width, _WIDEST)
    lines = _folded("", f"{ranking.sentence}.", width)
    for node in ranking.nodes:
        advice = given[node]
        lines += ["", *_folded("", f"{node}: {advice.sentence}.", width)]
        for cure in advice.cures[:1]:
            lines += _folded("  ", f"{cure.what}.", width)
            lines += [f"  {node}$ {cure.command}"] if cure.command else []
    return "\n".join(map(printable, lines))


def _without_version(document: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key != "format_version"}


def quiet_document(cures: Sequence[Cure], *, is_whole: bool) -> dict[str, Any]:
    """Return that the kernel killed nothing, and which other limits were reached, as JSON values."""
    return {
        "format_version": FORMAT_VERSION,
        "number": None,
        "event": None,
        "verdict": {
            "sentence": _quiet(cures, is_whole=is_whole),
            "confidence": "high" if is_whole else "low",
            "reasons": [],
            "culprit": None,
        },
        "other_limits": [asdict(cure) for cure in cures],
    }


def render_quiet(cures: Sequence[Cure], *, is_whole: bool) -> str:
    """Return that the kernel killed nothing, and what to do about each of the other limits that were reached.

    `is_whole` tells whether all of the logs could be read.
    """
    width = min(make_console().width, _WIDEST)
    lines = _folded("", f"{_quiet(cures, is_whole=is_whole)}.", width)
    for place, cure in enumerate(cures, start=1):
        lines += ["", *_cure(place, cure, width)]
    return "\n".join(map(printable, lines))


def _quiet(cures: Sequence[Cure], *, is_whole: bool) -> str:
    quiet = f"The kernel killed nothing in {'these logs' if is_whole else 'what could be read of these logs'}"
    if not cures:
        return quiet
    return f"{quiet}. What was reached is another limit: {', '.join(cure.name for cure in cures)}"


def _prompt(evidence: Evidence) -> str:
    """Return what stands before a command: of which machine it is, if that is another one."""
    return f"{evidence.node or 'node'}$" if evidence.kernel_only else "$"


def _cure(place: int, cure: Cure, width: int, prompt: str = "$") -> list[str]:
    lines = _folded(f"{place}. ", f"{cure.what}.", width)
    for text in cure.evidence:
        lines += _folded("     - ", text, width)
    lines += _folded("   effect  ", f"{cure.effect}.", width)
    lines += _folded("   risk    ", f"{cure.risk}.", width)
    return [*lines, f"   {prompt} {cure.command}"] if cure.command else lines


def _folded(lead: str, text: str, width: int) -> list[str]:
    return textwrap.wrap(
        printable(text), width, initial_indent=lead, subsequent_indent=" " * len(lead), break_on_hyphens=False
    ) or [lead.rstrip()]
