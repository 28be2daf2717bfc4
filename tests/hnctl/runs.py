"""What a run of hnctl leaves behind, and what the sandbox saw of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from hypernode.sandbox.server import Sandbox


class Result(NamedTuple):
    """What a command left behind."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Hnctl = Callable[..., Result]
"""Runs `hnctl ARGUMENTS`; the keyword `stdin` is what is piped into it."""


def point_to(box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let hnctl talk to `box`, and not wait longer than a sandbox needs."""
    monkeypatch.setenv("HNCTL_API_URL", box.url)
    monkeypatch.setenv("HYPERNODE_API_TOKENS", json.dumps(dict(box.tokens)))
    monkeypatch.setenv("HNCTL_POLL_INTERVAL", "50ms")
    monkeypatch.setenv("HNCTL_TIMEOUT", "2s")


@contextmanager
def boxed(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    nodes: int,
    settings: Mapping[str, object],
    poll: str = "20ms",
    flow_time: float = 0.1,
) -> Iterator[Sandbox]:
    """Serve nodes with these settings, and keep locks and journals in the test's own folder."""
    monkeypatch.setenv("XDG_STATE_HOME", str(folder / "state"))
    with Sandbox(nodes=nodes, flow_time=flow_time) as box:
        point_to(box, monkeypatch)
        monkeypatch.setenv("HNCTL_POLL_INTERVAL", poll)
        for node in box.names:
            box.set(node, **settings)
        yield box


def writes(box: Sandbox) -> list[Any]:
    """Return the PATCH requests that the sandbox saw, in order."""
    return [entry for entry in box.log() if entry.method == "PATCH"]
