"""Sizes of memory for a person."""

from __future__ import annotations


def size(kib: int) -> str:
    """Return a size in the largest unit of which it has one, with three digits."""
    for unit, factor in (("GiB", 1 << 20), ("MiB", 1 << 10)):
        if kib >= factor:
            value = kib / factor
            return f"{value:.0f} {unit}" if value >= 100 else f"{value:.1f} {unit}"
    return f"{kib} KiB"
