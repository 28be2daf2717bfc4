"""What is kept in the config folder about tokens: who has one in the keyring, and the plain file for those without one.

A keyring cannot list what it holds, so the names of nodes stand beside it, by API host; no token does. The plain file
is written only for who asked for it (`hnctl auth login --insecure-storage`). Both are files that only their owner can
read, in a folder that only its owner can enter, and are replaced as a whole.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from hypernode.errors import CredentialsError
from hypernode.places import config_folder
from hypernode.private_files import make_folder, replace_file
from hypernode.secrets import Secret


def names_in_keyring(host: str) -> tuple[str, ...]:
    """Return the nodes whose tokens were put into the keyring for `host`, sorted.

    Raises:
        CredentialsError: The file cannot be read.
    """
    return tuple(sorted(_names_in(_read(_names_file(host)))))


def note_in_keyring(host: str, node: str, *, kept: bool) -> None:
    """Note that the keyring has a token of `node`, or has it no more.

    Raises:
        CredentialsError: The file cannot be written.
    """

    def change(found: Mapping[str, Any]) -> Mapping[str, Any]:
        names = _names_in(found) - {node}
        return {"nodes": sorted(names | {node}) if kept else sorted(names)}

    _change(_names_file(host), change)


def plain_tokens(host: str) -> Mapping[str, Secret]:
    """Return the tokens in the plain file for `host`, by node; empty when there is none.

    Raises:
        CredentialsError: The file cannot be read, or others can read it too.
    """
    path = plain_file(host)
    stat = _stat_private(path)
    return {} if stat is None else _plain_tokens(path, (stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns))


@lru_cache(maxsize=1)  # asked for every node of a fleet
def _plain_tokens(path: Path, _state: tuple[int, ...]) -> Mapping[str, Secret]:
    return {name: Secret(token) for name, token in _read(path).items() if isinstance(token, str)}


def keep_plain(host: str, node: str, token: Secret | None) -> None:
    """Write the token of `node` into the plain file, or with None take it out.

    Raises:
        CredentialsError: The file cannot be written, or others can read it.
    """
    path = plain_file(host)

    def change(tokens: Mapping[str, Any]) -> Mapping[str, Any]:
        _stat_private(path)  # a new file would hide that the tokens of the old one are known to others
        others = {name: text for name, text in tokens.items() if name != node}
        return others if token is None else {**others, node: token.reveal()}

    _change(path, change)


def plain_file(host: str) -> Path:
    """Return the path of the plain file for `host`, whether or not it is there."""
    return config_folder() / "insecure-tokens" / f"{_file_name(host)}.json"


def _names_file(host: str) -> Path:
    return config_folder() / "keyring-nodes" / f"{_file_name(host)}.json"


def _file_name(host: str) -> str:
    return quote(host, safe="")


def _names_in(found: Mapping[str, Any]) -> set[str]:
    names = found.get("nodes")
    return {name for name in names if isinstance(name, str)} if isinstance(names, list) else set()


def _stat_private(path: Path) -> os.stat_result | None:
    try:
        stat = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as exc:
        raise CredentialsError(f"{path} cannot be read: {exc.strerror}") from None
    if stat.st_mode & 0o077:
        raise CredentialsError(
            f"{path} can be read by others", hint=f"Take that away (chmod 600 {path}), and get new tokens if they did"
        )
    return stat


def _read(path: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as exc:
        raise CredentialsError(f"{path} cannot be read: {exc.strerror}") from None
    except (ValueError, RecursionError):
        raise CredentialsError(f"{path} is damaged", hint="Remove it, and log in again") from None
    if not isinstance(found, dict):
        raise CredentialsError(f"{path} is damaged", hint="Remove it, and log in again")
    return found


def _change(path: Path, change: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> None:
    """Replace the file by what `change` makes of its content; two at once come one after the other."""
    try:
        make_folder(path.parent)
        path.parent.chmod(0o700)
        with _locked(path.parent):
            for left in path.parent.glob("tmp*"):  # by one that was killed: it holds tokens that nobody will forget
                left.unlink()
            replace_file(path, json.dumps(change(_read(path)), indent=1))
    except OSError as exc:
        reason = exc.strerror or "another hnctl is changing it"  # filelock's time-out has no words
        raise CredentialsError(f"{path} cannot be written: {reason}") from None


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    from filelock import FileLock

    with FileLock(folder / ".lock", timeout=10, mode=0o600):
        yield
