"""Nodes by way of a Dask cluster: what travels, what is refused, and what is done when a task is lost."""

from __future__ import annotations

import json
import pickle
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from distributed import Client, LocalCluster

from hypernode.catalogue import Catalogue
from hypernode.errors import ConnectionFailed, InputError, OutcomeUnknown, SafetyError
from hypernode.fleet import dask_tasks as tasks
from hypernode.fleet.clusters import parse_address
from hypernode.fleet.dask_stores import Cluster, DaskPending, DaskReader, DaskStore
from hypernode.fleet.dask_tasks import TICKET_GONE, Answer, Job, Sealed, Sent, Site, Ticket
from hypernode.sandbox.server import Sandbox
from hypernode.secrets import Secret

CATALOGUE = Catalogue.bundled()
SITE = Site("run", "http://127.0.0.1:1", timeout=2.0, interval=0.05)
SENT = Sent(True, "tracker", None, None)
WISHED = {"php_version": "8.0"}


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("dask://scheduler:8786", "tcp://scheduler:8786"),
        ("dask://10.0.0.1:8786/", "tcp://10.0.0.1:8786"),
        ("dask+tls://[::1]:1", "tls://[::1]:1"),
    ],
)
def test_an_address_is_read(text: str, address: str):
    assert parse_address(text) == address


@pytest.mark.parametrize("text", ["", "dask", "dask://", "dask://h", "dask://h:x", "dask://h:65536", "dask://u@h:1"])
def test_what_is_no_address_is_refused(text: str):
    with pytest.raises(InputError) as caught:
        parse_address(text)
    assert "write dask://HOST:PORT or, with TLS, dask+tls://HOST:PORT" in caught.value.message


def test_a_sealed_secret_travels_and_shows_itself_to_nobody():
    job = Job(SITE, "kaasshop", Sealed(Secret("canary")), wished={"new_relic_secret": Sealed(Secret("canary"))})
    assert "canary" not in repr(job)
    made = pickle.loads(pickle.dumps(job))
    assert made.token.open().reveal() == "canary"
    assert "canary" not in repr(made)


# What the store decides, with a cluster that answers as it is told


class Stub:
    """A cluster whose tasks come back with what was prepared for them."""

    run_id, workers, patience = "run", 4, 1.0

    def __init__(self, *answers: Answer, secure: bool = True, tickets_left: bool = False) -> None:
        self.secure = secure
        self.tasks: list[tuple[str, Any]] = []
        self.tickets = 0
        self._answers = list(answers)
        self._tickets_left = tickets_left

    def do(self, task: Callable[..., Answer], *arguments: Any, limit: float) -> Answer:
        self.tasks.append((task.__name__, arguments))
        return self._answers.pop(0)

    def ticket(self) -> Any:
        self.tickets += 1
        return StubTicket(f"ticket-{self.tickets}", left=self._tickets_left)

    @property
    def done(self) -> list[str]:
        return [name for name, _ in self.tasks]


class StubTicket:
    def __init__(self, name: str, *, left: bool) -> None:
        self.name = name
        self._left = left

    def take_back(self) -> bool:
        return self._left

    def forget(self) -> None:
        pass


def store(stub: Stub) -> DaskStore:
    return DaskStore(stub, SITE, CATALOGUE)  # type: ignore[arg-type]


LOST = Answer(lost=TICKET_GONE)


def test_a_write_whose_worker_died_is_looked_for_and_not_sent_again_when_it_is_there():
    stub = Stub(LOST, Answer(SENT))
    pending = store(stub).write("kaasshop", WISHED)
    assert isinstance(pending, DaskPending)
    assert pending.sent == SENT
    assert stub.done == ["write", "find"]


def test_a_write_of_which_nothing_is_to_be_seen_is_sent_once_more_with_a_ticket_of_its_own():
    stub = Stub(LOST, Answer(None), Answer(SENT))
    store(stub).write("kaasshop", WISHED)
    assert stub.done == ["write", "find", "write"]
    assert [arguments[1] for name, arguments in stub.tasks if name == "write"] == ["ticket-1", "ticket-2"]


def test_a_write_that_is_lost_twice_has_an_unknown_outcome():
    stub = Stub(LOST, Answer(None), LOST, Answer(None))
    with pytest.raises(OutcomeUnknown) as caught:
        store(stub).write("kaasshop", WISHED)
    assert TICKET_GONE in caught.value.message
    assert stub.done == ["write", "find"] * 2


def test_a_write_that_may_be_going_on_is_never_sent_again():
    stub = Stub(Answer(lost="the Dask cluster did not end it within 1 s", over=False), Answer(None))
    with pytest.raises(OutcomeUnknown):
        store(stub).write("kaasshop", WISHED)
    assert stub.done == ["write", "find"]


def test_a_lost_write_of_a_node_that_cannot_be_read_has_an_unknown_outcome():
    stub = Stub(LOST, Answer(error=ConnectionFailed("no answer")))
    with pytest.raises(OutcomeUnknown) as caught:
        store(stub).write("kaasshop", WISHED)
    assert caught.value.message == f"a change was sent ({TICKET_GONE}), and the node cannot be read: no answer"


def test_a_write_whose_ticket_nobody_took_was_not_sent():
    stub = Stub(Answer(lost="every worker that tried it died"), tickets_left=True)
    with pytest.raises(ConnectionFailed) as caught:
        store(stub).write("kaasshop", WISHED)
    assert caught.value.message == "nothing was sent: every worker that tried it died"
    assert stub.done == ["write"]


def test_a_wait_that_is_lost_has_an_unknown_outcome():
    stub = Stub(Answer(lost="the Dask cluster was lost"))
    with pytest.raises(OutcomeUnknown) as caught:
        DaskPending(stub, Job(SITE, "kaasshop"), SENT).wait(1.0)  # type: ignore[arg-type]
    assert "the API took the change, and the node cannot be watched any more" in caught.value.message


def test_secret_values_and_tokens_are_refused_without_tls_and_no_task_is_begun():
    stub = Stub(secure=False)
    for act in (
        lambda: store(stub).write("kaasshop", {"new_relic_secret": Secret("canary")}),
        lambda: store(stub).read("kaasshop", ["new_relic_secret"]),
        lambda: store(stub).find("kaasshop", {"new_relic_secret": Secret("canary")}, datetime.now(UTC), ()),
        lambda: DaskReader(stub, SITE, CATALOGUE, find_token=lambda node: Secret("canary")),  # type: ignore[arg-type]
    ):
        with pytest.raises(SafetyError) as caught:
            act()
        assert "canary" not in caught.value.message + repr(caught.value)
    assert (stub.tasks, stub.tickets) == ([], 0)


def test_the_cap_on_requests_is_shared_by_the_workers():
    stub = Stub(Answer({}))
    DaskReader(stub, replace(SITE, rps=10.0), CATALOGUE).read("kaasshop")  # type: ignore[arg-type]
    ((_, (job,)),) = stub.tasks
    assert job.site.rps == 2.5


# What tasks do, on a real cluster within this process


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with LocalCluster(
        n_workers=2, processes=False, protocol="tcp://", host="127.0.0.1", dashboard_address="127.0.0.1:0"
    ) as one:
        yield one.scheduler_address


@pytest.fixture
def cluster(address: str) -> Iterator[Cluster]:
    cluster = Cluster(address, patience=20.0)
    yield cluster
    cluster.close()


@pytest.fixture
def box(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    with Sandbox(nodes=3, flow_time=0.2) as box:
        monkeypatch.setenv("HYPERNODE_API_TOKENS", json.dumps(dict(box.tokens)))
        yield box


def site(box: Sandbox, cluster: Cluster) -> Site:
    return replace(SITE, run=cluster.run_id, api_url=box.url)


def sends(box: Sandbox) -> int:
    return sum(entry.method == "PATCH" for entry in box.log())


def test_a_change_is_sent_waited_for_and_its_flows_are_told_at_the_end(box: Sandbox, cluster: Cluster):
    node, told = box.names[0], []
    dask_store = DaskStore(cluster, site(box, cluster), CATALOGUE)
    assert dask_store.blocking(node) is None
    flows = dask_store.write(node, WISHED).wait(20.0, interval=0.05, on_look=told.append)
    assert [flow.state for flow in flows] == ["success"]
    assert told == [flows]
    assert dask_store.read(node, ["php_version"])["php_version"] == "8.0"
    assert sends(box) == 1


def test_a_task_that_is_run_twice_sends_once(box: Sandbox, cluster: Cluster):
    ticket = cluster.ticket()
    job = Job(site(box, cluster), box.names[0], settings=(CATALOGUE["php_version"],), wished=WISHED)
    first = cluster.do(tasks.write, job, ticket.name, limit=20.0)
    second = cluster.do(tasks.write, job, ticket.name, limit=20.0)
    assert first.value.posted
    assert second == Answer(lost=TICKET_GONE)
    assert sends(box) == 1


def test_a_ticket_is_had_by_one_alone(address: str, cluster: Cluster):
    ticket = cluster.ticket()
    with Client(address, set_as_default=False) as client, ThreadPoolExecutor(8) as pool:
        others = [Ticket(ticket.name, client) for _ in range(8)]
        assert sorted(pool.map(Ticket.take, others)) == [False] * 7 + [True]
    assert not ticket.take()


def test_what_looks_secret_stays_on_the_worker_without_tls(box: Sandbox, cluster: Cluster):
    box.set(box.names[0], new_relic_secret="canary")
    detail = DaskReader(cluster, site(box, cluster), CATALOGUE).read(box.names[0])
    assert "php_version" in detail
    assert "canary" not in json.dumps(detail)


def test_the_errors_of_a_node_come_back_as_on_threads(box: Sandbox, cluster: Cluster):
    with pytest.raises(InputError) as caught:
        DaskStore(cluster, site(box, cluster), CATALOGUE).write(box.names[0], {"php_version": "1.0"})
    assert caught.value.message == "php_version cannot be 1.0"
    assert sends(box) == 0


def test_a_worker_with_another_version_does_nothing(box: Sandbox, cluster: Cluster):
    job = Job(replace(site(box, cluster), version="9.9"), box.names[0])
    answer = cluster.do(tasks.read, job, limit=20.0)
    assert isinstance(answer.error, InputError)
    assert "and here it is 9.9; nothing was done" in answer.error.message
    assert box.log() == []


def test_what_nobody_foresaw_is_named_by_its_kind_alone(cluster: Cluster):
    answer = cluster.do(tasks.read, "no job", limit=20.0)
    assert answer == Answer(lost="it failed on the worker (AttributeError)")


def test_a_cluster_that_ends_in_the_middle_leaves_the_outcome_unknown(box: Sandbox):
    with LocalCluster(
        n_workers=1, processes=False, protocol="tcp://", host="127.0.0.1", dashboard_address="127.0.0.1:0"
    ) as one:
        cluster = Cluster(one.scheduler_address, patience=5.0)
        dask_store = DaskStore(cluster, site(box, cluster), CATALOGUE)
        pending = dask_store.write(box.names[0], WISHED)
    with pytest.raises(OutcomeUnknown):
        pending.wait(5.0, interval=0.05)
    cluster.close()


def _raise_timeout() -> Answer:
    raise TimeoutError


def test_a_task_that_raises_what_waiting_raises_is_not_waited_for(cluster: Cluster):
    assert cluster.do(_raise_timeout, limit=20.0) == Answer(lost="the Dask cluster was lost (TimeoutError)", over=False)


def test_a_task_that_does_not_end_in_time_may_be_going_on(cluster: Cluster):
    answer = cluster.do(time.sleep, 1.0, limit=0.3)
    assert answer == Answer(lost="the Dask cluster did not end it within 0 s", over=False)
