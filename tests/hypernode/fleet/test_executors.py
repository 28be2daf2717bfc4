"""Waiting for work on other threads: all of it is told once, and a signal is heard while it lasts."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Collection
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from hypernode.fleet.executors import as_they_end, first_to_end


@pytest.mark.parametrize("wait", [first_to_end, lambda tasks: list(as_they_end(tasks))])
def test_a_signal_that_another_thread_got_is_heard_though_no_work_ends(
    wait: Callable[[Collection[Future[Any]]], object],
):
    over = threading.Event()

    def work() -> None:
        over.wait(0.05)  # by then the main thread waits
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)
        over.wait(10)

    with ThreadPoolExecutor(1) as executor:
        task = executor.submit(work)
        with pytest.raises(KeyboardInterrupt):
            wait([task])
        assert not task.done()
        over.set()


def test_each_piece_of_work_is_told_once_whether_it_ended_failed_or_was_cancelled():
    over = threading.Event()
    with ThreadPoolExecutor(1) as executor:
        ended = executor.submit(str, 7)
        failed = executor.submit(int, "seven")
        running = executor.submit(over.wait, 10)
        cancelled = executor.submit(str, 8)
        assert cancelled.cancel()
        told = []
        for task in as_they_end([ended, failed, running, cancelled]):
            told.append(task)
            if len(told) == 3:
                over.set()
    assert set(told) == {ended, failed, cancelled, running}
    assert told[-1] is running


def test_the_first_to_end_are_those_that_have_ended_and_no_others():
    over = threading.Event()
    with ThreadPoolExecutor(2) as executor:
        running, ended = executor.submit(over.wait, 10), executor.submit(str, 7)
        assert first_to_end([running, ended]) == {ended}
        over.set()
        assert first_to_end([running]) == {running}


def test_nothing_to_wait_for_is_nothing_told():
    assert list(as_they_end([])) == []
