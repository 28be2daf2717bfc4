"""Branchers: copies of a node that are paid by the minute (CONTRACT.md 2.5, 2.10).

One is made from the latest backup, with real customer data and keys. Each that is made here carries a label of ours,
by which it is found when the answer to its creation is lost, and with a time limit a second one, by which it is ended
when whoever made it is gone.
"""

from __future__ import annotations

import math
import re
import secrets
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from hypernode.api.answers import Answer, read_as, read_list
from hypernode.api.apps import make_node
from hypernode.api.flows import LONGEST_INTERVAL, Flows, in_seconds
from hypernode.api.labels import spell_labels
from hypernode.api.models import Brancher, BrancherAccount, BrancherYear, Flow
from hypernode.api.resource import Resource
from hypernode.api.retries import may_have_arrived
from hypernode.errors import (
    ApiError,
    BadAnswer,
    ConnectionFailed,
    FlowFailed,
    FlowTimedOut,
    HypernodeError,
    InputError,
    NotFound,
    OutcomeUnknown,
    Rejected,
)
from hypernode.names import check_brancher

CLEARABLE = ("cron", "elasticsearch", "mysql", "supervisor")
"""Services that can start without their data."""
OURS = "hnctl"
"""Label that is another one for each creation."""
UNTIL = "hnctl_until"
"""Label with the time limit, in Unix seconds."""
FREE_MINUTES = 400
"""Of a month and a node, by the documentation (CONTRACT.md 2.10)."""
DELIVERY = 1500.0
"""Seconds that making one may take; 15 minutes are usual."""
SshTry = Literal["answers", "no_name", "refused", "silent", "no_greeting", "unreachable"]
"""What trying SSH comes to; ``no_name``: the name of the host leads to no address."""
_FLOWS = ("ensure_app", "ensure_copied_app")
_PORT_TRIES = 6
_PORT_PAUSE = 10.0
_PORT_PAUSES = 5
"""Looks at a flow for which one try of SSH is waited for, at most `_PORT_PAUSE` seconds."""
_GRACE = 30.0
"""Seconds for which a Brancher is looked for whose creation got no answer."""


@dataclass(frozen=True, slots=True)
class Phase:
    """How far a Brancher is."""

    name: str
    """``flows``, ``address`` or ``ssh``, in this order."""
    detail: str
    """What it waits for."""


class Branchers(Resource):
    """The Branchers of one node, which is their parent."""

    def account(self) -> BrancherAccount:
        """Return the node's Branchers, and what they came to this month (source: GET /v2/brancher/app/{app}/)."""
        return read_as(BrancherAccount, self._get(self._path), "list of Branchers", node=self._node)

    def create(
        self,
        *,
        labels: Mapping[str, str | None] | None = None,
        clear_services: Sequence[str] = ("cron",),
        ttl: float | None = None,
        ours: str | None = None,
    ) -> Brancher:
        """Make a Brancher, which costs money from now on (source: POST /v2/brancher/app/{app}/).

        A lost answer is never a reason to send this again: the Brancher is looked for by its label.

        Args:
            labels: Besides ours.
            clear_services: Out of `CLEARABLE`. Without ``cron`` the copy runs the shop's jobs.
            ttl: Seconds until `reap` may end it; None: never.
            ours: Value of our label; None: one that was never used.

        Raises:
            InputError: A label or a service cannot be one.
            Rejected, Forbidden, ...: The API's refusal.
            OutcomeUnknown: The answer was lost, and no such Brancher showed up.
        """
        unknown = [service for service in clear_services if service not in CLEARABLE]
        if unknown:
            raise InputError(f"{unknown[0]} cannot be cleared", hint=f"Name one of {', '.join(CLEARABLE)}")
        all_labels = {**check_labels(labels or {}), OURS: ours or new_label()}
        if ttl is not None:
            until = self._transport.server_time(datetime.now(UTC)) + timedelta(seconds=ttl)
            all_labels[UNTIL] = str(math.ceil(until.timestamp()))
        body = {"labels": spell_labels(all_labels), "clear_services": list(clear_services)}
        try:
            data = self._send("POST", self._path, body).data
        except (ConnectionFailed, ApiError) as exc:
            if not may_have_arrived(exc):
                raise
            return self._find_made(all_labels[OURS], exc)
        return self._read_made(data, all_labels)

    def find_made(self, ours: str) -> Brancher | None:
        """Return the Brancher that was made with our label of this value; None when the list has none."""
        return next((one for one in self.account().branchers if one.labels.get(OURS) == ours), None)

    def _read_made(self, data: Any, labels: Mapping[str, str | None]) -> Brancher:
        """Return the Brancher that the answer to its creation tells of; one without a name is looked for."""
        with suppress(BadAnswer):
            node = make_node(data, self._node)
            return Brancher(name=check_brancher(node.name), ip=node.ip, labels=labels)
        return self._find_made(labels[OURS], BadAnswer("the answer has no name", status=200, node=self._node))

    def _find_made(self, ours: str | None, cause: ConnectionFailed | ApiError) -> Brancher:
        pause, left = 0.5, _GRACE
        with suppress(HypernodeError):
            while True:
                if (made := self.find_made(ours or "")) is not None:
                    return made
                if left <= 0:
                    break
                self._sleep(min(pause, left))
                left -= pause
                pause *= 2
        raise OutcomeUnknown(
            f"a Brancher was ordered and the answer was lost ({cause.message}); none with the label {OURS}={ours} "
            "showed up",
            hint=f"Look for it with `hnctl brancher list -n {self._node}` before you make another",
            node=self._node,
        ) from cause

    def set_labels(self, brancher: str, labels: Mapping[str, str | None]) -> Mapping[str, str | None]:
        """Replace the labels of a Brancher and return those it has now (source: PUT /v2/brancher/{brancher}/).

        Those that hnctl gave it stay, since its time limit is one of them.

        Raises:
            InvalidNode: That is no name of a Brancher.
            InputError: A label cannot be one.
            NotFound: The node has no such Brancher.
            OutcomeUnknown: The answer was lost, and reading did not settle it.
        """
        path = f"/v2/brancher/{check_brancher(brancher)}/"
        wished = dict(check_labels(labels))
        wished |= {label: value for label, value in self.get(brancher).labels.items() if label in (OURS, UNTIL)}
        body = {"labels": spell_labels(wished)}

        def is_so() -> bool:
            one = self.find(brancher)
            return one is not None and dict(one.labels) == wished

        look = f"Look at them with `hnctl brancher list -n {self._node}`"
        self._bring_about(lambda: self._send("PUT", path, body), is_so, what=f"the labels of {brancher}", look=look)
        return wished

    def get(self, brancher: str) -> Brancher:
        """Return a Brancher of the node's.

        Raises:
            NotFound: There is none of this name.
        """
        one = self.find(brancher)
        if one is None:
            raise NotFound(
                f"{self._node} has no Brancher {brancher}",
                status=404,
                hint=f"It may be gone: hnctl brancher list -n {self._node}",
                node=self._node,
            )
        return one

    def find(self, brancher: str) -> Brancher | None:
        """Return a Brancher of the node's; None when there is none of this name."""
        return next((one for one in self.account().branchers if one.name == brancher), None)

    def destroy(self, brancher: str) -> bool:
        """End a Brancher; all that is on it is lost (source: DELETE /v2/brancher/{brancher}/).

        Returns:
            Whether it was there.

        Raises:
            InvalidNode: That is no name of a Brancher.
            OutcomeUnknown: The answer was lost, and it is still in the list.
        """
        return self._end("DELETE", f"/v2/brancher/{check_brancher(brancher)}/", brancher)

    def cancel(self, brancher: str) -> bool:
        """End a Brancher the older way; see `destroy` (source: POST /v2/app/{brancher}/cancel/).

        On a normal node the same call would most likely end the contract, so it is refused (CONTRACT.md 2.1 #10).
        """
        return self._end("POST", f"/v2/app/{check_brancher(brancher)}/cancel/", brancher)

    def _end(self, method: str, path: str, brancher: str) -> bool:
        look = f"Look for it with `hnctl brancher list -n {self._node}`"

        def send() -> Answer:
            try:
                return self._send(method, path)
            except Rejected as exc:
                # It may still be in the list while it is taken down, so its absence cannot be what tells.
                if not any("has already" in text for texts in exc.fields.values() for text in texts):
                    raise
                return Answer(exc.status, None)

        answer = self._bring_about(send, lambda: self.find(brancher) is None, what=f"the end of {brancher}", look=look)
        return answer is not None and answer.status < 300

    def year_history(self) -> tuple[BrancherYear, ...]:
        """Return what the Branchers of each month came to (source: GET /v2/brancher/app/{app}/year-history/)."""
        data = self._object(f"{self._path}year-history/", "history of Branchers")
        return read_list(BrancherYear, data.get("years"), "year", node=self._node)

    def month_history(self, year: int, month: int) -> Any:
        """Return what the API says of one month, as decoded: no source attests its shape.

        Source: GET /v2/brancher/app/{app}/month-history/{year}/{month}

        Raises:
            InputError: There is no such month.
        """
        if not 2000 <= year <= 9999 or not 1 <= month <= 12:
            raise InputError(f"{year}-{month} is no month", hint="Write 2026-08")
        return self._get(f"{self._path}month-history/{year}/{month}")

    def wait(
        self,
        brancher: str,
        *,
        host: str | None = None,
        port: int = 22,
        timeout: float = DELIVERY,
        interval: float = 3.0,
        on_phase: Callable[[Phase], None] | None = None,
        answers: Callable[[str, int], bool] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> Brancher:
        """Wait until a Brancher can be worked with: its flows, its address, then SSH six times in a row.

        So does hypernode-deploy (CONTRACT.md 2.10); files may still change for a minute after SSH answers.

        Args:
            brancher: Its name.
            host: Where SSH is tried; None: NAME.hypernode.io.
            port: Of SSH.
            timeout: Seconds in all; running out of them ends nothing, and it goes on being paid.
            interval: Seconds between two looks; they get rarer, down to one in 15 seconds. Five of them, or 10 seconds,
                are between two tries of SSH.
            on_phase: Told before each pause what is waited for.
            answers: Tells whether an SSH server is at a host and port; None: `ssh_answers`.
            clock: Monotonic seconds.

        Raises:
            InvalidNode: That is no name of a Brancher.
            FlowFailed: It could not be made, or is gone.
            FlowTimedOut: It is not there in time; the message tells what was waited for.
        """
        watch = _Watch(check_brancher(brancher), clock() + timeout, timeout, on_phase, self._sleep, clock)
        flows = Flows(self._transport, brancher, self._token)
        pauses = interval
        while True:
            one = self._there(brancher)  # before its flows, which are rolled back when somebody ends it
            if (waiting := _missing(flows.newest(), brancher)) is None:
                break
            if waiting == _NOTHING_LOGGED and one.ip is not None and one.elapsed_time > DELIVERY:
                break  # old entries vanish from a logbook (CONTRACT.md 1.7)
            watch.wait(Phase("flows", waiting), pauses)
            pauses = min(pauses * 1.4, LONGEST_INTERVAL)
        while (one := self._there(brancher)).ip is None:
            watch.wait(Phase("address", "its address"), interval)
        host = host or f"{brancher}.hypernode.io"
        times = 0
        while (times := times + 1 if (answers or ssh_answers)(host, port) else 0) < _PORT_TRIES:
            where = f"SSH, which answered {times} of {_PORT_TRIES} times in a row at {host}:{port}"
            watch.wait(Phase("ssh", where), min(_PORT_PAUSE, interval * _PORT_PAUSES))
            one = self._there(brancher)
        return one

    def _there(self, brancher: str) -> Brancher:
        one = self.find(brancher)
        if one is None:
            raise FlowFailed(f"{brancher} is gone: it is not among the Branchers of {self._node}", node=brancher)
        return one

    @property
    def _path(self) -> str:
        return f"/v2/brancher/app/{self._node}/"


_NOTHING_LOGGED = "its first flow in the logbook"


def _missing(flows: Sequence[Flow], brancher: str) -> str | None:
    """Return what of the making of a Brancher is not done yet by its logbook; None when all is.

    Raises:
        FlowFailed: It could not be made.
    """
    making = [flow for flow in flows if flow.name in _FLOWS]
    if not making:
        return _NOTHING_LOGGED
    for name in _FLOWS:
        mine = [flow for flow in making if flow.name == name]
        if mine and all(flow.state == "reverted" for flow in mine):
            raise FlowFailed(
                f"the flow {name} was reverted: the platform could not make it",
                flow=mine[0].uuid,
                state="reverted",
                hint=f"End it with `hnctl brancher delete {brancher}`, since it is paid for, and make another",
                node=brancher,
            )
        if not any(flow.state == "success" for flow in mine):
            return f"its flow {name}"
    return None


@dataclass(frozen=True, slots=True)
class _Watch:
    """The waiting for one Brancher: its limit, and who is told."""

    brancher: str
    give_up: float
    timeout: float
    on_phase: Callable[[Phase], None] | None
    sleep: Callable[[float], None]
    clock: Callable[[], float]

    def wait(self, phase: Phase, seconds: float) -> None:
        """Wait for `phase`, or raise `FlowTimedOut` when there is no time left."""
        if self.on_phase is not None:
            self.on_phase(phase)
        left = self.give_up - self.clock()
        if left <= 0:
            raise FlowTimedOut(
                f"not there after {in_seconds(self.timeout)}; still waiting for {phase.detail}",
                flow=None,
                state=None,
                hint=f"It is paid for: wait on with `hnctl brancher wait {self.brancher}`, or end it with "
                f"`hnctl brancher delete {self.brancher}`",
                node=self.brancher,
            )
        self.sleep(min(seconds, left))


def ssh_answers(host: str, port: int, *, timeout: float = 5.0) -> bool:
    """Tell whether an SSH server greets whoever connects to `host`; nothing is sent."""
    return try_ssh(host, port, timeout=timeout) == "answers"


def try_ssh(host: str, port: int, *, timeout: float = 5.0) -> SshTry:
    """Tell how far a connection to an SSH server gets: to its greeting, or what came instead; nothing is sent.

    Args:
        host: Its name or address.
        port: Of SSH.
        timeout: Seconds to connect, and again to be greeted.
    """
    try:
        with socket.create_connection((host, port), timeout) as connection:
            connection.settimeout(timeout)
            return "answers" if connection.recv(4) == b"SSH-" else "no_greeting"
    except socket.gaierror:
        return "no_name"
    except ConnectionRefusedError:
        return "refused"
    except TimeoutError:
        return "silent"
    except OSError:
        return "unreachable"


def time_limit(brancher: Brancher) -> datetime | None:
    """Return when the time that we gave a Brancher is over, by the server's clock; None: we gave it none."""
    until = brancher.labels.get(UNTIL)
    if until is None or not re.fullmatch("[0-9]{1,11}", until):
        return None
    return datetime.fromtimestamp(int(until), UTC)


def new_label() -> str:
    """Return a value for our label that was never used."""
    return secrets.token_hex(6)


def is_over(brancher: Brancher, now: datetime) -> bool:
    """Tell whether the time limit that we gave a Brancher is over at `now`, by the server's clock."""
    until = time_limit(brancher)
    return until is not None and until <= now


def check_labels(labels: Mapping[str, str | None]) -> Mapping[str, str | None]:
    """Return `labels` if each can be one, and none is ours.

    Raises:
        InputError: One cannot.
    """
    for label, value in labels.items():
        if not label.strip() or "=" in label or not (label + (value or "")).isprintable():
            raise InputError(f"{label!r} cannot be a label", hint="Write ticket=42, or a word")
        if label in (OURS, UNTIL):
            raise InputError(f"the label {label} is hnctl's own", hint="Choose another name")
    return labels
