"""The way to the API and back: address, headers, time limits, retries, redirects. The only importer of requests.

What must stay true:
- a token travels to the configured origin only: no redirect, no `next` link and no Location moves it elsewhere;
- every wait ends: connect and read have limits, and all tries of a read share one deadline;
- a write is sent once. Whether it may be sent again is for the caller to decide, after reading.
"""

from __future__ import annotations

import json
import logging
import os
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode, urljoin, urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter

from hypernode.api.answers import Answer, decode, failure
from hypernode.api.pace import Pace, backoff, retry_after_seconds
from hypernode.config import DEFAULT_API_URL
from hypernode.errors import ApiError, BadAnswer, ConnectionFailed, HypernodeError, InputError, TryLater
from hypernode.secrets import Secret
from hypernode.version import __version__

logger = logging.getLogger(__name__)

CONNECT_TIMEOUT = 5.0
READ_TIMEOUT = 20.0
DEADLINE = 90.0
_MOST_REDIRECTS = 5
_MOST_TRIES_UNCONNECTED = 3
_MOST_TRIES_BAD_ANSWER = 4
_LARGEST_BODY = 64 * 1024 * 1024
_RETRIED = frozenset({429, 502, 503, 504})  # CONTRACT.md 7, retries

Headers = Mapping[str, str]


class Transport:
    """Talks to one API host; threads share it, and with it the connections and the pace.

    Args:
        api_url: Base address; plain http is accepted for the loopback only.
        timeout: Seconds to wait for (more of) an answer.
        pool_size: Connections kept open: as many as there are threads.
        rps: Most requests a second; None: no cap.
        ca_file: Certificates to trust instead of the system's.
        deadline: Seconds that all tries of one read may take together.
        sleep: Waits; an argument so that tests need not.
        clock: Monotonic seconds.

    Raises:
        InputError: The address is not one that a token may be sent to.
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
        self.api_url = check_api_url(api_url)
        parts = urlsplit(self.api_url)
        self._origin = (parts.scheme, parts.netloc)
        self._timeout = (CONNECT_TIMEOUT, timeout)
        self._deadline = deadline
        self._sleep = sleep
        self._clock = clock
        self._verify = _certificates(ca_file)
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
        url = self.api_url + path + (f"?{urlencode(query)}" if query else "")
        give_up = self._clock() + self._deadline
        attempt = 0
        while True:
            try:
                return self._get_following(url, token=token, node=node)
            except (ConnectionFailed, ApiError) as exc:
                pause = self._pause_before_retry(exc, attempt)
                if pause is None or self._clock() + pause > give_up:
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
            answer = self._get_linked(link, token=token, node=node)

    def _get_linked(self, link: str, *, token: Secret, node: str | None) -> Answer:
        """Read the page that a `next` link names: its path and query only, on our own origin."""
        parts = urlsplit(link)
        base = urlsplit(self.api_url).path
        path = parts.path.removeprefix(base) if base else parts.path
        if not path.startswith("/") or "\\" in link:
            raise BadAnswer("the API answered a link to the next page that has no path", status=200, node=node)
        return self.get(path + (f"?{parts.query}" if parts.query else ""), token=token, node=node)

    def send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any],
        *,
        token: Secret,
        node: str | None = None,
        secrets: Iterable[Secret] = (),
    ) -> Answer:
        """Write once: no retry and no redirect.

        Args:
            method: HTTP method.
            path: Below the API's base.
            body: Sent as JSON.
            token: Of the node.
            node: For messages.
            secrets: Values in `body` that must not come back in an error's text.

        Raises:
            ConnectionFailed: `maybe_applied` tells whether the server can have seen the request.
            ApiError, TokenRefused: A failing status.
        """
        what = f"{method} {path}"
        response = self._exchange(method, self.api_url + path, token=token, node=node, body=json.dumps(body).encode())
        status = response.status_code
        try:
            content = _content(response, what, node)
        except ConnectionFailed:
            # The status has arrived, and with it all that a good answer to a write has to say.
            if not 200 <= status < 300:
                raise
            content = b""
        self._note(status, response.headers, what)
        if not 200 <= status < 300:
            raise failure(status, content, what=what, node=node, secrets=[token, *secrets])
        try:
            data = decode(content, status=status, what=what, node=node)
        except BadAnswer:
            data = None
        return Answer(status, data, response.headers.get("Location"))

    def _get_following(self, url: str, *, token: Secret, node: str | None) -> Answer:
        for _ in range(_MOST_REDIRECTS):
            what = f"GET {url.removeprefix(self.api_url)}"
            response = self._exchange("GET", url, token=token, node=node)
            status = response.status_code
            content = _content(response, what, node)
            self._note(status, response.headers, what)
            if 200 <= status < 300:
                data = decode(content, status=status, what=what, node=node)
                return Answer(status, data)
            if status not in (301, 302, 303, 307, 308):
                error = failure(status, content, what=what, node=node, secrets=[token])
                if isinstance(error, TryLater):
                    error.retry_after = retry_after_seconds(response.headers.get("Retry-After"))
                raise error
            target = urljoin(url, response.headers.get("Location", ""))
            parts = urlsplit(target)
            if (parts.scheme, parts.netloc) != self._origin:
                raise BadAnswer(
                    f"{what} was redirected to another host; the token was not sent there",
                    status=status,
                    node=node,
                    hint="Check the API address: hnctl config list",
                )
            url = target
        raise BadAnswer(f"GET {url.removeprefix(self.api_url)} is redirected in circles", status=status, node=node)

    def _exchange(
        self, method: str, url: str, *, token: Secret, node: str | None, body: bytes | None = None
    ) -> requests.Response:
        """Send one request when it is its turn and return the answer's head; the body is still to be read."""
        pause = self._pace.wait_for_turn()
        if pause > 0:
            self._sleep(pause)
        headers = {
            "Authorization": f"Token {token.reveal()}",
            "Accept": "application/json",
            "Accept-Language": "en-US",
            "User-Agent": f"hnctl/{__version__}",
        }
        if body is not None:
            headers["Content-Type"] = "application/json"
        prepared = requests.Request(method, url, headers=headers, data=body).prepare()
        try:
            return self._adapter.send(
                prepared, stream=True, timeout=self._timeout, verify=self._verify, proxies=self._proxies
            )
        except requests.RequestException as exc:
            raise _no_answer(exc, f"{method} {url.removeprefix(self.api_url)}", self._origin[1], node) from exc

    def server_time(self, local: datetime) -> datetime:
        """Return what the server's clock showed at `local` (ours), by the newest Date header; `local` without one."""
        if self._last_date is None:
            return local
        header, received = self._last_date
        try:
            return local + (parsedate_to_datetime(header) - received)
        except (ValueError, TypeError):
            return local

    def _note(self, status: int, headers: Headers, what: str) -> None:
        logger.debug("%s -> %d", what, status)
        if date := headers.get("Date"):
            self._last_date = (date, datetime.now(UTC))
        if status == 429:
            self._pace.slow_down(retry_after_seconds(headers.get("Retry-After")))
        elif status < 400:
            self._pace.speed_up()

    @staticmethod
    def _pause_before_retry(exc: HypernodeError, attempt: int) -> float | None:
        """Return the seconds until a read that failed with `exc` is tried again, or None when it is not."""
        match exc:
            case ConnectionFailed():
                if exc.permanent or (not exc.maybe_applied and attempt + 1 >= _MOST_TRIES_UNCONNECTED):
                    return None
                return backoff(attempt)
            case TryLater():
                # The jitter keeps a fleet's threads from coming back all at the same moment.
                return backoff(attempt) if exc.retry_after is None else exc.retry_after + random.uniform(0, 0.25)
            case BadAnswer(status=status) if status < 300 and attempt + 1 < _MOST_TRIES_BAD_ANSWER:
                return backoff(attempt)
            case _:
                return None


def check_api_url(url: str) -> str:
    """Return `url` without its trailing slash if a token may be sent there.

    Raises:
        InputError: No http(s) address, one with a password in it, or plain http to another machine.
    """
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError:
        parts, host = urlsplit(""), None
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment or parts.username:
        raise InputError(
            "the API address must read like https://api.hypernode.com", hint="Set HNCTL_API_URL or api_url"
        )
    if parts.scheme == "http" and not _is_loopback(host):
        raise InputError(
            f"plain http to {host} would show the token to the network",
            hint="Use https; http is for the sandbox",
        )
    return url.rstrip("/")


def _is_loopback(host: str) -> bool:
    if host in ("localhost", "127.0.0.1"):
        return True
    import ipaddress

    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _certificates(ca_file: str | None) -> str | bool:
    path = ca_file or os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    if not path:
        return True
    if not os.path.exists(path):
        raise InputError(f"the file of certificates {path} does not exist", hint="Set HNCTL_CA_FILE or ca_file")
    return path


def _content(response: requests.Response, what: str, node: str | None) -> bytes:
    try:
        content: bytes = response.raw.read(_LARGEST_BODY, decode_content=True)
        if response.raw.read(1):
            response.close()
            raise BadAnswer(f"{what} answered more than 64 MiB", status=response.status_code, node=node)
    except (urllib3.exceptions.HTTPError, OSError) as exc:
        response.close()
        raise ConnectionFailed(
            f"{what}: the answer was cut short ({type(exc).__name__})", maybe_applied=True, node=node
        ) from exc
    return content


def _no_answer(exc: requests.RequestException, what: str, host: str, node: str | None) -> ConnectionFailed:
    """Return the error for a request that got no answer, with a guess at what a person can do about it."""
    reason: BaseException | None = exc.args[0] if exc.args and isinstance(exc.args[0], BaseException) else exc
    reason = getattr(reason, "reason", None) or reason
    hint: str | None = "See `hnctl config list` for the address and the proxy in use"
    permanent = sent = False
    match exc:
        case requests.exceptions.SSLError():
            text, permanent = f"the certificate of {host} cannot be trusted", True
            hint = "Name the right certificates with HNCTL_CA_FILE; a proxy that opens TLS has its own"
        case requests.exceptions.ProxyError():
            text = f"the proxy does not let us through to {host}"
        case requests.exceptions.ConnectTimeout():
            text = f"no connection to {host} within {CONNECT_TIMEOUT:.0f} seconds"
        case requests.exceptions.ReadTimeout():
            text, sent, hint = f"{what}: no answer in time", True, "Try again, or allow more: --timeout"
        case requests.exceptions.InvalidHeader() | requests.exceptions.InvalidURL():
            text, permanent = f"{what} cannot be sent", True
        case _ if isinstance(reason, urllib3.exceptions.NameResolutionError):
            text = f"{host} has no address (DNS)"
        case _ if isinstance(reason, urllib3.exceptions.NewConnectionError):
            text = f"{host} does not accept connections"
        case _:
            text, sent, hint = f"{what}: the connection was lost", True, "Try again"
    return ConnectionFailed(text, maybe_applied=sent, permanent=permanent, hint=hint, node=node)
