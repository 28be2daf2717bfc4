"""Ways to a node's settings: a reader, which cannot write, and a store, which can.

`Reader` and `Store` say what planning and rollout need of a way; `ApiReader` and `ApiStore` go through the API, those
in `tool_stores` through the node's own tool, and `EachReader` and `EachStore` take each node its own way.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from hypernode.allowlists import Entries
from hypernode.api.apps import get_detail
from hypernode.api.flows import FIRST_INTERVAL, Flows
from hypernode.api.settings import Settings
from hypernode.api.transport import Transport
from hypernode.catalogue import Catalogue, SettingValue
from hypernode.errors import HypernodeError, NotApplied
from hypernode.fleet.executors import for_each_node
from hypernode.fleet.managed import Managed, names_of_lists
from hypernode.secrets import Secret

if TYPE_CHECKING:
    from hypernode.api.allowlist import Allowlist
    from hypernode.api.models import Flow


Keep = Callable[[str, Mapping[str, Any]], Mapping[str, Any] | None]


class Pending(Protocol):
    """A write that a store took."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What is to be told of it besides, such as a question that was answered."""

    def wait(
        self, timeout: float, *, interval: float, on_look: Callable[[Sequence[Flow]], None] | None
    ) -> tuple[Flow, ...]:
        """Wait for the end and read back; see `hypernode.api.settings.Update.wait`."""


class Reader(Protocol):
    """Reads nodes. It has no method that writes, so whoever is given one cannot change anything."""

    def read(self, node: str, names: Collection[str] | None = None) -> Mapping[str, Any]:
        """Return what is said of `node`, settings flat beside the rest, as decoded.

        Args:
            node: Its name.
            names: What is needed; more may come. None: all there is.
        """


class Store(Reader, Protocol):
    """Reads and writes nodes."""

    def blocking(self, node: str) -> str | None:
        """Tell of a flow under way during which `node` must not be changed, as ``update_node is running``; or None."""

    def write(self, node: str, wished: Mapping[str, Managed]) -> Pending:
        """Change settings of `node`, with one write where the way has one for all."""

    def find(self, node: str, sent: Mapping[str, Managed], sent_at: datetime, flows: Sequence[str]) -> Pending | None:
        """Return the write of `sent` that somebody sent, or was about to send, at `sent_at`; None: nothing came of it.

        Whoever sent it may not have lived to see the answer. It is looked for as long as it may take to be seen.

        Args:
            node: Where.
            sent: What was sent.
            sent_at: When, by the clock of this machine.
            flows: Uuids of its flows, as far as they were seen.
        """


class ApiReader:
    """Reads nodes through the API.

    Args:
        transport: Shared by all nodes and threads.
        find_token: Returns a node's token or raises `NoToken`.
    """

    def __init__(self, transport: Transport, find_token: Callable[[str], Secret]) -> None:
        self._transport = transport
        self._find_token = find_token

    def read(self, node: str, names: Collection[str] | None = None) -> Mapping[str, Any]:
        """Return the node's detail, of which the API tells all or nothing, and those of its allowlists that are named.

        A list is read as an object, address to description.
        """
        detail = get_detail(self._transport, node, self._find_token(node))
        lists = names_of_lists(names or ())
        if not lists:
            return detail
        found = self._allowlist(node).by_type()
        return {**detail, **{name: dict(found.get(kind, {})) for name, kind in lists.items()}}

    def _allowlist(self, node: str) -> Allowlist:
        from hypernode.api.allowlist import Allowlist  # here, since most fleets do without, and it imports models

        return Allowlist(self._transport, node, self._find_token(node))


class ApiStore(ApiReader):
    """Reads and writes nodes through the API; `interval` as for `Settings`."""

    def __init__(
        self,
        transport: Transport,
        find_token: Callable[[str], Secret],
        catalogue: Catalogue,
        *,
        interval: float = FIRST_INTERVAL,
    ) -> None:
        super().__init__(transport, find_token)
        self._catalogue = catalogue
        self._interval = interval

    def blocking(self, node: str) -> str | None:
        """Tell of a flow under way during which `node` must not be changed; or None."""
        flow = Flows(self._transport, node, self._find_token(node)).blocking()
        return None if flow is None else f"{flow.name} is {flow.state or 'about to start'}"

    def write(self, node: str, wished: Mapping[str, Managed]) -> Pending:
        """Bring the allowlists about, entry by entry, and send one PATCH with all settings."""
        settings, lists = _parted(wished)
        for name, entries in lists.items():
            self._allowlist(node).bring(names_of_lists(lists)[name], entries)
        if not lists:
            return self._settings(node).set(settings)
        update = self._settings(node).set(settings) if settings else None
        return _WithLists(node, update, lists, lambda: self.read(node, list(lists)))

    def find(self, node: str, sent: Mapping[str, Managed], sent_at: datetime, flows: Sequence[str]) -> Pending | None:
        """Look for the settings in the logbook and on the node; whoever looks reads the allowlists again."""
        settings, _ = _parted(sent)
        return self._settings(node).find_sent(settings, sent_at, flows) if settings else None

    def _settings(self, node: str) -> Settings:
        return Settings(self._transport, node, self._find_token(node), self._catalogue, interval=self._interval)


def _parted(wished: Mapping[str, Managed]) -> tuple[dict[str, SettingValue], dict[str, Entries]]:
    """Return the settings and the allowlists among `wished`."""
    settings = {name: value for name, value in wished.items() if not isinstance(value, Entries)}
    return settings, {name: value for name, value in wished.items() if isinstance(value, Entries)}


@dataclass(frozen=True, slots=True)
class _WithLists:
    """A write of allowlists, which take effect at once as far as anybody knows, and perhaps of settings."""

    node: str
    update: Pending | None
    lists: Mapping[str, Entries]
    read: Callable[[], Mapping[str, Any]]

    @property
    def notes(self) -> tuple[str, ...]:
        return () if self.update is None else self.update.notes

    def wait(
        self, timeout: float, *, interval: float, on_look: Callable[[Sequence[Flow]], None] | None
    ) -> tuple[Flow, ...]:
        flows = () if self.update is None else self.update.wait(timeout, interval=interval, on_look=on_look)
        there = self.read()
        for name, entries in self.lists.items():
            if not entries.are_there(Entries(there[name])):
                raise NotApplied(
                    f"the API took the entries of {name}, and still it has {Entries(there[name])}",
                    hint=f"Look at it with `hnctl allowlist list -n {self.node}`",
                    node=self.node,
                )
        return flows


R = TypeVar("R", bound=Reader)


class EachReader(Generic[R]):
    """Reads each node by its own way.

    Args:
        way_of: Returns the reader of a node, or raises why it cannot be reached.
    """

    def __init__(self, way_of: Callable[[str], R]) -> None:
        self._way_of = way_of

    def read(self, node: str, names: Collection[str] | None = None) -> Mapping[str, Any]:
        """Read `node` by its way."""
        return self._way_of(node).read(node, names)


class EachStore(EachReader[Store]):
    """Reads and writes each node by its own way; `way_of` as for `EachReader`."""

    def blocking(self, node: str) -> str | None:
        """Ask by the node's way."""
        return self._way_of(node).blocking(node)

    def write(self, node: str, wished: Mapping[str, Managed]) -> Pending:
        """Write by the node's way."""
        return self._way_of(node).write(node, wished)

    def find(self, node: str, sent: Mapping[str, Managed], sent_at: datetime, flows: Sequence[str]) -> Pending | None:
        """Look by the node's way."""
        return self._way_of(node).find(node, sent, sent_at, flows)


def read_nodes(
    reader: Reader,
    nodes: Iterable[str],
    executor: Executor,
    *,
    keep: Keep,
    names: Callable[[str], Collection[str] | None] = lambda _: None,
    on_node: Callable[[str], None] | None = None,
) -> tuple[dict[str, Mapping[str, Any]], dict[str, HypernodeError]]:
    """Read many nodes at once.

    Args:
        reader: The way to them.
        nodes: Their names.
        executor: Runs the reads; its workers are how many are read at once.
        keep: Takes what is needed out of a node's answer, so that thousands of answers need not be kept; None
            leaves the node out.
        names: Returns what is needed of a node; see `Reader.read`.
        on_node: Told each node that was read or failed, as it happens.

    Returns:
        What was kept of each node, and the errors of those that could not be read; both in the order of `nodes`.
    """
    read, failures = for_each_node(
        executor, list(nodes), lambda node: keep(node, reader.read(node, names(node))), on_node=on_node
    )
    return {node: kept for node, kept in read.items() if kept is not None}, failures
