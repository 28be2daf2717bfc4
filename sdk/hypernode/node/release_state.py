"""What runs of `hnctl memory release-mysql` tell each other: the last restart, and that one is at it now.

It is kept in a folder that is ours alone. What somebody else put at its place or into it is not followed.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from hypernode.errors import HypernodeError
from hypernode.private_files import make_folder, replace_file

_FILE = "release-mysql.json"
_LOCK = "release-mysql.lock"


@dataclass(frozen=True, slots=True)
class State:
    """What earlier runs left; both times are in UTC."""

    restarted_at: datetime | None = None
    """The end of the last restart that worked."""
    begun_at: datetime | None = None
    """The begin of one of whose end nothing is known: it is under way, or was cut off."""


def read_state(folder: Path, now: datetime) -> tuple[State, tuple[str, ...]]:
    """Read what earlier runs left, without following a link, and what is to be said about it.

    A state that cannot be used counts as none: a time that has not been yet says nothing, as the clock was set back.
    """
    path = folder / _FILE
    try:
        # Not blocking: a pipe at its place is opened, and seen to be one.
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return State(), ()
    except OSError as exc:
        link = " (a symbolic link, which is not followed)" if path.is_symlink() else f" ({exc.strerror})"
        return State(), (f"{path} is not used{link}",)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            return State(), (f"{path} is not used (it is no file)",)
        raw = os.read(handle, 4096)
    except OSError as exc:
        return State(), (f"{path} is not used ({exc.strerror})",)
    finally:
        os.close(handle)
    try:
        document = json.loads(raw)
        state = State(_time(document["restarted_at"]), _time(document["begun_at"]))
    except (ValueError, TypeError, KeyError, RecursionError, OverflowError):
        return State(), (f"{path} is damaged and not used",)
    times = (state.restarted_at, state.begun_at)
    if not any(at is not None and at > now for at in times):
        return state, ()
    return (
        State(*(None if at is None or at > now else at for at in times)),
        (f"{path} has a time in the future, which is not used: the clock was set back",),
    )


def write_state(folder: Path, state: State) -> None:
    """Let the next run find `state`; a link at the file's place is replaced and not followed.

    Raises:
        OSError: It cannot be written.
    """
    document = {
        "format_version": 1,
        "restarted_at": state.restarted_at.isoformat() if state.restarted_at else None,
        "begun_at": state.begun_at.isoformat() if state.begun_at else None,
    }
    replace_file(folder / _FILE, json.dumps(document) + "\n")


@contextmanager
def locked(folder: Path) -> Iterator[bool]:
    """Keep other runs out, and yield whether that was possible: it is not while one is at it."""
    from filelock import FileLock, Timeout

    try:
        _own_folder(folder)
        lock = FileLock(folder / _LOCK, timeout=0, mode=0o600)
        lock.acquire()
    except Timeout:
        yield False
        return
    except OSError as exc:
        raise _unusable(folder, exc) from None
    try:
        yield True
    finally:
        lock.release()


def _own_folder(folder: Path) -> None:
    """Make `folder`, or see that it is a folder of ours; nobody else is let into it."""
    check_folder(folder)
    make_folder(folder)
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        _check_owner(folder, os.fstat(handle))  # of the one that is open: it may have been exchanged
        os.fchmod(handle, 0o700)
    finally:
        os.close(handle)


def check_folder(folder: Path) -> None:
    """Refuse what is at the place of `folder` if it is not ours; it need not be there."""
    try:
        found = folder.stat(follow_symlinks=False)
    except FileNotFoundError:
        return
    except OSError as exc:
        raise _unusable(folder, exc) from None
    if stat.S_ISLNK(found.st_mode):
        raise HypernodeError(
            f"{folder} is a symbolic link, which is not followed; nothing was restarted",
            hint="Remove it; a folder is made in its place",
        )
    _check_owner(folder, found)


def _unusable(folder: Path, exc: OSError) -> HypernodeError:
    return HypernodeError(
        f"{folder} cannot be used: {exc.strerror}; nothing was restarted",
        hint="Make it writable, or set XDG_STATE_HOME to another place",
    )


def _check_owner(folder: Path, found: os.stat_result) -> None:
    if found.st_uid != os.geteuid():
        raise HypernodeError(
            f"{folder} belongs to another user; nothing was restarted",
            hint="Run this as the user app, or set XDG_STATE_HOME to a place of your own",
        )


def _time(text: object) -> datetime | None:
    """Return the time in a state; a time without a zone is none."""
    if text is None:
        return None
    at = datetime.fromisoformat(str(text))
    if at.tzinfo is None:
        raise ValueError("no zone")
    return at.astimezone(UTC)
