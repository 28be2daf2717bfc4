"""What the PHP-FPM workers of a node do right now (CONTRACT.md 2.2 #20, 2.8).

The lines hold addresses of visitors and what they look at, so nothing here shows them by itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from pydantic import Field

from hypernode.api.answers import read_as
from hypernode.api.models import ApiModel
from hypernode.api.transport import Transport
from hypernode.errors import ApiError
from hypernode.refusals import tidy
from hypernode.secrets import Secret

_WORKER = re.compile(r"\s*([0-9]{1,10})\s+([A-Za-z][A-Za-z _-]*?)\s+([0-9]{1,12}(?:\.[0-9]{1,9})?)\s*s(?:\s+(.*))?\s*")
"""Pid, state, seconds; what comes after them has several shapes."""
_REQUEST = re.compile(r"(?:([A-Z]{2}|-)\s+)?(?:.*?\s)?[0-9a-fA-F]*[.:][0-9a-fA-F.:]+\s+([A-Z]{3,10})\s+(\S+)(?:\s.*)?")
"""Country, method and target around the address of a visitor, which may follow the name of a handler."""


@dataclass(frozen=True, slots=True)
class FpmRequest:
    """What a worker is or was last asked for, without who asked: no address, no user agent, no query."""

    country: str | None
    """Two letters; None: it is not told."""
    method: str
    path: str
    """Without its query. It can name a person all the same, as the page of an order does."""


@dataclass(frozen=True, slots=True)
class Worker:
    """One PHP-FPM process."""

    pid: int
    state: str
    """``IDLE``, ``RUNNING`` or another word of PHP-FPM."""
    seconds: float
    """How long it has been in that state."""
    rest: str = field(default="", repr=False)
    """Country, address, method, path and user agent, as they stand."""

    @property
    def is_busy(self) -> bool:
        """Whether it is not waiting for a request: a state that nobody has attested counts as work."""
        return self.state.upper() != "IDLE"

    @property
    def request(self) -> FpmRequest | None:
        """What it is about; None when `rest` has another shape than the known ones (CONTRACT.md 2.8)."""
        match = _REQUEST.fullmatch(self.rest.strip())
        if match is None:
            return None
        return FpmRequest(None if match[1] == "-" else match[1], match[2], re.split("[?#]", match[3])[0])


class FpmStatus(ApiModel):
    """What a node said of its workers (source: POST /v2/nats/{app}/hypernode.show-fpm-status)."""

    message: str | None = None
    data: str = Field(default="", repr=False)
    """A line for each worker; see `parse_workers`."""
    status: int
    """Other than 200: the node did not answer."""

    def check_answered(self, node: str) -> None:
        """Raise an error when the API answered and the node itself did not.

        Raises:
            ApiError: `status` is not 200.
        """
        if self.status != 200:
            told = f": {tidy(self.message)}" if self.message else ""
            raise ApiError(
                f"{node}: the node did not answer ({self.status}){told}",
                status=self.status,
                hint="The API asks the node itself for this; is the node up? Try again, or log in and run livefpm",
                node=node,
            )


def get_fpm_status(transport: Transport, node: str, token: Secret) -> FpmStatus:
    """Ask `node` what its PHP-FPM workers do.

    A POST that only reads: the official client sends one without a body for it (CONTRACT.md 2.2 #20), so it is tried
    again as any read.

    Raises:
        BadAnswer: The answer has another shape.
        HypernodeError: As for every read.
    """
    path = f"/v2/nats/{node}/hypernode.show-fpm-status"  # the one path without a slash at its end (CONTRACT.md 1.2)
    return read_as(FpmStatus, transport.ask(path, token=token, node=node).data, "PHP-FPM status", node=node)


def parse_workers(text: str) -> tuple[tuple[Worker, ...], tuple[str, ...]]:
    """Return the workers that the lines of `text` tell of, and the lines that tell of none; empty ones are passed over.

    It is split loosely, as the lines vary (CONTRACT.md 2.8).
    """
    workers, odd = [], []
    for line in text.splitlines():
        if match := _WORKER.fullmatch(line):
            workers.append(Worker(int(match[1]), match[2], float(match[3]), match[4] or ""))
        elif line.strip():
            odd.append(line)
    return tuple(workers), tuple(odd)
