"""Small commands, which are mostly Python starting up: `hnctl --help` and reading one setting."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.measuring import compare, time_command
from benchmarks.serving import HNCTL, environment, pointed, serve
from benchmarks.table import Row

GOAL = 1.3
ROUNDS = 7
PAIRS = 9

_BARE_GET = """\
import requests
answer = requests.get({url!r}, headers={{"Authorization": "Token {token}"}})
print(answer.json()["php_version"])
"""


def measure(home: Path) -> Iterator[Row]:
    """Measure both commands."""
    env = environment(home)
    bare = [sys.executable, "-c", "import click"]
    helped = [HNCTL, "--help"]
    series = compare(_timer(helped, env), _timer(bare, env), rounds=ROUNDS, pairs=PAIRS)
    yield Row('`hnctl --help` / `python -c "import click"`', series.show("x"), f"<= {GOAL}x", series.median <= GOAL)

    with serve(home, nodes=3) as served:
        name = served.names[0]
        env = pointed(home, served)
        url = f"{served.url}/v2/app/{name}/?destroyed=false"
        bare = [sys.executable, "-c", _BARE_GET.format(url=url, token=served.tokens[name])]
        get = [HNCTL, "settings", "get", "php_version", "-n", name]
        told = [subprocess.run(argv, env=env, capture_output=True, check=True).stdout for argv in (get, bare)]
        assert told[0] == told[1], told
        series = compare(_timer(get, env), _timer(bare, env), rounds=ROUNDS, pairs=PAIRS)
    yield Row(
        "`hnctl settings get` of one node / bare `requests.get(...).json()`",
        series.show("x"),
        f"<= {GOAL}x",
        series.median <= GOAL,
    )


def _timer(argv: list[str], env: dict[str, str]) -> Callable[[], float]:
    time_command(argv, env)  # compiles and warms the disk cache
    return lambda: time_command(argv, env)
