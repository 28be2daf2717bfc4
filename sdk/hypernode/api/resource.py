"""What the resources of one node share: the way to the API, and writes that are never repeated blindly.

An answer that was lost leaves open whether the write was applied. Where reading tells, it is looked for, and sent again
only when it is not there. What orders, charges or cannot be read is never sent twice (CONTRACT.md 7).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from hypernode.api.answers import Answer
from hypernode.api.retries import may_be_sent_again, may_have_arrived
from hypernode.api.transport import Transport
from hypernode.errors import ApiError, BadAnswer, ConnectionFailed, HypernodeError, OutcomeUnknown
from hypernode.secrets import Secret

logger = logging.getLogger(__name__)

_MOST_SENDS = 5
_FIRST_PAUSE = 0.5
"""Seconds before a write is sent again; each pause is twice the one before."""


class Resource:
    """One part of what the API says of a node.

    Args:
        transport: The way to the API.
        node: Its name, checked.
        token: Its token.
        sleep: Waits.
    """

    def __init__(
        self, transport: Transport, node: str, token: Secret, *, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._transport = transport
        self._node = node
        self._token = token
        self._sleep = sleep

    def _get(self, path: str, query: Mapping[str, str | int] | None = None) -> Any:
        """Return the decoded answer to a GET."""
        return self._transport.get(path, token=self._token, node=self._node, query=query).data

    def _object(self, path: str, what: str) -> dict[str, Any]:
        """Return the decoded answer to a GET, which must be an object; `what` names it in errors."""
        data = self._get(path)
        if not isinstance(data, dict):
            raise BadAnswer(f"the API answered no object for the {what}", status=200, node=self._node)
        return data

    def _iter(self, path: str, query: Mapping[str, str | int] | None = None) -> Iterator[Any]:
        """Yield the items of all pages, fetched as they are consumed."""
        for page in self._transport.iter_pages(path, token=self._token, node=self._node, query=query):
            yield from page

    def _send(self, method: str, path: str, body: object | None = None, *, secrets: Iterable[Secret] = ()) -> Answer:
        return self._transport.send(method, path, body, token=self._token, node=self._node, secrets=secrets)

    def _send_once(
        self, method: str, path: str, body: object | None = None, *, look: str, secrets: Iterable[Secret] = ()
    ) -> Answer:
        """Write once, for what must not happen twice and cannot be found by reading.

        Args:
            method: HTTP method.
            path: Below the API's base.
            body: Sent as JSON; None: nothing is sent.
            look: How a person finds out what became of it.
            secrets: Values in `body` that must not come back in an error's text.

        Raises:
            OutcomeUnknown: The answer was lost.
        """
        try:
            return self._send(method, path, body, secrets=secrets)
        except (ConnectionFailed, ApiError) as exc:
            if not may_have_arrived(exc):
                raise
            call = f"{method} {path}"
            # The path may name the node, and the error would not name it itself then.
            raise OutcomeUnknown(
                f"{self._node}: {call} was sent once and its answer was lost ({_why(exc, call)})",
                hint=look,
                node=self._node,
            ) from exc

    def _bring_about(
        self, send: Callable[[], Answer], is_so: Callable[[], bool], *, what: str, look: str
    ) -> Answer | None:
        """Send a write whose effect can be read, again only when it is not there.

        Args:
            send: Sends it once.
            is_so: Reads whether the effect is there.
            what: The write, for errors.
            look: How a person finds out what became of it.

        Returns:
            The answer, or one in its place when it was lost and the effect is there; None: it was refused, and the
            effect is there all the same.

        Raises:
            OutcomeUnknown: An answer was lost, and reading did not settle it.
            ApiError, CredentialsError: The API's refusal.
        """
        lost: ConnectionFailed | ApiError | None = None
        for attempt in range(_MOST_SENDS):
            try:
                return send()
            except (ConnectionFailed, ApiError) as exc:
                again = may_be_sent_again(exc)
                if lost is None and may_have_arrived(exc):
                    lost = exc
                if not again and not _may_be_so_already(exc):
                    raise self._unless_lost(exc, lost, what, look) from exc.__cause__
                logger.debug("%s; reading before anything is sent again", exc)
                try:
                    so = is_so()
                except HypernodeError as failed:
                    raise self._unless_lost(exc, lost, what, look) from failed
                if so:
                    return None if lost is None else Answer(200, None)
                if not again or attempt + 1 == _MOST_SENDS:
                    raise self._unless_lost(exc, lost, what, look) from exc.__cause__
            self._sleep(_FIRST_PAUSE * 2**attempt)
        raise AssertionError("the loop returns or raises")

    def _unless_lost(
        self, exc: HypernodeError, lost: ConnectionFailed | ApiError | None, what: str, look: str
    ) -> HypernodeError:
        """Return `exc`, with which sending ends, or the error for an open outcome if an earlier send may be applied."""
        if lost is None:
            return exc
        return OutcomeUnknown(
            f"{what} was sent, its answer was lost ({lost.message}), and reading did not settle it",
            hint=look,
            node=self._node,
        )


def _why(exc: HypernodeError, call: str) -> str:
    """Return the message of `exc` without the call that it begins with."""
    rest = exc.message.removeprefix(call)
    return rest.removeprefix(": ") if rest.startswith(": ") else f"it{rest}" if rest != exc.message else rest


def _may_be_so_already(exc: ConnectionFailed | ApiError) -> bool:
    """Tell whether a refusal can mean that there is nothing to do, as for what is there, or gone, already."""
    return isinstance(exc, ApiError) and exc.status in (400, 404, 409)
