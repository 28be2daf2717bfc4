"""Values that never print, and references to where they are kept.

A secret is handed around as `Secret` and opened with `reveal()` at the two places that need its text: a request's
header or body, and a comparison. Files and plans hold a `Reference` in its place.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from hypernode.errors import SecretUnavailable

MASK = "***"
COMMAND_TIMEOUT = 10.0
_LONGEST_SECRET = 64 * 1024


class Secret:
    """A text that shows itself to nobody who does not ask with `reveal()`."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text itself."""
        return self._text

    def __repr__(self) -> str:
        return f"Secret({MASK!r})"

    def __str__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return format(MASK, spec)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return self._text == other._text

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __bool__(self) -> bool:
        return bool(self._text)

    def __reduce__(self) -> NoReturn:
        # A pickle is a plain file or a plain socket: DESIGN 6 lets secrets travel over TLS only.
        raise TypeError("a Secret cannot be pickled")


def redact(text: str, secrets: Iterable[Secret | None]) -> str:
    """Return `text` with every one of `secrets` replaced by the mask, as such and in every JSON spelling.

    A decoded value can be JSON once more, and a body that was cut short cannot be decoded at all; so the spellings
    are looked for too.
    """
    # The longer first: of "canary-long", masking a secret "canary" would leave the rest.
    for plain in sorted({secret.reveal() for secret in secrets if secret}, key=len, reverse=True):
        text = re.sub(f"{re.escape(plain)}|{''.join(map(_json_spellings, plain))}", MASK, text)
    return text


def _json_spellings(letter: str) -> str:
    r"""Return a pattern of all ways to write `letter` inside a JSON text: itself or \n, \uXXXX, and PHP's \/."""
    units = letter.encode("utf-16-be", "surrogatepass").hex()
    code = "".join(rf"\\u(?i:{units[at : at + 4]})" for at in range(0, len(units), 4))
    spellings = [re.escape(json.dumps(letter, ensure_ascii=False)[1:-1]), code]
    if letter == "/":
        spellings.append(r"\\/")
    return f"(?:{'|'.join(spellings)})"


@dataclass(frozen=True, slots=True)
class Reference:
    """Where a secret is kept: ``env:NAME``, ``file:PATH``, ``keyring:SERVICE/USER`` or ``cmd:COMMAND ARGS``."""

    kind: str
    target: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.target}"


KINDS = ("env", "file", "keyring", "cmd")


def parse_reference(text: str) -> Reference | None:
    """Return the reference that `text` spells, or None when it spells none (and so would be a literal secret)."""
    kind, colon, target = text.partition(":")
    if not colon or kind not in KINDS or not target.strip():
        return None
    return Reference(kind, target.strip())


def resolve(
    reference: Reference, *, folder: Path, read_keyring: Callable[[str, str], Secret | None] | None = None
) -> Secret:
    """Fetch the secret that `reference` points to; a trailing newline is not part of it.

    Args:
        reference: What to fetch.
        folder: What a relative ``file:`` path starts from.
        read_keyring: Looks up (service, user); None refuses ``keyring:`` references.

    Raises:
        SecretUnavailable: It leads nowhere, or to an empty value. The message names the reference only.
    """
    match reference.kind:
        case "env":
            raw = os.environb.get(os.fsencode(reference.target))
            if raw is None:
                raise SecretUnavailable(f"environment variable {reference.target} is not set")
            try:
                text = raw.decode()  # the same in every locale
            except UnicodeDecodeError:
                raise SecretUnavailable(f"environment variable {reference.target} is not UTF-8 text") from None
        case "file":
            text = _read_file(folder / reference.target, reference)
        case "keyring":
            text = _ask_keyring(reference, read_keyring)
        case _:
            text = _run(reference)
    text = text.rstrip("\r\n")
    if not text:
        raise SecretUnavailable(f"{reference} is empty")
    return Secret(text)


def check_present(reference: Reference, *, folder: Path) -> None:
    """Raise `SecretUnavailable` when the place of an ``env:`` or ``file:`` reference is not there.

    ``keyring:`` and ``cmd:`` are left for `resolve`: asking them has effects (a prompt, a process).
    """
    if reference.kind == "env" and not os.environ.get(reference.target):
        raise SecretUnavailable(f"environment variable {reference.target} is not set")
    if reference.kind == "file":
        _check_file(folder / reference.target, reference)


def _check_file(path: Path, reference: Reference) -> None:
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as exc:  # a ValueError for a path with a NUL in it
        reason = exc.strerror if isinstance(exc, OSError) else exc
        raise SecretUnavailable(f"{reference} cannot be read: {reason}") from None
    if stat.S_ISDIR(mode):
        raise SecretUnavailable(f"{reference} is a folder")
    if not os.access(path, os.R_OK):
        raise SecretUnavailable(f"{reference} cannot be read: Permission denied")


def _read_file(path: Path, reference: Reference) -> str:
    _check_file(path, reference)
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(_LONGEST_SECRET + 1)
    except OSError as exc:
        raise SecretUnavailable(f"{reference} cannot be read: {exc.strerror}") from None
    except UnicodeDecodeError:
        raise SecretUnavailable(f"{reference} is not UTF-8 text") from None
    if len(text) > _LONGEST_SECRET:
        raise SecretUnavailable(f"{reference} is longer than {_LONGEST_SECRET} characters")
    return text


def _ask_keyring(reference: Reference, read_keyring: Callable[[str, str], Secret | None] | None) -> str:
    service, slash, user = reference.target.rpartition("/")
    if not slash or not service or not user:
        raise SecretUnavailable(f"{reference} must read keyring:SERVICE/USER")
    secret = read_keyring(service, user) if read_keyring else None
    if secret is None:
        raise SecretUnavailable(f"the keyring has nothing for {reference.target}")
    return secret.reveal()


def _run(reference: Reference) -> str:
    import shlex

    try:
        argv = shlex.split(reference.target)
    except ValueError as exc:
        raise SecretUnavailable(f"cannot split the command {reference}: {exc}") from None
    return run_command(argv, f"command {argv[0]!r}")


def run_command(argv: list[str], what: str, *, env: dict[str, str] | None = None) -> str:
    """Run `argv` without a shell and return what it prints; `what` names it in errors.

    Raises:
        SecretUnavailable: It is missing, fails (its stderr is shown), takes over 10 seconds, or prints no text.
    """
    import subprocess  # only here: reading a setting must not pay for it

    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=COMMAND_TIMEOUT,
            env=env,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise SecretUnavailable(f"{what} took longer than {COMMAND_TIMEOUT:.0f} seconds") from None
    except (OSError, ValueError) as exc:
        raise SecretUnavailable(f"{what} cannot be run: {exc}") from None
    if done.returncode != 0:
        words = done.stderr.decode(errors="replace").strip()[-500:]
        raise SecretUnavailable(f"{what} ended with {done.returncode}" + (f": {words}" if words else ""))
    try:
        return done.stdout.decode()
    except UnicodeDecodeError:
        raise SecretUnavailable(f"{what} did not print UTF-8 text") from None
