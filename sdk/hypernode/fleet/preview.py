"""Trying a plan on a copy of a node: what is looked at before and after, and the verdict. Pure.

The copy is a Brancher, which somebody else makes, changes and ends.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from hypernode.catalogue import as_shown
from hypernode.fleet.bring import Outcome
from hypernode.fleet.gates import Finding, Gate, HttpGate, Verdict, judge


@dataclass(frozen=True, slots=True)
class PageLook:
    """One try of a gate's page."""

    answer: str
    """Its status, or why there was no answer."""
    seconds: float


@dataclass(frozen=True, slots=True)
class Look:
    """What a node is like at one moment."""

    settings: Mapping[str, str] = field(default_factory=dict)
    """Values as they may be shown."""
    findings: tuple[Finding, ...] = ()
    """What each gate found."""
    pages: Mapping[str, PageLook] = field(default_factory=dict)
    """Address to its answer."""
    workers: str | None = None
    """PHP-FPM workers at work, of all: ``2 of 10``; None: the node did not tell."""


@dataclass(frozen=True, slots=True)
class Judged:
    """Whether a change did well on the copy."""

    verdict: Verdict
    reasons: tuple[str, ...]
    """Why it is not ``passed``."""


def judge_preview(outcome: Outcome, before: Look, after: Look | None) -> Judged:
    """Return the verdict on a change of a copy.

    Args:
        outcome: What became of the change itself.
        before: The copy as it was made.
        after: The copy once it was changed; None: it was not looked at any more.
    """
    if outcome.state not in ("done", "unchanged"):
        why = outcome.error.message if outcome.error is not None else outcome.reason
        verdict: Verdict = "failed" if outcome.state == "failed" else "undecided"
        return Judged(verdict, (f"the change: {outcome.state.replace('_', ' ')}: {why}",))
    if after is None:
        return Judged("undecided", ("the copy was not looked at after the change",))
    was = {finding.gate: finding for finding in before.findings}
    judged = [judge(was.get(finding.gate), finding) for finding in after.findings]
    bad = [finding for finding in judged if finding.verdict != "passed"]
    worst: Verdict = "failed" if any(finding.verdict == "failed" for finding in bad) else "undecided"
    reasons = tuple(f"gate {finding.shown}: {finding.verdict}: {finding.reason}" for finding in bad)
    return Judged(worst if bad else "passed", reasons)


def is_elsewhere(gate: Gate) -> bool:
    """Tell whether a gate's page is the same for every node, and so not on a copy."""
    return isinstance(gate, HttpGate) and "{node}" not in gate.url


def not_of_the_copy(finding: Finding) -> Finding:
    """Return what such a gate found: whatever it says of the shop, it says nothing of the copy."""
    return replace(finding, verdict="undecided", reason="its url has no {node}, so it is not the copy that answers")


def differences(before: Look, after: Look) -> list[tuple[str, str, str]]:
    """Return (what, before, after) of all that can be compared: settings that differ, all pages, and the workers."""
    rows = [
        (name, before.settings.get(name, "not told"), after.settings.get(name, "not told"))
        for name in sorted(before.settings.keys() | after.settings.keys())
        if before.settings.get(name) != after.settings.get(name)
    ]
    rows += [(url, _page(before.pages.get(url)), _page(look)) for url, look in after.pages.items()]
    if before.workers or after.workers:
        rows.append(("PHP-FPM workers at work", before.workers or "not told", after.workers or "not told"))
    return rows


def shown_settings(detail: Mapping[str, Any], names: Sequence[str], typed: Callable[[str, Any], Any]) -> dict[str, str]:
    """Return the settings called `names` out of a node's detail, as they may be shown; secrets as their mask."""
    return {name: as_shown(typed(name, detail.get(name))) for name in names}


def _page(look: PageLook | None) -> str:
    return "not tried" if look is None else f"{look.answer} in {look.seconds:.2f} s"
