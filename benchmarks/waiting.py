"""Changes one setting of many nodes and waits for all at once: `waiting URL NODES.json`.

Prints the CPU and wall seconds of the waiting alone, and how often each node's logbook was looked at meanwhile.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hypernode.api.client import Client
from hypernode.api.models import Flow
from hypernode.api.settings import Update
from hypernode.api.transport import Transport

WRITERS = 32


def main() -> None:
    """Change and wait once."""
    url, nodes = sys.argv[1], json.loads(Path(sys.argv[2]).read_text("utf-8"))
    looks: Counter[str] = Counter()
    slowest = 0.0
    with Transport(url, pool_size=WRITERS) as transport:

        def change(node: str) -> Update:
            client = Client(node, token=nodes[node], transport=transport)
            return client.settings.set(mailhog_enabled=True)

        def wait(update: Update) -> float:
            def count(_flows: Sequence[Flow]) -> None:
                looks[update.node] += 1

            started = time.monotonic()
            assert update.wait(300, on_look=count)
            return time.monotonic() - started

        with ThreadPoolExecutor(WRITERS) as executor:
            updates = list(executor.map(change, nodes))
        with ThreadPoolExecutor(len(nodes)) as executor:
            cpu, wall = time.process_time(), time.monotonic()
            slowest = max(executor.map(wait, updates))
            cpu, wall = time.process_time() - cpu, time.monotonic() - wall
    seen = {"looks": looks.total(), "most_looks": max(looks.values()), "slowest": slowest}
    print(json.dumps({"cpu": cpu, "seconds": wall, **seen}))


main()
