"""Writing to stdout and stderr, so that neither an odd locale nor a reader who has left stops the work."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TextIO

import click

from hypernode.errors import FileError, HypernodeError
from hypernode.printable import printable

if TYPE_CHECKING:
    from hnctl.render.listing import Listing


def prepare_streams() -> None:
    """Let stdout and stderr take any text, and let closed ones swallow it."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  # for the life of the process
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        # What the locale cannot spell is shown as \u20ac, and is no reason to fail.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def print_data(data: str | bytes, *, follow: bool = False, newline: bool = True) -> None:
    """Write to stdout. A reader who has left (`| head`) is no failure: what is still to come goes nowhere.

    Args:
        data: Text or bytes, without the last line end.
        follow: Whether there is no reason to go on when nobody reads.
        newline: Whether the line ends.

    Raises:
        BrokenPipeError: The reader of what is followed has left, which ends the command well.
        HypernodeError: It cannot be written, as on a full disk.
    """
    try:
        click.echo(data, nl=newline)
    except BrokenPipeError:
        mute(sys.stdout)
        if follow:
            raise
    except OSError as exc:
        mute(sys.stdout)
        raise HypernodeError(f"stdout cannot be written: {exc.strerror}") from exc


def print_note(text: str) -> None:
    """Write to stderr what a person is to know. Nobody has to be there to read it."""
    try:
        click.echo(text, err=True)
    except OSError:
        mute(sys.stderr)


def print_listing(listing: Listing, output: str) -> None:
    """Write rows to stdout; that there are none is told on stderr, except in the formats that can say so."""
    from hnctl.render.listing import render_listing

    if listing.rows or output in ("json", "yaml") or (listing.failures and output == "jsonl"):
        print_data(render_listing(listing, output))
    elif listing.empty and output != "jsonl":
        print_note(listing.empty)


def print_stream(name: str, rows: Iterable[Mapping[str, Any]], output: str) -> None:
    """Write the document that `print_listing` would, row by row: of very many no more than one is held."""
    from hnctl.render.listing import stream_rows

    for piece in stream_rows(name, rows, output):
        print_data(piece, newline=False)


def print_either(output: str, text: Callable[[], str], document: Callable[[], Mapping[str, Any]]) -> None:
    """Write to stdout what a person reads, or for a machine a document.

    As Markdown it is a block of code: whatever name stands in it, it is shown and means nothing.
    """
    from hnctl.render.listing import render_document

    if output == "markdown":
        print_data("\n".join(f"    {line}".rstrip() for line in text().split("\n")))
    else:
        print_data(text() if output == "table" else render_document(document(), output))


def mute(stream: TextIO) -> None:
    """Let everything that is still written to `stream` vanish, what waits in its buffer included."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def print_file_error(error: FileError) -> None:
    """Print what is wrong with a file that the command goes on without."""
    print_note("\n".join(map(printable, str(error).split("\n"))))
