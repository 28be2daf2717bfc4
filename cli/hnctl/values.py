"""Values that a person gives: text in any locale, and secrets by reference or from stdin, never from argv."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from hypernode.credentials import read_keyring
from hypernode.errors import InputError
from hypernode.secrets import KINDS, Reference, Secret, parse_reference, resolve


def fetch_from(folder: Path, reference: Reference) -> Secret:
    """Fetch the secret of `reference`; a relative ``file:`` starts from `folder`."""
    return resolve(reference, folder=folder, read_keyring=read_keyring)


def as_utf8(text: str, what: str) -> str:
    """Return `text` as it was meant: in the C locale Python passes on bytes that are not ASCII as surrogates.

    Raises:
        InputError: The bytes are no UTF-8; `what` names them.
    """
    try:
        return text.encode(errors="surrogateescape").decode()
    except UnicodeDecodeError:
        raise InputError(f"{what} is not UTF-8 text") from None


def read_secret(setting: str, text: str) -> tuple[Secret, str | None]:
    """Return the secret that the argument `text` leads to, and its reference; None when it came from stdin.

    Raises:
        InputError: `text` is a literal secret, which by now stands in the shell's history.
        SecretUnavailable: It leads nowhere.
    """
    if text == "-":
        if sys.stdin is None:
            raise InputError("stdin is closed: there is no secret to read")
        try:
            typed = click.prompt(setting, hide_input=True, err=True) if sys.stdin.isatty() else sys.stdin.readline()
        except UnicodeDecodeError:
            raise InputError("what stdin gave is not UTF-8 text") from None
        if not typed.strip():
            raise InputError(f"stdin gave no value for {setting}")
        return Secret(as_utf8(typed.rstrip("\r\n"), "what stdin gave")), None
    reference = parse_reference(text)
    if reference is None:
        raise InputError(
            f"{setting} is secret: its value must not stand on the command line",
            hint=f"Give a reference ({', '.join(kind + ':...' for kind in KINDS)}), or - to read it from stdin",
        )
    return fetch_from(Path(), reference), str(reference)
