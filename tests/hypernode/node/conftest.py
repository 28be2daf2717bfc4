"""What several tests of the node's tools stand on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from fake_ssh import FakeSsh

from fake_shell import said
from hypernode.node.shell import Output


@pytest.fixture(params=["out 0", "out 1", "err 0", "err 1"])
def speak(request: pytest.FixtureRequest) -> Callable[[str], Output]:
    """Say a text on either stream, with either status."""
    stream, status = request.param.split()
    return lambda text: said(**{stream: text}, status=int(status))


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSsh:
    """Put an `ssh` first in PATH."""
    fake = FakeSsh(tmp_path / "fake ssh")
    monkeypatch.setenv("PATH", f"{fake.path}:/usr/bin:/bin")
    return fake
