"""Looks what became of a sandbox's nodes, without our SDK: `written URL NODES.json SETTINGS.json`.

SETTINGS is JSON itself. Prints how many nodes answer all of them, how many were written exactly once, and how many
writes there were.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import requests

READERS = 32


def main() -> None:
    """Read every node, and the sandbox's log."""
    url, nodes = sys.argv[1], json.loads(Path(sys.argv[2]).read_text("utf-8"))
    wished = json.loads(sys.argv[3])

    def is_right(node: str) -> bool:
        answer = requests.get(f"{url}/v2/app/{node}/", headers={"Authorization": f"Token {nodes[node]}"}, timeout=20)
        answer.raise_for_status()
        return bool(answer.json().items() >= wished.items())

    log = requests.get(f"{url}/_sandbox/log", timeout=60).json()
    writes = Counter(entry["node"] for entry in log if entry["method"] not in ("GET", "HEAD", "OPTIONS"))
    with ThreadPoolExecutor(READERS) as executor:
        right = sum(executor.map(is_right, nodes))
    once = sum(writes[node] == 1 for node in nodes)
    print(json.dumps({"right": right, "once": once, "writes": writes.total()}))


main()
