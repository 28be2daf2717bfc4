"""What to do about a node that runs out of memory: the cures that something speaks for, the best first. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from hypernode.oom.cures import ALL, Cure, for_limit
from hypernode.oom.evidence import Evidence


@dataclass(frozen=True, slots=True)
class Advice:
    """What became of weighing the evidence."""

    sentence: str
    decides: bool
    """Whether the evidence is enough to say where the memory went."""
    cures: tuple[Cure, ...]
    """The one that most speaks for first."""
    no_use: tuple[str, ...]
    """What would change nothing, and why."""


def advise(evidence: Evidence) -> Advice:
    """Weigh `evidence`, and return what to do."""
    found = [one for cure in ALL if (one := cure(evidence)) is not None]
    found.sort(key=lambda one: -one[0])
    cures = tuple(cure for _, cure in found) + tuple(map(for_limit, evidence.limits))
    decides = evidence.culprit is not None or bool(evidence.limits and not evidence.history.incidents)
    if not decides and evidence.history.incidents:
        cures = (*cures, _watch(evidence))
    return Advice(_sentence(evidence, cures, decides=decides), decides, cures, _no_use(evidence))


def _sentence(evidence: Evidence, cures: tuple[Cure, ...], *, decides: bool) -> str:
    history = evidence.history
    if not history.incidents:
        if evidence.limits:
            return "The kernel killed nothing; other limits than the machine's memory were reached"
        if evidence.kernel_only:
            return "The kernel killed nothing; whether another limit was reached, its log does not tell"
        return "The kernel killed nothing, and no other limit of memory was reached: there is nothing to do"
    if decides:
        count = dict(history.culprits)[str(evidence.culprit)]
        of = f"{count} of {len(history.incidents)} incidents" if len(history.incidents) > 1 else "the only incident"
        return f"{evidence.culprit} held most in {of}"
    if history.not_told == len(history.incidents):
        return "The evidence does not decide: no report tells which processes there were, and so who used the memory"
    return "The evidence does not decide: no service held most in more than half of the incidents, or no report is sure"


def _no_use(evidence: Evidence) -> tuple[str, ...]:
    played = evidence.replayed
    told = []
    if played.incidents and not played.stepped_in and not played.unclear:
        told.append(
            "permissive_memory_management: in none of these incidents would the platform's own killer have stepped in, "
            "and only then does it matter"
        )
    if evidence.history.incidents and evidence.culprit is not None and evidence.culprit in evidence.history.victims:
        told.append(f"protecting {evidence.culprit}: it held most itself, and would take the memory of all others")
    return tuple(told)


def _watch(evidence: Evidence) -> Cure:
    return Cure(
        "watch",
        "Wait for a report that tells more, and let yourself be called when it comes",
        evidence.kills(),
        "The next whole report tells which processes there were",
        "None",
        "hnctl oom watch",
    )
