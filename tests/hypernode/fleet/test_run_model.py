"""A run in several parts, whatever goes wrong in each: what counts is what was done to the nodes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from memory_store import RUNNING, MemoryStore
from scenes import Scene

from hypernode.catalogue import SettingValue
from hypernode.errors import ConnectionFailed, FlowTimedOut, OutcomeUnknown, Rejected
from hypernode.fleet.journal import STATES
from hypernode.fleet.node_locks import locked
from hypernode.fleet.rules import ALL, Rules
from hypernode.fleet.shares import Share

FAULTS = ("none", "refused", "lost", "slow", "unreadable", "busy", "held")
"""What goes wrong with a node in a part of the run.

A write is refused, is lost with its answer, or lands and is not seen to end; or there is no write: the node cannot be
read, has a flow running, or another run is at it.
"""


@dataclass
class Watched(MemoryStore):
    """Keeps book of the nodes by itself: which have failed and not succeeded since, and whose last write is open."""

    faults: Mapping[str, str] = field(default_factory=dict)
    good: set[str] = field(default_factory=set)
    bad: set[str] = field(default_factory=set)
    most_bad: int = 0
    open: set[str] = field(default_factory=set)

    def meet(self, faults: Mapping[str, str]) -> None:
        """Let this go wrong from now on."""
        self.faults = faults
        self.refused = {node: Rejected("no", status=400) for node in self._with("refused")}
        self.refused |= {node: OutcomeUnknown("the answer was lost") for node in self._with("lost")}
        self.ended = {node: FlowTimedOut("not done") for node in self._with("slow")}
        self.broken = {node: ConnectionFailed("no route") for node in self._with("unreadable")}
        self.busy = dict.fromkeys(self._with("busy"), RUNNING)

    def _with(self, fault: str) -> Iterator[str]:
        return (node for node, its in self.faults.items() if its == fault)

    def read(self, node: str, names: Any = None) -> Mapping[str, Any]:
        if node not in self.good and (node in self.broken or self.nodes[node]["php_version"] == "8.3"):
            self._note(node, good=node not in self.broken)
        return super().read(node, names)

    def find(self, node: str, *args: Any) -> Any:
        self.open.discard(node)
        found = super().find(node, *args)
        if found is not None:
            self._note(node, good=node not in self.ended and node not in self.broken, is_open=node in self.ended)
        return found

    def write(self, node: str, wished: Mapping[str, SettingValue]) -> Any:
        assert node not in self.good, "it was done"
        assert node not in self.open, "sent again without a look"
        fault = self.faults[node]
        self._note(node, good=fault == "none", is_open=fault in ("lost", "slow"))
        return super().write(node, wished)

    def _note(self, node: str, *, good: bool, is_open: bool = False) -> None:
        (self.good if good else self.bad).add(node)
        (self.bad if good else self.good).discard(node)
        if is_open:
            self.open.add(node)
        self.most_bad = max(self.most_bad, len(self.bad))


@st.composite
def parts(draw: st.DrawFn) -> list[tuple[list[str], list[bool]]]:
    """Return for each part of a run what goes wrong with each node, and which nodes are left out."""
    count = draw(st.integers(1, 7))
    faults = st.lists(st.sampled_from(FAULTS), min_size=count, max_size=count)
    left_out = st.lists(st.sampled_from([False, False, False, True]), min_size=count, max_size=count)
    return draw(st.lists(st.tuples(faults, left_out), min_size=2, max_size=4))


@settings(max_examples=70, deadline=None)
@given(
    drawn=parts(),
    unread=st.integers(0, 2),
    shares=st.lists(st.integers(1, 5).map(Share), max_size=2),
    budget=st.none() | st.integers(1, 4).map(Share) | st.integers(1, 60).map(lambda n: Share(n, True)),
    parallel=st.integers(1, 4),
    seed=st.integers(0, 99),
)
@example([(["refused", "refused"], [False] * 2), (["busy", "refused"], [False] * 2)], 0, [], Share(1), 1, 0)
@example([(["refused", "none"], [False] * 2), (["none", "refused"], [True, False])], 0, [], Share(1), 1, 0)
@example([(["refused"], [False]), (["none"], [True])], 0, [], None, 1, 0)
@example([(["refused", "none"], [False] * 2), (["none", "refused"], [False] * 2)], 1, [], Share(2), 1, 0)
@example([(["lost"], [False]), (["held"], [False]), (["none"], [False])], 0, [], None, 1, 0)
def test_whatever_goes_wrong_in_each_part_of_a_run_its_state_is_that_of_all_its_nodes(
    tmp_path_factory: pytest.TempPathFactory, drawn, unread, shares, budget, parallel, seed
):
    nodes = [f"shop{n}" for n in range(len(drawn[0][0]))]
    away = [f"away{n}" for n in range(unread)]
    rules = Rules(waves=(*shares, ALL), max_failures=budget)
    scene = Scene(tmp_path_factory.mktemp("run"), rules, nodes, parallel, seed, unread=away)
    store = scene.store = Watched(scene.store.nodes)
    total = len(nodes) + unread
    most = rules.most_failures(total) or total
    store.bad.update(away)
    for number, (faults, left_out) in enumerate(drawn):
        store.meet(dict(zip(nodes, faults, strict=True)))
        with ExitStack() as held:
            for node, fault in store.faults.items():
                if fault == "held":
                    held.enter_context(locked(node, scene.folder / "locks"))
            exclude = [node for node, out in zip(nodes, left_out, strict=True) if out]
            outcomes = scene.resume(exclude=exclude) if number else scene.run()
        states = [outcome.state for outcome in outcomes.values()]
        assert store.most_bad <= max(unread, most - 1 + parallel)
        assert {node for node, one in outcomes.items() if one.state in ("failed", "unknown")} == store.bad
        assert {node for node, one in outcomes.items() if one.state in ("done", "unchanged")} == store.good
        assert {node for node, one in outcomes.items() if one.state == "unknown"} >= store.open
        log = scene.log()
        assert (log.ended_as == "done") == (len(store.good) == total)
        assert {name: node.state for name, node in log.nodes.items()} == {n: o.state for n, o in outcomes.items()}
        assert log.totals() == {state: states.count(state) for state in STATES}
