"""What the tests of the API layer share: a fake network, and a clock that only sleeping moves."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import responses

from hypernode.api.transport import Transport


class Clock:
    """Monotonic seconds; `sleep` notes the pause and moves them at once."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        assert len(self.slept) < 1000, "the code under test waits for ever"
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def net() -> Iterator[responses.RequestsMock]:
    """The network: a request that no test has prepared an answer for is refused, and noted among the calls."""
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


@pytest.fixture
def transport(clock: Clock) -> Iterator[Transport]:
    with Transport(sleep=clock.sleep, clock=clock) as transport:
        yield transport
