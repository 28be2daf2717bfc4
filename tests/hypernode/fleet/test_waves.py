"""Waves, the failure budget over a whole run, gates, pauses, and going on with a run: in any order of completion."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from memory_store import MemoryStore
from strategies import CATALOGUE

from hypernode.errors import OutcomeUnknown, Rejected, TokenRefused
from hypernode.fleet.bring import Options, Outcome
from hypernode.fleet.gates import Finding, FlowsGate, judge
from hypernode.fleet.history import NodeLog, Past, RunLog, find_run, read_run
from hypernode.fleet.journal import Journal
from hypernode.fleet.plan import make_plan
from hypernode.fleet.planfile import dump
from hypernode.fleet.rollout import Rollout
from hypernode.fleet.rules import ALL, Rules, parse_window
from hypernode.fleet.shares import Share

WAVES = (Share(1), Share(50, True), ALL)
SHOPS = [f"shop{n}" for n in range(6)]


class Shuffling(Executor):
    """Runs one task at a time, always a random one of those that it was given."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._tasks: list[tuple[Future[Any], Callable[[], Any]]] = []
        self._change = threading.Condition()
        self._over = False
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def submit(self, task: Any, /, *args: Any, **more: Any) -> Future[Any]:
        future: Future[Any] = Future()
        with self._change:
            self._tasks.append((future, lambda: task(*args, **more)))
            self._change.notify()
        return future

    def _work(self) -> None:
        while True:
            with self._change:
                self._change.wait_for(lambda: self._tasks or self._over)
                if not self._tasks:
                    return
                future, task = self._tasks.pop(self._chance.randrange(len(self._tasks)))
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(task())
                except BaseException as exc:  # noqa: BLE001  # for whoever waits
                    future.set_exception(exc)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        with self._change:
            self._over = True
            self._change.notify()
        self._thread.join()


@dataclass
class Scene:
    """Nodes, a journal, and the parts of one run over them."""

    folder: Path
    rules: Rules
    nodes: Sequence[str] = tuple(SHOPS)
    parallel: int = 2
    seed: int = 0
    prober: Any = None
    told: list[str] = field(default_factory=list)
    now: datetime = datetime(2026, 11, 23, 12, tzinfo=UTC)
    store: MemoryStore = field(init=False)
    stop: threading.Event = field(default_factory=threading.Event)
    rollout: Rollout = field(init=False)
    events: list[str | Outcome] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.store = MemoryStore({node: {"php_version": "8.2"} for node in self.nodes})
        wished = {node: {"php_version": "8.3"} for node in self.nodes}
        self.plan = make_plan(self.store.nodes, wished, CATALOGUE, rules=self.rules)
        self.store.during_write = self.events.append
        self.runs = self.folder / "runs"

    def run(self) -> dict[str, Outcome]:
        """Begin the run."""
        journal = Journal(self.runs)
        journal.begin(
            who="jan@laptop",
            host="laptop",
            pid=7,
            job=None,
            message=None,
            plan=dump(self.plan, api_url="https://api.example"),
            folder="/",
            file=None,
            digest=None,
            rolls_back=None,
        )
        return self._carry_out(journal, None)

    def resume(self) -> dict[str, Outcome]:
        """Go on with it."""
        log = self.log()
        journal, _ = Journal.reopen(find_run(self.runs, "last"))
        journal.go_on(salt=log.salt, who="piet@laptop", host="laptop", pid=8, job=None, message=None)
        return self._carry_out(journal, log.past)

    def log(self) -> RunLog:
        return read_run(find_run(self.runs, "last"))

    def _carry_out(self, journal: Journal, past: Past | None) -> dict[str, Outcome]:
        with Shuffling(self.seed) as executor:
            self.rollout = Rollout(
                self.plan,
                self.store,
                CATALOGUE,
                executor,
                options=Options(parallel=self.parallel),
                lock_folder=self.folder / "locks",
                stop=self.stop,
                journal=journal,
                past=past,
                prober=self.prober,
                tell=self.told.append,
                now=lambda: self.now,
            )
            outcomes = []
            for outcome in self.rollout.outcomes():
                self.events.append(outcome)
                outcomes.append(outcome)
        journal.note("run ended", state="over")
        journal.close()
        assert sorted(one.node for one in outcomes) == sorted(self.plan.nodes), "not one outcome for each node"
        return {one.node: one for one in outcomes}

    def refuse(self, *nodes: str) -> None:
        self.store.refused = {node: Rejected("no", status=400) for node in nodes}

    @property
    def written(self) -> list[str]:
        return [node for node, _ in self.store.writes]


def states(outcomes: dict[str, Outcome]) -> list[str]:
    return [outcome.state for _, outcome in sorted(outcomes.items())]


# The budget


@settings(max_examples=60, deadline=None)
@given(
    fails=st.lists(st.booleans(), min_size=1, max_size=14),
    shares=st.lists(st.integers(1, 9).map(Share) | st.integers(1, 99).map(lambda n: Share(n, True)), max_size=3),
    budget=st.none() | st.integers(1, 4).map(Share) | st.integers(1, 60).map(lambda n: Share(n, True)),
    parallel=st.integers(1, 5),
    seed=st.integers(0, 99),
    mended=st.booleans(),
)
def test_the_budget_holds_over_the_whole_run_whatever_fails_and_in_whatever_order(
    tmp_path_factory, fails, shares, budget, parallel, seed, mended
):
    nodes = [f"shop{n:02}" for n in range(len(fails))]
    rules = Rules(waves=(*shares, ALL), max_failures=budget)
    scene = Scene(tmp_path_factory.mktemp("run"), rules, nodes, parallel, seed)
    failing = [node for node, fail in zip(nodes, fails, strict=True) if fail]
    scene.refuse(*failing)
    most = rules.most_failures(len(nodes)) or len(nodes) + 1
    first = scene.run()
    failed = {node for node, outcome in first.items() if outcome.state == "failed"}
    assert len(failed) <= most - 1 + parallel
    assert failed == set(scene.written) & set(failing)
    if len(failing) < most:
        assert sorted(scene.written) == nodes, "everybody has had a turn"
    # No node is begun while one of an earlier wave is under way.
    wave_of = {node: n for n, wave in enumerate(rules.divide(scene.plan.order)) for node in wave}
    ended: set[str] = set()
    for event in scene.events:
        if isinstance(event, Outcome):
            ended.add(event.node)
        else:
            assert all(node in ended for node in nodes if wave_of[node] < wave_of[event])
    # Going on: what was done is not written again, and the failures of before count.
    done = {node for node, outcome in first.items() if outcome.state == "done"}
    scene.store.refused = {} if mended else scene.store.refused
    before = len(scene.written)
    second = scene.resume()
    again = scene.written[before:]
    assert not done & set(again)
    assert len(again) == len(set(again)), "nobody is written twice"
    if mended:
        assert set(states(second)) == {"done"}
    else:
        assert len(set(scene.written) & set(failing)) <= most - 1 + parallel
    assert scene.log().totals() == {
        state: states(second).count(state) for state in ("done", "unchanged", "failed", "unknown", "not_attempted")
    }


def test_a_budget_that_is_spent_is_given_back_by_nodes_that_succeed_now(tmp_path):
    scene = Scene(tmp_path, Rules(max_failures=Share(2)), parallel=1)
    scene.refuse("shop1", "shop2")
    assert states(scene.run()) == ["done", "failed", "failed", "not_attempted", "not_attempted", "not_attempted"]
    assert states(scene.resume())[3:] == ["not_attempted"] * 3, "both failed again, and no new one was begun"
    assert scene.written == ["shop0", "shop1", "shop2", "shop1", "shop2"]
    scene.refuse("shop1")
    assert states(scene.resume()) == ["done", "failed"] + ["done"] * 4


def test_a_refused_token_stops_the_run(tmp_path):
    scene = Scene(tmp_path, Rules(), parallel=1)
    scene.store.refused = {"shop2": TokenRefused("no")}
    assert states(scene.run()) == ["done", "done", "failed"] + ["not_attempted"] * 3
    assert scene.rollout.stopped is not None
    assert scene.rollout.stopped.kind == "token"
    assert "the API refuses the token of shop2" in scene.rollout.stopped.reason


# Going on


def test_a_node_that_was_done_is_read_and_left_whatever_it_has_now(tmp_path):
    scene = Scene(tmp_path, Rules(max_failures=Share(1)), parallel=1)
    scene.refuse("shop2")
    scene.run()
    scene.store.nodes["shop0"]["php_version"] = "8.4"
    scene.store.refused = {}
    outcomes = scene.resume()
    assert outcomes["shop0"].reason == "done before; somebody changed it since: php_version is now 8.4; left as it is"
    assert outcomes["shop1"].reason == "done before"
    assert states(outcomes) == ["done"] * 6
    assert scene.written.count("shop0") == 1


def killed_at(scene: Scene, node: str, *, sent: bool) -> NodeLog:
    """Make it look as if the run had been killed while it was at `node`, and return what is known of that."""
    log = scene.log()
    lines = find_run(scene.runs, "last").read_text().splitlines(keepends=True)
    last = next(
        n for n, line in enumerate(lines) if f'"{"sending" if sent else "node begun"}"' in line and node in line
    )
    find_run(scene.runs, "last").write_text("".join(lines[: last + 1]))
    return replace(log.nodes[node], state="unknown")


@pytest.mark.parametrize(("arrived", "writes"), [(True, 1), (False, 2)])
def test_a_write_without_an_end_is_looked_for_before_it_is_sent_again(tmp_path, arrived, writes):
    scene = Scene(tmp_path, Rules(), nodes=["shop0"], parallel=1)
    scene.run()
    killed_at(scene, "shop0", sent=True)
    if not arrived:
        scene.store.nodes["shop0"]["php_version"] = "8.2"
    assert scene.log().nodes["shop0"].state == "unknown"
    assert states(scene.resume()) == ["done"]
    assert scene.store.sought == ["shop0"]
    assert scene.written == ["shop0"] * writes
    assert scene.log().state(under_way=False) == "over"
    assert [who for _, who in scene.log().resumed] == ["piet@laptop"]


def test_a_node_that_was_begun_and_sent_nothing_is_begun_anew(tmp_path):
    scene = Scene(tmp_path, Rules(), nodes=["shop0"], parallel=1)
    scene.run()
    killed_at(scene, "shop0", sent=False)
    scene.store.nodes["shop0"]["php_version"] = "8.2"
    assert states(scene.resume()) == ["done"]
    assert scene.store.sought == []


def test_what_cannot_be_found_out_stays_unknown_and_is_not_sent(tmp_path, monkeypatch):
    scene = Scene(tmp_path, Rules(), nodes=["shop0"], parallel=1)
    scene.run()
    killed_at(scene, "shop0", sent=True)

    def lost(*_: object) -> None:
        raise OutcomeUnknown("the logbook does not answer")

    monkeypatch.setattr(scene.store, "find", lost)
    outcome = scene.resume()["shop0"]
    assert outcome.state == "unknown"
    assert "a change was sent before" in str(outcome.error)
    assert len(scene.written) == 1


# Gates, pauses, windows


@dataclass
class Pages:
    """A gate whose verdicts are looked up: (node, has it been changed) to a verdict; else it passes."""

    scene: Scene | None = None
    verdicts: dict[tuple[str, bool], Any] = field(default_factory=dict)
    tried: list[tuple[str, bool]] = field(default_factory=list)

    def try_on(self, node: str) -> Sequence[Finding]:
        assert self.scene is not None
        changed = self.scene.store.nodes[node]["php_version"] == "8.3"
        self.tried.append((node, changed))
        return (Finding("page", node, self.verdicts.get((node, changed), "passed"), "it says so"),)


def gated(tmp_path: Path, verdicts: dict[tuple[str, bool], str], **rules: Any) -> Scene:
    pages = Pages(verdicts=dict(verdicts))
    scene = Scene(tmp_path, Rules(waves=WAVES, **rules), parallel=1, prober=pages)
    pages.scene = scene
    return scene


def stopped(scene: Scene) -> tuple[str, str]:
    assert scene.rollout.stopped is not None
    return scene.rollout.stopped.kind, str(scene.rollout.stopped)


def test_each_node_is_probed_before_its_change_and_after_its_wave(tmp_path):
    scene = gated(tmp_path, {})
    assert states(scene.run()) == ["done"] * 6
    assert sorted(node for node, changed in scene.prober.tried if not changed) == SHOPS
    assert sorted(node for node, changed in scene.prober.tried if changed) == SHOPS
    assert scene.told == ["Wave 1 of 3: 1 node", "Wave 2 of 3: 2 nodes", "Wave 3 of 3: 3 nodes"]


def test_a_gate_that_fails_stops_the_run_and_going_on_tries_it_again(tmp_path):
    scene = gated(tmp_path, {("shop1", True): "failed"})
    assert states(scene.run()) == ["done"] * 3 + ["not_attempted"] * 3
    assert stopped(scene) == ("gate failed", "the run was stopped by a gate: page on shop1: it says so")
    assert states(scene.resume()) == ["done"] * 3 + ["not_attempted"] * 3, "it is still so"
    scene.prober.verdicts = {}
    assert states(scene.resume()) == ["done"] * 6
    assert scene.written == SHOPS


def test_what_was_wrong_before_the_change_is_not_held_against_it(tmp_path):
    scene = gated(tmp_path, {("shop1", False): "failed", ("shop1", True): "failed"})
    assert states(scene.run()) == ["done"] * 6
    # It is remembered over an interruption too.
    scene = gated(tmp_path / "again", {("shop1", False): "failed", ("shop1", True): "failed"})
    scene.store.during_write = lambda node: scene.stop.set() if node == "shop1" else None
    assert "not_attempted" in states(scene.run())
    scene.stop.clear()
    assert states(scene.resume()) == ["done"] * 6


def test_a_gate_that_cannot_decide_pauses_the_run(tmp_path):
    scene = gated(tmp_path, {("shop0", True): "undecided"})
    assert states(scene.run()) == ["done"] + ["not_attempted"] * 5
    assert stopped(scene)[0] == "gate undecided"


def test_the_flows_gate_lets_no_failure_pass(tmp_path):
    scene = Scene(tmp_path, Rules(waves=WAVES, gates=(FlowsGate(),)), parallel=1)
    scene.refuse("shop2")
    assert states(scene.run()) == ["done", "done", "failed"] + ["not_attempted"] * 3
    assert stopped(scene) == ("gate failed", "the run was stopped by a gate: flows on shop2: the node is failed")


def test_outside_the_window_nothing_is_begun(tmp_path):
    scene = Scene(tmp_path, Rules(window=parse_window("Mon 09:00-16:00 UTC")), parallel=1)
    scene.store.during_write = lambda node: setattr(scene, "now", scene.now + timedelta(hours=2))
    assert states(scene.run()) == ["done", "done"] + ["not_attempted"] * 4
    assert stopped(scene) == ("window", "the run is paused: nodes are begun Mon 09:00-16:00 UTC only (--window)")
    assert states(scene.resume()) == ["done", "done"] + ["not_attempted"] * 4


def test_a_pause_can_be_interrupted(tmp_path):
    scene = Scene(tmp_path, Rules(waves=WAVES, pause=600), parallel=1)
    scene.store.during_write = lambda node: threading.Timer(0.1, scene.stop.set).start()
    assert states(scene.run()) == ["done"] + ["not_attempted"] * 5
    assert stopped(scene)[0] == "interrupted"
    assert "Pausing 600 s before the next wave" in scene.told


@pytest.mark.parametrize(
    ("before", "after", "judged"),
    [
        (None, "failed", "failed"),
        ("passed", "failed", "failed"),
        ("failed", "failed", "passed"),
        ("undecided", "failed", "undecided"),
        ("failed", "undecided", "undecided"),
        ("failed", "passed", "passed"),
    ],
)
def test_a_finding_is_judged_by_the_one_before_the_change(before, after, judged):
    earlier = None if before is None else Finding("page", "a", before, "earlier")
    found = judge(earlier, Finding("page", "a", after, "later"))
    assert found.verdict == judged
    assert "later" in found.reason


def test_what_is_left_of_a_pause_is_waited_for_when_the_run_goes_on(tmp_path):
    scene = Scene(tmp_path, Rules(waves=WAVES, pause=0.3), parallel=1)
    scene.now = datetime.now(UTC)
    scene.store.during_write = lambda node: threading.Timer(0.05, scene.stop.set).start()
    scene.run()
    scene.stop.clear()
    scene.store.during_write = lambda node: None
    scene.now = datetime.now(UTC) - timedelta(days=1)  # the clock was set back: the whole pause, and no more
    assert states(scene.resume()) == ["done"] * 6
    assert scene.told[-4:] == [
        "Pausing 0 s before the next wave",
        "Wave 2 of 3: 2 nodes",
        "Pausing 0 s before the next wave",
        "Wave 3 of 3: 3 nodes",
    ]


def test_a_node_that_is_left_out_of_a_run_does_not_let_others_slip_by_the_gates(tmp_path):
    scene = gated(tmp_path, {("shop1", True): "failed"})
    scene.run()
    scene.plan = scene.plan.without(["shop0"])
    scene.prober.verdicts = {("shop3", True): "failed"}
    outcomes = scene.resume()
    assert stopped(scene)[1] == "the run was stopped by a gate: page on shop3: it says so"
    assert states(outcomes).count("not_attempted") == 2
