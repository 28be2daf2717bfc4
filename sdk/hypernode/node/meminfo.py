"""/proc/meminfo: how much memory a node has, and how much of it is to be had. No I/O."""

from __future__ import annotations

import re
from dataclasses import dataclass

from hypernode.errors import HypernodeError
from hypernode.refusals import tidy

PATH = "/proc/meminfo"
_LINE = re.compile(r"(MemTotal|MemAvailable):(.*)", re.ASCII)
_AMOUNT = re.compile(r"[ \t]*([0-9]{1,15}) kB\s*", re.ASCII)  # "kB", and 1024 bytes are meant: proc_meminfo(5)


@dataclass(frozen=True, slots=True)
class Memory:
    """The memory of a node at one moment."""

    available_kib: int
    """What programs can have without swapping: free memory and what the kernel would give up for them."""
    total_kib: int | None
    """None when the text does not say."""


def parse_meminfo(text: str) -> Memory:
    """Read what is available out of the text of /proc/meminfo; it is the same in every language.

    Raises:
        HypernodeError: It does not say what is available, or not as a number of kB.
    """
    amounts: dict[str, int] = {}
    for line in text.split("\n"):
        if (found := _LINE.match(line)) is None or found[1] in amounts:
            continue
        amount = _AMOUNT.fullmatch(found[2])
        if amount is None:
            raise HypernodeError(f"{PATH} has {tidy(line, 60)!r}, which is no number of kB")
        amounts[found[1]] = int(amount[1])
    if "MemAvailable" not in amounts:
        raise HypernodeError(
            f"{PATH} does not say what is available: it has no MemAvailable",
            hint="Kernels before 3.14 have none, and what is free without it says little",
        )
    return Memory(amounts["MemAvailable"], amounts.get("MemTotal"))
