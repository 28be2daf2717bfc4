"""Whole commands against a real sandbox over real sockets: as a user types them, inside this process."""

from __future__ import annotations

import gc
import io
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from nodes_by_ssh import NodesBySsh, reach_nodes
from runs import Hnctl, Result, point_to

from hnctl import main
from hypernode.sandbox.server import Sandbox
from ssh_nodes import need_ssh


@pytest.fixture(autouse=True)
def no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget what is said of the terminal that the tests are run on; pytest-xdist sets some of it by itself."""
    for name in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def own_process() -> Iterator[None]:
    """Undo what a program may do to its process, and a test must not: the log's setting, frozen garbage."""
    loggers = [logging.getLogger(name) for name in ("hnctl", "hypernode")]
    before = [(logger.handlers[:], logger.level, logger.propagate) for logger in loggers]
    yield
    gc.unfreeze()
    for logger, (handlers, level, propagate) in zip(loggers, before, strict=True):
        logger.handlers[:], logger.propagate = handlers, propagate
        logger.setLevel(level)


@pytest.fixture
def hnctl(folder: Path, own_process: None, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Hnctl:
    """Run commands in an empty folder."""

    def run(*arguments: str | Path, stdin: str = "") -> Result:
        monkeypatch.setattr(sys, "argv", ["hnctl", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main.run()
        out, err = capfd.readouterr()
        assert "--debug" in arguments or "Traceback" not in out + err
        return Result(int(ended.value.code or 0), out, err)

    return run


@pytest.fixture
def box(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """Twelve nodes whose changes take a fifth of a second."""
    with Sandbox(nodes=12, flow_time=0.2) as box:
        point_to(box, monkeypatch)
        yield box


@pytest.fixture
def openssh() -> None:
    """Skip what needs `ssh` where there is none."""
    need_ssh()


@pytest.fixture
def nodes(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[NodesBySsh]:
    """Nodes that are reached in all ways: four, or as many as the parameter says."""
    with reach_nodes(tmp_path_factory.mktemp("reach"), monkeypatch, nodes=getattr(request, "param", 4)) as nodes:
        yield nodes
