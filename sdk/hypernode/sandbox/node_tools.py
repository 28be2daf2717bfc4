"""Writing a folder that makes this machine a node of the sandbox: the tools a node has, and its files.

    DIR/bin/hypernode-systemctl ...                     scripts that start tools.py
    DIR/root/etc/hypernode/{hypernode_api_token,app.json}
    DIR/root/var/log/                                   where hypernode-servicectl notes what it was asked for

A script is for /bin/sh: the first line of one for Python could hold neither a blank nor a long path.
"""

from __future__ import annotations

import errno
import json
import os
import shlex
import sys
from pathlib import Path
from urllib.parse import urlsplit

import hypernode.sandbox
from hypernode.config import check_api_url
from hypernode.errors import InputError
from hypernode.names import check_node, parent_of
from hypernode.private_files import make_folder, replace_file
from hypernode.sandbox.tools import SERVICE_LOG, TOOLS

_MARK = "# Written by `hnctl sandbox node-tools`; it talks to a sandbox and to nothing else."
_START = (
    "import sys; sys.path.insert(0, sys.argv[1]); from hypernode.sandbox.tools import main; "
    "sys.exit(main(*sys.argv[2:5], sys.argv[5:]))"
)
_PHP_VERSION = "8.3"
"""Made up, as the node may have any: the file of a real node is as old as its last update."""


def write_node_tools(folder: Path, *, node: str, token: str, api_url: str) -> None:
    """Write the tools and files of `node` into `folder`; what an earlier call wrote is replaced, a log kept.

    Args:
        folder: Made when it is missing.
        node: A node of the sandbox.
        token: Its token. It is written to one file only, and that only its owner can read.
        api_url: Where the sandbox listens.

    Raises:
        InputError: The API is not on this machine, so the token may be a real one; the name cannot be a node's; or
            the folder cannot be used. Nothing was written.
    """
    check_node(node)
    if urlsplit(check_api_url(api_url)).scheme != "http":  # which `check_api_url` lets pass to this machine alone
        raise InputError(
            f"{api_url} is no sandbox on this machine, and a real token must not be written into such a folder",
            hint="Start one with hnctl sandbox serve, and source what it prints",
        )
    folder = Path(os.path.abspath(folder))
    root = folder / "root"
    folders = (folder / "bin", root / "etc" / "hypernode", (root / SERVICE_LOG).parent)
    _check_name(folder)
    for each in folders:
        _check_place(each)
    _check_tools(folder)
    try:
        for each in folders:
            make_folder(each)
        replace_file(root / "etc" / "hypernode" / "hypernode_api_token", f"{token}\n")
        replace_file(root / "etc" / "hypernode" / "app.json", _app_file(node))
        for tool in TOOLS:
            _write_script(folder / "bin" / tool, _script(tool, root, api_url))
    except OSError as exc:
        raise InputError(f"{folder} cannot be written: {exc.strerror}") from None


def _check_name(folder: Path) -> None:
    """Refuse what cannot stand in PATH or in a script."""
    if ":" in str(folder):
        raise InputError(f"{folder} has a colon in its name, which PATH cannot take")
    try:
        str(folder).encode()
    except UnicodeEncodeError:
        raise InputError(f"{folder} has a name that is not UTF-8") from None


def _check_place(folder: Path) -> None:
    """Refuse a folder that cannot be made or written, before anything is."""
    nearest = next(each for each in (folder, *folder.parents) if os.path.lexists(each))
    if not nearest.is_dir():
        raise InputError(f"{nearest} is no folder")
    if not os.access(nearest, os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids):
        raise InputError(f"{nearest} cannot be written: {os.strerror(errno.EACCES)}")


def _check_tools(folder: Path) -> None:
    """Refuse a folder of somebody else's, such as /usr: only an empty one, or one that an earlier call filled."""
    tools = [folder / "bin" / tool for tool in TOOLS]
    try:
        if not os.path.lexists(folder) or not os.listdir(folder):
            return
        ours = [path for path in tools if path.is_file() and _MARK in path.read_text("utf-8", "replace")]
        strange = [path for path in tools if os.path.lexists(path) and path not in ours]
    except OSError as exc:
        raise InputError(f"{exc.filename or folder} cannot be read: {exc.strerror}") from None
    if strange:
        raise InputError(f"{strange[0]} is there already and is not ours", hint="Name a folder of its own")
    if not ours:
        raise InputError(f"{folder} is not empty, and nothing in it is ours", hint="Name a folder of its own")


def _script(tool: str, root: Path, api_url: str) -> str:
    """Return a script for sh that starts Python without the user's packages, variables and start-up files."""
    package = Path(hypernode.sandbox.__file__).parents[2]
    command = [sys.executable, "-I", "-S", "-X", "utf8", "-c", _START, str(package), tool, str(root), api_url]
    return f'#!/bin/sh\n{_MARK}\nexec {shlex.join(command)} "$@"\n'


def _write_script(path: Path, text: str) -> None:
    """Replace `path` by a file that can be run from the start."""
    new = path.with_name(f".{path.name}.new")
    replace_file(new, text)
    new.chmod(0o755)
    new.replace(path)


def _app_file(node: str) -> str:
    """Return app.json with the keys of CONTRACT.md 4.4."""
    app = {
        "tag": node,
        "hn_fqdn": f"{node}.hypernode.io",
        "hn_domain": "hypernode.io",
        "php_version": _PHP_VERSION,
        "app_type": "brancher" if parent_of(node) else "persistent",
    }
    return json.dumps(app, indent=1) + "\n"
