"""The way to the API and back: addresses, headers, time limits, retries, redirects, pages, and where a token may go."""

from __future__ import annotations

import gzip
import json
import logging
import math
import random
import re
import socket
import ssl
import struct
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import pytest
import requests
import responses
import urllib3

import hypernode.api.transport
from hypernode.api.transport import Transport
from hypernode.config import check_api_url
from hypernode.errors import (
    ApiError,
    ApiUseSwitchedOff,
    BadAnswer,
    ConnectionFailed,
    Forbidden,
    HypernodeError,
    InputError,
    NotFound,
    Rejected,
    TokenRefused,
    TryLater,
)
from hypernode.secrets import Secret
from hypernode.version import __version__

API = "https://api.hypernode.com"
CANARY = "canary-token-4f1d9b"
TOKEN = Secret(CANARY)
PATH = "/v2/app/kaasshop/"
FLOWS = "/logbook/v1/logbooks/kaasshop/flows/"
GATEWAY = "<html><head><title>502 Bad Gateway</title></head></html>"

Net = responses.RequestsMock


def read(transport: Transport, path: str = PATH, **more: Any) -> Any:
    return transport.get(path, token=TOKEN, node="kaasshop", **more).data


def write(transport: Transport, body: dict[str, Any] | None = None, **more: Any) -> Any:
    return transport.send("PATCH", PATH, body or {"php_version": "8.4"}, token=TOKEN, node="kaasshop", **more)


def pages(transport: Transport, path: str = FLOWS, **more: Any) -> Iterator[list[Any]]:
    return transport.iter_pages(path, token=TOKEN, node="kaasshop", **more)


def urls(net: Net) -> list[str]:
    return [str(call.request.url) for call in net.calls]


def page(*results: Any, follow: Any = None) -> dict[str, Any]:
    return {"count": len(results), "next": follow, "previous": None, "results": list(results)}


@contextmanager
def server(talk: Callable[[socket.socket], None], *, context: ssl.SSLContext | None = None) -> Iterator[int]:
    """Listen on the loopback, let `talk` handle each connection, and give the port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with suppress(OSError), connection:  # the client hung up, which some tests are about
                if context is None:
                    talk(connection)
                else:
                    with context.wrap_socket(connection, server_side=True) as wrapped:
                        talk(wrapped)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def hear(connection: socket.socket) -> bytes:
    """Read one request, as far as its headers and the body that they announce."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        if not more:
            return data
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            while len(body) < int(value):
                body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def saying(answer: bytes, heard: list[bytes] | None = None) -> Callable[[socket.socket], None]:
    def talk(connection: socket.socket) -> None:
        request = hear(connection)
        if heard is not None:
            heard.append(request)
        connection.sendall(answer)

    return talk


# --- address and headers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("api_url", "asked"),
    [
        ("https://api.hypernode.com", "https://api.hypernode.com/v2/app/kaasshop/"),
        ("https://api.hypernode.com/", "https://api.hypernode.com/v2/app/kaasshop/"),
        ("https://proxy.example:8443/hypernode/", "https://proxy.example:8443/hypernode/v2/app/kaasshop/"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080/v2/app/kaasshop/"),
        ("http://[::1]:8080", "http://[::1]:8080/v2/app/kaasshop/"),
        ("http://localhost", "http://localhost/v2/app/kaasshop/"),
    ],
)
def test_every_request_goes_to_the_address_that_was_given(net: Net, api_url: str, asked: str):
    """The official client stores its api_url and never uses it (CONTRACT.md 5, defect 1)."""
    net.get(asked, json={})
    net.patch(asked, json={})
    with Transport(api_url) as transport:
        read(transport)
        write(transport)
    assert urls(net) == [asked, asked]


def test_every_request_carries_the_token_and_asks_for_json_in_english(net: Net, transport: Transport):
    net.get(API + PATH, json={})
    net.patch(API + PATH, json={})
    read(transport)
    write(transport)
    for call in net.calls:
        headers = call.request.headers
        assert headers["Authorization"] == f"Token {CANARY}"
        assert headers["Accept"] == "application/json"
        assert headers["Accept-Language"] == "en-US"
        assert headers["User-Agent"] == f"hnctl/{__version__}"


def test_a_query_is_escaped(net: Net, transport: Transport):
    net.get(API + PATH, json={})
    read(transport, query={"destroyed": "false", "x": "a&b =c"})
    assert urls(net) == [f"{API}{PATH}?destroyed=false&x=a%26b+%3Dc"]


def test_every_request_has_finite_time_limits(net: Net, transport: Transport):
    net.get(API + PATH, json={})
    net.patch(API + PATH, json={})
    read(transport)
    write(transport)
    assert [call.request.req_kwargs["timeout"] for call in net.calls] == [(5.0, 20.0)] * 2
    with Transport(timeout=3) as impatient:
        read(impatient)
    assert net.calls[-1].request.req_kwargs["timeout"] == (5.0, 3)


def test_a_write_is_json_and_keeps_null_lists_and_booleans(net: Net, transport: Transport):
    """A form would make True a text and drop None and [] (CONTRACT.md 5, defect 9)."""
    net.patch(API + PATH, status=200)
    body = {"new_relic_app_name": None, "varnish_enabled": True, "clear_services": [], "text": "é", "number": 3}
    write(transport, body)
    request = net.calls[0].request
    assert request.headers["Content-Type"] == "application/json"
    assert request.body is not None
    assert json.loads(request.body) == body


def test_a_read_has_no_body(net: Net, transport: Transport):
    net.get(API + PATH, json={})
    read(transport)
    assert net.calls[0].request.body is None
    assert "Content-Type" not in net.calls[0].request.headers


def test_a_netrc_file_never_takes_the_place_of_the_token(
    net: Net, transport: Transport, clean_environment: Path, monkeypatch: pytest.MonkeyPatch
):
    for path in (clean_environment / ".netrc", clean_environment / "netrc"):
        path.write_text("machine api.hypernode.com login me password other\ndefault login me password other\n")
        path.chmod(0o600)
    monkeypatch.setenv("NETRC", str(clean_environment / "netrc"))
    net.get(API + PATH, json={})
    read(transport)
    assert net.calls[0].request.headers["Authorization"] == f"Token {CANARY}"


@pytest.mark.parametrize(
    "api_url",
    [
        "",
        "api.hypernode.com",
        "ftp://api.hypernode.com",
        "https://",
        "https:///v2",
        "https://me:pw@api.hypernode.com",
        "https://me@api.hypernode.com",
        "https://:pw@api.hypernode.com",
        "https://api.hypernode.com?x=1",
        "https://api.hypernode.com#x",
        "https://api.hypernode.com:port",
        "https://api.hypernode.com:99999",
        "https://[bad",
        "file:///etc/passwd",
    ],
)
def test_what_is_no_address_of_an_api_is_refused(api_url: str):
    with pytest.raises(InputError) as caught:
        Transport(api_url)
    assert str(caught.value) == "the API address must read like https://api.hypernode.com"
    assert caught.value.hint == "Set HNCTL_API_URL or api_url"


@pytest.mark.parametrize(
    "host", ["api.hypernode.com", "10.0.0.1", "192.168.1.1", "[2001:db8::1]", "localhost.example.com", "0.0.0.0"]
)
def test_plain_http_goes_to_this_machine_only(host: str):
    with pytest.raises(InputError) as caught:
        Transport(f"http://{host}:8080")
    assert str(caught.value) == f"plain http to {host.strip('[]')} would show the token to the network"
    assert caught.value.hint == "Use https; http is for the sandbox"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "[::1]"])
def test_plain_http_to_this_machine_is_accepted(host: str):
    assert check_api_url(f"http://{host}:8080/") == f"http://{host}:8080"


@pytest.mark.parametrize("timeout", [0, -1, math.nan, math.inf])
def test_a_time_limit_that_is_none_is_refused(timeout: float):
    """requests would raise a ValueError at the first call, and infinity is no limit."""
    with pytest.raises(InputError) as caught:
        Transport(timeout=timeout)
    assert str(caught.value) == "a time limit must be finite and more than 0 seconds"


@pytest.mark.parametrize("deadline", [-1, math.nan, math.inf])
def test_a_deadline_that_never_comes_is_refused(deadline: float):
    with pytest.raises(InputError):
        Transport(deadline=deadline)


# --- proxies and certificates --------------------------------------------------------------------------------------


def test_a_proxy_of_the_environment_is_used(net: Net, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    net.get(API + PATH, json={})
    with Transport() as transport:
        read(transport)
    assert net.calls[0].request.req_kwargs["proxies"]["https"] == "http://proxy.example:3128"


def test_no_proxy_is_honoured(net: Net, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", "hypernode.com")
    net.get(API + PATH, json={})
    with Transport() as transport:
        read(transport)
    assert not net.calls[0].request.req_kwargs["proxies"]


def test_plain_http_to_this_machine_goes_through_no_proxy(monkeypatch: pytest.MonkeyPatch):
    """The proxy would see the token; this one would not answer."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with (
        server(saying(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")) as port,
        Transport(f"http://127.0.0.1:{port}") as transport,
    ):
        assert read(transport) == {}


def test_certificates_are_checked_unless_nothing_else_is_said(net: Net, transport: Transport):
    net.get(API + PATH, json={})
    read(transport)
    assert net.calls[0].request.req_kwargs["verify"] is True


@pytest.mark.parametrize("variable", [None, "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_own_certificates_are_named_by_argument_or_variable(
    net: Net, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str | None
):
    path = tmp_path / "ca.pem"
    path.touch()
    if variable:
        monkeypatch.setenv(variable, str(path))
    net.get(API + PATH, json={})
    with Transport(ca_file=None if variable else str(path)) as transport:
        read(transport)
    assert net.calls[0].request.req_kwargs["verify"] == str(path)


def test_a_missing_file_of_certificates_is_told_before_anything_is_sent():
    with pytest.raises(InputError) as caught:
        Transport(ca_file="/no/such.pem")
    assert str(caught.value) == "the file of certificates /no/such.pem does not exist"
    assert caught.value.hint == "Set HNCTL_CA_FILE or ca_file"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-made certificate for 127.0.0.1, with its key in the same file."""
    x509 = pytest.importorskip("cryptography.x509")
    import ipaddress

    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    plain = serialization.NoEncryption()
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    )
    return path


@pytest.fixture
def tls_port(certificate: Path) -> Iterator[int]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with server(saying(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"), context=context) as port:
        yield port


def test_a_certificate_that_nobody_vouches_for_is_permanent(tls_port: int, clock: Any):
    with (
        Transport(f"https://127.0.0.1:{tls_port}", sleep=clock.sleep, clock=clock) as transport,
        pytest.raises(ConnectionFailed) as caught,
    ):
        read(transport)
    assert caught.value.message == f"the certificate of 127.0.0.1:{tls_port} cannot be trusted"
    assert caught.value.hint == ("Name the right certificates with HNCTL_CA_FILE; a proxy that opens TLS has its own")
    assert (caught.value.permanent, caught.value.maybe_applied) == (True, False)
    assert clock.slept == []


def test_a_server_without_tls_is_not_blamed_for_its_certificate(clock: Any):
    with (
        server(lambda connection: connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as port,
        Transport(f"https://127.0.0.1:{port}", sleep=clock.sleep, clock=clock) as transport,
        pytest.raises(ConnectionFailed) as caught,
    ):
        read(transport)
    assert caught.value.message == f"127.0.0.1:{port} does not speak TLS"
    assert caught.value.hint == "See `hnctl config list` for the address and the proxy in use"
    assert (caught.value.permanent, caught.value.maybe_applied) == (True, False)


def test_a_certificate_that_the_given_file_vouches_for_is_trusted(tls_port: int, certificate: Path):
    with Transport(f"https://127.0.0.1:{tls_port}", ca_file=str(certificate)) as transport:
        assert read(transport) == {}


# --- retries of reads ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_read_is_tried_again_when_the_server_cannot_answer_now(
    net: Net, transport: Transport, clock: Any, status: int
):
    for _ in range(3):
        net.get(API + PATH, body=GATEWAY, status=status)
    net.get(API + PATH, json={"name": "kaasshop"})
    assert read(transport) == {"name": "kaasshop"}
    assert len(net.calls) == 4


@pytest.mark.parametrize(
    "exception",
    [requests.ConnectionError("reset"), requests.ReadTimeout("slow"), requests.ConnectTimeout(), requests.Timeout()],
)
def test_a_read_is_tried_again_after_a_lost_connection(net: Net, transport: Transport, exception: Exception):
    net.get(API + PATH, body=exception)
    net.get(API + PATH, json={})
    assert read(transport) == {}
    assert len(net.calls) == 2


@pytest.mark.parametrize("body", [GATEWAY, '{"php_version": "8.', "oops"])
def test_a_good_status_with_a_bad_body_is_tried_four_times(net: Net, transport: Transport, body: str):
    net.get(API + PATH, body=body)
    with pytest.raises(BadAnswer):
        read(transport)
    assert len(net.calls) == 4


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, Rejected),
        (401, TokenRefused),
        (403, Forbidden),
        (404, NotFound),
        (405, ApiError),
        (409, ApiError),
        (500, ApiError),
        (501, ApiError),
    ],
)
def test_any_other_failing_status_is_told_at_once(
    net: Net, transport: Transport, clock: Any, status: int, kind: type[HypernodeError]
):
    net.get(API + PATH, json={"detail": "no"}, status=status)
    with pytest.raises(kind) as caught:
        read(transport)
    assert type(caught.value) is kind
    assert caught.value.node == "kaasshop"
    assert len(net.calls) == 1
    assert clock.slept == []


def test_the_switched_off_account_is_told_at_once_with_what_to_do(net: Net, transport: Transport):
    net.get(API + PATH, json={"detail": "This command is of a financial nature: enable API token usage."}, status=403)
    with pytest.raises(ApiUseSwitchedOff) as caught:
        read(transport)
    assert "control panel" in (caught.value.hint or "")
    assert len(net.calls) == 1


def test_the_pauses_between_tries_double_with_full_jitter_and_end_at_one_deadline(
    net: Net, transport: Transport, clock: Any, monkeypatch: pytest.MonkeyPatch
):
    asked: list[tuple[float, float]] = []
    monkeypatch.setattr(random, "uniform", lambda low, high: asked.append((low, high)) or high)
    net.get(API + PATH, status=503)
    with pytest.raises(TryLater) as caught:
        read(transport)
    assert str(caught.value) == "GET /v2/app/kaasshop/ answered 503"
    assert clock.slept == [0.5, 1, 2, 4, 8, 10, 10, 10, 10, 10, 10, 10]
    assert {low for low, _ in asked} == {0}
    assert clock.now - 1000 <= 90
    assert len(net.calls) == 13


def test_two_clients_do_not_come_back_at_the_same_moments(net: Net):
    net.get(API + PATH, status=503)
    pauses: list[list[float]] = []
    for _ in range(2):
        slept: list[float] = []
        with Transport(sleep=slept.append, clock=lambda: sum(slept), deadline=20) as transport, pytest.raises(TryLater):  # noqa: B023
            read(transport)
        pauses.append(slept)
    assert all(one != other for one, other in pairwise(pauses))


@pytest.mark.parametrize("deadline", [0, 1, 5, 30, 90])
def test_all_tries_of_a_read_share_one_deadline(net: Net, clock: Any, deadline: float):
    net.get(API + PATH, body=requests.ReadTimeout())
    with Transport(sleep=clock.sleep, clock=clock, deadline=deadline) as transport, pytest.raises(ConnectionFailed):
        read(transport)
    assert clock.now - 1000 <= deadline


def test_retry_after_in_seconds_is_waited_for_and_a_little_jitter(net: Net, transport: Transport, clock: Any):
    net.get(API + PATH, status=429, headers={"Retry-After": "7"})
    net.get(API + PATH, json={})
    read(transport)
    assert 7 <= sum(clock.slept) <= 7.3


def test_retry_after_as_a_date_is_waited_for(net: Net, transport: Transport, clock: Any):
    moment = datetime.now(UTC) + timedelta(seconds=30)
    net.get(API + PATH, status=503, headers={"Retry-After": format_datetime(moment, usegmt=True)})
    net.get(API + PATH, json={})
    read(transport)
    assert 27 <= sum(clock.slept) <= 30.5


def test_retry_after_beyond_the_deadline_is_told_at_once(net: Net, transport: Transport, clock: Any):
    net.get(API + PATH, status=429, headers={"Retry-After": "3600"})
    with pytest.raises(TryLater) as caught:
        read(transport)
    assert caught.value.retry_after == 3600
    assert caught.value.hint == "Try again later"
    assert clock.slept == []
    assert len(net.calls) == 1


@pytest.mark.parametrize("header", ["3600", "999999", "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_no_read_waits_beyond_its_deadline_because_of_a_429_that_another_one_got(
    net: Net, transport: Transport, clock: Any, header: str
):
    """Every wait ends: the pace that all threads share must not hold the next read for a day."""
    net.get(API + PATH, status=429, headers={"Retry-After": header})
    net.get(API + FLOWS, json={})
    with pytest.raises(TryLater):
        read(transport)
    with pytest.raises(TryLater) as caught:
        read(transport, FLOWS)
    with pytest.raises(TryLater):
        write(transport)
    assert urls(net) == [API + PATH]
    assert clock.slept == []
    assert caught.value.retry_after is not None
    assert caught.value.retry_after >= 3600
    assert caught.value.node == "kaasshop"


def test_a_pause_that_another_ones_429_asked_for_is_waited_for_when_it_is_short_enough(
    net: Net, transport: Transport, clock: Any
):
    net.patch(API + PATH, status=429, headers={"Retry-After": "60"})
    net.get(API + FLOWS, json={})
    with pytest.raises(TryLater):
        write(transport)
    read(transport, FLOWS)
    assert sum(clock.slept) == pytest.approx(60)


@pytest.mark.parametrize("header", ["soon", "", "-1", "Mon, 99999999999999999999 Jan 2020 00:00:00 GMT"])
def test_an_odd_retry_after_counts_as_none(net: Net, transport: Transport, header: str):
    net.get(API + PATH, status=429, headers={"Retry-After": header})
    net.get(API + PATH, json={})
    assert read(transport) == {}


@pytest.mark.parametrize(
    "header", ["soon", "", "Mon, 99999999999999999999 Jan 2020 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT"]
)
def test_an_odd_date_of_the_server_does_no_harm(net: Net, transport: Transport, header: str):
    net.get(API + PATH, json={}, headers={"Date": header})
    read(transport)
    assert isinstance(transport.server_time(datetime.now(UTC)), datetime)


def test_the_clock_of_the_server_is_known_from_its_last_answer(net: Net, transport: Transport):
    local = datetime.now(UTC)
    assert transport.server_time(local) == local
    ahead = local + timedelta(hours=3)
    net.get(API + PATH, json={}, headers={"Date": format_datetime(ahead, usegmt=True)})
    read(transport)
    assert abs(transport.server_time(local) - ahead) < timedelta(seconds=5)


def test_after_a_429_the_requests_of_everybody_are_spaced(net: Net, transport: Transport, clock: Any):
    for number in range(60):
        net.get(f"{API}/v2/product/{number}/", json={})
    net.get(API + PATH, status=429, headers={"Retry-After": "1"})
    net.get(API + PATH, json={})
    for number in range(20):
        transport.get(f"/v2/product/{number}/", token=TOKEN)
        clock.now += 0.1
    assert clock.slept == []
    read(transport)
    clock.slept.clear()
    for number in range(20, 24):
        transport.get(f"/v2/product/{number}/", token=TOKEN)
    assert len(clock.slept) == 4
    assert all(0.1 < pause < 0.25 for pause in clock.slept)
    for number in range(24, 60):
        transport.get(f"/v2/product/{number}/", token=TOKEN)
    assert clock.slept == sorted(clock.slept, reverse=True)
    assert clock.slept[-1] < clock.slept[0] / 2  # good answers let the pace grow again


def test_a_cap_of_requests_a_second_is_kept(net: Net, clock: Any):
    net.get(API + PATH, json={})
    with Transport(rps=4, sleep=clock.sleep, clock=clock) as transport:
        for _ in range(5):
            read(transport)
    assert clock.now - 1000 == pytest.approx(1.0)


# --- no answer -----------------------------------------------------------------------------------------------------


def test_a_refused_connection_never_left_and_is_tried_three_times(clock: Any):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with (
        Transport(f"http://127.0.0.1:{port}", sleep=clock.sleep, clock=clock) as transport,
        pytest.raises(ConnectionFailed) as caught,
    ):
        read(transport)
    assert caught.value.message == f"127.0.0.1:{port} does not accept connections"
    assert caught.value.hint == "See `hnctl config list` for the address and the proxy in use"
    assert (caught.value.maybe_applied, caught.value.permanent) == (False, False)
    assert len(clock.slept) == 2


def test_a_name_without_an_address_never_left(clock: Any, monkeypatch: pytest.MonkeyPatch):
    def unknown(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with (
        Transport("https://api.example.invalid", sleep=clock.sleep, clock=clock) as transport,
        pytest.raises(ConnectionFailed) as caught,
    ):
        write(transport)
    assert caught.value.message == "api.example.invalid has no address (DNS)"
    assert caught.value.maybe_applied is False


@pytest.mark.parametrize(
    ("exception", "text", "maybe_applied", "permanent"),
    [
        (requests.ConnectTimeout(), "no connection to api.hypernode.com within 5 seconds", False, False),
        (requests.ReadTimeout(), "PATCH /v2/app/kaasshop/: no answer in time", True, False),
        (
            requests.exceptions.ProxyError("x"),
            "the proxy does not let us through to api.hypernode.com",
            False,
            False,
        ),
        (
            requests.exceptions.SSLError("x"),
            "the certificate of api.hypernode.com cannot be trusted",
            False,
            True,
        ),
        (requests.ConnectionError("x"), "PATCH /v2/app/kaasshop/: the connection was lost", True, False),
        (
            requests.exceptions.ChunkedEncodingError("x"),
            "PATCH /v2/app/kaasshop/: the connection was lost",
            True,
            False,
        ),
        (requests.exceptions.InvalidHeader("x"), "PATCH /v2/app/kaasshop/ cannot be sent", False, True),
    ],
)
def test_no_answer_is_told_with_whether_the_server_can_have_seen_the_request(
    net: Net, transport: Transport, exception: Exception, text: str, maybe_applied: bool, permanent: bool
):
    net.patch(API + PATH, body=exception)
    with pytest.raises(ConnectionFailed) as caught:
        write(transport)
    assert caught.value.message == text
    assert (caught.value.maybe_applied, caught.value.permanent) == (maybe_applied, permanent)
    assert caught.value.node == "kaasshop"
    assert caught.value.__cause__ is exception
    assert len(net.calls) == 1


@pytest.mark.parametrize("kind", [ssl.SSLEOFError, ssl.SSLZeroReturnError])
def test_a_cut_tls_connection_is_lost_and_says_nothing_of_the_certificate(
    net: Net, transport: Transport, kind: type[ssl.SSLError]
):
    """As when a kept connection turns out to be closed by the server while the request is on its way."""
    reason = urllib3.exceptions.SSLError(kind(8, "EOF occurred in violation of protocol"))
    cut = requests.exceptions.SSLError(urllib3.exceptions.MaxRetryError(None, PATH, reason))  # type: ignore[arg-type]
    net.patch(API + PATH, body=cut)
    net.get(API + PATH, body=cut)
    net.get(API + PATH, json={})
    with pytest.raises(ConnectionFailed) as caught:
        write(transport)
    assert caught.value.message == "PATCH /v2/app/kaasshop/: the connection was lost"
    assert (caught.value.maybe_applied, caught.value.permanent) == (True, False)
    assert read(transport) == {}


@pytest.mark.parametrize(
    ("api_url", "proxy"),
    [
        ("https://a..b", None),
        ("https://" + "a" * 70 + ".example", None),
        ("https://ex ample.com", None),
        (API, "foo://proxy.example"),
        (API, "http://[bad"),
    ],
)
def test_what_no_request_can_be_made_of_never_left_and_is_not_tried_again(
    monkeypatch: pytest.MonkeyPatch, clock: Any, api_url: str, proxy: str | None
):
    if proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy)
    with (
        Transport(api_url, sleep=clock.sleep, clock=clock) as transport,
        pytest.raises(ConnectionFailed) as caught,
    ):
        write(transport)
    assert caught.value.message == "PATCH /v2/app/kaasshop/ cannot be sent"
    assert (caught.value.maybe_applied, caught.value.permanent) == (False, True)


def test_a_server_that_says_nothing_is_left_when_the_time_is_over():
    quiet = threading.Event()
    with server(lambda connection: (hear(connection), quiet.wait(5), None)[2]) as port:
        with Transport(f"http://127.0.0.1:{port}", timeout=0.2) as transport:
            started = time.monotonic()
            with pytest.raises(ConnectionFailed) as caught:
                write(transport)
            assert time.monotonic() - started < 3
        quiet.set()
    assert caught.value.message == "PATCH /v2/app/kaasshop/: no answer in time"
    assert caught.value.hint == "Try again, or allow more: --timeout"
    assert caught.value.maybe_applied is True


def test_an_answer_that_comes_after_the_deadline_still_says_why(net: Net, clock: Any):
    def late(_: Any) -> tuple[int, dict[str, str], str]:
        clock.now += 100
        return 503, {}, "busy"

    net.add_callback("GET", API + PATH, late)
    with Transport(sleep=clock.sleep, clock=clock) as transport, pytest.raises(TryLater):
        read(transport)


def test_an_answer_that_drips_in_does_not_outlast_the_deadline():
    def drip(connection: socket.socket) -> None:
        hear(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")
        for _ in range(200):
            connection.sendall(b" ")
            time.sleep(0.02)

    started = time.monotonic()
    with (
        server(drip) as port,
        Transport(f"http://127.0.0.1:{port}", timeout=0.3, deadline=0.2) as transport,
        pytest.raises(ConnectionFailed) as caught,
    ):
        read(transport)
    assert time.monotonic() - started < 3
    assert caught.value.message == "GET /v2/app/kaasshop/: the answer did not come to its end"


def test_a_connection_that_is_reset_is_lost(clock: Any):
    def reset(connection: socket.socket) -> None:
        hear(connection)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with (
        server(reset) as port,
        Transport(f"http://127.0.0.1:{port}", sleep=clock.sleep, clock=clock) as transport,
        pytest.raises(ConnectionFailed) as caught,
    ):
        write(transport)
    assert caught.value.message == "PATCH /v2/app/kaasshop/: the connection was lost"
    assert caught.value.hint == "Try again"
    assert caught.value.maybe_applied is True


def test_a_connection_that_the_server_closed_while_idle_costs_a_read_nothing_but_a_retry(clock: Any):
    heard: list[bytes] = []
    with (
        server(saying(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", heard)) as port,
        Transport(f"http://127.0.0.1:{port}", sleep=clock.sleep, clock=clock) as transport,
    ):
        for _ in range(3):
            assert read(transport) == {}
    assert len(heard) == 3


def test_a_body_that_is_cut_short_is_tried_again_and_told(clock: Any):
    heard: list[bytes] = []
    with (
        server(saying(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"php_version', heard)) as port,
        Transport(f"http://127.0.0.1:{port}", sleep=clock.sleep, clock=clock, deadline=3) as transport,
        pytest.raises(ConnectionFailed) as caught,
    ):
        read(transport)
    assert caught.value.message == "GET /v2/app/kaasshop/: the answer was cut short (ProtocolError)"
    assert caught.value.maybe_applied is True
    assert len(heard) > 1


def test_a_cut_chunk_is_an_answer_cut_short(clock: Any):
    with (
        server(saying(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\n{")) as port,
        Transport(f"http://127.0.0.1:{port}", sleep=clock.sleep, clock=clock, deadline=0) as transport,
        pytest.raises(ConnectionFailed, match="the answer was cut short"),
    ):
        read(transport)


@pytest.mark.parametrize(("status", "location"), [(200, None), (202, "/logbook/v1/jobs/x/")])
def test_a_good_answer_to_a_write_may_lose_its_body(status: int, location: str | None):
    """The status has arrived, and with it all that a good answer to a write has to say."""
    head = f"HTTP/1.1 {status} OK\r\nContent-Length: 100\r\n" + (f"Location: {location}\r\n" if location else "")
    with server(saying(head.encode() + b'\r\n{"php_ver')) as port, Transport(f"http://127.0.0.1:{port}") as transport:
        answer = write(transport)
    assert (answer.status, answer.data, answer.location) == (status, None, location)


def test_a_failing_answer_to_a_write_that_is_cut_short_leaves_the_outcome_open():
    with (
        server(saying(b"HTTP/1.1 500 Oops\r\nContent-Length: 100\r\n\r\n{")) as port,
        Transport(f"http://127.0.0.1:{port}") as transport,
        pytest.raises(ConnectionFailed) as caught,
    ):
        write(transport)
    assert caught.value.maybe_applied is True


def test_an_answer_larger_than_any_of_this_api_is_refused(net: Net, clock: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(hypernode.api.transport, "_LARGEST_BODY", 1000)
    net.get(API + PATH, body=b"x" * 1001)
    with Transport(sleep=clock.sleep, clock=clock, deadline=0) as transport, pytest.raises(BadAnswer) as caught:
        read(transport)
    assert str(caught.value) == "GET /v2/app/kaasshop/ answered more than 1,000 bytes"


def test_a_compressed_body_is_unpacked_and_a_broken_one_is_cut_short(clock: Any):
    packed = gzip.compress(b'{"name": "kaasshop"}')
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: "
    with (
        server(saying(head + str(len(packed)).encode() + b"\r\n\r\n" + packed)) as port,
        Transport(f"http://127.0.0.1:{port}") as transport,
    ):
        assert read(transport) == {"name": "kaasshop"}
    with (
        server(saying(head + b"4\r\n\r\nnope")) as port,
        Transport(f"http://127.0.0.1:{port}", sleep=clock.sleep, clock=clock, deadline=0) as transport,
        pytest.raises(ConnectionFailed, match="cut short"),
    ):
        read(transport)


def test_what_does_not_speak_http_is_told(clock: Any):
    with (
        server(saying(b"SSH-2.0-OpenSSH_9.2\r\n")) as port,
        Transport(f"http://127.0.0.1:{port}", sleep=clock.sleep, clock=clock, deadline=0) as transport,
        pytest.raises(ConnectionFailed, match="the connection was lost"),
    ):
        read(transport)


# --- odd bodies ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "data"),
    [("", None), ("[]", []), ('["text"]', ["text"]), ('"text"', "text"), ("null", None), ("3", 3), ("{}", {})],
)
def test_every_json_shape_of_a_good_answer_is_passed_on(net: Net, transport: Transport, body: str, data: Any):
    net.get(API + PATH, body=body)
    assert read(transport) == data


@pytest.mark.parametrize("body", ["", GATEWAY, '"text"', '["text"]', "oops", "{", '{"detail": 3}', "null", "[[[["])
@pytest.mark.parametrize("status", [400, 500])
def test_every_body_of_a_failing_answer_is_an_error_of_its_status(
    net: Net, transport: Transport, status: int, body: str
):
    net.get(API + PATH, body=body, status=status)
    with pytest.raises(ApiError) as caught:
        read(transport)
    assert caught.value.status == status


# --- redirects -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("location", ["/v2/app/kaasshop2/", API + "/v2/app/kaasshop2/", "../kaasshop2/"])
def test_a_read_follows_a_redirect_on_the_same_host(net: Net, transport: Transport, status: int, location: str):
    net.get(API + PATH, status=status, headers={"Location": location})
    net.get(API + "/v2/app/kaasshop2/", json={"name": "kaasshop2"})
    assert read(transport) == {"name": "kaasshop2"}
    assert [call.request.headers["Authorization"] for call in net.calls] == [f"Token {CANARY}"] * 2


@pytest.mark.parametrize(
    "location",
    [
        "https://evil.example/v2/app/kaasshop/",
        "//evil.example/v2/app/kaasshop/",
        "http://api.hypernode.com/v2/app/kaasshop/",
        "https://api.hypernode.com:8443/v2/app/kaasshop/",
        "https://api.hypernode.com@evil.example/",
        "https://api.hypernode.com.evil.example/",
        "https://evil.example\\@api.hypernode.com/",
        "ftp://api.hypernode.com/",
        "http://127.0.0.1/",
    ],
)
def test_no_redirect_takes_the_token_to_another_host(net: Net, transport: Transport, location: str):
    net.get(API + PATH, status=302, headers={"Location": location})
    with pytest.raises(BadAnswer) as caught:
        read(transport)
    assert str(caught.value) == ("GET /v2/app/kaasshop/ was redirected to another host; the token was not sent there")
    assert caught.value.hint == "Check the API address: hnctl config list"
    assert urls(net) == [API + PATH]


@pytest.mark.parametrize("location", ["http://[bad/", "https://[::1", "//[x]/"])
def test_a_redirect_to_what_is_no_address_is_a_bad_answer(net: Net, transport: Transport, location: str):
    net.get(API + PATH, status=302, headers={"Location": location})
    with pytest.raises(BadAnswer):
        read(transport)
    assert urls(net) == [API + PATH]


@pytest.mark.parametrize("headers", [{}, {"Location": ""}, {"Location": PATH}])
def test_redirects_in_circles_end(net: Net, transport: Transport, headers: dict[str, str]):
    net.get(API + PATH, status=302, headers=headers)
    with pytest.raises(BadAnswer) as caught:
        read(transport)
    assert str(caught.value) == "GET /v2/app/kaasshop/ is redirected in circles"
    assert len(net.calls) == 5


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_write_follows_no_redirect(net: Net, transport: Transport, status: int):
    net.patch(API + PATH, status=status, headers={"Location": API + "/v2/app/kaasshop2/"})
    with pytest.raises(ApiError) as caught:
        write(transport)
    assert caught.value.message == f"PATCH /v2/app/kaasshop/ answered {status}"
    assert len(net.calls) == 1


# --- pages ---------------------------------------------------------------------------------------------------------


def test_pages_are_fetched_as_they_are_consumed(net: Net, transport: Transport):
    second = f"{API}{FLOWS}?limit=2&offset=2"
    net.get(API + FLOWS, json=page(1, 2, follow=second), match=[responses.matchers.query_param_matcher({})])
    net.get(second, json=page(3))
    found = pages(transport)
    assert urls(net) == []
    assert next(found) == [1, 2]
    assert urls(net) == [API + FLOWS]
    assert list(found) == [[3]]
    assert urls(net) == [API + FLOWS, second]


@pytest.mark.parametrize(
    "link",
    [
        f"https://evil.example{FLOWS}?limit=50&offset=50",
        f"http://api.hypernode.com{FLOWS}?limit=50&offset=50",
        f"//evil.example{FLOWS}?limit=50&offset=50",
        f"https://api.hypernode.com@evil.example{FLOWS}?limit=50&offset=50",
        f"{FLOWS}?limit=50&offset=50",
        f"https://api.hypernode.com{FLOWS}?limit=50&offset=50#top",
    ],
)
def test_of_a_link_to_the_next_page_only_path_and_query_are_followed(net: Net, transport: Transport, link: str):
    """The official client sends the token to whatever host the link says (CONTRACT.md 5, defect 5)."""
    net.get(API + FLOWS, json=page(1, follow=link), match=[responses.matchers.query_param_matcher({})])
    net.get(f"{API}{FLOWS}?limit=50&offset=50", json=page(2))
    assert list(pages(transport)) == [[1], [2]]
    assert urls(net) == [API + FLOWS, f"{API}{FLOWS}?limit=50&offset=50"]


@pytest.mark.parametrize("base", ["https://api.hypernode.com", "https://proxy.example/hypernode"])
def test_a_link_is_followed_below_the_path_of_our_own_address(net: Net, base: str):
    own = "https://proxy.example/hypernode"
    net.get(
        f"{own}{FLOWS}",
        json=page(1, follow=f"{base}{FLOWS}?offset=50"),
        match=[responses.matchers.query_param_matcher({})],
    )
    net.get(f"{own}{FLOWS}", json=page(2), match=[responses.matchers.query_param_matcher({"offset": "50"})])
    with Transport(own) as transport:
        assert list(pages(transport)) == [[1], [2]]
    assert urls(net)[1] == f"{own}{FLOWS}?offset=50"


@pytest.mark.parametrize(
    "link",
    ["https://evil.example", "mailto:x@evil.example", "?offset=50", "https://[bad/x", "https://a/\\@b/", "x", " "],
)
def test_a_link_without_a_usable_path_is_a_bad_answer(net: Net, transport: Transport, link: str):
    net.get(API + FLOWS, json=page(1, follow=link))
    with pytest.raises(BadAnswer) as caught:
        list(pages(transport))
    assert caught.value.message == "the API answered a link to the next page that has no path"
    assert urls(net) == [API + FLOWS]


@pytest.mark.parametrize("link", [None, 3, True, [], {}])
def test_what_is_no_link_ends_the_pages(net: Net, transport: Transport, link: Any):
    net.get(API + FLOWS, json=page(1, follow=link))
    assert list(pages(transport)) == [[1]]


def test_an_answer_without_count_and_next_is_the_only_page(net: Net, transport: Transport):
    net.get(API + FLOWS, json={"results": [1]})
    assert list(pages(transport)) == [[1]]


def test_an_empty_page_ends_the_pages_whatever_it_links_to(net: Net, transport: Transport):
    """The official client would ask for ever (CONTRACT.md 5, defect 5)."""
    net.get(API + FLOWS, json=page(follow=f"{API}{FLOWS}?offset=50"))
    assert list(islice(pages(transport), 9)) == [[]]
    assert len(net.calls) == 1


def test_a_link_that_was_followed_before_ends_the_pages(net: Net, transport: Transport):
    first, second = f"{API}{FLOWS}?offset=1", f"{API}{FLOWS}?offset=2"
    net.add_callback(
        responses.GET,
        API + FLOWS,
        lambda request: (200, {}, json.dumps(page(1, follow=second if "offset=1" in str(request.url) else first))),
    )
    assert len(list(islice(pages(transport), 9))) == 3
    assert urls(net) == [API + FLOWS, first, second]


@pytest.mark.parametrize(
    "body", ["[1]", '"x"', "", "null", '{"results": null}', '{"results": {"a": 1}}', '{"count": 1}']
)
def test_what_is_no_page_is_a_bad_answer(net: Net, transport: Transport, body: str):
    net.get(API + FLOWS, body=body)
    with pytest.raises(BadAnswer) as caught:
        list(pages(transport))
    assert caught.value.message == f"GET {FLOWS} answered no page of results"


# --- writes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 502, 503, 504])
def test_the_transport_never_sends_a_write_twice(net: Net, transport: Transport, clock: Any, status: int):
    net.patch(API + PATH, status=status)
    with pytest.raises(HypernodeError):
        write(transport)
    assert len(net.calls) == 1
    assert clock.slept == []


@pytest.mark.parametrize("body", ["", "{}", '{"name": "kaasshop"}', GATEWAY, "oops"])
def test_a_good_answer_to_a_write_is_good_whatever_its_body(net: Net, transport: Transport, body: str):
    net.patch(API + PATH, body=body, status=202, headers={"Location": "https://elsewhere.example/x"})
    answer = write(transport)
    assert (answer.status, answer.location) == (202, "https://elsewhere.example/x")


def test_a_write_that_is_turned_away_says_how_long_to_wait(net: Net, transport: Transport):
    net.patch(API + PATH, status=429, headers={"Retry-After": "7"})
    with pytest.raises(TryLater) as caught:
        write(transport)
    assert caught.value.retry_after == 7


# --- secrets -------------------------------------------------------------------------------------------------------

SETTING = "canary-setting-77aa"


def everything(error: BaseException) -> str:
    parts = [str(error), repr(error), repr(vars(error)), str(getattr(error, "hint", ""))]
    return "".join(parts) + "".join(traceback.format_exception(error))


@pytest.mark.parametrize(
    "body",
    [
        json.dumps({"detail": f"Token {CANARY} may not set {SETTING}"}),
        json.dumps({"new_relic_secret": [SETTING], CANARY: {"value": SETTING}}),
        f"<html><title>{CANARY} {SETTING}</title></html>",
        f"{CANARY}{SETTING}",
        f'{{"detail": "{CANARY}',
    ],
)
@pytest.mark.parametrize("status", [200, 307, 400, 401, 403, 404, 418, 429, 500, 503])
def test_no_error_and_no_log_shows_the_token_or_a_secret_value_that_the_server_echoes(
    net: Net, transport: Transport, caplog: pytest.LogCaptureFixture, status: int, body: str
):
    caplog.set_level(logging.DEBUG)
    net.add(responses.GET, API + PATH, body=body.replace(SETTING, ""), status=status)
    net.add(responses.PATCH, API + PATH, body=body, status=status)
    shown = []
    try:
        read(transport)
    except HypernodeError as exc:
        shown.append(everything(exc))
    try:
        write(transport, {"new_relic_secret": SETTING}, secrets=[Secret(SETTING)])
    except HypernodeError as exc:
        shown.append(everything(exc))
    assert len(shown) == 2 or status == 200
    assert CANARY not in "".join(shown) + caplog.text
    assert SETTING not in "".join(shown) + caplog.text


def test_an_address_that_the_server_chose_is_in_no_error_and_no_log(
    net: Net, transport: Transport, caplog: pytest.LogCaptureFixture
):
    """It may repeat the token, and move the cursor."""
    caplog.set_level(logging.DEBUG, "hypernode")
    elsewhere = f"{API}/login/{CANARY}/\x1b[2J?token={CANARY}"
    net.get(API + PATH, status=302, headers={"Location": elsewhere})
    net.get(API + FLOWS, json=page(1, follow=elsewhere))
    net.get(re.compile(f"{API}/login/.*"), status=404)
    with pytest.raises(NotFound) as caught:
        read(transport)
    with pytest.raises(NotFound) as linked:
        list(pages(transport))
    assert caught.value.message == "GET /v2/app/kaasshop/ was not found (404)"
    assert linked.value.message == f"GET {FLOWS} was not found (404)"
    for text in (everything(caught.value), everything(linked.value), caplog.text):
        assert CANARY not in text
        assert "\x1b" not in text


def test_a_real_exchange_logs_no_token_and_no_value(caplog: pytest.LogCaptureFixture):
    """Over a real connection, since urllib3 logs too."""
    caplog.set_level(logging.DEBUG)
    heard: list[bytes] = []
    body = json.dumps({"new_relic_secret": SETTING, "detail": CANARY}).encode()
    answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    with server(saying(answer, heard)) as port, Transport(f"http://127.0.0.1:{port}") as transport:
        read(transport)
        write(transport, {"new_relic_secret": SETTING})
    assert CANARY.encode() in heard[0]
    assert SETTING.encode() in heard[1]
    assert "GET /v2/app/kaasshop/ -> 200" in caplog.text
    assert CANARY not in caplog.text
    assert SETTING not in caplog.text


@pytest.mark.parametrize(
    "exception", [requests.ConnectionError(), requests.ReadTimeout(), requests.exceptions.SSLError()]
)
def test_the_chain_of_a_lost_connection_shows_no_token(net: Net, transport: Transport, exception: Exception):
    net.patch(API + PATH, body=exception)
    with pytest.raises(ConnectionFailed) as caught:
        write(transport, {"new_relic_secret": SETTING}, secrets=[Secret(SETTING)])
    assert CANARY not in everything(caught.value)
    assert SETTING not in everything(caught.value)


def test_the_transport_itself_keeps_no_token(net: Net, transport: Transport):
    net.get(API + PATH, json={})
    read(transport)
    assert CANARY not in repr(vars(transport))
