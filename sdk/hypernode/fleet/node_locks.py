"""One run at a time at a node, on this machine: a lock that ends with its owner, and a word on who that is.

The lock is the system's own on an open file, so a run that was killed leaves none behind. Who holds it stands in a file
beside it, as the locked one is emptied by everybody who tries it.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path

from hypernode.errors import NodeIsBusy
from hypernode.private_files import make_folder, replace_file

logger = logging.getLogger(__name__)


@contextmanager
def locked(
    node: str, folder: Path, owner: Mapping[str, object] | None = None, *, lasts: float = 900.0
) -> Iterator[None]:
    """Hold the lock of a node.

    Args:
        node: Its name.
        folder: Where the locks are; one folder per API host.
        owner: Who we are: ``who``, ``pid`` and ``run``; None: nobody that has a name.
        lasts: Seconds after which we expect to be done, for those who come meanwhile. It ends nothing.

    Raises:
        NodeIsBusy: Somebody else has it, and is named if that is known; or it cannot be taken.
    """
    from filelock import FileLock, Timeout

    name = folder / f"{node}.owner"
    try:
        make_folder(folder)
        lock = FileLock(folder / f"{node}.lock", timeout=0, mode=0o600)
        lock.acquire()
    except Timeout:
        who = _told(name)
        raise NodeIsBusy(
            f"another hnctl on this machine{f' ({who})' if who else ''} is changing the node; nothing was changed",
            hint="Wait for it to end",
        ) from None
    except OSError as exc:
        raise NodeIsBusy(
            f"the lock {folder / node}.lock cannot be taken: {exc.strerror}; nothing was changed",
            hint="Make that folder writable, or set XDG_STATE_HOME to another one",
        ) from None
    try:
        if (before := _told(name)) is not None and f"run {(owner or {}).get('run')}," not in before:
            logger.warning("%s: %s was ended in the middle of it; its lock is taken over", node, before)
        if owner is not None:
            with suppress(OSError):  # the lock holds without a name
                now = datetime.now().astimezone()
                until = (now + timedelta(seconds=lasts)).isoformat(timespec="seconds")
                since = now.isoformat(timespec="seconds")
                # No lock outlives the machine, and so neither need its owner's name.
                replace_file(name, json.dumps({**owner, "since": since, "until": until}), durable=False)
        yield
    finally:
        with suppress(OSError):
            name.unlink(missing_ok=True)
        lock.release()


def _told(path: Path) -> str | None:
    """Return who holds or held a lock, in words; None when nobody said so."""
    try:
        owner = json.loads(path.read_text("utf-8"))
        since = datetime.fromisoformat(owner["since"])
        until = datetime.fromisoformat(owner["until"])
        return (
            f"{owner['who']}, pid {owner['pid']}, run {owner['run']}, since {since:%Y-%m-%d %H:%M:%S}, "
            f"until {until:%H:%M:%S} at the latest"
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
