"""The way to the API and back: address, headers, time limits, retries, redirects. The only importer of requests.

What must stay true:
- a token travels to the configured origin only: no redirect, no `next` link and no Location moves it elsewhere;
  what goes to any other address (`visit`) carries none, and no other credential either;
- every wait ends: connect and read have limits, all tries of a read share one deadline, and no pause that the server
  asks for goes beyond it;
- a write is sent once. Whether it may be sent again is for the caller to decide, after reading.
"""

from __future__ import annotations

import errno
import json
import logging
import math
import os
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimedOut
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode, urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter

from hypernode.api.answers import Answer, decode
from hypernode.api.links import linked_path, redirected
from hypernode.api.pace import Pace
from hypernode.api.retries import pause_before_retry, retry_after_seconds
from hypernode.config import DEFAULT_API_URL, check_api_url, is_loopback
from hypernode.errors import ApiError, BadAnswer, ConnectionFailed, InputError, TokenRefused, TryLater
from hypernode.refusals import failure
from hypernode.secrets import Secret
from hypernode.version import __version__

logger = logging.getLogger(__name__)

CONNECT_TIMEOUT = 5.0
READ_TIMEOUT = 20.0
DEADLINE = 90.0
REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS = 5
_LARGEST_BODY = 64 * 1024 * 1024
_PIECE = 256 * 1024
_SMALL_PIECE = 16 * 1024  # packed, it can be a thousand times as much
_GRACE = 0.5
"""Seconds for a limit that takes effect by itself to do so."""
_AGENT = f"hnctl/{__version__}"
_UNSENDABLE = (  # a token, an address or a proxy that no request can be made of
    requests.exceptions.InvalidHeader,
    requests.exceptions.InvalidSchema,
    requests.exceptions.InvalidURL,
    urllib3.exceptions.LocationParseError,
)


@dataclass(frozen=True, slots=True)
class _Call:
    """What all tries, redirects and errors of one call have in common."""

    what: str
    """What was asked for, as errors name it. Never an address that the server chose, which may repeat the token."""
    token: Secret
    node: str | None
    give_up: float
    """When nothing further may be waited for, by the transport's clock."""


class Transport:
    """Talks to one API host; threads share it, and with it the connections and the pace.

    Args:
        api_url: Base address; plain http is accepted for the loopback only.
        timeout: Seconds to wait for (more of) an answer.
        pool_size: Connections kept open: as many as there are threads.
        rps: Most requests a second; None: no cap.
        ca_file: Certificates to trust instead of the system's.
        deadline: Seconds that all tries of one read may take together, and that a write may wait for its turn.
        sleep: Waits; an argument so that tests need not.
        clock: Monotonic seconds.

    Raises:
        InputError: The address is not one that a token may be sent to, or a time limit is none.
    """

    def __init__(
        self,
        api_url: str = DEFAULT_API_URL,
        *,
        timeout: float = READ_TIMEOUT,
        pool_size: int = 8,
        rps: float | None = None,
        ca_file: str | None = None,
        deadline: float = DEADLINE,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not 0 < timeout < math.inf or not 0 <= deadline < math.inf:
            raise InputError("a time limit must be finite and more than 0 seconds", hint="Set HNCTL_TIMEOUT or timeout")
        self.api_url = check_api_url(api_url)
        parts = urlsplit(self.api_url)
        self._host = parts.netloc
        self._timeout = (CONNECT_TIMEOUT, timeout)
        self._deadline = deadline
        self._sleep = sleep
        self._clock = clock
        self._verify = certificates(ca_file)
        # Asked once: requests would ask the environment again for every single call. A plain-http loopback never
        # goes through a proxy, which would see the token.
        self._proxies = {} if parts.scheme == "http" else requests.utils.get_environ_proxies(self.api_url)
        self._adapter = HTTPAdapter(pool_connections=4, pool_maxsize=pool_size)
        self._pace = Pace(rps=rps, clock=clock)
        self._last_date: tuple[str, datetime] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._adapter.close()

    def get(
        self,
        path: str,
        *,
        token: Secret,
        node: str | None = None,
        query: Mapping[str, str | int] | None = None,
    ) -> Answer:
        """Read `path`, with retries.

        Raises:
            ConnectionFailed, TryLater, BadAnswer: Still so after all tries.
            ApiError, TokenRefused: Any other failing status.
        """
        asked = path + (f"?{urlencode(query)}" if query else "")
        return self._read(asked, self._call(f"GET {asked}", token, node))

    def _call(self, what: str, token: Secret, node: str | None) -> _Call:
        return _Call(what, token, node, give_up=self._clock() + self._deadline)

    def ask(self, path: str, *, method: str = "POST", token: Secret, node: str | None = None) -> Answer:
        """Read `path` where the API wants another method than GET, without a body, for it; errors as for `get`.

        It changes nothing, so it is tried again as any read. A redirect is a failing status.
        """
        return self._read(path, self._call(f"{method} {path}", token, node), method)

    def _read(self, path: str, call: _Call, method: str = "GET") -> Answer:
        attempt = 0
        while True:
            try:
                return self._get_following(method, self.api_url + path, call)
            except (ConnectionFailed, ApiError) as exc:
                pause = pause_before_retry(exc, attempt)
                if pause is None or self._clock() + pause > call.give_up:
                    raise
                logger.debug("%s; trying again in %.1f s", exc, pause)
            self._sleep(pause)
            attempt += 1

    def iter_pages(
        self, path: str, *, token: Secret, node: str | None = None, query: Mapping[str, str | int] | None = None
    ) -> Iterator[list[Any]]:
        """Yield the results of each page as they are consumed (CONTRACT.md 1.3).

        Ends at the last page, at an empty one, and at a link that was followed before.
        """
        answer = self.get(path, token=token, node=node, query=query)
        seen: set[str] = set()
        while True:
            data = answer.data
            if not isinstance(data, dict) or not isinstance(data.get("results"), list):
                raise BadAnswer(f"GET {path} answered no page of results", status=answer.status, node=node)
            yield data["results"]
            link = data.get("next")
            if not isinstance(link, str) or not data["results"] or link in seen:
                return
            seen.add(link)
            linked = linked_path(link, self.api_url)
            if linked is None:
                raise BadAnswer("the API answered a link to the next page that has no path", status=200, node=node)
            answer = self._read(linked, self._call(f"GET {path}", token, node))

    def send(
        self,
        method: str,
        path: str,
        body: object | None = None,
        *,
        token: Secret,
        node: str | None = None,
        secrets: Iterable[Secret] = (),
    ) -> Answer:
        """Write once: no retry and no redirect.

        Args:
            method: HTTP method.
            path: Below the API's base.
            body: Sent as JSON; None: nothing is sent.
            token: Of the node.
            node: For messages.
            secrets: Values in `body` that must not come back in an error's text.

        Raises:
            ConnectionFailed: `maybe_applied` tells whether the server can have seen the request.
            ApiError, TokenRefused: A failing status.
        """
        call = self._call(f"{method} {path}", token, node)
        content_sent = None if body is None else json.dumps(body).encode()
        response = self._exchange(method, self.api_url + path, call, content_sent)
        status = response.status_code
        try:
            content = self._content(response, call)
        except ConnectionFailed:
            # The status has arrived, and with it all that a good answer to a write has to say.
            if not 200 <= status < 300:
                raise
            content = b""
        self._note(response, call)
        if not 200 <= status < 300:
            raise _failure(response, content, call, secrets)
        try:
            data = decode(content, status=status, what=call.what, node=node)
        except BadAnswer:
            data = None
        return Answer(status, data, response.headers.get("Location"))

    def _get_following(self, method: str, url: str, call: _Call) -> Answer:
        for _ in range(_MOST_REDIRECTS):
            response = self._exchange(method, url, call)
            status = response.status_code
            content = self._content(response, call)
            self._note(response, call)
            if 200 <= status < 300:
                return Answer(status, decode(content, status=status, what=call.what, node=call.node))
            if status not in REDIRECTS or method != "GET":  # CONTRACT.md 1.2
                raise _failure(response, content, call)
            target = redirected(url, response.headers.get("Location", ""))
            if target is None:
                raise BadAnswer(
                    f"{call.what} was redirected to another host; the token was not sent there",
                    status=status,
                    node=call.node,
                    hint="Check the API address: hnctl config list",
                )
            url = target
        raise BadAnswer(f"{call.what} is redirected in circles", status=status, node=call.node)

    def _exchange(self, method: str, url: str, call: _Call, body: bytes | None = None) -> requests.Response:
        """Send one request when it is its turn and return the answer's head; the body is still to be read."""
        try:
            pause = self._pace.wait_for_turn(call.give_up - self._clock())
        except TryLater as exc:
            exc.node = call.node
            raise
        if pause > 0:
            self._sleep(pause)
        headers = {
            "Authorization": f"Token {call.token.reveal()}",
            "Accept": "application/json",
            "Accept-Language": "en-US",
            "User-Agent": _AGENT,
        }
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            prepared = requests.Request(method, url, headers=headers, data=body).prepare()
            return self._adapter.send(
                prepared, stream=True, timeout=self._timeout, verify=self._verify, proxies=self._proxies
            )
        except (requests.RequestException, urllib3.exceptions.LocationParseError) as exc:
            if isinstance(exc, requests.RequestException):
                exc.request = None  # it holds the token, and whoever reports a crash reports causes too
            raise _no_answer(exc, self._host, call.what, call.node) from exc

    def _content(self, response: requests.Response, call: _Call) -> bytes:
        """Return the answer's body, piece by piece: one that drips in must not outlast the call."""
        content = bytearray()
        # An answer that comes late has the time of any answer; what it says is why the call ends.
        give_up = max(call.give_up, self._clock() + self._timeout[1])
        try:
            while piece := response.raw.read1(_PIECE, decode_content=True):
                content += piece
                if len(content) > _LARGEST_BODY:
                    response.close()
                    raise BadAnswer(
                        f"{call.what} answered more than {_LARGEST_BODY:,} bytes",
                        status=response.status_code,
                        node=call.node,
                    )
                if self._clock() > give_up:
                    response.close()
                    raise ConnectionFailed(
                        f"{call.what}: the answer did not come to its end",
                        maybe_applied=True,
                        node=call.node,
                    )
        except (urllib3.exceptions.HTTPError, OSError) as exc:
            response.close()
            raise ConnectionFailed(
                f"{call.what}: the answer was cut short ({type(exc).__name__})", maybe_applied=True, node=call.node
            ) from exc
        return bytes(content)

    def server_time(self, local: datetime) -> datetime:
        """Return what the server's clock showed at `local` (ours), by the newest Date header; `local` without one."""
        if self._last_date is None:
            return local
        header, received = self._last_date
        try:
            return local + (parsedate_to_datetime(header) - received)
        except (ValueError, TypeError, OverflowError):
            return local

    def _note(self, response: requests.Response, call: _Call) -> None:
        logger.debug("%s -> %d", call.what, response.status_code)
        if date := response.headers.get("Date"):
            self._last_date = (date, datetime.now(UTC))
        if response.status_code == 429:
            self._pace.slow_down(retry_after_seconds(response.headers.get("Retry-After")))
        elif response.status_code < 400:
            self._pace.speed_up()


@dataclass(frozen=True, slots=True)
class Visit:
    """What any address answered to a request without credentials."""

    status: int
    location: str | None
    content_type: str
    content: bytes
    is_whole: bool
    """Whether `content` is all that there is."""


def visit(
    url: str, *, timeout: float, most: int, verify: str | bool, clock: Callable[[], float] = time.monotonic
) -> Visit:
    """Get `url` over a connection of its own, with neither token nor cookie nor password; follows no redirect.

    Neither looking up a name nor a head that drips in byte by byte has a limit of its own, so a thread waits for them,
    and is left to itself when the time is over.

    Args:
        url: http or https.
        timeout: Seconds for all of it.
        most: Bytes of the answer to read.
        verify: See `certificates`.
        clock: Monotonic seconds.

    Raises:
        ConnectionFailed: There is no answer, or it does not come to its end.
    """
    found: Future[Visit] = Future()

    def work() -> None:
        try:
            found.set_result(_visit(url, timeout, most, verify, clock))
        except BaseException as exc:  # noqa: BLE001  # handed to the thread that waits
            found.set_exception(exc)

    threading.Thread(target=work, name="visit", daemon=True).start()
    try:
        return found.result(timeout + _GRACE)
    except FutureTimedOut:
        # A shop that keeps silent fails at its own limit; whether this is the shop or the name server is not known.
        text = f"{url}: no address was found or no answer began within {timeout:.3g} seconds"
        raise ConnectionFailed(text, maybe_applied=True, on_the_way=True) from None


def _visit(url: str, timeout: float, most: int, verify: str | bool, clock: Callable[[], float]) -> Visit:
    parts = urlsplit(url)
    url = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()  # requests would log in with what is there
    host, give_up = parts.hostname or "", clock() + timeout
    headers = {"User-Agent": _AGENT, "Accept": "*/*", "Accept-Encoding": "identity", "Connection": "close"}
    adapter = HTTPAdapter()
    try:
        prepared = requests.Request("GET", url, headers=headers).prepare()
        proxies = {} if is_loopback(host) else requests.utils.get_environ_proxies(url)
        limit: Any = urllib3.Timeout(total=timeout)  # requests passes it on; its own limits do not add up
        response = adapter.send(prepared, stream=True, timeout=limit, verify=verify, proxies=proxies)
        content = bytearray()
        while len(content) <= most and (piece := response.raw.read1(_SMALL_PIECE, decode_content=True)):
            content += piece
            if clock() > give_up:
                raise ConnectionFailed(f"{url}: the answer did not come to its end in time", maybe_applied=True)
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as exc:
        raise _no_answer(exc, host, url, connect_timeout=timeout) from exc
    finally:
        adapter.close()
    logger.debug("a page -> %d", response.status_code)
    return Visit(
        response.status_code,
        response.headers.get("Location") if response.status_code in REDIRECTS else None,
        response.headers.get("Content-Type", ""),
        bytes(content[:most]),
        len(content) <= most,
    )


def certificates(ca_file: str | None) -> str | bool:
    """Return what vouches for servers: this file, one that a variable names, or True for the system's.

    Raises:
        InputError: The file is not there.
    """
    path = ca_file or os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    if not path:
        return True
    if not os.path.exists(path):
        raise InputError(f"the file of certificates {path} does not exist", hint="Set HNCTL_CA_FILE or ca_file")
    return path


def _failure(
    response: requests.Response, content: bytes, call: _Call, secrets: Iterable[Secret] = ()
) -> ApiError | TokenRefused:
    return failure(
        response.status_code,
        content,
        what=call.what,
        node=call.node,
        secrets=[call.token, *secrets],
        retry_after=retry_after_seconds(response.headers.get("Retry-After")),
    )


def _no_answer(
    exc: Exception, host: str, what: str, node: str | None = None, *, connect_timeout: float = CONNECT_TIMEOUT
) -> ConnectionFailed:
    """Return the error for a request that got no answer, with a guess at what a person can do about it."""
    reason: BaseException = exc.args[0] if exc.args and isinstance(exc.args[0], BaseException) else exc
    reason = getattr(reason, "reason", None) or reason
    hint: str | None = "See `hnctl config list` for the address and the proxy in use"
    permanent = sent = False
    on_the_way = True
    match exc:
        case requests.exceptions.SSLError() if _tls_reason(reason) in _NO_TLS:
            text, permanent = f"{host} does not speak TLS", True
        case requests.exceptions.SSLError() if _tls_reason(reason) not in _BROKEN_OFF:
            text, permanent = f"the certificate of {host} cannot be trusted", True
            hint = "Name the right certificates with HNCTL_CA_FILE; a proxy that opens TLS has its own"
        case requests.exceptions.ProxyError():
            text = f"the proxy does not let us through to {host}"
        case requests.exceptions.ConnectTimeout():
            text, on_the_way = f"no connection to {host} within {connect_timeout:.3g} seconds", False
        case requests.exceptions.ReadTimeout() | urllib3.exceptions.ReadTimeoutError():
            text, sent, hint = f"{what}: no answer in time", True, "Try again, or allow more: --timeout"
            on_the_way = False
        case _ if isinstance(exc, _UNSENDABLE):
            text, permanent = f"{what} cannot be sent", True
        case _ if isinstance(reason, urllib3.exceptions.NameResolutionError):
            text = f"{host} has no address (DNS)"
        case _ if isinstance(reason, urllib3.exceptions.NewConnectionError):
            text, on_the_way = f"{host} does not accept connections", not _is_refusal(reason)
        case _:
            text, sent, hint, on_the_way = f"{what}: the connection was lost", True, "Try again", False
    return ConnectionFailed(text, maybe_applied=sent, permanent=permanent, on_the_way=on_the_way, hint=hint, node=node)


def _is_refusal(reason: BaseException) -> bool:
    """Tell whether it was the server that let nobody in: from here there is a route to it."""
    cause = reason.__cause__
    return isinstance(cause, OSError) and cause.errno in (errno.ECONNREFUSED, errno.ECONNRESET, errno.ETIMEDOUT)


# What OpenSSL says when the other side answers something else, and when it hangs up, as on a kept connection.
_NO_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "UNEXPECTED_MESSAGE")
_BROKEN_OFF = ("EOF", "ZERO_RETURN")


def _tls_reason(reason: BaseException) -> str:
    """Return OpenSSL's word for what went wrong."""
    match reason.args:
        case (ssl.SSLEOFError(), *_):
            return "EOF"
        case (ssl.SSLZeroReturnError(), *_):
            return "ZERO_RETURN"
        case (ssl.SSLError(reason=str(word)), *_):
            return word
        case _:
            return ""
