"""How much memory of a node may be protected from the oom-killer: if all is, nothing is left to kill. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from hypernode.errors import InputError, SafetyError
from hypernode.node.processes import Process, held_kib

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,6})?) ?([KMGT]?)(?:i?B)?", re.IGNORECASE)
_PERCENT = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,6})?) ?%")
_MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class MaxTotal:
    """How much memory may be protected: a share of all there is, or a size. One of the two is set."""

    percent: float | None = None
    size_bytes: int | None = None

    def of(self, total_kib: int) -> int:
        """Return it in bytes, on a machine with so much memory."""
        return self.size_bytes if self.size_bytes is not None else int(total_kib * 1024 * (self.percent or 0) / 100)


def parse_max_total(text: str) -> MaxTotal:
    """Return what 40%, 2G or 512M stand for; a number alone is bytes, and units are powers of 1024.

    Raises:
        InputError: It is no such text.
    """
    text = text.strip()
    if (match := _PERCENT.fullmatch(text)) and float(match[1]) <= 100:
        return MaxTotal(percent=float(match[1]))
    if match := _SIZE.fullmatch(text):
        return MaxTotal(size_bytes=int(float(match[1]) * _UNITS[match[2].upper()]))
    raise InputError(f"{text[:40]!r} is no share such as 40%, up to 100%, and no size such as 2G or 512M")


@dataclass(frozen=True, slots=True)
class Budget:
    """How much memory the kernel cannot take back by a kill, against how much it may be."""

    held_kib: int
    exact: bool
    """Whether shared memory is counted once; else it is at most `held_kib`."""
    limit_bytes: int
    total_kib: int
    largest: tuple[Process, ...]
    """Of the protected processes, a few."""
    count: int

    def raise_if_passed(self) -> None:
        """Refuse when more is protected than may be.

        Raises:
            SafetyError: It is.
        """
        if self.held_kib * 1024 <= self.limit_bytes:
            return
        largest = ", ".join(f"{each.name} ({each.pid}) {_mib(each.held_kib * 1024)}" for each in self.largest)
        raise SafetyError(
            f"{self.count} protected process{'es hold' if self.count != 1 else ' holds'}"
            f"{'' if self.exact else ' at most'} {_mib(self.held_kib * 1024)}, {self.held_kib / self.total_kib:.1%} of "
            f"the memory, and the budget is {_mib(self.limit_bytes)}; the largest: {largest}. If all is protected, "
            "nothing is left to kill",
            hint="Give the memory back first (hnctl services restart mysql when it is MySQL's), run the command "
            "without protection, or allow more with --max-total"
            + ("" if self.exact else "; run as root to count shared memory once"),
        )


def make_budget(processes: Iterable[Process], total_kib: int, limit_bytes: int) -> Budget:
    """Count what is protected now. What the command will take is not known, and not counted. No I/O.

    Args:
        processes: Of the whole node, with their pss where it could be read.
        total_kib: The node's memory, without swap.
        limit_bytes: How much may be protected.
    """
    protected = [process for process in processes if process.protected]
    held, exact = held_kib(protected)
    largest = sorted(protected, key=lambda each: (-each.held_kib, each.pid))[:_MOST_NAMED]
    return Budget(held, exact, limit_bytes, total_kib, tuple(largest), len(protected))


def _mib(size_bytes: int) -> str:
    return f"{size_bytes / (1 << 20):,.1f} MiB"
