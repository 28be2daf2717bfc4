"""The way to a node's settings through its own tool, hypernode-systemctl, here or over SSH.

The tool reads and changes one setting at a time and waits by itself, so a write is over when it returns. What it says
of it is not relied on: the node is read back.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from hypernode.api.flows import BLOCKING, FIRST_INTERVAL
from hypernode.catalogue import UNREADABLE, Catalogue, SettingValue, as_shown
from hypernode.errors import (
    ConnectionFailed,
    HypernodeError,
    InputError,
    NotApplied,
    NotVerified,
    OutcomeUnknown,
    ToolTimedOut,
)
from hypernode.fleet.managed import Managed, settings_only
from hypernode.fleet.where import FIELDS
from hypernode.node.log import read_log
from hypernode.node.shell import Shell
from hypernode.node.systemctl import READ_TIMEOUT, TOOL, Systemctl, spelled
from hypernode.secrets import Secret

if TYPE_CHECKING:
    from hypernode.api.models import Flow

_KNOWN_FIELDS = frozenset({"name", "group"})
"""What `--where` may ask of such a node besides its settings: what we know ourselves."""


class ToolReader:
    """Reads nodes through hypernode-systemctl.

    Args:
        find_shell: Returns what runs commands on a node, or raises why there is nothing.
        catalogue: Types the values.
        read_timeout: Seconds that reading one value may take.
    """

    def __init__(
        self, find_shell: Callable[[str], Shell], catalogue: Catalogue, *, read_timeout: float = READ_TIMEOUT
    ) -> None:
        self._find_shell = find_shell
        self._catalogue = catalogue
        self._read_timeout = read_timeout

    def read(self, node: str, names: Collection[str] | None = None) -> Mapping[str, Any]:
        """Return the settings called `names`, as the API would answer them; None: all that the tool knows."""
        if names is not None and (other := sorted(set(names) & set(FIELDS) - _KNOWN_FIELDS)):
            raise InputError(
                f"--where asks for {', '.join(other)}, and {TOOL} does not tell that",
                hint="Ask for settings, name or group only, or use via: api for this node",
                node=node,
            )
        wanted = None if names is None else [name for name in names if name in self._catalogue]
        live = self._tool(node).read(wanted)
        return {name: value.reveal() if isinstance(value, Secret) else value for name, value in live.items()}

    def _tool(self, node: str) -> Systemctl:
        shell = self._find_shell(node)
        return Systemctl(shell, self._catalogue, node=node, read_timeout=self._read_timeout)


class ToolStore(ToolReader):
    """Reads and writes nodes through hypernode-systemctl.

    Questions of the tool are answered only where `Setting.tool_prompts` tells that it asks, since whoever carries out a
    plan has agreed to it.

    Args:
        find_shell: As for `ToolReader`.
        catalogue: As for `ToolReader`.
        read_timeout: As for `ToolReader`.
        timeout: Seconds that all changes of one node may take together.
    """

    def __init__(
        self,
        find_shell: Callable[[str], Shell],
        catalogue: Catalogue,
        *,
        read_timeout: float = READ_TIMEOUT,
        timeout: float = 900.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(find_shell, catalogue, read_timeout=read_timeout)
        self._timeout = timeout
        self._clock = clock
        self._sleep = sleep

    def blocking(self, node: str) -> str | None:
        """Tell of a flow under way during which `node` must not be changed, by hypernode-log; or None."""
        entries = read_log(self._find_shell(node))
        busy = next((entry for entry in entries if entry.action in BLOCKING and not entry.is_over), None)
        return None if busy is None else f"{busy.action} is {busy.state}"

    def write(self, node: str, wished: Mapping[str, Managed]) -> ToolUpdate:
        """Change settings one after the other, each until the tool says that it is applied.

        Raises:
            SafetyError, InvalidValue: One cannot go this way; nothing was sent.
            OutcomeUnknown: The tool was cut off or spoke in words that are not known; the node was read back.
            HypernodeError: One was refused; those before it are named.
        """
        settings = settings_only(wished, node)
        for name, value in settings.items():
            spelled(self._catalogue.writable(name), value)
        tool = self._tool(node)
        deadline = self._clock() + self._timeout
        done: list[str] = []
        asked: list[str] = []
        for name, value in sorted(settings.items()):
            left = deadline - self._clock()
            try:
                if left <= 0:
                    raise ToolTimedOut(f"the time was over before {name} was begun")
                if question := tool.set(name, value, timeout=left, agreed=True):
                    asked.append(question)
            except HypernodeError as exc:
                error = self._after(exc, done, node, settings)
                raise error from (None if error is exc else exc)
            done.append(name)
        return ToolUpdate(self, node, settings, tuple(asked))

    def find(
        self, node: str, sent: Mapping[str, Managed], sent_at: datetime, flows: Sequence[str]
    ) -> ToolUpdate | None:
        """Wait until no flow of the node is under way, and read it: the tool tells of none by its uuid."""
        deadline = self._clock() + self._timeout
        while (busy := self.blocking(node)) is not None:
            if self._clock() >= deadline:
                raise OutcomeUnknown(f"the flow {busy}, and it is not known whose it is", hint=_LATER, node=node)
            self._sleep(FIRST_INTERVAL)
        live = self.read(node, list(sent))
        there = all(live.get(name) == value for name, value in sent.items())
        return ToolUpdate(self, node, settings_only(sent, node)) if there else None

    def _after(
        self, exc: HypernodeError, done: Sequence[str], node: str, wished: Mapping[str, SettingValue]
    ) -> HypernodeError:
        """Return the error for a change that ended with `exc`, after those of `done`."""
        before = f"; changed before it: {', '.join(done)}" if done else ""
        unclear = isinstance(exc, OutcomeUnknown | ToolTimedOut) or (
            isinstance(exc, ConnectionFailed) and exc.maybe_applied
        )
        if not unclear:
            exc.message += before
            return exc
        hint = exc.hint if isinstance(exc, OutcomeUnknown) else _LATER
        return OutcomeUnknown(f"{exc.message}{before}; {self._what_is_there(node, wished)}", hint=hint, node=node)

    def _what_is_there(self, node: str, wished: Mapping[str, SettingValue]) -> str:
        try:
            live = self._tool(node).read(sorted(wished))
        except HypernodeError as exc:
            return f"it could not be read back ({exc.message})"
        told = "read back, the node has " + ", ".join(f"{name} {as_shown(value)}" for name, value in live.items())
        try:
            busy = self.blocking(node)
        except HypernodeError:
            return told
        return told if busy is None else f"{told}, and {busy}"


_LATER = "Run the same command again in a while: it reads first and sends only what is missing"


@dataclass(frozen=True, slots=True)
class ToolUpdate:
    """Changes that the tool has made, by what it says."""

    store: ToolStore
    node: str
    wished: Mapping[str, SettingValue]
    notes: tuple[str, ...] = ()
    """What the tool asked, and was answered with yes."""

    def wait(
        self,
        timeout: float,  # the tool has waited
        *,
        interval: float,
        on_look: Callable[[Sequence[Flow]], None] | None,
    ) -> tuple[Flow, ...]:
        """Read back; the tool does not tell which flows did it.

        Raises:
            NotApplied: The node has another value.
            NotVerified: The tool does not tell a value.
            OutcomeUnknown: The node cannot be read.
        """
        try:
            live = self.store.read(self.node, list(self.wished))
        except HypernodeError as exc:
            raise OutcomeUnknown(
                f"{TOOL} says that it is done, and the node cannot be read back: {exc.message}",
                hint=_LATER,
                node=self.node,
            ) from exc
        unlike = {name: live.get(name) for name, value in self.wished.items() if live.get(name) != value}
        unread = sorted(name for name, value in unlike.items() if value == UNREADABLE)
        other = {name: value for name, value in unlike.items() if value != UNREADABLE}
        if other:
            there = "; ".join(f"{name} is {as_shown(value)}" for name, value in other.items())
            raise NotApplied(
                f"{TOOL} says that it is done, and still {there}",
                hint="Look at the node's livelog: the change may have been taken back, or still be under way",
                node=self.node,
            )
        if unread:
            raise NotVerified(
                f"not verified: {TOOL} says that it is done, and does not tell {', '.join(unread)}", node=self.node
            )
        return ()
