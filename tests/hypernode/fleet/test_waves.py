"""Waves, the failure budget over a whole run, gates, pauses, and going on with a run: in any order of completion."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from memory_store import RUNNING
from scenes import SHOPS, Scene, states

from hypernode.errors import OutcomeUnknown, TokenRefused
from hypernode.fleet.bring import Outcome
from hypernode.fleet.gates import Finding, FlowsGate, judge
from hypernode.fleet.history import NodeLog, find_run
from hypernode.fleet.node_locks import locked
from hypernode.fleet.rules import ALL, Rules, parse_window
from hypernode.fleet.shares import Share

WAVES = (Share(1), Share(50, True), ALL)


# The budget


@settings(max_examples=40, deadline=None)
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


def test_a_failed_node_that_is_refused_when_it_is_tried_again_keeps_its_place_in_the_budget(tmp_path):
    scene = Scene(tmp_path, Rules(max_failures=Share(1)), parallel=1)
    scene.refuse("shop0")
    assert states(scene.run()) == ["failed"] + ["not_attempted"] * 5
    scene.store.busy = {"shop0": RUNNING}
    outcomes = scene.resume()
    assert states(outcomes) == ["failed"] + ["not_attempted"] * 5
    assert outcomes["shop0"].reason == "as it was left before, and not tried again"
    assert f"the flow {RUNNING}; nothing was changed" in str(outcomes["shop0"].error)
    assert scene.log().nodes["shop0"].error == "no", "the history has why it failed"
    assert states(scene.resume(exclude=["shop0"])) == ["failed"] + ["not_attempted"] * 5, "left out, it counts too"
    assert scene.written == ["shop0"]


def test_nodes_that_could_not_be_read_count_in_every_part_of_the_run_and_it_is_never_done(tmp_path):
    scene = Scene(tmp_path, Rules(max_failures=Share(2)), parallel=1, unread=["away"])
    scene.refuse("shop0")
    assert states(scene.run()) == ["failed", "failed"] + ["not_attempted"] * 5
    assert scene.log().totals()["failed"] == 2
    assert states(scene.resume()) == ["failed", "failed"] + ["not_attempted"] * 5
    assert scene.written == ["shop0", "shop0"]
    scene.refuse()
    outcomes = scene.resume()
    assert states(outcomes) == ["failed"] + ["done"] * 6
    assert str(outcomes["away"].error) == "away: it could not be read: no route"
    assert scene.log().ended_as == "partly done"


def test_a_run_is_not_done_while_a_node_of_it_is_left_out(tmp_path):
    scene = Scene(tmp_path, Rules(), parallel=1)
    scene.refuse("shop2")
    scene.run()
    scene.refuse()
    outcomes = scene.resume(exclude=["shop2"])
    assert (outcomes["shop2"].state, outcomes["shop2"].reason) == ("failed", "left out, and as it was left before")
    assert scene.log().ended_as == "partly done"
    assert states(scene.resume()) == ["done"] * 6
    assert scene.log().ended_as == "done"


def test_a_refused_token_stops_the_run(tmp_path):
    scene = Scene(tmp_path, Rules(), parallel=1)
    scene.store.refused = {"shop2": TokenRefused("no")}
    assert states(scene.run()) == ["done", "done", "failed"] + ["not_attempted"] * 3
    assert scene.rollout.stopped is not None
    assert scene.rollout.stopped.kind == "token"
    assert "the API refuses the token of shop2" in scene.rollout.stopped.reason


# Going on


def test_each_write_is_announced_before_it_is_sent(tmp_path):
    scene = Scene(tmp_path, Rules())
    announced = []

    def look(node: str) -> None:
        lines = find_run(scene.runs, "last").read_text().splitlines()
        announced.append((node, any('"sending"' in line and f'"{node}"' in line for line in lines)))

    scene.store.during_write = look
    scene.run()
    assert sorted(announced) == [(node, True) for node in SHOPS]


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
    assert scene.log().state(under_way=False) == "done"
    assert [who for _, who, _ in scene.log().resumed] == ["piet@laptop"]


def test_a_refused_try_does_not_let_a_write_without_an_end_be_forgotten(tmp_path):
    scene = Scene(tmp_path, Rules(), nodes=["shop0"], parallel=1)
    scene.run()
    killed_at(scene, "shop0", sent=True)
    with locked("shop0", tmp_path / "locks"):
        outcome = scene.resume()["shop0"]
    assert outcome.state == "unknown"
    assert str(outcome.error).startswith(
        "shop0: a change was sent before, and what became of it cannot be found out now: another hnctl on this machine"
    )
    assert scene.store.sought == []
    assert scene.log().past.nodes["shop0"].sent_at is not None
    # Looked for, not seen, and somebody else's value there: nothing is known of what was sent, still.
    scene.store.nodes["shop0"]["php_version"] = "8.4"
    assert states(scene.resume()) == ["unknown"]
    assert scene.log().totals()["unknown"] == 1
    scene.store.nodes["shop0"]["php_version"] = "8.3"
    assert states(scene.resume()) == ["done"]
    assert scene.store.sought == ["shop0", "shop0"]
    assert scene.written == ["shop0"]


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
    on_try: Callable[[], object] = lambda: None

    def try_on(self, node: str) -> Sequence[Finding]:
        assert self.scene is not None
        changed = self.scene.store.nodes[node]["php_version"] == "8.3"
        self.tried.append((node, changed))
        self.on_try()
        return (Finding("page", node, self.verdicts.get((node, changed), "passed"), "it says so"),)


class Fading(dict[tuple[str, bool], list[str]]):
    """Verdicts of which each look takes the next one; else it passes."""

    def get(self, key: Any, default: Any = None) -> Any:
        left = super().get(key)
        return left.pop(0) if left else default


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
    assert scene.told == [
        line
        for number, nodes in ((1, "1 node"), (2, "2 nodes"), (3, "3 nodes"))
        for line in (
            f"Wave {number} of 3: {nodes}",
            f"Trying the gates on {nodes} before the change",
            f"Trying the gates on {nodes} after the change",
        )
    ]


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


def test_a_window_that_closes_while_the_last_nodes_are_under_way_stops_nothing(tmp_path):
    scene = gated(tmp_path, {}, window=parse_window("Mon 09:00-16:00 UTC"))
    scene.store.during_write = lambda node: setattr(scene, "now", scene.now + timedelta(hours=5 * (node == "shop5")))
    assert states(scene.run()) == ["done"] * 6
    assert scene.rollout.stopped is None
    assert ("shop5", True) in scene.prober.tried, "the gates are held against the last wave all the same"
    assert scene.log().ended_as == "done"


def test_a_window_that_closes_in_the_last_wave_does_not_hide_a_gate_that_fails(tmp_path):
    scene = gated(tmp_path, {("shop5", True): "failed"}, window=parse_window("Mon 09:00-16:00 UTC"))
    scene.store.during_write = lambda node: setattr(scene, "now", scene.now + timedelta(hours=5 * (node == "shop5")))
    assert states(scene.run()) == ["done"] * 6
    assert stopped(scene)[0] == "gate failed"


def test_gates_are_tried_again_after_the_pause(tmp_path):
    scene = gated(tmp_path, {}, pause=0.05)
    scene.prober.verdicts = Fading({("shop0", True): ["passed", "failed"]})
    assert states(scene.run()) == ["done"] + ["not_attempted"] * 5
    assert stopped(scene)[1] == "the run was stopped by a gate: page on shop0: it says so"
    assert scene.told[-1] == "Gate page failed on shop0: it says so"


def test_what_gates_find_in_an_interruption_is_not_held_to_be_how_it_was(tmp_path):
    scene = gated(tmp_path, {("shop0", False): "undecided", ("shop0", True): "failed"})
    scene.prober.on_try = scene.stop.set
    assert states(scene.run()) == ["not_attempted"] * 6
    scene.stop.clear()
    scene.prober.on_try = lambda: None
    scene.prober.verdicts = {("shop0", True): "failed"}
    assert states(scene.resume()) == ["done"] + ["not_attempted"] * 5
    assert stopped(scene)[0] == "gate failed"


def test_a_pause_can_be_interrupted(tmp_path):
    scene = Scene(tmp_path, Rules(waves=WAVES, pause=600), parallel=1)
    scene.store.during_write = lambda node: threading.Timer(0.1, scene.stop.set).start()
    assert states(scene.run()) == ["done"] + ["not_attempted"] * 5
    assert stopped(scene)[0] == "interrupted"
    assert "Pausing 600 s before the next wave, until 2026-11-23 12:10:00 UTC" in scene.told


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
    assert [line.split(", until ")[0] for line in scene.told[-4:]] == [
        "Pausing 0 s before the next wave",
        "Wave 2 of 3: 2 nodes",
        "Pausing 0 s before the next wave",
        "Wave 3 of 3: 3 nodes",
    ]


def test_it_is_told_which_nodes_are_tried_again(tmp_path):
    scene = Scene(tmp_path, Rules(), parallel=1)
    scene.store.refused = {"shop1": 9, "shop2": 9}
    scene.run()
    scene.resume()
    assert scene.told == ["Once more, as failed or not known before: 2 nodes: shop1, shop2"]


def test_a_node_that_is_left_out_of_a_run_does_not_let_others_slip_by_the_gates(tmp_path):
    scene = gated(tmp_path, {("shop1", True): "failed"})
    scene.run()
    scene.prober.verdicts = {("shop3", True): "failed"}
    outcomes = scene.resume(exclude=["shop0"])
    assert stopped(scene)[1] == "the run was stopped by a gate: page on shop3: it says so"
    assert states(outcomes).count("not_attempted") == 2


def test_a_gate_s_finding_is_told_with_the_address_of_its_node(tmp_path):
    class Shops(Pages):
        def try_on(self, node: str) -> Sequence[Finding]:
            return [replace(one, gate="http https://{node}.io/") for one in super().try_on(node)]

    shops = Shops(verdicts={("shop0", True): "failed"})
    scene = Scene(tmp_path, Rules(waves=WAVES), parallel=1, prober=shops)
    shops.scene = scene
    scene.run()
    assert "Gate http https://shop0.io/ failed on shop0: it says so" in scene.told
    assert stopped(scene)[1].endswith("http https://shop0.io/ on shop0: it says so")
    assert [list(found) for found in scene.log().past.probed.values()] == [["http https://{node}.io/"]]
