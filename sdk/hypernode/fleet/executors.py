"""Waiting for work on other threads so that a signal is always heard.

Python runs its signal handlers on the main thread, between two steps of it. A signal that comes in just before that
thread blocks, or that the system hands to another thread, does not wake it up: a Ctrl-C would be heard only when the
next node ends, and that can be minutes. So nothing here blocks for longer than `LONGEST_SLEEP`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from queue import Empty, SimpleQueue
from typing import TypeVar

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
