"""`hnctl api`: any call of the API, for what has no command of its own."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from hnctl.command import Command
from hnctl.completion import complete_file
from hnctl.connection import Connection
from hnctl.consent import ask_for_name, ask_to_send, confirm_option, yes_option
from hnctl.masks import masked, secrets_in
from hnctl.options import connection_options, one_node_option, option
from hnctl.printing import print_data, print_note
from hnctl.selection import only_node
from hypernode.catalogue import Catalogue
from hypernode.errors import FileError, HypernodeError, InputError, Problem
from hypernode.names import parent_of
from hypernode.printable import printable
from hypernode.secrets import Secret, redact

_METHODS = ("GET", "OPTIONS", "POST", "PATCH", "PUT", "DELETE")


@click.command(cls=Command)
@click.argument("method", metavar="METHOD", type=click.Choice(_METHODS, case_sensitive=False))
@click.argument("path")
@option("-d", "--data", metavar="JSON|@FILE|-", shell_complete=complete_file, help="Body to send, in JSON.")
@option("--paginate", is_flag=True, help="Read all pages of a list, and print their items as one list.")
@one_node_option
@yes_option
@confirm_option("NAME")
@connection_options
def api(
    method: str,
    path: str,
    data: str | None,
    paginate: bool,
    nodes: tuple[str, ...],
    yes: bool,
    confirm: tuple[str, ...],
    **options: Any,
) -> None:
    """Send any call to the API.

    PATH is one of the configured API, with its query if it has one; never another host. The token is that of -n, else
    of the node that the path names, else of the own one. What is answered is printed as JSON; secrets are masked,
    personal data is not.

    Reads are tried again, as everywhere. Writes are asked about and sent once. What a command would want confirmed by
    name has to be confirmed by the same name here, and a fresh shop by NODE:perform_preinstall. PUT and DELETE of a
    node, and cancelling what is no Brancher, are never sent.

    Examples:
      hnctl api GET /v2/app/kaasshop/
      hnctl api GET /logbook/v1/logbooks/kaasshop/flows/ --paginate
      hnctl api PATCH /v2/app/kaasshop/ -d '{"php_version": "8.3"}'
    """
    from hnctl.raw_calls import reads, what_it_does
    from hypernode.api.raw import check_call, check_path, node_in

    check_path(path)
    check_call(method, path)
    reading = reads(method, path)
    if data is not None and reading:
        raise click.UsageError(f"{method} {path} takes no --data.")
    if paginate and method != "GET":
        raise click.UsageError("Only what is read with GET has pages.")
    link = Connection(**options)
    node = only_node(nodes or tuple(filter(None, [node_in(path)])))
    catalogue = link.catalogue()
    body = None if data is None else _read_body(data, catalogue)
    link.address([node])
    token = link.token(node)
    with link.client(node) as client:
        if paginate:
            answered: object = list(client.raw.iter(path))
        elif reading:
            answered = client.raw.read(path, method=method)
        else:
            command, agreements = what_it_does(method, path, body, catalogue)
            if command:
                print_note(f"`hnctl {command}` does the same, with its checks; here nothing is looked after.")
            for name, why in agreements:
                ask_for_name(printable(name), printable(why), confirm=confirm)
            parent = parent_of(node)
            whose = node if parent is None else f"{parent}, the parent of {node}"
            ask_to_send(f"{method} {path} is sent with the token of {whose}", yes=yes)
            answer = client.raw.write(method, path, body, secrets=list(secrets_in(body, catalogue)))
            at = "" if answer.location is None else f", Location: {redact(answer.location, [token])}"
            print_note(printable(f"{answer.status}{at}"))
            answered = answer.data
    if answered is not None:
        print_data(_render(answered, catalogue, token))


def _render(answered: object, catalogue: Catalogue, token: Secret) -> str:
    try:
        return json.dumps(masked(answered, catalogue, token), indent=2 if sys.stdout.isatty() else None)
    except RecursionError:
        raise HypernodeError("what the API answered is nested too deeply to be shown") from None


def _read_body(data: str, catalogue: Catalogue) -> object:
    """Return the JSON of --data.

    Raises:
        InputError: It is none, or a secret stands on the command line, and by now in the shell's history.
        FileError: The file cannot be used.
    """
    if data.startswith("@"):
        return _decode(_read_file(data[1:]), data[1:])
    if data == "-":
        if sys.stdin is None:
            raise InputError("stdin is closed: there is no JSON to read")
        try:
            return _decode(sys.stdin.read(), None)
        except UnicodeDecodeError:
            raise InputError("what stdin gave is not UTF-8 text") from None
    body = _decode(data, None)
    if any(True for _ in secrets_in(body, catalogue)):
        raise InputError(
            "--data holds a secret, which must not stand on the command line",
            hint="Write the JSON into a file that only you can read: -d @FILE, or pipe it into -d -",
        )
    return body


_OF_DATA = "It is the file of --data @FILE"


def _read_file(path: str) -> str:
    try:
        return Path(path).read_text("utf-8")
    except OSError as exc:
        raise FileError(path, [Problem(1, 1, f"the file cannot be read: {exc.strerror}", _OF_DATA)]) from None
    except ValueError as exc:  # a NUL in the path, or bytes that are no text
        what = "it is not UTF-8 text" if isinstance(exc, UnicodeDecodeError) else "no file has such a name"
        raise FileError(path, [Problem(1, 1, what, _OF_DATA)]) from None


def _decode(text: str, path: str | None) -> object:
    try:
        return json.loads(text, parse_constant=_refuse)
    except (json.JSONDecodeError, RecursionError) as exc:
        line, column = (exc.lineno, exc.colno) if isinstance(exc, json.JSONDecodeError) else (1, 1)
        what = exc.msg if isinstance(exc, json.JSONDecodeError) else "it is nested too deeply"
        if path is not None:
            raise FileError(path, [Problem(line, column, f"it is no JSON: {what}")]) from None
        raise InputError(f"--data is no JSON: {what} at line {line}, column {column}") from None


def _refuse(word: str) -> object:
    raise json.JSONDecodeError(f"{word} is no number of JSON", word, 0)
