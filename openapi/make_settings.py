"""Write the settings of the catalogue into hypernode.yaml, between its marker comments.

The file holds two blocks: the properties of `Settings` (what the API answers) and below them those of
`SettingsChange` (what a PATCH may send). Only the lines between the markers change: a YAML round trip would lose the
comments and the order of everything else.

Run `python openapi/make_settings.py`, or with `--check` to learn whether a block is stale (exit 1).
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

CONTRACT = Path(__file__).with_name("hypernode.yaml")
CATALOGUE = Path(__file__).parent.parent / "sdk" / "hypernode" / "data" / "settings.json"

BLOCK = re.compile(
    r"^(?P<indent> *)# settings: begin \(made by make_settings\.py\)\n"
    r"(?P<body>.*?)"
    r"^ *# settings: end\n",
    re.DOTALL | re.MULTILINE,
)

READ_TYPES: Mapping[str, Sequence[str]] = {
    "boolean": ("boolean", "null"),
    "enum": ("string", "null"),
    "integer": ("integer", "string", "null"),  # which of the two the API answers is not attested
    "string": ("string", "null"),
}
WRITE_TYPES: Mapping[str, Sequence[str]] = {**READ_TYPES, "boolean": ("boolean",)}
DOUBTFUL_INTEGER = '{grade: I, source: "number or text: open (CONTRACT 3, doubtful ints)"}'

Card = Mapping[str, Any]
"""One entry of the catalogue."""


def splice(text: str, cards: Sequence[Card]) -> str:
    """Return `text`, the contract, with both of its blocks made anew from `cards`.

    Raises:
        ValueError: The text has not exactly two blocks.
    """
    blocks = list(BLOCK.finditer(text))
    if len(blocks) != 2:
        raise ValueError(f"expected two blocks of settings between markers, found {len(blocks)}")
    writable = [card for card in cards if not card.get("read_only")]
    bodies = (
        [line for card in cards for line in _read_lines(card)],
        [line for card in writable for line in _write_lines(card)],
    )
    # From the end, so that the positions of the block before stay true.
    for block, lines in reversed(list(zip(blocks, bodies, strict=True))):
        body = "".join(f"{block['indent']}{line}\n" for line in lines)
        text = text[: block.start("body")] + body + text[block.end("body") :]
    return text


def _read_lines(card: Card) -> Iterator[str]:
    # No `enum`: the live list is longer than ours, and an answer with a new value is still a good answer.
    yield from _head(card, READ_TYPES[card["type"]], card["description"] + _default(card))
    if card.get("read_only"):
        yield "  readOnly: true"


def _write_lines(card: Card) -> Iterator[str]:
    yield from _head(card, WRITE_TYPES[card["type"]], card["description"] + _dangers(card))


def _head(card: Card, types: Sequence[str], description: str) -> Iterator[str]:
    yield f"{card['name']}:"
    yield f"  type: {types[0] if len(types) == 1 else _flow(types)}"
    if card.get("secret"):
        yield "  format: password"
    yield f"  description: {_flow(description)}"
    if card.get("values"):
        yield f"  examples: {_flow(card['values'])}"
    if card["type"] == "integer":
        yield f"  x-evidence: {DOUBTFUL_INTEGER}"


def _default(card: Card) -> str:
    default = card.get("default")
    gone = " No longer in the documentation." if card.get("removed_from_docs") else ""
    return gone if default is None else f" Documented default: {_plain(default)}.{gone}"


def _dangers(card: Card) -> str:
    """Say what a change can do that nobody can undo, and what else is worth knowing before it."""
    risk: Mapping[str, Any] = card.get("risk", {})
    sentences = []
    for name in ("irreversible", "destroys_data", "locks_out"):
        if hazard := risk.get(name):
            condition = f"When set to {_plain(hazard['when'])}: " if "when" in hazard else ""
            sentences.append(condition + hazard["text"])
    if "restarts" in risk:
        sentences.append(f"Restarts {risk['restarts']}.")
    sentences += [risk[name] for name in ("costs", "note") if name in risk]
    return "".join(f" {sentence}" for sentence in sentences)


def _plain(value: object) -> str:
    return json.dumps(value) if isinstance(value, bool) else str(value)


def _flow(value: object) -> str:
    # JSON is a subset of YAML 1.2, and its quoted texts keep "8.0" from being read as a number.
    return json.dumps(value, ensure_ascii=False)


def main(argv: Sequence[str] | None = None) -> int:
    """Rewrite the blocks, or with --check only tell whether they are stale; return the exit status."""
    parser = argparse.ArgumentParser(description="Write the catalogue's settings into hypernode.yaml.")
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 when a block is stale")
    check = parser.parse_args(argv).check

    old = CONTRACT.read_text("utf-8")
    new = splice(old, json.loads(CATALOGUE.read_text("utf-8"))["settings"])
    if new == old:
        return 0
    if check:
        sys.stderr.write(f"{CONTRACT.name} is stale: run python openapi/make_settings.py\n")
        return 1
    CONTRACT.write_text(new, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
