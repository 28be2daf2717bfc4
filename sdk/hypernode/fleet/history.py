"""What journals tell of the runs of before. Pure, but for those functions that take a path."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from hypernode.errors import FileError, InputError, Problem
from hypernode.fleet.gates import Finding
from hypernode.fleet.journal import FORMAT_VERSION, STATES, SUFFIX, State
from hypernode.fleet.records import check


@dataclass(frozen=True, slots=True)
class NodeLog:
    """What became of one node of a run."""

    node: str
    state: State
    """As `Outcome.state`: how its last try ended. One that was refused says nothing, and one that has sent something
    and has no end is ``unknown``. A node that could not be read, and so has no changes, is ``failed``."""
    changes: tuple[Mapping[str, Any], ...]
    """As planned: setting, current, desired; secret values are not among them."""
    sent: Mapping[str, Any]
    """What was sent, by setting; secrets as `journal.hashed` keeps them."""
    sent_at: datetime | None
    """When a write was announced whose end is not known; None: there is none."""
    flows: tuple[str, ...]
    seconds: float | None
    error: str | None
    reason: str | None
    is_open: bool = False
    """Whether it was begun and no end was written down since, nor that of the run: while that lasts, it is under way;
    where the run was killed, it was."""

    @property
    def begun(self) -> bool:
        """Whether the run has left an outcome or an open end on the node."""
        return self.state != "not_attempted"


@dataclass(frozen=True, slots=True)
class Source:
    """What the plan of a run was made of."""

    folder: str
    """Where relative references to secrets start."""
    file: str | None = None
    """The fleet file or plan; None: the settings were named on the command line."""
    digest: str | None = None
    """SHA-256 of that file."""


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
    """All that it is about: those that are to be changed, and those that could not be read."""
    plan: Mapping[str, Any]
    """The plan as `planfile.dump` wrote it."""
    salt: str
    """Of the hashes in `NodeLog.sent`."""
    source: Source
    rolls_back: str | None
    """The run that this one takes back."""
    resumed: tuple[tuple[str, str, str | None], ...]
    """When it was gone on with, by whom, and why."""
    past: Past
    """What it has left for whoever goes on with it."""

    def state(self, *, under_way: bool) -> str:
        """Return how it ended: done, partly done, failed, stopped, paused or interrupted; or running, or broken off."""
        return "running" if under_way else self.ended_as or "broken off"

    def totals(self) -> dict[str, int]:
        """Return how many nodes ended in each state."""
        return {state: sum(node.state == state for node in self.nodes.values()) for state in STATES}


@dataclass(frozen=True, slots=True)
class Past:
    """What an earlier part of a run has left."""

    nodes: Mapping[str, NodeLog] = field(default_factory=dict)
    """Those that were begun."""
    passed: frozenset[str] = frozenset()
    """Nodes of the waves that have passed their gates."""
    passed_at: datetime | None = None
    probed: Mapping[str, Mapping[str, Finding]] = field(default_factory=dict)
    """Node to what each gate found before the node was changed."""


def find_runs(folder: Path) -> Iterator[Path]:
    """Yield the journals, the newest run first.

    One that ends before its first record is whole is passed over: nothing was done in that run.
    """
    yield from filter(has_begun, sorted(folder.glob(f"*{SUFFIX}"), reverse=True))


def has_begun(path: Path) -> bool:
    """Tell whether the first record of a journal is whole; one that cannot be read is for `read_run` to tell of."""
    try:
        return _first_line(path).endswith(b"\n")
    except OSError:
        return True


def rollbacks_of(folder: Path, run: str) -> list[RunLog]:
    """Return the runs that take `run` back, the newest first; one that cannot be read is passed over."""
    found = []
    for path in find_runs(folder):
        with suppress(OSError, FileError):
            # Most journals are long, and about something else.
            if run.encode() in _first_line(path) and (log := read_run(path)).rolls_back == run:
                found.append(log)
    return found


def _first_line(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.readline()


def find_run(folder: Path, run: str) -> Path:
    """Return the journal of a run, or of the ``last`` one.

    Raises:
        InputError: There is none.
    """
    for path in find_runs(folder):
        if run in ("last", path.stem):
            return path
    if run == "last":
        raise InputError("there are no runs: nothing was changed from here yet, or its history was pruned")
    raise InputError(f"there is no run {run}", hint="hnctl history lists them")


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
            if gathered is None and record["format_version"] != FORMAT_VERSION:
                raise FileError(path, [Problem(number, 1, *_newer(record["format_version"]))])
            check(record)
            if gathered is None:
                gathered = _begun(record)
            else:
                gathered.add(record)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise FileError(path, [Problem(number, 1, *EDITED)]) from None
    if gathered is None:
        raise FileError(path, [Problem(1, 1, "the run was ended before its first record was whole; nothing was done")])
    return gathered.log()


NOT_USED = "A journal that was edited is not used"
EDITED = "it is no record of a run; was the file edited?", NOT_USED


def _newer(version: object) -> tuple[str, str]:
    return f"its format {version} is not known to this hnctl", "Read it with the hnctl that wrote it, or a newer one"


@dataclass
class _Gathered:
    first: Mapping[str, Any]
    changes: dict[str, list[Mapping[str, Any]]]
    ends: dict[str, Mapping[str, Any]]
    sent: dict[str, dict[str, Any]] = field(default_factory=dict)
    sent_at: dict[str, datetime] = field(default_factory=dict)
    flows: dict[str, list[str]] = field(default_factory=dict)
    open: set[str] = field(default_factory=set)
    probed: dict[str, dict[str, Finding]] = field(default_factory=dict)
    passed: set[str] = field(default_factory=set)
    passed_at: datetime | None = None
    resumed: list[tuple[str, str, str | None]] = field(default_factory=list)
    end: Mapping[str, Any] | None = None

    def add(self, record: Mapping[str, Any]) -> None:
        node = record.get("node")
        if node is not None and node not in self.changes:
            raise ValueError(node)
        match record["record"]:
            case "sending":
                self.sent.setdefault(record["node"], {}).update(record["settings"])
                self.sent_at[record["node"]] = datetime.fromisoformat(record["at"])
                self.flows.pop(record["node"], None)
            case "flows":
                self.flows[record["node"]] = list(record["flows"])
            case "node ended":
                self.open.discard(record["node"])
                if record["state"] != "not_attempted" or node not in self.ends:
                    self.ends[record["node"]] = record
                if record["state"] not in ("unknown", "not_attempted"):
                    self.sent_at.pop(record["node"], None)
            case "probed":
                for node, found in record["nodes"].items():
                    self.probed[node] = {gate: Finding(gate, node, verdict, why) for gate, verdict, why in found}
            case "wave passed":
                self.passed.update(record["nodes"])
                self.passed_at = datetime.fromisoformat(record["at"])
            case "run resumed":
                self.resumed.append((record["at"], record["who"], record["message"]))
                self.end = None
                self.open.clear()
            case "run ended":
                self.end = record
                self.open.clear()
            case "node begun":
                self.open.add(record["node"])
            case "read back" | "gate":
                pass  # for people
            case other:
                raise ValueError(other)

    def log(self) -> RunLog:
        first = self.first
        nodes = {node: self._node(node) for node in dict.fromkeys([*self.changes, *self.ends])}
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
            plan=first["plan"],
            salt=first["salt"],
            source=Source(first["folder"], first["file"], first["digest"]),
            rolls_back=first["rolls_back"],
            resumed=tuple(self.resumed),
            past=Past(
                {name: node for name, node in nodes.items() if node.begun},
                frozenset(self.passed),
                self.passed_at,
                self.probed,
            ),
        )

    def _node(self, node: str) -> NodeLog:
        ended = self.ends.get(node, {})
        state: State = "unknown" if node in self.sent_at else ended.get("state", "not_attempted")
        return NodeLog(
            node,
            state,
            tuple(self.changes.get(node, ())),
            self.sent.get(node, {}),
            self.sent_at.get(node),
            tuple(self.flows.get(node, ())),
            ended.get("seconds"),
            ended.get("error"),
            ended.get("reason"),
            node in self.open,
        )


def _begun(record: Mapping[str, Any]) -> _Gathered:
    if record["record"] != "run begun":
        raise ValueError
    changes: dict[str, list[Mapping[str, Any]]] = {}
    for change in record["plan"]["changes"]:
        changes.setdefault(change["node"], []).append(change)
    unread: dict[str, Mapping[str, Any]] = {
        one["node"]: {"state": "failed", "error": f"it could not be read: {one['reason']}"}
        for one in record["plan"]["unread"]
    }
    return _Gathered(record, changes, unread)
