"""The address from which a node sees whoever sits here, as far as that is certain."""

from __future__ import annotations

import os

from hypernode.allowlists import parse_network
from hypernode.credentials import own_name


def own_address(node: str) -> str | None:
    """Return the address that the SSH session came from, on `node` itself; None where nothing certain is known.

    On any other machine SSH_CONNECTION tells where that machine was reached from, and not where the node is. In
    tmux and screen it can be an old one, as they keep the variables that they were started with.
    """
    if own_name() != node or os.environ.get("TMUX") or os.environ.get("STY"):
        return None
    words = (os.environ.get("SSH_CONNECTION") or os.environ.get("SSH_CLIENT") or "").split()
    return words[0] if words and parse_network(words[0]) is not None else None
