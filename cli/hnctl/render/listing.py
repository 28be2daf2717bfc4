"""Rows in every output format. JSON, YAML and the tables are made from the same value."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, zip_longest
from textwrap import indent
from typing import TYPE_CHECKING, Any

from hypernode.printable import printable

if TYPE_CHECKING:
    from rich.console import Console

FORMAT_VERSION = 1
"""Of all documents and JSON lines but the plan file, which has its own."""
_GAP = 2
_INDENT = 4
"""Of the lines with which a row goes on below itself."""
_LEAST_TO_FOLD_INTO = 20


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
    """Return an aligned table.

    Where the terminal is too narrow, the last column folds between words if that leaves it readable; else each row
    goes on below itself with the columns that do not fit. No word is ever broken.
    """
    from rich.cells import cell_len
    from rich.console import Group
    from rich.text import Text

    from hnctl.render.console import capture, make_console

    console = make_console()
    columns = list(zip(heads, *cells, strict=True))
    natural = [max(map(cell_len, column)) for column in columns]
    words = [max(cell_len(word) for text in column for word in text.split() or [""]) for column in columns]
    lines = _share_out(natural, words, console.width)
    shown = [Text("\n".join(_row_lines(row, lines, console)), style) for row, style in _styled(heads, cells)]
    return capture(Group(*shown), width=max(sum(natural), console.width) + _GAP * len(natural))


def _styled(heads: Sequence[str], cells: Sequence[Sequence[str]]) -> Iterator[tuple[Sequence[str], str]]:
    yield heads, "bold"
    for row in cells:
        yield row, ""


def _share_out(natural: Sequence[int], words: Sequence[int], room: int) -> list[dict[int, int]]:
    """Return the lines that a row takes, each as its columns with their widths.

    Args:
        natural: The width that each column needs.
        words: That of its longest word, which is not broken.
        room: The columns of the terminal.
    """
    lines: list[dict[int, int]] = [{}]
    left = room
    for column, width in enumerate(natural):
        can_fold = column == len(natural) - 1 and left >= max(_LEAST_TO_FOLD_INTO, words[column])
        if lines[-1] and width > left and not can_fold:
            lines.append({})
            left = room - _INDENT
        lines[-1][column] = min(width, max(left, words[column]))
        left -= lines[-1][column] + _GAP
    return lines


def _row_lines(row: Sequence[str], lines: Sequence[Mapping[int, int]], console: Console) -> Iterator[str]:
    """Yield the lines that `row` takes, which is more than `lines` where cells fold."""
    from rich.cells import cell_len
    from rich.text import Text

    for number, columns in enumerate(lines):
        folded = [
            [row[column]]
            if cell_len(row[column]) <= width
            else [line.plain.rstrip() for line in Text(row[column]).wrap(console, width, overflow="fold")]
            for column, width in columns.items()
        ]
        indent = " " * (_INDENT if number else 0)
        for pieces in zip_longest(*folded, fillvalue=""):
            padded = (
                piece + " " * (width - cell_len(piece)) for piece, width in zip(pieces, columns.values(), strict=True)
            )
            yield indent + (" " * _GAP).join(padded).rstrip()


def markdown_table(heads: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; what would end a cell or make a tag is escaped."""
    lines = ["| " + " | ".join(heads) + " |", "|" + " --- |" * len(heads)]
    lines += ["| " + " | ".join(markdown_text(text) for text in row) + " |" for row in cells]
    return "\n".join(lines)


def markdown_text(text: str) -> str:
    """Return `text` as one line of Markdown that cannot end a cell or make a tag."""
    return printable(text).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
