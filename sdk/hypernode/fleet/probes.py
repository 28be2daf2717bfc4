"""Trying gates on a node: pages, PHP-FPM and commands. What cannot be found out is undecided, and never passes."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from hypernode.api.pages import NoPage, Page
from hypernode.errors import HypernodeError
from hypernode.fleet.gates import CommandGate, Finding, FlowsGate, FpmGate, Gate, HttpGate, Verdict, for_node, names_of
from hypernode.fleet.tree import cut
from hypernode.printable import printable

if TYPE_CHECKING:
    from hypernode.api.fpm import FpmStatus

CANNOT_TELL = 75
"""A command ends with this when it cannot decide (EX_TEMPFAIL of sysexits.h)."""
PAUSE = 1.0
"""Seconds between two tries."""
_SECRETS = ("HYPERNODE_API_TOKEN", "HYPERNODE_API_TOKENS")
_LAST_OUTPUT = 4096
_LOOK = 0.1
"""Seconds after which a command is looked at whose output somebody else holds open."""

_Found = tuple[Verdict, str]
_INTERRUPTED: _Found = ("undecided", "hnctl was interrupted")


class Fetch(Protocol):
    """Gets a page; see `hypernode.api.pages.Pages.fetch`."""

    def __call__(self, url: str, timeout: float, *, expected: int) -> Page | NoPage:
        """Return the page, or why there is none."""


class Probes:
    """Tries gates; threads share it.

    Args:
        gates: All gates of a file; `FlowsGate` is passed over, as only a rollout knows what became of a node.
        fetch: Gets a page.
        ask_fpm: Asks a node what its PHP-FPM workers do; whatever goes wrong is a `HypernodeError`.
        sleep: Waits.
    """

    def __init__(
        self,
        gates: Sequence[Gate],
        *,
        fetch: Fetch,
        ask_fpm: Callable[[str], FpmStatus],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._gates = tuple(zip(names_of(gates), gates, strict=True))
        self._fetch = fetch
        self._ask_fpm = ask_fpm
        self._sleep = sleep
        self._commands = _Commands()

    def end(self) -> None:
        """End all commands that are running, and start no more: whoever waited for what they find is gone."""
        self._commands.end()

    def try_on(self, node: str) -> tuple[Finding, ...]:
        """Return what each gate finds on `node` now, in their order."""
        return tuple(
            Finding(name, node, *self._try(gate, node)) for name, gate in self._gates if not isinstance(gate, FlowsGate)
        )

    def _try(self, gate: HttpGate | FpmGate | CommandGate, node: str) -> _Found:
        match gate:
            case HttpGate():
                return self._try_pages(gate, for_node(gate.url, node))
            case FpmGate():
                return self._try_fpm(gate, node)
            case CommandGate():
                return self._commands.run(gate, node)

    def _try_pages(self, gate: HttpGate, url: str) -> _Found:
        """Fetch a page as often as it takes to know whether enough tries are good."""
        found: list[_Found] = []
        while True:
            found.append(judge_page(gate, self._fetch(url, gate.timeout, expected=gate.status)))
            verdicts = [verdict for verdict, _ in found]
            good, left = verdicts.count("passed"), gate.tries - len(found)
            if good >= gate.needed:
                return "passed", found[-1][1]
            if good + left < gate.needed:
                break
            self._sleep(PAUSE)
        # Tries that could not decide might have been good, all of them.
        verdict: Verdict = "failed" if good + left + verdicts.count("undecided") < gate.needed else "undecided"
        reason = next(reason for each, reason in reversed(found) if each == verdict)
        if gate.tries > 1:
            reason = f"{good} of {len(found)} tries good, {gate.needed} of {gate.tries} needed; {reason}"
        return verdict, reason

    def _try_fpm(self, gate: FpmGate, node: str) -> _Found:
        try:
            status = self._ask_fpm(node)
        except HypernodeError as exc:
            return "undecided", _short(exc.message.removeprefix(f"{node}: "))
        return judge_fpm(gate, status)


def judge_page(gate: HttpGate, page: Page | NoPage) -> _Found:
    """Return what `gate` makes of a page."""
    if isinstance(page, NoPage):
        return "undecided" if page.on_the_way else "failed", _short(page.reason)
    if page.status != gate.status:
        return "failed", f"status {page.status} instead of {gate.status}"
    if gate.lacks is not None and gate.lacks in page.text:
        return "failed", f"the page has {cut(printable(gate.lacks))}"
    if gate.contains is not None and gate.contains not in page.text:
        if page.is_whole:
            return "failed", f"the page lacks {cut(printable(gate.contains))}"
        return "undecided", f"the first MiB of the page lacks {cut(printable(gate.contains))}"
    if gate.lacks is not None and not page.is_whole:
        return "undecided", f"only the first MiB of the page is known to lack {cut(printable(gate.lacks))}"
    return "passed", f"status {page.status}"


def judge_fpm(gate: FpmGate, status: FpmStatus) -> _Found:
    """Return what `gate` makes of the workers of a node."""
    from hypernode.api.fpm import parse_workers

    if status.status != 200:
        told = f": {_short(status.message)}" if status.message else ""
        return "undecided", f"the node did not answer ({status.status}){told}"
    workers, odd = parse_workers(status.data)
    if not workers:
        return "undecided", "the node told of no worker"
    busy = sum(worker.is_busy for worker in workers)
    # A line that cannot be read may be of one more that is at work.
    if busy <= gate.max_busy < busy + len(odd):
        lines = len(workers) + len(odd)
        return "undecided", f"{busy} of {lines} workers at work, as far as the node's lines can be read"
    return "failed" if busy > gate.max_busy else "passed", f"{busy} of {len(workers)} workers at work"


class _Commands:
    """Runs commands, each in a session of its own: a Ctrl-C does not reach them, so `end` is there to end them."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # `end` is called by signal handlers, and the second may come during the first
        self._running: set[subprocess.Popen[bytes]] = set()
        self._over = False

    def end(self) -> None:
        """End those that are running, and start no more."""
        with self._lock:
            self._over = True
            for process in self._running:
                _kill(process)

    def run(self, gate: CommandGate, node: str) -> _Found:
        """Run the command of `gate`, and end it with all that it has started when its time is over."""
        try:
            process = self._start(gate.argv, node)
        except (OSError, ValueError) as exc:
            why = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
            return "undecided", f"it cannot be run: {why}"
        if process is None:
            return _INTERRUPTED
        try:
            output, status = _follow(process, time.monotonic() + gate.timeout)
        finally:
            with self._lock:
                self._running.discard(process)
                over = self._over
        if over:
            return _INTERRUPTED
        if status is None:
            return "undecided", f"it did not end within {gate.timeout:g} s, and was ended"
        return _judge_end(status, output)

    def _start(self, argv: Sequence[str], node: str) -> subprocess.Popen[bytes] | None:
        environment = {name: value for name, value in os.environ.items() if name not in _SECRETS}
        with self._lock:
            if self._over:
                return None
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                bufsize=0,
                env={**environment, "HNCTL_NODE": node},
                start_new_session=True,
            )
            self._running.add(process)
            return process


def _judge_end(status: int, output: bytes) -> _Found:
    """Return what the end of a command says; its last line of output says why."""
    if status == 0:
        return "passed", "it ended with 0"
    lines = output.decode("utf-8", "replace").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    how = f"it ended with {status}" if status > 0 else f"it was ended by {_signal_name(-status)}"
    return "undecided" if status == CANNOT_TELL else "failed", how + (f": {_short(last)}" if last else "")


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End `process`, which was not reaped, so that its number is still its own, with all of its session."""
    if process.returncode is None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)


def _follow(process: subprocess.Popen[bytes], deadline: float) -> tuple[bytes, int | None]:
    """Return the end of what `process` writes, and its status; None: it had to be killed.

    What it leaves running in the background may hold its output open, so that is not what is waited for.
    """
    assert process.stdout is not None  # noqa: S101  # it was asked for
    tail = b""
    with process.stdout as output, selectors.DefaultSelector() as selector:
        os.set_blocking(output.fileno(), False)
        selector.register(output, selectors.EVENT_READ)
        is_open = True
        while (status := process.poll()) is None and (left := deadline - time.monotonic()) > 0:
            if not is_open:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(left)
            elif selector.select(min(left, _LOOK)):
                piece = output.read(1 << 16)
                is_open = piece != b""
                tail = (tail + (piece or b""))[-_LAST_OUTPUT:]
        if status is None:
            _kill(process)
            with suppress(subprocess.TimeoutExpired):  # it may be another user's, as with sudo
                process.wait(1)
            return tail, None
        return (tail + (output.read(1 << 16) or b""))[-_LAST_OUTPUT:], status


def _signal_name(number: int) -> str:
    with suppress(ValueError):
        return signal.Signals(number).name
    return f"signal {number}"


def _short(text: str) -> str:
    shown = printable(text)
    return shown if len(shown) <= 200 else shown[:200] + "..."
