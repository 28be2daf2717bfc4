"""Which nodes of a fleet run out of memory most, and what they have in common. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from hypernode.oom.clock import moment
from hypernode.oom.history import History


@dataclass(frozen=True, slots=True)
class Ranking:
    """Nodes by what their logs tell."""

    nodes: tuple[str, ...]
    """All, the worst first: by incidents, then kills, then who was hit last."""
    hit: int
    """How many of them had an incident."""
    culprits: tuple[tuple[str, int], ...]
    """On how many nodes which service held most in more than half of the incidents, the most first."""

    @property
    def sentence(self) -> str:
        """What the nodes have in common."""
        total = len(self.nodes)
        if not total:
            return "Nothing is known: no node's logs could be read"
        if not self.hit:
            return f"No out-of-memory events on {total} node{'s' * (total != 1)}"
        ran = f"{self.hit} of {total} node{'s' * (total != 1)} ran out of memory"
        if not self.culprits:
            return f"{ran}; on none of them is one service the culprit"
        service, count = self.culprits[0]
        return f"{ran}; the commonest culprit is {service}, on {count} of them"


def rank(histories: Mapping[str, History]) -> Ranking:
    """Rank nodes by their histories; those that are equal stay in their order."""
    nodes = sorted(histories, key=lambda node: _badness(histories[node]), reverse=True)
    culprits = Counter(history.culprit for history in histories.values() if history.incidents)
    culprits.pop(None, None)
    named = [(service, count) for service, count in culprits.items() if service is not None]
    return Ranking(
        tuple(nodes),
        sum(bool(history.incidents) for history in histories.values()),
        tuple(sorted(named, key=lambda item: (-item[1], item[0]))),
    )


def _badness(history: History) -> tuple[int, int, float]:
    times = [moment(one.at).timestamp() for one in history.incidents if one.at is not None]
    return len(history.incidents), history.kills, max(times, default=float("-inf"))
