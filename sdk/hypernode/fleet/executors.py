"""Waiting for work on other threads so that a signal is always heard.

Python runs its signal handlers on the main thread, between two steps of it. A signal that comes in just before that
thread blocks, or that the system hands to another thread, does not wake it up: a Ctrl-C would be heard only when the
next node ends, and that can be minutes. So nothing here blocks for longer than `LONGEST_SLEEP`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from queue import Empty, SimpleQueue
from typing import TypeVar

from hypernode.errors import HypernodeError

LONGEST_SLEEP = 0.5
"""Seconds."""

Result = TypeVar("Result")


def as_they_end(tasks: Collection[Future[Result]]) -> Iterator[Future[Result]]:
    """Yield each of `tasks` once, as it ends or is cancelled."""
    ended: SimpleQueue[Future[Result]] = SimpleQueue()
    for task in tasks:
        task.add_done_callback(ended.put)
    left = len(tasks)
    while left:
        try:
            task = ended.get(timeout=LONGEST_SLEEP)
        except Empty:
            continue
        left -= 1
        yield task


def first_to_end(tasks: Collection[Future[Result]]) -> set[Future[Result]]:
    """Wait until at least one of `tasks` has ended or is cancelled, and return those that have."""
    done: set[Future[Result]] = set()
    while not done:
        done, _ = wait(tasks, timeout=LONGEST_SLEEP, return_when=FIRST_COMPLETED)
    return done


def for_each_node(
    executor: Executor,
    nodes: Sequence[str],
    work: Callable[[str], Result],
    *,
    on_node: Callable[[str], None] | None = None,
) -> tuple[dict[str, Result], dict[str, HypernodeError]]:
    """Do the same with many nodes at once; when it is interrupted, those that have not begun are left.

    Args:
        executor: Its workers are how many are worked on at once.
        nodes: Their names.
        work: What is done with each, on a worker.
        on_node: Told each node whose work ended, as it happens.

    Returns:
        What came of each node, and the errors of those for which it failed; both in the order of `nodes`.
    """
    found: dict[str, Result] = {}
    failures: dict[str, HypernodeError] = {}
    tasks = {executor.submit(work, node): node for node in nodes}
    try:
        for task in as_they_end(tasks):
            node = tasks[task]
            try:
                found[node] = task.result()
            except HypernodeError as exc:
                failures[node] = exc
            if on_node is not None:
                on_node(node)
    finally:
        for task in tasks:
            task.cancel()
    return {n: found[n] for n in nodes if n in found}, {n: failures[n] for n in nodes if n in failures}
