"""Where a node is reached over SSH, checked so that ssh can take it for nothing else. No I/O."""

from __future__ import annotations

import re
from typing import NamedTuple

from hypernode.errors import InputError
from hypernode.refusals import tidy

DEFAULT_HOST = "{node}.hypernode.io"
DEFAULT_USER = "app"
_HOST = re.compile(r"[A-Za-z0-9_:](?:[A-Za-z0-9_.:-]{0,252}[A-Za-z0-9_:])?")
_USER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}")


class Target(NamedTuple):
    """Where a node is reached."""

    host: str
    user: str = DEFAULT_USER
    port: int | None = None
    """None: what the configuration of ssh says."""


def check_host(host: str) -> str:
    """Return `host` if ssh can take it for nothing but a host; ``{node}`` in it stands for the node's name.

    Raises:
        InputError: It is none.
    """
    if not _HOST.fullmatch(host.replace("{node}", "node")):
        raise InputError(f"{tidy(host, 60)!r} is no host", hint=f"Write a name or an address, such as {DEFAULT_HOST}")
    return host


def check_user(user: str) -> str:
    """Return `user` if it can be the name of one.

    Raises:
        InputError: It cannot.
    """
    if not _USER.fullmatch(user):
        raise InputError(f"{tidy(user, 60)!r} is no name of a user", hint=f"On a Hypernode it is {DEFAULT_USER}")
    return user


def check_port(text: str) -> int:
    """Return the port that `text` spells.

    Raises:
        InputError: It spells none.
    """
    if re.fullmatch("[0-9]{1,5}", text) and 1 <= int(text) <= 65535:
        return int(text)
    raise InputError("the port must be a number from 1 to 65535")
