"""Reading how short of memory this node is."""

from __future__ import annotations

from collections.abc import Callable

from hypernode.errors import HypernodeError
from hypernode.node import meminfo, pressure
from hypernode.node.pressure import Sample, list_counters, parse_kills, parse_pressure
from hypernode.places import on_node

_LONGEST_FILE = 65_536


def read_sample(on_missing: Callable[[str, str], None] = lambda path, why: None) -> Sample:
    """Read how it is now.

    Args:
        on_missing: Told the path and why of each file that cannot be used; the others count.
    """
    some = full = memory = None
    try:
        some, full = parse_pressure(_read(pressure.PATH))
    except (OSError, HypernodeError) as exc:
        on_missing(pressure.PATH, _why(exc))
    try:
        memory = meminfo.parse_meminfo(_read(meminfo.PATH))
    except (OSError, HypernodeError) as exc:
        on_missing(meminfo.PATH, _why(exc))
    return Sample(some, full, memory, _read_kills(on_missing))


def _read_kills(on_missing: Callable[[str, str], None]) -> int | None:
    own = "/proc/self/cgroup"
    try:
        counters = list_counters(_read(own))
    except OSError as exc:
        on_missing(own, _why(exc))
        return None
    for path in counters:
        try:
            kills = parse_kills(_read(path))
        except OSError:
            continue
        if kills is not None:
            return kills
    on_missing(counters[0], "no such file that counts kills")
    return None


def _read(path: str) -> str:
    with open(on_node(path), "rb", buffering=0) as file:
        return file.read(_LONGEST_FILE).decode("utf-8", "backslashreplace")


def _why(error: OSError | HypernodeError) -> str:
    return error.message if isinstance(error, HypernodeError) else error.strerror or str(error)
