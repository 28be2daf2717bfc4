"""Files and folders that nobody else may read unless we say so, made so from the start and replaced as a whole."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path


def make_folder(folder: Path) -> None:
    """Make `folder` and those above it that are missing, for their owner only."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(mode=0o700, exist_ok=True)


def replace_file(path: Path, text: str, *, mode: int = 0o600, durable: bool = True) -> None:
    """Let `path` hold `text`: a reader sees the old content or the new, and a failure leaves the old.

    Args:
        path: The file; its folder is made if need be.
        text: What it is to hold.
        mode: Who may read it, whatever the umask.
        durable: Whether it is on the disk when this returns.

    Raises:
        OSError: It cannot be written.
    """
    make_folder(path.parent)
    handle, name = tempfile.mkstemp(dir=path.parent)  # made with mode 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            os.fchmod(file.fileno(), mode)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise
