"""A store in memory whose nodes count what is done to them and can be told to go wrong, and an executor to watch."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from hypernode.api.models import Flow
from hypernode.catalogue import SettingValue
from hypernode.secrets import Secret

Answers = dict[str, dict[str, Any]]
RUNNING = "update_node is running"


@dataclass
class MemoryReader:
    """Reads nodes, and has no method that writes."""

    nodes: Answers
    broken: dict[str, BaseException] = field(default_factory=dict)
    """What reading a node raises."""
    reads: list[str] = field(default_factory=list)

    def read(self, node: str, names: Collection[str] | None = None) -> Mapping[str, Any]:
        self.reads.append(node)
        if node in self.broken:
            raise self.broken[node]
        return dict(self.nodes[node])


@dataclass
class MemoryStore(MemoryReader):
    """Reads and writes nodes. Each mapping from a node tells what goes wrong with it."""

    busy: dict[str, str] = field(default_factory=dict)
    """The flow that is under way."""
    refused: dict[str, BaseException] = field(default_factory=dict)
    """What a write raises; nothing is changed."""
    ended: dict[str, BaseException] = field(default_factory=dict)
    """What waiting for a write raises; the values are there."""
    writes: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    sought: list[str] = field(default_factory=list)
    """The nodes on which an earlier write was looked for."""
    waits: list[tuple[float, float]] = field(default_factory=list)
    """Timeout and interval of each wait."""
    during_write: Callable[[str], object] = lambda node: None
    most_at_once: int = 0
    """Most nodes that were seen being read, written or waited for at one time."""
    _inside: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def read(self, node: str, names: Collection[str] | None = None) -> Mapping[str, Any]:
        with self._visited(node):
            return super().read(node, names)

    def blocking(self, node: str) -> str | None:
        return self.busy.get(node)

    def write(self, node: str, wished: Mapping[str, SettingValue]) -> MemoryPending:
        with self._visited(node):
            self.writes.append((node, dict(wished)))
            self.during_write(node)
            if node in self.refused:
                raise self.refused[node]
            for name, value in wished.items():
                self.nodes[node][name] = value.reveal() if isinstance(value, Secret) else value
            return MemoryPending(self, node)

    def find(
        self, node: str, sent: Mapping[str, SettingValue], sent_at: datetime, flows: Sequence[str]
    ) -> MemoryPending | None:
        """Look at the values only: there is no logbook."""
        there = {name: value.reveal() if isinstance(value, Secret) else value for name, value in sent.items()}
        self.sought.append(node)
        return MemoryPending(self, node) if there.items() <= self.nodes[node].items() else None

    @contextmanager
    def _visited(self, node: str) -> Iterator[None]:
        with self._lock:
            assert node not in self._inside, "two threads are at one node"
            self._inside.add(node)
            self.most_at_once = max(self.most_at_once, len(self._inside))
        try:
            yield
        finally:
            with self._lock:
                self._inside.remove(node)


@dataclass
class MemoryPending:
    """A write that was taken."""

    store: MemoryStore
    node: str
    notes: tuple[str, ...] = ()

    def wait(
        self, timeout: float, *, interval: float, on_look: Callable[[Sequence[Flow]], None] | None
    ) -> tuple[Flow, ...]:
        self.store.waits.append((timeout, interval))
        if self.node in self.store.ended:
            raise self.store.ended[self.node]
        flows = (Flow(uuid=f"flow-of-{self.node}", name="update_node", state="success"),)
        if on_look is not None:
            on_look(flows)
        return flows


class OneWorker(ThreadPoolExecutor):
    """An executor with one thread that tells when the last of its tasks has been taken back."""

    def __init__(self) -> None:
        super().__init__(1)
        self.taken_back = threading.Event()
        self._last: Future[Any] | None = None

    def submit(self, *args: Any, **more: Any) -> Future[Any]:
        self._last = super().submit(*args, **more)
        self._last.add_done_callback(self._note)
        return self._last

    def _note(self, task: Future[Any]) -> None:
        if task is self._last and task.cancelled():
            self.taken_back.set()
