"""What runs on the workers of a Dask cluster: reading a node, changing it, looking for a change, waiting for its end.

Dask runs a task again when its worker dies, and nobody knows how far the first run of it came. Reading again does no
harm. A write must not be sent again unseen, so each has a ticket that lies in the scheduler: whoever takes it may send,
and it can be taken once. A second run of the task finds none, sends nothing, and says so (`TICKET_GONE`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from hypernode.api.settings import Settings, Update
from hypernode.api.transport import Transport
from hypernode.catalogue import Catalogue, Setting, SettingValue, looks_secret
from hypernode.config import load_config
from hypernode.credentials import find_token
from hypernode.errors import HypernodeError, InputError
from hypernode.fleet.stores import ApiStore
from hypernode.secrets import MASK, Secret
from hypernode.version import __version__

if TYPE_CHECKING:
    from hypernode.api.models import Flow

TROUBLE = (OSError, RuntimeError, ValueError, KeyError, TypeError, CancelledError)
"""What talking to a scheduler raises when it is not there, is another one by now, or has no certificate for us."""
TICKET_GONE = "the worker that was to send it died"


def distributed() -> Any:
    """Return the package, which hnctl does without until a cluster is asked for; much of it has no types."""
    return import_module("distributed")


@dataclass(frozen=True, slots=True)
class Site:
    """How the workers reach the API, for one run of hnctl."""

    run: str
    """Tells runs apart: what a worker has found for one, such as tokens, is not used for the next."""
    api_url: str
    timeout: float
    interval: float
    """As for `Settings`."""
    pool_size: int = 8
    rps: float | None = None
    """Of one worker."""
    ca_file: str | None = None
    """A path on the worker."""
    only_node: str | None = None
    """As for `find_token`."""
    withheld: frozenset[str] | None = None
    """Settings whose values must not leave the worker, nor any field that looks like a secret; None: all may."""
    version: str = __version__


class Sealed:
    """A secret on its way to a worker. It can be pickled, which `Secret` refuses, so it is for TLS only."""

    __slots__ = ("_secret",)

    def __init__(self, secret: Secret) -> None:
        self._secret = secret

    def open(self) -> Secret:
        """Return the secret."""
        return self._secret

    def __repr__(self) -> str:
        return f"Sealed({MASK!r})"

    def __reduce__(self) -> tuple[Callable[[str], Sealed], tuple[str]]:
        return _sealed, (self._secret.reveal(),)


def _sealed(text: str) -> Sealed:
    return Sealed(Secret(text))


@dataclass(frozen=True, slots=True)
class Job:
    """One node for one task, with all that a worker needs and has not got."""

    site: Site
    node: str
    token: Sealed | None = None
    """None: the worker finds it."""
    settings: tuple[Setting, ...] = ()
    """The catalogue's words on those that are wished."""
    wished: Mapping[str, SettingValue | Sealed] | None = None


@dataclass(frozen=True, slots=True)
class Sent:
    """A write that the API took: the fields of its `Update` that another process can go on with."""

    posted: bool
    tracker: str | None
    flow: str | None
    since: datetime | None


@dataclass(frozen=True, slots=True)
class Answer:
    """What a task comes back with. Errors come as values: when one is raised, Dask logs the task's arguments."""

    value: Any = None
    error: HypernodeError | None = None
    flows: tuple[Flow, ...] = ()
    """What the last look at the change saw."""
    lost: str = ""
    """Why nobody knows what became of the task; empty: it ended."""
    over: bool = True
    """Whether nothing of a lost task can be going on any more."""


class Ticket:
    """The right to send one write, in the scheduler.

    Args:
        name: Names it to whom it is for.
        client: Of the cluster.
    """

    def __init__(self, name: str, client: Any) -> None:
        self.name = name
        self._queue = distributed().Queue(name, client=client)

    def lay_out(self) -> None:
        """Make it, once."""
        self._queue.put(True)

    def take(self) -> bool:
        """Take it, and tell whether it was still there. One call at most gets it: the scheduler does one at a time."""
        return bool(self._queue.get(batch=True))

    def take_back(self) -> bool:
        """Take the ticket of a lost write, and tell whether it was still there: then nobody sent, or will."""
        try:
            return self.take()
        except TROUBLE:
            return False

    def forget(self) -> None:
        """Let the scheduler forget it, once both sides have."""
        with suppress(*TROUBLE):
            self._queue.close()


def read(job: Job) -> Answer:
    """Read the node."""
    return _answer(job, lambda worker: _without(worker.store().read(job.node), job.site.withheld))


def blocking(job: Job) -> Answer:
    """See `Store.blocking`."""
    return _answer(job, lambda worker: worker.store().blocking(job.node))


def write(job: Job, ticket: str) -> Answer:
    """Send one PATCH, if the ticket is still there; the answer's value is what is `Sent`."""

    def send(worker: _Worker) -> Sent | None:
        settings, wished = worker.settings(), worker.wished()
        right = Ticket(ticket, distributed().get_client())
        try:
            return _sent(settings.set(wished)) if right.take() else None
        finally:
            right.forget()

    answer = _answer(job, send)
    return answer if answer.value or answer.error else Answer(lost=TICKET_GONE)


def find(job: Job, sent_at: datetime, flows: Sequence[str]) -> Answer:
    """See `Store.find`; the answer's value is what was `Sent`, or None."""

    def look(worker: _Worker) -> Sent | None:
        update = worker.settings().find_sent(worker.wished(), sent_at, flows)
        return None if update is None else _sent(update)

    return _answer(job, look)


def wait(job: Job, sent: Sent, timeout: float, interval: float) -> Answer:
    """Wait for the end of what was sent and read back; see `Update.wait`."""
    seen: list[tuple[Flow, ...]] = [()]

    def follow(worker: _Worker) -> tuple[Flow, ...]:
        update = worker.settings().follow(
            worker.wished(), posted=sent.posted, tracker=sent.tracker, flow=sent.flow, since=sent.since
        )
        return update.wait(timeout, interval=interval, on_look=lambda flows: seen.append(tuple(flows)))

    answer = _answer(job, follow)
    return Answer(answer.value, answer.error, flows=seen[-1])


@dataclass(frozen=True, slots=True)
class _Worker:
    """This process, at work on a job."""

    job: Job
    reach: _Reach

    def store(self) -> ApiStore:
        return ApiStore(self.reach.transport, self._token, Catalogue(()), interval=self.job.site.interval)

    def settings(self) -> Settings:
        job = self.job
        catalogue = Catalogue(job.settings)
        return Settings(self.reach.transport, job.node, self._token(job.node), catalogue, interval=job.site.interval)

    def wished(self) -> dict[str, SettingValue]:
        wished = self.job.wished or {}
        return {name: value.open() if isinstance(value, Sealed) else value for name, value in wished.items()}

    def _token(self, node: str) -> Secret:
        return self.reach.token(node) if self.job.token is None else self.job.token.open()


class _Reach:
    """The connections and tokens of this process for one run of hnctl."""

    def __init__(self, site: Site) -> None:
        self.transport = Transport(
            site.api_url, timeout=site.timeout, pool_size=site.pool_size, rps=site.rps, ca_file=site.ca_file
        )
        self._site = site
        self._config = load_config()
        self._tokens: dict[str, Secret] = {}

    def token(self, node: str) -> Secret:
        """Return the token that this machine has for `node`, looked up once."""
        found = self._tokens.get(node)
        if found is None:
            site = self._site
            only_node = node == site.only_node
            token = find_token(node, api_url=site.api_url, config=self._config, only_node=only_node)
            found = self._tokens[node] = token.secret
        return found


_one_at_a_time = threading.Lock()


@lru_cache(maxsize=4)  # workers outlive many runs of hnctl
def _reach(site: Site) -> _Reach:
    return _Reach(site)


def _answer(job: Job, act: Callable[[_Worker], Any]) -> Answer:
    """Do something with the node and return what came of it.

    All of it is waiting, so it leaves the worker's pool: how many nodes are worked on at once is for hnctl to say.
    """
    distributed().secede()
    try:
        if job.site.version != __version__:
            raise InputError(
                f"a Dask worker has hnctl {__version__}, and here it is {job.site.version}; nothing was done",
                hint="Install the same version on the workers",
            )
        with _one_at_a_time:
            reach = _reach(job.site)
        return Answer(act(_Worker(job, reach)))
    except HypernodeError as exc:
        # What caused it can hold a request, and with it the token; most of it cannot be pickled anyway.
        exc.__cause__ = exc.__context__ = None
        return Answer(error=exc.with_traceback(None))


def _sent(update: Update) -> Sent:
    return Sent(update.posted, update.tracker, update.flow, update.since)


def _without(detail: Mapping[str, Any], withheld: frozenset[str] | None) -> Mapping[str, Any]:
    if withheld is None:
        return detail
    return {name: value for name, value in detail.items() if name not in withheld and not looks_secret(name)}
