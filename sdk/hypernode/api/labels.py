"""Labels of Branchers: written as texts, ``k=v`` or ``k``, and kept as label to value (CONTRACT.md 2.8). No I/O."""

from __future__ import annotations

from collections.abc import Mapping


def parse_label(text: str) -> tuple[str, str | None]:
    """Return the label that `text` spells and its value, None when it has none; a value may hold ``=`` itself."""
    label, equals, value = text.partition("=")
    return label, value if equals else None


def spell_labels(labels: Mapping[str, str | None]) -> list[str]:
    """Return `labels` as the API takes them, in their order."""
    return [label if value is None else f"{label}={value}" for label, value in labels.items()]
