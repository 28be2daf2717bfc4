"""Where hnctl keeps its own files, and where a node keeps the ones we read."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

APP_FILE = "/etc/hypernode/app.json"
"""Where a node says which one it is (CONTRACT.md 4.4)."""


def config_file() -> Path:
    """Return the path of config.toml; ``HNCTL_CONFIG`` names another."""
    named = os.environ.get("HNCTL_CONFIG")
    if named:
        return Path(named)
    return config_folder() / "config.toml"


def config_folder() -> Path:
    """Return the folder of what a person configures, and of what hnctl keeps about tokens."""
    import platformdirs

    return platformdirs.user_config_path("hnctl")


def cache_folder() -> Path:
    """Return the folder of what can be fetched again at any time."""
    import platformdirs

    return platformdirs.user_cache_path("hnctl")


def state_folder() -> Path:
    """Return the folder of what must outlive a run: locks, later the journal."""
    import platformdirs

    return platformdirs.user_state_path("hnctl")


def on_node(path: str) -> Path:
    """Return where a node's own file such as ``/etc/hypernode/app.json`` is; ``HNCTL_NODE_ROOT`` moves the root."""
    return Path(os.environ.get("HNCTL_NODE_ROOT") or "/") / path.lstrip("/")


def cat_on_node(path: str) -> list[str]:
    """Return the command that prints a node's own file there; the node's own ``HNCTL_NODE_ROOT`` moves its root."""
    return ["sh", "-c", f'cat "${{HNCTL_NODE_ROOT:-}}"{shlex.quote(path)}']
