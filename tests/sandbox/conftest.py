"""A running sandbox and an ordinary client of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import requests
from patience import until

from hypernode.sandbox.server import Sandbox

FLOW_TIME = 0.2


class Client:
    """Asks the sandbox about one node, as anybody with `requests` would."""

    def __init__(self, box: Sandbox, node: str) -> None:
        self.box, self.node = box, node
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Token {box.tokens[node]}"

    def get(self, path: str, **kwargs: Any) -> requests.Response:
        return self.session.get(self.box.url + path, timeout=5, **kwargs)

    def app(self, **kwargs: Any) -> requests.Response:
        return self.get(f"/v2/app/{self.node}/", **kwargs)

    def patch(self, **settings: Any) -> requests.Response:
        return self.session.patch(f"{self.box.url}/v2/app/{self.node}/", json=settings, timeout=5)

    def flows(self, **query: Any) -> requests.Response:
        return self.get(f"/logbook/v1/logbooks/{self.node}/flows/", params=query)

    def states(self, accepted: requests.Response) -> list[str | None]:
        """Return the states of the flows of a PATCH's job, newest first."""
        return [flow["state"] for flow in self.flows(tracker_uuid=tracker(accepted)).json()["results"]]

    def wait(self, accepted: requests.Response) -> list[str | None]:
        """Return the states of the job's flows once all of them are over."""
        return until(lambda: self.states(accepted), lambda states: all(s in OVER for s in states) and states != [])


OVER = ("success", "reverted")


def tracker(accepted: requests.Response) -> str:
    return accepted.headers["Location"].rstrip("/").rpartition("/")[2]


class Clock:
    """Tells the time that the test sets, from a zero of its own."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with Sandbox(nodes=12, flow_time=FLOW_TIME) as box:
        yield box


@pytest.fixture
def client(box: Sandbox) -> Iterator[Callable[[str], Client]]:
    """Make clients by the name of their node."""
    with ExitStack() as stack:

        def make(node: str) -> Client:
            client = Client(box, node)
            stack.enter_context(client.session)
            return client

        yield make


@pytest.fixture
def shop(client: Callable[[str], Client]) -> Client:
    """The client of a node without a logbook whose updates take one flow."""
    return client("kaasshop")


@pytest.fixture
def ask(box: Sandbox) -> Iterator[Callable[..., requests.Response]]:
    """Send requests with the token of a node, the first one's if not told otherwise."""
    with requests.Session() as session:

        def send(method: str, path: str, *, token: str = "kaasshop", **kwargs: Any) -> requests.Response:
            headers = {"Authorization": f"Token {box.tokens[token]}"}
            return session.request(method, box.url + path, headers=headers, timeout=5, **kwargs)

        yield send
