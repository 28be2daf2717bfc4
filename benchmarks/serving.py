"""A sandbox in a process of its own, so that it shares no GIL with what is measured."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measuring import ROOT

BIN = Path(sys.executable).parent
HNCTL = str(BIN / "hnctl")
LONGEST_VARIABLE = 128 * 1024  # MAX_ARG_STRLEN of Linux, with the name and its zero


@dataclass(frozen=True, slots=True)
class Served:
    """A sandbox that listens."""

    url: str
    tokens: Mapping[str, str]

    @property
    def names(self) -> list[str]:
        return list(self.tokens)


def environment(home: Path) -> dict[str, str]:
    """Return an environment without the user's own configuration of hnctl, and without a proxy in front of loopback."""
    dropped = ("HNCTL_", "HYPERNODE_", "XDG_", "PYTHONDONTWRITEBYTECODE", "COLUMNS")
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(dropped) and not name.lower().endswith("_proxy")
    }
    return {**inherited, "HOME": str(home), "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring"}


@contextmanager
def serve(home: Path, *, nodes: int, latency: str = "0ms", flow_time: str = "2s") -> Iterator[Served]:
    """Serve `nodes` nodes on a free port while the block runs."""
    options = ["--nodes", str(nodes), "--latency", latency, "--flow-time", flow_time]
    process = subprocess.Popen(
        [HNCTL, "sandbox", "serve", "--port", "0", *options],
        env=environment(home),
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        variables = {}
        for line in process.stdout:
            if line.startswith("#"):
                break
            name, _, value = line.removeprefix("export ").partition("=")
            (variables[name],) = shlex.split(value)
        assert variables, "the sandbox did not start"
        yield Served(variables["HNCTL_API_URL"], json.loads(variables["HYPERNODE_API_TOKENS"]))
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def pointed(home: Path, served: Served) -> dict[str, str]:
    """Return the environment for a command about `served`, without the tokens when they are too long for it."""
    env = {**environment(home), "HNCTL_API_URL": served.url}
    tokens = json.dumps(dict(served.tokens), separators=(",", ":"))
    if len(tokens) + len("HYPERNODE_API_TOKENS=") < LONGEST_VARIABLE:
        env["HYPERNODE_API_TOKENS"] = tokens
    return env
