"""Rows in every output format. JSON, YAML and the tables are made from the same value."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from textwrap import indent
from typing import Any

from hypernode.printable import printable

FORMAT_VERSION = 1
_GAP = 2
_LEAST_TO_FOLD_INTO = 20
"""Of all documents and JSON lines but the plan file, which has its own."""


@dataclass(frozen=True, slots=True)
class Listing:
    """Rows of one kind."""

    name: str
    """What the rows are, in the plural; their key in JSON."""
    columns: Sequence[str]
    """The columns of the tables, in order; a row may hold more than these."""
    rows: Sequence[Mapping[str, Any]]
    failures: Sequence[Mapping[str, Any]] = ()
    """The errors that rows are missing for, as documents; the tables leave them out."""
    empty: str = ""
    """What a person is told when there are no rows."""
    more: Mapping[str, Any] = field(default_factory=dict)
    """What JSON and YAML hold besides the rows."""


def render_listing(listing: Listing, output: str) -> str:
    """Return `listing` as text in the format `output`."""
    if output in ("json", "yaml"):
        document = {"format_version": FORMAT_VERSION, listing.name: [dict(row) for row in listing.rows]}
        document |= listing.more
        if listing.failures:
            document["failures"] = [dict(error) for error in listing.failures]
        return render_document(document, output)
    if output == "jsonl":
        lines = [*listing.rows, *({"error": error} for error in listing.failures)]
        return "\n".join(json.dumps({"format_version": FORMAT_VERSION, **line}) for line in lines)
    cells = [[cell(row.get(column)) for column in listing.columns] for row in listing.rows]
    heads = [column.replace("_", " ") for column in listing.columns]
    return markdown_table(heads, cells) if output == "markdown" else plain_table(heads, cells)


def stream_rows(name: str, rows: Iterable[Mapping[str, Any]], output: str) -> Iterator[str]:
    """Yield the document that `render_listing` makes of rows, for a machine, in pieces with their line ends."""
    if output == "jsonl":
        for row in rows:
            yield json.dumps({"format_version": FORMAT_VERSION, **row}) + "\n"
        return
    pieces = (render_document({name: [row]} if output == "yaml" else row, output) for row in rows)
    first = next(pieces, None)
    if first is None:
        yield render_document({"format_version": FORMAT_VERSION, name: []}, output) + "\n"
    elif output == "yaml":
        yield f"format_version: {FORMAT_VERSION}\n{name}:\n"
        for piece in chain([first], pieces):
            yield piece.partition("\n")[2] + "\n"  # what stands below the key
    else:
        yield f'{{\n  "format_version": {FORMAT_VERSION},\n  "{name}": [\n{indent(first, "    ")}'
        for piece in pieces:
            yield f",\n{indent(piece, '    ')}"
        yield "\n  ]\n}\n"


def render_document(document: Mapping[str, Any], output: str) -> str:
    """Return a document as YAML or JSON, in ASCII; as JSON lines it is one line."""
    if output == "yaml":
        import yaml

        return yaml.safe_dump(document, sort_keys=False).rstrip("\n")
    return json.dumps(document, indent=None if output == "jsonl" else 2)


def cell(value: object) -> str:
    """Return one value as it stands in a table."""
    match value:
        case None:
            return "-"
        case bool():
            return "true" if value else "false"
        case list() | tuple():
            return ", ".join(cell(item) for item in value) or "-"
        case _:
            return printable(str(value))


def plain_table(heads: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    """Return an aligned table. Where the terminal is too narrow, the last column folds if that leaves it readable.

    Else the lines are longer than the terminal is wide: broken words in every column would be worse.
    """
    from rich.cells import cell_len
    from rich.table import Table
    from rich.text import Text

    from hnctl.render.console import capture, make_console

    widths = [max(map(cell_len, column)) for column in zip(heads, *cells, strict=True)]
    before_last = sum(widths[:-1]) + _GAP * (len(widths) - 1)
    room = make_console().width - before_last
    if room >= _LEAST_TO_FOLD_INTO:
        widths[-1] = min(widths[-1], room)
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")
    for head, width in zip(heads, widths, strict=True):
        table.add_column(head, width=width, overflow="fold")
    for row in cells:
        table.add_row(*(Text(text) for text in row))
    return capture(table, width=before_last + widths[-1] + _GAP)


def markdown_table(heads: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; what would end a cell or make a tag is escaped."""
    lines = ["| " + " | ".join(heads) + " |", "|" + " --- |" * len(heads)]
    lines += ["| " + " | ".join(markdown_text(text) for text in row) + " |" for row in cells]
    return "\n".join(lines)


def markdown_text(text: str) -> str:
    """Return `text` as one line of Markdown that cannot end a cell or make a tag."""
    return printable(text).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
