"""What journals tell of the runs of before. Pure, but for `find_runs` and `read_run`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from hypernode.errors import FileError, InputError, Problem
from hypernode.fleet.journal import FORMAT_VERSION, STATES, SUFFIX


@dataclass(frozen=True, slots=True)
class NodeLog:
    """What became of one node of a run."""

    node: str
    state: str
    """As `Outcome.state`. A node that was begun and has no end is ``unknown``: perhaps it was changed."""
    changes: tuple[Mapping[str, Any], ...]
    """As planned: setting, current, desired; secret values are not among them."""
    sent: bool
    """Whether a write was announced."""
    flows: tuple[str, ...]
    seconds: float | None
    error: str | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class RunLog:
    """One run."""

    run: str
    started_at: str
    ended_at: str | None
    who: str
    job: str | None
    message: str | None
    checksum: str
    host: str
    pid: int
    ended_as: str | None
    """None: it did not get to its end, or is still at it."""
    nodes: Mapping[str, NodeLog]

    def state(self, is_alive: Callable[[str, int], bool]) -> str:
        """Return how it ended: done, partly done, failed, interrupted; or running, or broken off."""
        return self.ended_as or ("running" if is_alive(self.host, self.pid) else "broken off")

    def totals(self) -> dict[str, int]:
        """Return how many nodes ended in each state."""
        return {state: sum(node.state == state for node in self.nodes.values()) for state in STATES}


def find_runs(folder: Path) -> Iterator[Path]:
    """Yield the journals, the newest run first."""
    yield from sorted(folder.glob(f"*{SUFFIX}"), reverse=True)


def find_run(folder: Path, run: str) -> Path:
    """Return the journal of a run, or of the ``last`` one.

    Raises:
        InputError: There is none.
    """
    for path in find_runs(folder):
        if run in ("last", path.stem):
            return path
    raise InputError(
        f"there is no run {run}" if run != "last" else "there are no runs", hint="hnctl history lists them"
    )


def read_run(path: Path) -> RunLog:
    """Read a journal.

    Raises:
        FileError: It is none, is of a newer hnctl, or was edited.
    """
    try:
        text = path.read_text("utf-8", "backslashreplace")
    except OSError as exc:
        raise FileError(str(path), [Problem(1, 1, f"it cannot be read: {exc.strerror}")]) from exc
    return parse_run(text, path=str(path))


def parse_run(text: str, *, path: str) -> RunLog:
    """Return the run that a journal's text tells of; a line that was cut off at its end is passed over.

    Raises:
        FileError: See `read_run`.
    """
    gathered: _Gathered | None = None
    for number, line in enumerate(text.split("\n")[:-1], start=1):
        try:
            record = json.loads(line)
            if gathered is not None:
                gathered.add(record)
            elif record["format_version"] == FORMAT_VERSION:
                gathered = _begun(record)
            else:
                raise FileError(path, [Problem(number, 1, *_newer(record["format_version"]))])
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise FileError(path, [Problem(number, 1, *_EDITED)]) from None
    if gathered is None:
        raise FileError(path, [Problem(1, 1, "the run was ended before its first record was whole; nothing was done")])
    return gathered.log()


_EDITED = "it is no record of a run; was the file edited?", "A journal that was edited is not used"


def _newer(version: object) -> tuple[str, str]:
    return f"its format {version} is not known to this hnctl", "Read it with the hnctl that wrote it, or a newer one"


@dataclass
class _Gathered:
    first: Mapping[str, Any]
    changes: dict[str, list[Mapping[str, Any]]]
    states: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    begun: set[str] = field(default_factory=set)
    sent: set[str] = field(default_factory=set)
    flows: dict[str, list[str]] = field(default_factory=dict)
    end: Mapping[str, Any] | None = None

    def add(self, record: Mapping[str, Any]) -> None:
        match record["record"]:
            case "node begun":
                self.begun.add(record["node"])
            case "sending":
                self.sent.add(record["node"])
            case "flows":
                self.flows[record["node"]] = list(record["flows"])
            case "node ended":
                self.states[record["node"]] = record
            case "run ended":
                self.end = record
            case "run begun":
                raise ValueError  # there is one

    def log(self) -> RunLog:
        first = self.first
        nodes = {node: self._node(node) for node in dict.fromkeys([*self.changes, *self.states])}
        return RunLog(
            run=first["run"],
            started_at=first["at"],
            ended_at=None if self.end is None else self.end["at"],
            who=first["who"],
            job=first["job"],
            message=first["message"],
            checksum=first["plan"]["checksum"],
            host=first["host"],
            pid=first["pid"],
            ended_as=None if self.end is None else self.end["state"],
            nodes=nodes,
        )

    def _node(self, node: str) -> NodeLog:
        ended = self.states.get(node, {})
        state = ended.get("state") or ("unknown" if node in self.begun else "not_attempted")
        return NodeLog(
            node,
            state,
            tuple(self.changes.get(node, ())),
            node in self.sent,
            tuple(self.flows.get(node, ())),
            ended.get("seconds"),
            ended.get("error"),
            ended.get("reason"),
        )


def _begun(record: Mapping[str, Any]) -> _Gathered:
    if record["record"] != "run begun":
        raise ValueError
    changes: dict[str, list[Mapping[str, Any]]] = {}
    for change in record["plan"]["changes"]:
        changes.setdefault(change["node"], []).append(change)
    for name in ("run", "at", "who", "job", "message", "host", "pid"):
        record[name]
    datetime.fromisoformat(record["at"])
    return _Gathered(record, changes)
