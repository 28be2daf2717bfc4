"""Carrying a plan out: in waves, within a failure budget, and by what the journal tells of an earlier part of the run.

It decides nothing but to stop. Every node of the run gets exactly one outcome, whatever happens: those of the plan, and
those that could not be read or are left out now. A node counts against the failure budget from when it fails until it
succeeds; nothing else gives its place back. What is done with a node is in `bring`.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal, Protocol

from hypernode.catalogue import Catalogue
from hypernode.errors import (
    HypernodeError,
    OutcomeUnknown,
    PlanIsStale,
    TokenRefused,
)
from hypernode.fleet.bring import OnLook, Options, Outcome, bring, open_changes
from hypernode.fleet.executors import LONGEST_SLEEP, as_they_end, first_to_end
from hypernode.fleet.gates import Finding, FlowsGate, judge
from hypernode.fleet.history import Past, RunLog
from hypernode.fleet.journal import NO_JOURNAL, Journal, NoJournal, State
from hypernode.fleet.managed import managed
from hypernode.fleet.plan import Change, Plan
from hypernode.fleet.stores import Reader, Store, read_nodes

DONE_BEFORE = "done before"
"""The reason of nodes that an earlier part of the run has done, and that are still so."""
_MOST_NAMED = 4
StopKind = Literal["interrupted", "journal", "token", "budget", "window", "gate failed", "gate undecided"]


@dataclass(frozen=True, slots=True)
class Stop:
    """Why a run begins no more nodes."""

    kind: StopKind
    reason: str
    details: str = ""
    """What the gate found, in addition to the reason."""

    def __str__(self) -> str:
        return f"{self.reason}: {self.details}" if self.details else self.reason


class Prober(Protocol):
    """Tries the gates on a node; see `hypernode.fleet.probes`."""

    def try_on(self, node: str) -> Sequence[Finding]:
        """Return what each gate finds now. Called from many threads."""


class Rollout:
    """One run of a plan, which was shown and agreed to.

    Args:
        plan: What to change, and by which rules.
        store: The way to the nodes.
        catalogue: Types the values that are read.
        executor: Runs the nodes; at most `options.parallel` are under way.
        options: See `Options`.
        lock_folder: Where the locks are that keep two runs from one node; one folder per API host.
        stop: Once it is set, no more nodes are begun.
        left_out: Outcomes of the nodes of the run that are not in the plan: they could not be read, or are not gone on
            with. They are told as they are, and count.
        on_look: Told a node and its flows after each look at them, from the thread that works on the node.
        journal: Where each step is written down before it is taken. When that fails, no more nodes are begun.
        past: What an earlier part of this run has left.
        prober: Tries the gates; None: there are none but `FlowsGate`.
        tell: Told in words which wave begins, and what gates find.
        now: The time of the wall clock, for windows and what is left of a pause.
    """

    def __init__(
        self,
        plan: Plan,
        store: Store,
        catalogue: Catalogue,
        executor: Executor,
        *,
        options: Options,
        lock_folder: Path,
        stop: threading.Event,
        left_out: Sequence[Outcome] = (),
        on_look: OnLook | None = None,
        journal: Journal | NoJournal = NO_JOURNAL,
        past: Past | None = None,
        prober: Prober | None = None,
        tell: Callable[[str], None] = lambda line: None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.stopped: Stop | None = None
        """Why no more nodes are begun; None: nothing stands in the way."""
        self._plan = plan
        self._changes = plan.by_node()
        self._store = store
        self._catalogue = catalogue
        self._executor = executor
        self._options = options
        self._lock_folder = lock_folder
        self._stop = stop
        self._on_look = on_look
        self._journal = journal
        self._past = past or Past()
        self._prober = prober
        self._tell = tell
        self._now = now
        self._left_out = left_out
        self._most = plan.rules.most_failures(len(self._changes) + len(left_out))
        states = {one.node: one.state for one in left_out}
        states |= {name: log.state for name, log in self._past.nodes.items() if name in self._changes}
        self._failed = {name for name, state in states.items() if state in ("failed", "unknown")}
        """Nodes of the run that failed or are unknown by now."""
        self._refused_token: str | None = None
        self._states: dict[str, State] = {}
        self._left: list[Outcome] = []
        self._running: dict[Future[Outcome], str] = {}
        """Nodes that are being changed."""
        self._probed = {node: dict(found) for node, found in self._past.probed.items()}

    @property
    def under_way(self) -> int:
        """How many nodes are being changed at the moment."""
        return sum(not task.done() for task in self._running)

    def outcomes(self) -> Iterator[Outcome]:
        """Carry the plan out, and yield an outcome for each node of the run as it is known."""
        yield from self._left_out
        yield from self._look_again()
        waves = self._plan.rules.divide(self._plan.order)
        for number, wave in enumerate(waves, 1):
            waiting = [node for node in wave if node not in self._states]
            if waiting and not self._must_stop(to_begin=True):
                if len(waves) > 1:
                    self._tell(f"Wave {number} of {len(waves)}: {_nodes(len(waiting))}")
                self._probe_before(waiting)
            yield from self._carry(waiting, self._bring)
            if not self._must_stop():
                self._hold(wave, waves[number] if number < len(waves) else ())
        yield from sorted(self._left, key=lambda outcome: outcome.node)

    def _look_again(self) -> Iterator[Outcome]:
        """Go on with the nodes that were begun before: those that were done are read, the others are finished.

        They come before all others. Those that failed give their place in the budget back when they succeed now, so
        they are begun though it is spent.
        """
        begun = [node for node in self._plan.order if node in self._past.nodes]
        over = [node for node in begun if self._past.nodes[node].state in ("done", "unchanged")]
        open_ends = [node for node in begun if self._past.nodes[node].state in ("failed", "unknown")]
        if open_ends:
            names = f": {', '.join(open_ends)}" if len(open_ends) <= _MOST_NAMED else ""
            self._tell(f"Once more, as failed or not known before: {_nodes(len(open_ends))}{names}")
        yield from self._carry(open_ends, self._bring, within_budget=False)
        yield from self._carry(over, self._verify, within_budget=False, written=False)

    def _carry(
        self,
        nodes: Iterable[str],
        work: Callable[[str], Outcome],
        *,
        within_budget: bool = True,
        written: bool = True,
    ) -> Iterator[Outcome]:
        """Do `work` with nodes side by side until something stops the run, and yield what becomes of each.

        Args:
            nodes: In the order in which they are begun.
            work: Runs on the executor.
            within_budget: Whether a spent failure budget stops them.
            written: Whether the journal is told of each end.
        """
        waiting = deque(nodes)
        running: dict[Future[Outcome], str] = {}
        self._running = running if written else {}
        try:
            while True:
                while (
                    waiting
                    and len(running) < self._options.parallel
                    and not self._must_stop(to_begin=written, within_budget=within_budget)
                ):
                    node = waiting.popleft()
                    running[self._executor.submit(work, node)] = node
                if self._must_stop(within_budget=within_budget):
                    # An executor with fewer workers has begun less than it was given.
                    waiting.extend(running.pop(task) for task in list(running) if task.cancel())
                if not running:
                    break
                for task in first_to_end(running):
                    outcome = self._outcome_of(task, running.pop(task))
                    if written:
                        self._note_end(outcome)
                    outcome = self._with_past(outcome)
                    self._count(outcome)
                    yield outcome
        finally:
            for task in running:
                task.cancel()
        self._left += [self._left_alone(node) for node in waiting]

    def _left_alone(self, node: str) -> Outcome:
        reason = self.stopped.reason if self.stopped else ""
        before = self._past.nodes.get(node)
        state: State = "not_attempted" if before is None else before.state
        self._states[node] = state
        if state != "not_attempted":
            reason = f"as it was left before, and not looked at again: {reason}"
        return Outcome(node, state, self._changes[node], reason=reason)

    def _outcome_of(self, task: Future[Outcome], node: str) -> Outcome:
        """Return what `task` returned; what a worker that died or stumbled has left behind is not known."""
        failure = task.exception()
        if failure is None:
            return task.result()
        error = OutcomeUnknown(
            f"hnctl itself failed at it ({type(failure).__name__}), and what the node has now is not known",
            hint="Look at it with `hnctl diff`; please report this",
            node=node,
        )
        error.__cause__ = failure
        return Outcome(node, "unknown", self._changes[node], error)

    def _with_past(self, outcome: Outcome) -> Outcome:
        """Return what became of a node over the whole run: a try that was refused leaves it as it was."""
        before = self._past.nodes.get(outcome.node)
        if outcome.state != "not_attempted" or before is None:
            return outcome
        return replace(outcome, state=before.state, reason="as it was left before, and not tried again")

    def _count(self, outcome: Outcome) -> None:
        self._states[outcome.node] = outcome.state
        if outcome.state in ("failed", "unknown"):
            self._failed.add(outcome.node)
        elif outcome.state in ("done", "unchanged"):
            self._failed.discard(outcome.node)
        if isinstance(outcome.error, TokenRefused):
            self._refused_token = outcome.node

    def _note_end(self, outcome: Outcome) -> None:
        self._journal.note(
            "node ended",
            node=outcome.node,
            state=outcome.state,
            error=None if outcome.error is None else outcome.error.message,
            reason=outcome.reason or None,
            flows=list(outcome.flows),
            seconds=round(outcome.seconds, 3),
        )

    def _must_stop(self, *, to_begin: bool = False, within_budget: bool = True) -> bool:
        """Tell whether no more nodes are to be begun; once something stops the run, that stays so.

        Args:
            to_begin: Whether there is one that is about to be begun. The window is about nothing else.
            within_budget: Whether the failure budget counts.
        """
        if self.stopped is None:
            self.stopped = self._find_stop(to_begin=to_begin, within_budget=within_budget)
        return self.stopped is not None

    def _find_stop(self, *, to_begin: bool, within_budget: bool) -> Stop | None:
        failures = len(self._failed)
        window = self._plan.rules.window
        if self._journal.failure is not None:
            return Stop("journal", f"the run was stopped: {self._journal.failure.message}")
        if self._stop.is_set():
            return Stop("interrupted", "the run was interrupted")
        if self._refused_token is not None:
            return Stop("token", f"the run was stopped: the API refuses the token of {self._refused_token}")
        if within_budget and self._most is not None and failures >= self._most:
            return Stop("budget", f"the run was stopped: {_nodes(failures)} failed (--max-failures)")
        if to_begin and window is not None and not window.is_open(self._now()):
            return Stop("window", f"the run is paused: nodes are begun {window} only (--window)")
        return None

    def _bring(self, node: str) -> Outcome:
        return bring(
            node,
            self._changes[node],
            self._store,
            self._catalogue,
            self._options,
            self._lock_folder,
            self._on_look,
            self._journal,
            self._past.nodes.get(node),
        )

    def _verify(self, node: str) -> Outcome:
        """Read a node that was done before; whatever it has now, it is not written again."""
        changes = self._changes[node]
        before = self._past.nodes[node]
        try:
            live = self._store.read(node, [change.setting for change in changes])
        except HypernodeError as exc:
            reason = f"done before; it could not be read now: {exc.message}"
        else:
            now = {
                change: managed(self._catalogue, change.setting).typed(live.get(change.setting)) for change in changes
            }
            moved = [
                Change(node, c.setting, value, c.desired, c.reference) for c, value in now.items() if value != c.desired
            ]
            words = "; ".join(f"{change.setting} is now {change.before}" for change in moved)
            reason = f"done before; somebody changed it since: {words}; left as it is" if moved else DONE_BEFORE
        return Outcome(node, before.state, changes, reason=reason, flows=before.flows, seconds=before.seconds or 0.0)

    # Between two waves

    def _hold(self, wave: Sequence[str], following: Sequence[str]) -> None:
        """Hold the gates against a wave that has ended, and pause before the next one if that has not begun."""
        left = self._plan.rules.pause
        if not self._past.passed.issuperset(wave):
            if not self._passes(wave):
                return
            self._journal.note("wave passed", nodes=list(wave))
        elif self._past.passed_at is not None:
            # Whatever the clock was set to meanwhile, it is neither longer than the pause nor shorter than nothing.
            left = min(max(left - (self._now() - self._past.passed_at).total_seconds(), 0.0), left)
        if not following or left <= 0 or any(node in self._past.nodes for node in following):
            return
        if self._must_stop(to_begin=True):
            return
        until = self._now().astimezone(UTC) + timedelta(seconds=left)
        self._tell(f"Pausing {left:.0f} s before the next wave, until {until:%Y-%m-%d %H:%M:%S} UTC")
        deadline = time.monotonic() + left
        while (left := deadline - time.monotonic()) > 0:
            if self._stop.wait(min(left, LONGEST_SLEEP)):
                return
        self._passes(wave)

    def _probe_before(self, nodes: Sequence[str]) -> None:
        """Try the gates on nodes that are about to be changed, so that what was wrong before is not held against us."""
        if self._prober is None or not nodes:
            return
        found = self._probe([node for node in nodes if node not in self._probed], "before the change")
        if self._stop.is_set():
            return  # what was found was perhaps that we were interrupted; nothing is changed now
        self._probed.update({node: {finding.gate: finding for finding in each} for node, each in found.items()})
        self._journal.note(
            "probed",
            nodes={node: [[each.gate, each.verdict, each.reason] for each in one] for node, one in found.items()},
        )

    def _probe(self, nodes: Sequence[str], when: str) -> dict[str, Sequence[Finding]]:
        """Return what the gates find on nodes; less when the run is interrupted."""
        if self._prober is None or not nodes:
            return {}
        self._tell(f"Trying the gates on {_nodes(len(nodes))} {when}")
        tasks = {self._executor.submit(self._prober.try_on, node): node for node in nodes}
        found = {}
        for task in as_they_end(tasks):
            if self._stop.is_set():
                for other in tasks:
                    other.cancel()
            if not task.cancelled():
                found[tasks[task]] = task.result()
        return found

    def _passes(self, wave: Sequence[str]) -> bool:
        """Tell whether a wave that has ended passes all gates; if not, the run is stopped."""
        touched = [node for node in wave if self._states.get(node) in ("done", "failed", "unknown")]
        findings = [
            Finding("flows", node, "failed", f"the node is {self._states[node]}")
            for node in touched
            if FlowsGate() in self._plan.rules.gates and self._states[node] != "done"
        ]
        for node, found in self._probe(touched, "after the change").items():
            findings += [judge(self._probed.get(node, {}).get(each.gate), each) for each in found]
        if self._must_stop():
            return False
        bad = [finding for finding in findings if finding.verdict != "passed"]
        for finding in bad:
            self._tell(f"Gate {finding.shown} {finding.verdict} on {finding.node}: {finding.reason}")
            self._journal.note(
                "gate", node=finding.node, gate=finding.gate, verdict=finding.verdict, reason=finding.reason
            )
        if not bad:
            return True
        worst = next((finding for finding in bad if finding.verdict == "failed"), bad[0])
        more = f", and {len(bad) - 1} more" if len(bad) > 1 else ""
        what = f"{worst.shown} on {worst.node}: {worst.reason}{more}"
        self.stopped = (
            Stop("gate failed", "the run was stopped by a gate", what)
            if worst.verdict == "failed"
            else Stop("gate undecided", "the run is paused, as a gate could not decide", what)
        )
        return False


def _nodes(count: int) -> str:
    return f"{count} node{'s' * (count != 1)}"


def left_out(log: RunLog, whole: Plan, plan: Plan, reasons: Mapping[str, str] | None = None) -> list[Outcome]:
    """Return the outcomes of the nodes of a run that are not gone on with: they are as the run has left them.

    Args:
        log: The run.
        whole: Its plan, read back.
        plan: The part of it that is gone on with.
        reasons: Why, where it is not just because somebody said so.
    """
    changes, chosen, reasons = whole.by_node(), set(plan.nodes), reasons or {}
    usual = "left out, and as it was left before"
    return [
        Outcome(
            name,
            node.state,
            changes[name],
            reason=reasons.get(name, usual),
            flows=node.flows,
            seconds=node.seconds or 0.0,
        )
        if name in changes
        else Outcome(name, node.state, error=HypernodeError(node.error or "", node=name))
        for name, node in log.nodes.items()
        if name not in chosen
    ]


def check_fresh(plan: Plan, reader: Reader, catalogue: Catalogue, executor: Executor) -> None:
    """Read all nodes of a plan that was made earlier, and refuse it as a whole when one has moved.

    Nodes that cannot be read are left to `apply`, which reads each again.

    Raises:
        PlanIsStale: Names every node that moved.
    """
    by_node = plan.by_node()
    wanted = {change.setting for change in plan.changes}
    live, _ = read_nodes(
        reader,
        by_node,
        executor,
        keep=lambda _, detail: {name: detail.get(name) for name in wanted},
        names=lambda node: [change.setting for change in by_node[node]],
    )
    moved = []
    for node, now in live.items():
        try:
            open_changes(by_node[node], now, catalogue)
        except PlanIsStale as exc:
            moved.append(f"{node}: {exc.message}")
    if moved:
        raise PlanIsStale(
            "the plan is stale; nothing was written:\n" + "\n".join(f"  - {text}" for text in moved),
            hint="Make a new plan, or leave these nodes out with --exclude",
        )
