"""Carrying a plan out: no node is written twice, none that moved is written at all, and each has one outcome."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from memory_store import RUNNING, Answers, MemoryReader, MemoryStore, OneWorker
from strategies import CANARY, CATALOGUE, fleets

from hypernode.errors import (
    ConnectionFailed,
    FlowFailed,
    FlowTimedOut,
    HypernodeError,
    NodeIsBusy,
    NotApplied,
    NoToken,
    OutcomeUnknown,
    PlanIsStale,
    Rejected,
)
from hypernode.fleet.bring import OnLook, Options, Outcome
from hypernode.fleet.journal import STATES
from hypernode.fleet.node_locks import locked
from hypernode.fleet.plan import Plan, make_plan
from hypernode.fleet.rollout import Rollout, check_fresh
from hypernode.fleet.rules import Rules
from hypernode.fleet.shares import Share
from hypernode.secrets import Secret


@pytest.fixture
def locks(tmp_path: Path) -> Path:
    return tmp_path / "state" / "locks"


@pytest.fixture(scope="module")
def shared_locks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("locks")


def shops(count: int) -> Answers:
    return {f"shop{n}": {"php_version": "8.2", "varnish_enabled": False, "ip": "192.0.2.1"} for n in range(count)}


def plan_for(nodes: Answers, **wishes: Any) -> Plan:
    """Return a plan that wishes the same for all `nodes`; a newer PHP when nothing is said."""
    return make_plan(nodes, dict.fromkeys(nodes, wishes or {"php_version": "8.3"}), CATALOGUE)


class Noting(Executor):
    """Hands nodes on to `executor`, and notes the name of each."""

    def __init__(self, executor: Executor, events: list[str | Outcome]) -> None:
        self._executor = executor
        self._events = events

    def submit(self, task: Any, /, node: Any, *args: Any, **more: Any) -> Future[Any]:
        self._events.append(node)
        return self._executor.submit(task, node, *args, **more)


@dataclass
class Run:
    """A rollout, and in which order its nodes were begun and ended."""

    plan: Plan
    store: MemoryStore
    locks: Path
    options: Options = field(default_factory=Options)
    workers: int | None = None
    """Threads of the executor; None: as many as nodes may be under way."""
    stop: threading.Event = field(default_factory=threading.Event)
    events: list[str | Outcome] = field(default_factory=list)
    """The name of each node when it is begun, and each outcome."""
    on_look: OnLook | None = None
    budget: Share | None = None

    def outcomes(self, *, unread: int = 0) -> dict[str, Outcome]:
        """Return what becomes of the nodes of the plan, where so many others could not be read."""
        with ThreadPoolExecutor(self.workers or self.options.parallel) as executor:
            for outcome in self.iterate(executor, unread=unread):
                self.events.append(outcome)
        told = [event for event in self.events if isinstance(event, Outcome)]
        others = [outcome.node for outcome in told[:unread]]
        nodes = sorted([*self.plan.nodes, *others])
        assert sorted(outcome.node for outcome in told) == nodes, "not one outcome for each node"
        self.events = [event for event in self.events if not isinstance(event, Outcome) or event.node not in others]
        return {outcome.node: outcome for outcome in told if outcome.node not in others}

    def iterate(self, executor: ThreadPoolExecutor, *, unread: int = 0) -> Iterator[Outcome]:
        return Rollout(
            replace(self.plan, rules=Rules(max_failures=self.budget)),
            self.store,
            CATALOGUE,
            Noting(executor, self.events),
            options=self.options,
            lock_folder=self.locks,
            stop=self.stop,
            left_out=[Outcome(f"other{n}", "failed", error=ConnectionFailed("no")) for n in range(unread)],
            on_look=self.on_look,
        ).outcomes()

    @property
    def begun(self) -> list[str]:
        return [event for event in self.events if isinstance(event, str)]

    @property
    def under_way(self) -> list[int]:
        """How many nodes were begun and not told of yet, after each event."""
        counts = [0]
        for event in self.events:
            if isinstance(event, str):
                counts.append(counts[-1] + 1)
            elif event.node in self.begun:
                counts.append(counts[-1] - 1)
        return counts


def bring_one(locks: Path, nodes: Answers | None = None, *, options: Options | None = None, **wrong: Any) -> Outcome:
    """Return what becomes of ``shop0``, which is planned to have PHP 8.3, when `wrong` (see `MemoryStore`) happens."""
    planned = shops(1)
    store = MemoryStore(nodes or shops(1), **wrong)
    run = Run(plan_for(planned), store, locks, options or Options(parallel=1))
    outcome = run.outcomes()["shop0"]
    assert [change.setting for change in outcome.changes] == ["php_version"]
    assert len(store.writes) <= 1
    return outcome


def states(outcomes: dict[str, Outcome]) -> dict[str, str]:
    return {node: outcome.state for node, outcome in outcomes.items()}


# One write per node


def test_a_node_is_written_once_with_all_of_its_changes(locks):
    store = MemoryStore(shops(2))
    plan = plan_for(store.nodes, php_version="8.3", varnish_enabled=True, nodejs_version="20")
    outcomes = Run(plan, store, locks).outcomes()
    assert sorted(store.writes) == [
        (node, {"nodejs_version": "20", "php_version": "8.3", "varnish_enabled": True}) for node in ("shop0", "shop1")
    ]
    assert states(outcomes) == {"shop0": "done", "shop1": "done"}
    assert outcomes["shop1"].flows == ("flow-of-shop1",)
    assert outcomes["shop1"].changes == plan.by_node()["shop1"]
    assert outcomes["shop1"].error is None
    assert outcomes["shop1"].seconds >= 0


@settings(max_examples=60, deadline=None)
@given(drawn=fleets(), parallel=st.integers(1, 4))
def test_a_rollout_gives_every_node_its_wished_settings_and_touches_nothing_else(shared_locks, drawn, parallel):
    plan = make_plan(drawn.answers, drawn.desired, CATALOGUE, references=drawn.references)
    store = MemoryStore({node: dict(values) for node, values in drawn.answers.items()})
    outcomes = Run(plan, store, shared_locks, Options(parallel=parallel)).outcomes()
    assert set(states(outcomes).values()) <= {"done"}
    expected = {node: dict(values) for node, values in drawn.answers.items()}
    for change in plan.changes:
        value = change.desired
        expected[change.node][change.setting] = value.reveal() if isinstance(value, Secret) else value
    assert store.nodes == expected
    assert sorted(node for node, _ in store.writes) == list(plan.nodes)
    assert CANARY not in repr(outcomes)


def test_a_plan_without_changes_reads_and_writes_nothing(locks):
    store = MemoryStore(shops(2))
    assert Run(plan_for(store.nodes, php_version="8.2"), store, locks).outcomes() == {}
    assert store.reads == []


def test_a_node_that_is_as_wished_by_now_is_unchanged_and_not_written(locks):
    planned, store = shops(2), MemoryStore(shops(2))
    store.nodes["shop0"]["php_version"] = "8.3"
    outcomes = Run(plan_for(planned), store, locks).outcomes()
    assert states(outcomes) == {"shop0": "unchanged", "shop1": "done"}
    assert store.writes == [("shop1", {"php_version": "8.3"})]


def test_of_a_node_that_has_part_of_its_wishes_by_now_only_the_rest_is_written(locks):
    planned, store = shops(1), MemoryStore(shops(1))
    store.nodes["shop0"]["varnish_enabled"] = "true"
    outcomes = Run(plan_for(planned, php_version="8.3", varnish_enabled=True), store, locks).outcomes()
    assert states(outcomes) == {"shop0": "done"}
    assert store.writes == [("shop0", {"php_version": "8.3"})]
    assert len(outcomes["shop0"].changes) == 2


def test_timeout_and_interval_are_those_of_the_options(locks):
    store = MemoryStore(shops(1))
    Run(plan_for(store.nodes), store, locks, Options(timeout=12.0, interval=0.5)).outcomes()
    assert store.waits == [(12.0, 0.5)]


# Nodes that are left alone


def test_a_node_that_moved_is_not_written_and_told_with_all_that_moved(locks):
    planned, store = shops(3), MemoryStore(shops(3))
    store.nodes["shop1"] |= {"php_version": "8.1", "varnish_enabled": "maybe"}
    plan = plan_for(planned, php_version="8.3", varnish_enabled=True, nodejs_version="20")
    outcomes = Run(plan, store, locks).outcomes()
    assert states(outcomes) == {"shop0": "done", "shop1": "not_attempted", "shop2": "done"}
    error = outcomes["shop1"].error
    assert isinstance(error, PlanIsStale)
    assert str(error) == (
        "shop1: the node changed since the plan was made: php_version is now 8.1; varnish_enabled is now maybe; "
        "nothing was changed on it"
    )
    assert error.hint == "Make a new plan, which shows what it has now, or leave it out with --exclude"
    assert "shop1" not in dict(store.writes)


def test_a_secret_that_moved_is_told_without_its_value(locks):
    planned, store = {"shop0": {"new_relic_secret": "canary-old"}}, MemoryStore({"shop0": {}})
    store.nodes["shop0"]["new_relic_secret"] = "canary-other"
    plan = plan_for(planned, new_relic_secret=Secret("canary-new"))
    error = Run(plan, store, locks).outcomes()["shop0"].error
    assert "new_relic_secret is now (secret)" in str(error)
    assert CANARY not in repr(error)
    assert store.writes == []


def test_a_running_flow_keeps_a_node_from_being_written(locks):
    outcome = bring_one(locks, busy={"shop0": RUNNING})
    assert outcome.state == "not_attempted"
    assert isinstance(outcome.error, NodeIsBusy)
    assert str(outcome.error) == "shop0: the flow update_node is running; nothing was changed"
    assert (
        outcome.error.hint == "Wait for it (hnctl flows watch; on the node: livelog), or allow it with --ignore-running"
    )


def test_a_flow_that_has_not_started_stands_in_the_way_too(locks):
    assert "xgrade_app is about to start" in str(bring_one(locks, busy={"shop0": "xgrade_app is about to start"}).error)


def test_a_node_with_a_running_flow_is_written_if_that_is_allowed(locks):
    assert bring_one(locks, busy={"shop0": RUNNING}, options=Options(ignore_running=True)).state == "done"


def test_a_running_flow_is_no_matter_when_there_is_nothing_to_write(locks):
    nodes = {"shop0": {"php_version": "8.3"}}
    assert bring_one(locks, nodes, busy={"shop0": RUNNING}).state == "unchanged"


_HOLD = """
import sys
from filelock import FileLock
with FileLock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_node_that_another_process_is_changing_is_left_alone_until_that_ends(locks):
    locks.mkdir(parents=True)
    plan, store = plan_for(shops(2)), MemoryStore(shops(2))
    argv = [sys.executable, "-c", _HOLD, str(locks / "shop0.lock")]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        outcomes = Run(plan, store, locks).outcomes()
    assert states(outcomes) == {"shop0": "not_attempted", "shop1": "done"}
    error = outcomes["shop0"].error
    assert isinstance(error, NodeIsBusy)
    assert str(error) == "shop0: another hnctl on this machine is changing the node; nothing was changed"
    assert "shop0" not in store.reads
    assert states(Run(plan, store, locks).outcomes()) == {"shop0": "done", "shop1": "unchanged"}


def test_who_holds_the_lock_is_named_and_who_was_killed_is_told(
    locks: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    owner = {"who": "jan@laptop", "pid": 7, "run": "r1"}
    with locked("shop0", locks, owner):
        error = bring_one(locks).error
        kept = (locks / "shop0.owner").read_text()
    assert str(error).startswith("shop0: another hnctl on this machine (jan@laptop, pid 7, run r1, since 20")
    assert not (locks / "shop0.owner").exists()
    (locks / "shop0.owner").write_text(kept)  # as after a kill -9
    assert bring_one(locks).state == "done"
    assert "shop0: jan@laptop, pid 7, run r1, since 20" in caplog.text
    assert "was ended in the middle of it; its lock is taken over" in caplog.text
    (locks / "shop0.owner").write_text("odd")
    assert bring_one(locks).state == "done"


def test_a_node_whose_lock_cannot_be_taken_is_left_alone(tmp_path):
    (tmp_path / "file").write_text("")
    outcome = bring_one(tmp_path / "file" / "locks")
    assert outcome.state == "not_attempted"
    assert isinstance(outcome.error, NodeIsBusy)
    assert str(outcome.error).endswith("shop0.lock cannot be taken: Not a directory; nothing was changed")


def test_the_lock_is_given_back_however_the_node_ends(locks):
    bring_one(locks, refused={"shop0": RuntimeError("a bug")})
    bring_one(locks, ended={"shop0": FlowFailed("reverted")})
    assert bring_one(locks).state == "done"
    assert (locks.stat().st_mode & 0o777) == 0o700


# What becomes of a node

REJECTED = Rejected("refused", status=400)


@pytest.mark.parametrize(
    ("wrong", "state"),
    [
        ({"broken": ConnectionFailed("no route")}, "failed"),
        ({"broken": NoToken("no token")}, "failed"),
        ({"refused": REJECTED}, "failed"),
        ({"refused": NoToken("no token")}, "failed"),
        ({"refused": OutcomeUnknown("the answer was lost")}, "unknown"),
        ({"ended": FlowFailed("reverted")}, "failed"),
        ({"ended": NotApplied("still 8.2")}, "failed"),
        ({"ended": FlowTimedOut("not done")}, "unknown"),
        ({"ended": OutcomeUnknown("cannot be watched")}, "unknown"),
        ({"ended": ConnectionFailed("no route")}, "unknown"),
        ({"ended": NoToken("no token")}, "unknown"),
    ],
    ids=str,
)
def test_each_error_becomes_the_outcome_that_is_true_of_the_node(locks, wrong, state):
    ((step, error),) = wrong.items()
    outcome = bring_one(locks, **{step: {"shop0": error}})
    assert (outcome.state, outcome.error) == (state, error)
    assert outcome.error is not None
    assert outcome.error.node == "shop0"
    assert outcome.reason == ""


@pytest.mark.parametrize("step", ["broken", "refused", "ended"])
def test_an_error_that_nobody_foresaw_leaves_its_node_unknown_and_the_others_their_outcomes(locks, step):
    bug = ZeroDivisionError("canary-in-a-message")
    store = MemoryStore(shops(5), **{step: {"shop2": bug}})
    outcomes = Run(plan_for(store.nodes), store, locks, Options(parallel=2)).outcomes()
    assert states(outcomes) == {
        "shop0": "done",
        "shop1": "done",
        "shop2": "unknown",
        "shop3": "done",
        "shop4": "done",
    }
    error = outcomes["shop2"].error
    assert isinstance(error, OutcomeUnknown)
    assert error.__cause__ is bug
    assert str(error) == (
        "shop2: hnctl itself failed at it (ZeroDivisionError), and what the node has now is not known"
    )


# How many at once


@pytest.mark.parametrize("parallel", [1, 3])
def test_as_many_nodes_as_allowed_are_under_way_and_never_more(locks, parallel):
    # Each write waits until `parallel` of them have met, so that with fewer at once the run would break.
    meeting = threading.Barrier(parallel, timeout=20)
    store = MemoryStore(shops(parallel * 3), during_write=lambda node: meeting.wait())
    run = Run(plan_for(store.nodes), store, locks, Options(parallel=parallel), workers=parallel + 5)
    assert set(states(run.outcomes()).values()) == {"done"}
    assert store.most_at_once == parallel
    assert max(run.under_way) == parallel


def test_nodes_are_begun_in_the_order_of_the_plan(locks):
    run = Run(plan_for(shops(7)), MemoryStore(shops(7)), locks, Options(parallel=2))
    run.outcomes()
    assert run.begun == list(run.plan.nodes)


def test_what_each_look_at_a_flow_saw_is_told_with_the_name_of_the_node(locks):
    seen: list[tuple[str, list[str]]] = []
    run = Run(plan_for(shops(3)), MemoryStore(shops(3)), locks)
    run.on_look = lambda node, flows: seen.append((node, [flow.uuid for flow in flows]))
    run.outcomes()
    assert sorted(seen) == [(f"shop{n}", [f"flow-of-shop{n}"]) for n in range(3)]


# The failure budget


def failing(count: int, of: int) -> MemoryStore:
    """Return a store whose first `count` of `of` nodes refuse to be written."""
    first = sorted(shops(of))[:count]
    return MemoryStore(shops(of), refused={node: Rejected("refused", status=400) for node in first})


@pytest.mark.parametrize(
    ("share", "of", "allowed"),
    [
        (Share(1), 10, 1),
        (Share(3), 10, 3),
        (Share(10), 10, 10),
        (Share(1, True), 10, 1),  # a tenth of a node, rounded up
        (Share(10, True), 10, 1),
        (Share(11, True), 10, 2),
        (Share(7, True), 100, 7),  # 0.07 * 100 is a little more than 7 for a float
        (Share(50, True), 5, 3),
        (Share(100, True), 10, 10),
        (Share(0), 10, 1),  # none may fail: the first that does ends the run
        (Share(0, True), 10, 1),
    ],
    ids=str,
)
def test_the_run_goes_on_below_the_failure_budget_and_ends_at_it(locks, share, of, allowed):
    options = Options(parallel=1)
    below = Run(plan_for(shops(of)), failing(allowed - 1, of), locks, options, budget=share)
    assert list(states(below.outcomes()).values()) == ["failed"] * (allowed - 1) + ["done"] * (of - allowed + 1)
    at = Run(plan_for(shops(of)), failing(allowed, of), locks, options, budget=share)
    outcomes = at.outcomes()
    assert len(at.begun) == allowed
    reason = f"the run was stopped: {allowed} node{'s' * (allowed != 1)} failed (--max-failures)"
    for node, outcome in outcomes.items():
        assert (outcome.state, outcome.reason) == (("failed", "") if node in at.begun else ("not_attempted", reason))
        assert (node in dict(at.store.writes)) is (node in at.begun)
    above = Run(plan_for(shops(of)), failing(of, of), locks, options, budget=share)
    above.outcomes()
    assert len(above.begun) == allowed


def test_without_a_budget_every_node_is_attempted(locks):
    run = Run(plan_for(shops(20)), failing(20, 20), locks)
    assert set(states(run.outcomes()).values()) == {"failed"}


def test_nodes_that_could_not_be_read_count_before_the_first_is_begun(locks):
    options = Options(parallel=1)
    assert len(Run(plan_for(shops(5)), MemoryStore(shops(5)), locks, options, budget=Share(3)).outcomes(unread=2)) == 5
    at = Run(plan_for(shops(5)), MemoryStore(shops(5)), locks, options, budget=Share(3))
    assert {outcome.reason for outcome in at.outcomes(unread=3).values()} == {
        "the run was stopped: 3 nodes failed (--max-failures)"
    }
    assert at.begun == []
    # 30% of the 5 nodes of the plan and the 5 that could not be read are 3.
    percent = Run(plan_for(shops(5)), failing(2, 5), locks, Options(parallel=1), budget=Share(30, True))
    percent.outcomes(unread=2)
    assert len(percent.begun) == 1


@pytest.mark.parametrize("error", [FlowTimedOut("not done"), OutcomeUnknown("lost")])
def test_a_node_of_unknown_outcome_counts_as_failed(locks, error):
    store = MemoryStore(shops(3), ended={"shop0": error})
    run = Run(plan_for(store.nodes), store, locks, Options(parallel=1), budget=Share(1))
    assert list(states(run.outcomes()).values()) == ["unknown", "not_attempted", "not_attempted"]


def test_a_node_that_was_left_alone_does_not_count_as_failed(locks):
    store = MemoryStore(shops(3), busy={"shop0": RUNNING, "shop1": RUNNING})
    run = Run(plan_for(store.nodes), store, locks, Options(parallel=1), budget=Share(1))
    assert list(states(run.outcomes()).values()) == ["not_attempted", "not_attempted", "done"]


@settings(max_examples=60, deadline=None)
@given(
    fails=st.lists(st.booleans(), min_size=1, max_size=25),
    share=st.integers(1, 6).map(Share) | st.integers(1, 100).map(lambda n: Share(n, True)),
    parallel=st.integers(1, 5),
    before=st.integers(0, 3),
)
@example(fails=[True] * 12, share=Share(3), parallel=4, before=0)
def test_no_more_fail_than_the_budget_and_those_under_way_and_none_is_begun_after_it(
    shared_locks, fails, share, parallel, before
):
    store = MemoryStore(shops(len(fails)))
    names = sorted(store.nodes)
    store.refused = {n: Rejected("no", status=400) for n, fail in zip(names, fails, strict=True) if fail}
    run = Run(plan_for(store.nodes), store, shared_locks, Options(parallel=parallel), budget=share)
    outcomes = run.outcomes(unread=before)
    total = len(fails) + before
    budget = -(-share.number * total // 100) if share.percent else share.number
    failed = [node for node, outcome in outcomes.items() if outcome.state == "failed"]
    assert before + len(failed) <= max(before, budget + parallel - 1)
    count = before
    for event in run.events:
        if isinstance(event, Outcome):
            count += event.state == "failed"
        else:
            assert count < budget, "begun after the budget was used up"
    assert max(run.under_way) <= parallel
    if before + sum(fails) < budget:
        assert run.begun == names


# Stopping


def test_after_a_stop_no_more_nodes_are_begun_and_those_under_way_are_finished(locks):
    stop = threading.Event()
    meeting = threading.Barrier(2, timeout=20)

    def during_write(node: str) -> None:
        meeting.wait()
        stop.set()

    store = MemoryStore(shops(6), during_write=during_write)
    run = Run(plan_for(store.nodes), store, locks, Options(parallel=2), stop=stop)
    outcomes = run.outcomes()
    assert run.begun == ["shop0", "shop1"]
    assert list(states(outcomes).values()) == ["done", "done"] + ["not_attempted"] * 4
    assert {outcome.reason for outcome in list(outcomes.values())[2:]} == {"the run was interrupted"}
    assert all(outcome.error is None for outcome in outcomes.values())


def test_a_stop_before_the_start_leaves_every_node_alone(locks):
    run = Run(plan_for(shops(3)), MemoryStore(shops(3)), locks)
    run.stop.set()
    assert set(states(run.outcomes()).values()) == {"not_attempted"}
    assert run.store.reads == []


def test_nodes_that_wait_for_a_worker_are_taken_back_when_the_run_stops(locks):
    run = Run(plan_for(shops(6)), failing(6, 6), locks, Options(parallel=4), budget=Share(1))
    at_second = threading.Event()
    with OneWorker() as executor:

        def during_write(node: str) -> None:
            # The worker is kept at the second node until the ones after it have been taken back.
            if node == "shop1":
                at_second.set()
                assert executor.taken_back.wait(20)

        run.store.during_write = during_write
        outcomes = run.iterate(executor)
        first = next(outcomes)
        assert at_second.wait(20)
        told = {outcome.node: outcome.state for outcome in [first, *outcomes]}
    assert told == {"shop0": "failed", "shop1": "failed"} | {f"shop{n}": "not_attempted" for n in range(2, 6)}
    assert [node for node, _ in run.store.writes] == ["shop0", "shop1"]


def test_when_nobody_listens_any_more_nothing_is_begun(locks):
    entered, go_on = threading.Event(), threading.Event()

    def during_write(node: str) -> None:
        if node == "shop1":
            entered.set()
            assert go_on.wait(20)

    store = MemoryStore(shops(5), during_write=during_write)
    run = Run(plan_for(store.nodes), store, locks, Options(parallel=4))
    with ThreadPoolExecutor(1) as executor:
        outcomes = run.iterate(executor)
        assert next(outcomes).node == "shop0"
        assert entered.wait(20)
        outcomes.close()
        go_on.set()
    assert [node for node, _ in store.writes] == ["shop0", "shop1"]


# Every node in exactly one outcome, whatever happens

Fault = Callable[[MemoryStore, str], object]
FAULTS: dict[str, tuple[Fault, str, bool]] = {
    "none": (lambda store, node: None, "done", True),
    "as wished": (lambda store, node: store.nodes[node].update(php_version="8.3"), "unchanged", False),
    "moved": (lambda store, node: store.nodes[node].update(php_version="7.4"), "not_attempted", False),
    "busy": (lambda store, node: store.busy.update({node: RUNNING}), "not_attempted", False),
    "unreadable": (lambda store, node: store.broken.update({node: ConnectionFailed("no")}), "failed", False),
    "refused": (lambda store, node: store.refused.update({node: Rejected("no", status=400)}), "failed", True),
    "lost": (lambda store, node: store.refused.update({node: OutcomeUnknown("lost")}), "unknown", True),
    "reverted": (lambda store, node: store.ended.update({node: FlowFailed("no")}), "failed", True),
    "slow": (lambda store, node: store.ended.update({node: FlowTimedOut("slow")}), "unknown", True),
    "bug": (lambda store, node: store.broken.update({node: KeyError("x")}), "unknown", False),
}
"""What goes wrong with a node, its outcome once it is begun, and whether it is written."""


@settings(max_examples=80, deadline=None)
@given(
    faults=st.lists(st.sampled_from(sorted(FAULTS)), max_size=12),
    share=st.none() | st.integers(1, 5).map(Share),
    parallel=st.integers(1, 4),
    workers=st.integers(1, 5),
    stop_after=st.none() | st.integers(0, 12),
)
def test_every_node_has_exactly_one_outcome_and_the_one_that_is_true(
    shared_locks, faults, share, parallel, workers, stop_after
):
    store = MemoryStore(shops(len(faults)))
    plan = plan_for(store.nodes)
    for node, fault in zip(store.nodes, faults, strict=True):
        FAULTS[fault][0](store, node)
    run = Run(plan, store, shared_locks, Options(parallel=parallel), budget=share, workers=workers)

    def stop_in_time(node: str) -> None:
        if len(store.writes) == stop_after:
            run.stop.set()

    store.during_write = stop_in_time
    outcomes = run.outcomes()
    written = [node for node, _ in store.writes]
    assert len(written) == len(set(written))
    for node, fault in zip(shops(len(faults)), faults, strict=True):
        outcome = outcomes[node]
        assert outcome.state in STATES
        assert outcome.changes == plan.by_node()[node]
        if outcome.reason:
            assert (outcome.state, outcome.error, node in written) == ("not_attempted", None, False)
        else:
            assert (outcome.state, node in written) == FAULTS[fault][1:]
            assert (outcome.error is None) == (outcome.state in ("done", "unchanged"))
            assert outcome.error is None or outcome.error.node == node
    if share is None and not run.stop.is_set():
        assert not any(outcome.reason for outcome in outcomes.values())


# Plans that were made earlier


def fresh_or_error(plan: Plan, reader: MemoryReader) -> HypernodeError | None:
    with ThreadPoolExecutor(3) as executor:
        try:
            check_fresh(plan, reader, CATALOGUE, executor)
        except PlanIsStale as exc:
            return exc
    return None


def test_a_plan_is_refused_as_a_whole_with_every_node_that_moved():
    now = MemoryReader({**shops(3), "a": {"php_version": "8.2"}, "b": {"php_version": "8.2"}})
    plan = plan_for(now.nodes)
    now.nodes["a"] = {"php_version": "8.1"}
    now.nodes["shop1"] = {}
    assert str(fresh_or_error(plan, now)) == (
        "the plan is stale; nothing was written:\n"
        "  - a: the node changed since the plan was made: php_version is now 8.1; nothing was changed on it\n"
        "  - shop1: the node changed since the plan was made: php_version is now not set; nothing was changed on it"
    )


def test_a_plan_is_fresh_while_nodes_are_as_they_were_or_as_wished():
    now = MemoryReader(shops(3))
    plan = plan_for(now.nodes, php_version="8.3", varnish_enabled=True)
    assert fresh_or_error(plan, now) is None
    now.nodes["shop0"] |= {"php_version": "8.3", "varnish_enabled": "True", "nodejs_version": "6"}
    assert fresh_or_error(plan, now) is None
    assert sorted(now.reads) == ["shop0", "shop0", "shop1", "shop1", "shop2", "shop2"]


def test_nodes_that_cannot_be_read_are_left_to_the_rollout():
    now = MemoryReader(shops(3), broken={"shop0": ConnectionFailed("no route")})
    plan = plan_for(now.nodes)
    assert fresh_or_error(plan, now) is None
    now.nodes["shop2"]["php_version"] = "7.4"
    assert "shop2" in str(fresh_or_error(plan, now))
    assert "shop0" not in str(fresh_or_error(plan, now))


@settings(max_examples=60, deadline=None)
@given(fleets(), fleets())
def test_a_plan_is_stale_exactly_when_a_planned_setting_is_neither_as_it_was_nor_as_wished(drawn, later):
    plan = make_plan(drawn.answers, drawn.desired, CATALOGUE, references=drawn.references)
    now = {node: later.plain.get(node, drawn.plain[node]) for node in drawn.plain}
    moved = {
        node
        for node, wishes in drawn.wished.items()
        for name, value in wishes.items()
        if drawn.plain[node].get(name) != value and now[node].get(name) not in (value, drawn.plain[node].get(name))
    }
    error = fresh_or_error(plan, MemoryReader(now))
    told = {line.removeprefix("  - ").partition(":")[0] for line in str(error or "").splitlines()[1:]}
    assert told == moved
