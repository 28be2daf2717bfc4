"""Timing that a busy machine disturbs least: two things in turns, and the medians of their ratios."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True)
class Series:
    """Several measurements of one number."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return median(self.values)

    def show(self, unit: str = "", digits: int = 2) -> str:
        """Return the median, with the lowest and the highest in brackets."""
        low, high = min(self.values), max(self.values)
        return f"{self.median:,.{digits}f}{unit} ({low:,.{digits}f}-{high:,.{digits}f})"


def compare(ours: Callable[[], float], other: Callable[[], float], *, rounds: int, pairs: int = 1) -> Series:
    """Return how many times longer `ours` takes than `other`, once for each round.

    Within a round the two run in turns, `pairs` times each, and their medians are compared. Which of them goes first
    changes with every pair, so that what one leaves behind (a warm cache, a faster clock) helps neither.

    Args:
        ours: Runs once and returns seconds.
        other: Likewise.
        rounds: How many ratios to return.
        pairs: Runs of each per round.
    """
    ratios = []
    for _ in range(rounds):
        mine, theirs = [], []
        for pair in range(pairs):
            if pair % 2:
                theirs.append(other())
                mine.append(ours())
            else:
                mine.append(ours())
                theirs.append(other())
        ratios.append(median(mine) / median(theirs))
    return Series(tuple(ratios))


def time_command(argv: Sequence[str], env: Mapping[str, str], *, expect: int = 0) -> float:
    """Run a command to its end and return the seconds; its output is thrown away.

    Raises:
        RuntimeError: It ended with another status than `expect`; its last words are in the message.
    """
    started = time.perf_counter()
    done = subprocess.run(argv, env=env, stdin=subprocess.DEVNULL, capture_output=True, cwd=ROOT, check=False)
    seconds = time.perf_counter() - started
    if done.returncode != expect:
        words = done.stderr.decode(errors="replace").strip()[-1000:]
        raise RuntimeError(f"{argv[0]} {' '.join(argv[1:])[:200]} ended with {done.returncode}: {words}")
    return seconds


def run_child(module: str, *arguments: str, env: Mapping[str, str]) -> str:
    """Run a module of this folder in a process of its own and return what it prints."""
    argv = [sys.executable, "-m", f"benchmarks.{module}", *arguments]
    done = subprocess.run(argv, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, cwd=ROOT, check=True)
    return done.stdout.decode()
