"""One run over nodes in memory in several parts, as a user goes on with it, in any order of completion."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from memory_store import MemoryStore
from strategies import CATALOGUE

from hypernode.errors import HypernodeError, Rejected
from hypernode.fleet.bring import Options, Outcome
from hypernode.fleet.history import Past, RunLog, find_run, read_run
from hypernode.fleet.journal import Journal, run_state
from hypernode.fleet.plan import Plan, make_plan
from hypernode.fleet.planfile import dump
from hypernode.fleet.rollout import Rollout, left_out
from hypernode.fleet.rules import Rules

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
    unread: Collection[str] = ()
    """Nodes that could not be read when the run was planned."""
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
        unread = dict.fromkeys(self.unread, "no route")
        journal.begin(
            who="jan@laptop",
            host="laptop",
            pid=7,
            job=None,
            message=None,
            plan=dump(self.plan, api_url="https://api.example", unread=unread),
            folder="/",
            file=None,
            digest=None,
            rolls_back=None,
        )
        failed = [Outcome(node, "failed", error=HypernodeError(why)) for node, why in unread.items()]
        return self._carry_out(journal, self.plan, None, failed)

    def resume(self, *, exclude: Collection[str] = ()) -> dict[str, Outcome]:
        """Go on with it."""
        log = self.log()
        journal, _ = Journal.reopen(find_run(self.runs, "last"))
        journal.go_on(salt=log.salt, who="piet@laptop", host="laptop", pid=8, job=None, message=None)
        part = self.plan.without(exclude)
        return self._carry_out(journal, part, log.past, left_out(log, self.plan, part))

    def log(self) -> RunLog:
        return read_run(find_run(self.runs, "last"))

    def _carry_out(
        self, journal: Journal, part: Plan, past: Past | None, left_out: Sequence[Outcome]
    ) -> dict[str, Outcome]:
        with Shuffling(self.seed) as executor:
            self.rollout = Rollout(
                part,
                self.store,
                CATALOGUE,
                executor,
                options=Options(parallel=self.parallel),
                lock_folder=self.folder / "locks",
                stop=self.stop,
                left_out=left_out,
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
        kind = None if self.rollout.stopped is None else self.rollout.stopped.kind
        journal.note("run ended", state=run_state([one.state for one in outcomes], kind))
        journal.close()
        told = sorted(one.node for one in outcomes)
        assert told == sorted([*self.plan.nodes, *self.unread]), "not one outcome for each node of the run"
        return {one.node: one for one in outcomes}

    def refuse(self, *nodes: str) -> None:
        self.store.refused = {node: Rejected("no", status=400) for node in nodes}

    @property
    def written(self) -> list[str]:
        return [node for node, _ in self.store.writes]


def states(outcomes: dict[str, Outcome]) -> list[str]:
    return [outcome.state for _, outcome in sorted(outcomes.items())]
