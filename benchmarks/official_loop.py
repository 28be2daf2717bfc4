"""Reads nodes one after the other with the official client and prints the seconds: `official_loop URL NODES.json`.

A client holds one token and a token belongs to one node, so there is a client for each node.
"""

from __future__ import annotations

import json
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any


def main() -> None:
    """Read every node once."""
    url, nodes = sys.argv[1], json.loads(Path(sys.argv[2]).read_text("utf-8"))
    official: Any = import_module("hypernode_api_python.client")
    # It stores the api_url that it is given and never uses it (CONTRACT.md 5, row 1).
    official.HYPERNODE_API_URL = url
    started = time.perf_counter()
    for node, token in nodes.items():
        detail = official.HypernodeAPIPython(token).get_app_info_or_404(node).json()
        assert detail["name"] == node
    print(time.perf_counter() - started)


main()
