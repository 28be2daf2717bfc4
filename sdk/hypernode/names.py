"""Names of nodes and codes of products: what can be one, and whose Brancher a node is (CONTRACT.md 2.9)."""

from __future__ import annotations

import re

from hypernode.errors import InputError, InvalidNode

NODE_PATTERN = r"^[a-z0-9]{1,16}(-eph[a-z0-9]{1,32})?$"
_NODE = re.compile(NODE_PATTERN.rstrip("$") + r"\Z")
_CODE = re.compile(r"[A-Za-z0-9_-]{1,64}")


def is_node(name: str) -> bool:
    """Tell whether `name` can be the name of a node or of a Brancher."""
    return _NODE.match(name) is not None


def check_node(name: str) -> str:
    """Return `name` if it can be a node's.

    Names go into paths and host names, so nothing else may pass.

    Raises:
        InvalidNode: It cannot be one.
    """
    if not is_node(name):
        raise InvalidNode(
            f"{name[:80]!r} cannot be the name of a node",
            hint="A name has only a-z and 0-9, at most 16 of them; a Brancher's ends in -eph and its id",
        )
    return name


def parent_of(name: str) -> str | None:
    """Return the node that the Brancher `name` was made from, or None when `name` is no Brancher."""
    parent, eph, _ = name.rpartition("-eph")
    return parent if eph else None


def check_brancher(name: str) -> str:
    """Return `name` if it can be a Brancher's: what ends a Brancher would end the contract of another node.

    Raises:
        InvalidNode: It cannot be one.
    """
    if parent_of(check_node(name)) is None:
        raise InvalidNode(f"{name} is no Brancher", hint="The name of a Brancher ends in -eph and its id")
    return name


def check_code(code: str) -> str:
    """Return `code` if it can be that of a product or a service level; it goes into paths.

    Raises:
        InputError: It cannot be one.
    """
    if not _CODE.fullmatch(code):
        raise InputError(f"{code[:80]!r} cannot be the code of a product", hint="One is written like FALCON_M_202203")
    return code
