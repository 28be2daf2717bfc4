"""The way to a node's settings through an existing Dask cluster: its workers read, write and wait; all else is here.

Locks, journal, waves and budget stay with the machine that runs hnctl, where `rollout.bring` runs on threads as ever;
only what its store does is done elsewhere. A worker that dies in the middle of a write is a write without an answer:
the node is read, and it is sent once more only when nothing of it is to be seen. Nothing is sent again while a worker
may still be at it. That a cluster takes something over from a worker that it believes dead, and that lives, is met by
the write's ticket; see `dask_tasks`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from hypernode.api.flows import FIRST_INTERVAL
from hypernode.catalogue import Catalogue
from hypernode.errors import ConnectionFailed, HypernodeError, OutcomeUnknown, SafetyError
from hypernode.fleet import dask_tasks as tasks
from hypernode.fleet.dask_tasks import TROUBLE, Answer, Job, Sealed, Sent, Site, Ticket
from hypernode.fleet.executors import LONGEST_SLEEP, first_to_end
from hypernode.fleet.managed import Managed, refuse_lists, settings_only
from hypernode.fleet.stores import Pending
from hypernode.secrets import Secret

if TYPE_CHECKING:
    from hypernode.api.models import Flow

CONNECT_TIMEOUT = 10.0
PATIENCE = 600.0
"""Seconds that a task may take beyond what it has to wait for, in the cluster's queue too. A write that is sent five
times, and looked for after each, takes half of it."""
_MOST_WRITES = 2


class Cluster:
    """A Dask cluster that runs tasks for us.

    Args:
        address: Of the scheduler, as `clusters.parse_address` gives it. For tls:// the certificates are those
            of Dask's own configuration.
        patience: See `PATIENCE`.

    Raises:
        ConnectionFailed: It is not there, or has no workers.
    """

    def __init__(self, address: str, *, patience: float = PATIENCE) -> None:
        self.address = address
        self.patience = patience
        self.run_id = uuid4().hex
        self._client = self._connect()
        workers = list(self._client.nthreads())
        self.workers = len(workers)
        """How many there were at the start."""
        self.secure = all(one.startswith("tls://") for one in [address, *workers])
        """Whether nobody on the network can read what is sent to the workers."""
        if not workers:
            self.close()
            raise ConnectionFailed(f"the Dask cluster at {address} has no workers", hint="Start some: dask worker")

    def _connect(self) -> Any:
        make = tasks.distributed().Client
        pool = ThreadPoolExecutor(1)  # it waits in one piece, and a Ctrl-C must be heard
        try:
            (made,) = first_to_end({pool.submit(make, self.address, timeout=CONNECT_TIMEOUT, set_as_default=False)})
            return made.result()
        except TROUBLE as exc:
            raise ConnectionFailed(
                f"the Dask cluster at {self.address} cannot be used ({type(exc).__name__}): {exc}",
                hint="Is its scheduler running there? For dask+tls:// Dask's own configuration names the certificates",
            ) from exc
        finally:
            pool.shutdown(wait=False)

    def close(self) -> None:
        """Leave the cluster; it goes on without us."""
        with suppress(*TROUBLE):
            self._client.close()

    def ticket(self) -> Ticket:
        """Lay out a ticket for one write."""
        try:
            ticket = Ticket(f"hnctl-{uuid4().hex}", self._client)
            ticket.lay_out()
        except TROUBLE as exc:
            raise ConnectionFailed(f"the Dask cluster at {self.address} does not answer; nothing was sent") from exc
        return ticket

    def do(self, task: Callable[..., Answer], *arguments: Any, limit: float) -> Answer:
        """Run a task on some worker and return its answer, or what is known of one that was lost.

        Args:
            task: Of `dask_tasks`.
            arguments: For it.
            limit: Seconds after which it is given up.
        """
        deadline = time.monotonic() + limit
        # A key of its own: two tasks with the same one would be run as one.
        key = f"hnctl-{task.__name__}-{uuid4().hex}"
        future = None
        try:
            future = self._client.submit(task, *arguments, key=key, pure=False, retries=0)
            ended = threading.Event()
            future.add_done_callback(lambda _: ended.set())
            while time.monotonic() < deadline:
                if not ended.wait(LONGEST_SLEEP) and not future.done():
                    continue
                try:
                    answer = future.result(timeout=LONGEST_SLEEP)
                except TimeoutError as exc:
                    if future.status == "error":  # the task itself raised it
                        return _lost(exc)
                    continue  # its worker died before we had the answer, and it is run again
                return answer if isinstance(answer, Answer) else Answer(lost="it came back with something else")
        except Exception as exc:  # noqa: BLE001  # whatever failed there is raised here as what it was
            return _lost(exc)
        finally:
            if future is not None:
                with suppress(*TROUBLE):
                    future.release()
        return Answer(lost=f"the Dask cluster did not end it within {limit:.0f} s", over=False)


def _lost(exc: Exception) -> Answer:
    """Say why a task was lost. The words of an error that nobody foresaw are not shown: they can hold anything."""
    kind = type(exc).__name__
    match exc:
        case _ if isinstance(exc, CancelledError | OSError) or kind == "ClosedClientError":
            return Answer(lost=f"the Dask cluster was lost ({kind})", over=False)
        case ImportError():
            return Answer(lost=f"a worker cannot run it ({kind}); is this hnctl installed there?")
        case _ if kind == "KilledWorker":
            return Answer(lost="every worker that tried it died")
        case _:
            return Answer(lost=f"it failed on the worker ({kind})")


class DaskReader:
    """Reads nodes through the API, from the workers of a cluster.

    Args:
        cluster: Its workers can reach the API.
        site: How they do.
        catalogue: Tells which settings are secret.
        find_token: Returns the token to be sent along with each task; None: the workers find it.

    Raises:
        SafetyError: Tokens are to be sent, and others could read them.
    """

    def __init__(
        self, cluster: Cluster, site: Site, catalogue: Catalogue, *, find_token: Callable[[str], Secret] | None = None
    ) -> None:
        if find_token is not None:
            check_secure(cluster.secure)
        self._cluster = cluster
        self._catalogue = catalogue
        self._find_token = find_token
        self._secret = frozenset(name for name, setting in catalogue.items() if setting.secret)
        withheld = None if cluster.secure else self._secret
        rps = None if site.rps is None else site.rps / cluster.workers
        self._site = replace(site, rps=rps, withheld=withheld)

    def read(self, node: str, names: Collection[str] | None = None) -> Mapping[str, Any]:
        """Return the node's detail; without TLS all but its secrets."""
        self._check(node, names or ())
        detail: Mapping[str, Any] = self._ask(node, tasks.read, self._job(node))
        return detail

    def _job(self, node: str, wished: Mapping[str, Managed] | None = None) -> Job:
        token = None if self._find_token is None else Sealed(self._find_token(node))
        if wished is None:
            return Job(self._site, node, token)
        self._check(node, wished)
        settings = tuple(self._catalogue.find(name) for name in wished)
        sealed = {
            name: Sealed(value) if isinstance(value, Secret) else value
            for name, value in settings_only(wished, node).items()
        }
        return Job(self._site, node, token, settings, sealed)

    def _check(self, node: str, names: Collection[str]) -> None:
        refuse_lists(names, node)
        if not self._cluster.secure and (secret := sorted(self._secret.intersection(names))):
            raise SafetyError(
                f"{', '.join(secret)}: a secret does not travel to a Dask cluster without TLS; nothing was changed",
                hint="Use a cluster with TLS (dask+tls://HOST:PORT), or do this node without --executor",
                node=node,
            )

    def _ask(self, node: str, task: Callable[..., Answer], *arguments: Any) -> Any:
        """Run a task that changes nothing, and return its value or raise its error."""
        answer = self._cluster.do(task, *arguments, limit=self._cluster.patience)
        if answer.error is not None:
            raise answer.error
        if answer.lost:
            raise ConnectionFailed(f"the node was not read: {answer.lost}", node=node)
        return answer.value


class DaskStore(DaskReader):
    """Reads and writes nodes through the API, from the workers of a cluster; arguments as for `DaskReader`."""

    def blocking(self, node: str) -> str | None:
        """Tell of a flow under way during which `node` must not be changed; or None."""
        flow: str | None = self._ask(node, tasks.blocking, self._job(node))
        return flow

    def write(self, node: str, wished: Mapping[str, Managed]) -> Pending:
        """Send one PATCH with all of `wished`, and once more if its worker died and nothing of it is to be seen.

        Raises:
            ConnectionFailed: Nothing was sent.
            OutcomeUnknown: It may have been sent, and reading did not settle it.
        """
        for _ in range(_MOST_WRITES):
            job, ticket, sent_at = self._job(node, wished), self._cluster.ticket(), datetime.now(UTC)
            try:
                answer = self._cluster.do(tasks.write, job, ticket.name, limit=self._cluster.patience)
                if answer.lost and ticket.take_back():
                    raise ConnectionFailed(f"nothing was sent: {answer.lost}", node=node)
            finally:
                ticket.forget()
            if answer.error is not None:
                raise answer.error
            if not answer.lost:
                return DaskPending(self._cluster, job, answer.value)
            found = self._look_for(node, wished, sent_at, answer)
            if found is not None:
                return found
            if not answer.over:
                break
        raise _unknown(node, f"a change was sent, and what became of it is not known: {answer.lost}")

    def _look_for(self, node: str, wished: Mapping[str, Managed], sent_at: datetime, answer: Answer) -> Pending | None:
        try:
            return self.find(node, wished, sent_at, ())
        except HypernodeError as exc:
            raise _unknown(
                node, f"a change was sent ({answer.lost}), and the node cannot be read: {exc.message}"
            ) from exc

    def find(self, node: str, sent: Mapping[str, Managed], sent_at: datetime, flows: Sequence[str]) -> Pending | None:
        """Look for it in the logbook and on the node."""
        job = self._job(node, sent)
        found = self._ask(node, tasks.find, job, sent_at, tuple(flows))
        return None if found is None else DaskPending(self._cluster, job, found)


@dataclass(frozen=True, slots=True)
class DaskPending:
    """A write that the API took from a worker; any other can wait for its end."""

    cluster: Cluster
    job: Job
    sent: Sent

    @property
    def notes(self) -> tuple[str, ...]:
        """What is to be told of it besides: nothing, as the API asks no questions."""
        return ()

    def wait(
        self,
        timeout: float,
        *,
        interval: float = FIRST_INTERVAL,
        on_look: Callable[[Sequence[Flow]], None] | None = None,
    ) -> tuple[Flow, ...]:
        """Wait for the end and read back; see `hypernode.api.settings.Update.wait`.

        `on_look` is told the flows only once, when the wait has ended: the looks are taken on the worker.
        """
        answer = self.cluster.do(
            tasks.wait, self.job, self.sent, timeout, interval, limit=timeout + self.cluster.patience
        )
        if on_look is not None and answer.flows:
            on_look(answer.flows)
        if answer.error is not None:
            raise answer.error
        if answer.lost:
            raise _unknown(
                self.job.node, f"the API took the change, and the node cannot be watched any more: {answer.lost}"
            )
        flows: tuple[Flow, ...] = answer.value
        return flows


def check_secure(secure: bool) -> None:
    """Refuse to send tokens where others could read them.

    Raises:
        SafetyError: It is not secure.
    """
    if not secure:
        raise SafetyError(
            "tokens are sent to a Dask cluster over TLS only, and this one is reached without it; nothing was done",
            hint="Use dask+tls://HOST:PORT, with workers on TLS too; or leave --send-tokens away, and each worker "
            "finds the tokens itself",
        )


def _unknown(node: str, message: str) -> OutcomeUnknown:
    return OutcomeUnknown(
        message, hint="Run the same command again: it reads first and sends only what is missing", node=node
    )
