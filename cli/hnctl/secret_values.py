"""Secrets that a command needs: fetched from where a reference points, or read from stdin. Never from argv."""

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


def read_secret(setting: str, text: str) -> tuple[Secret, str | None]:
    """Return the secret that the argument `text` leads to, and its reference; None when it came from stdin.

    Raises:
        InputError: `text` is a literal secret, which by now stands in the shell's history.
        SecretUnavailable: It leads nowhere.
    """
    if text == "-":
        if sys.stdin is None:
            raise InputError("stdin is closed: there is no secret to read")
        typed: str = click.prompt(setting, hide_input=True, err=True) if sys.stdin.isatty() else sys.stdin.readline()
        if not typed.strip():
            raise InputError(f"stdin gave no value for {setting}")
        return Secret(typed.rstrip("\r\n")), None
    reference = parse_reference(text)
    if reference is None:
        raise InputError(
            f"{setting} is secret: its value must not stand on the command line",
            hint=f"Give a reference ({', '.join(kind + ':...' for kind in KINDS)}), or - to read it from stdin",
        )
    return fetch_from(Path(), reference), str(reference)
