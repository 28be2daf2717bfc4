"""Pages of shops, fetched as a visitor would."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import responses

from hypernode.api.pages import LARGEST_PAGE, NoPage, Page, Pages

SHOP = "https://kaasshop.hypernode.io/"

Net = responses.RequestsMock


def test_a_page_has_its_status_and_its_text(net: Net) -> None:
    net.get(SHOP, status=503, body="Maintenance")
    assert Pages().fetch(SHOP, 5) == Page(503, "Maintenance")


def test_nothing_goes_along_that_would_let_us_in(
    net: Net, clean_environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (clean_environment / ".netrc").write_text("machine kaasshop.hypernode.io login a password b")
    monkeypatch.setenv("HYPERNODE_API_TOKEN", "t0ken")
    net.get(SHOP, headers={"Set-Cookie": "a=b"})
    pages = Pages()
    pages.fetch(SHOP, 5)
    pages.fetch(SHOP, 5)
    for call in net.calls:
        assert set(call.request.headers) == {"User-Agent", "Accept", "Accept-Encoding", "Connection"}


def test_redirects_are_followed(net: Net) -> None:
    net.get("http://kaasshop.hypernode.io/", status=301, headers={"Location": SHOP})
    net.get(SHOP, status=302, headers={"Location": "/nl"})
    net.get(SHOP + "nl", body="kaas")
    assert Pages().fetch("http://kaasshop.hypernode.io/", 5) == Page(200, "kaas")


def test_no_password_of_a_redirect_is_sent(net: Net) -> None:
    net.get(SHOP, status=302, headers={"Location": "https://user:secret@other.example/"})
    net.get("https://other.example/", body="in")
    assert Pages().fetch(SHOP, 5) == Page(200, "in")
    assert "Authorization" not in net.calls[1].request.headers


def test_a_redirect_that_is_expected_is_the_page(net: Net) -> None:
    net.get(SHOP, status=302, headers={"Location": "/nl"})
    assert Pages().fetch(SHOP, 5, expected=302) == Page(302, "")
    assert len(net.calls) == 1


@pytest.mark.parametrize(
    ("redirects", "found"), [(5, Page(200, "kaas")), (6, NoPage("redirected more than 5 times", False))]
)
def test_five_redirects_are_followed_and_no_more(net: Net, redirects: int, found: Page | NoPage) -> None:
    for number in range(redirects):
        net.get(f"{SHOP}{number}", status=302, headers={"Location": f"/{number + 1}"})
    net.get(f"{SHOP}{redirects}", body="kaas")
    assert Pages().fetch(SHOP + "0", 5) == found


@pytest.mark.parametrize("location", ["ftp://other.example/", "file:///etc/passwd", "http://[", "http:///x"])
def test_a_redirect_to_no_page_is_refused(net: Net, location: str) -> None:
    net.get(SHOP, status=302, headers={"Location": location})
    assert Pages().fetch(SHOP, 5) == NoPage("redirected (302) to what is no http or https address", False)


@pytest.mark.parametrize(("size", "is_whole"), [(LARGEST_PAGE, True), (LARGEST_PAGE + 1, False)])
def test_a_mebibyte_is_read_and_no_more(net: Net, size: int, is_whole: bool) -> None:
    net.get(SHOP, body="x" * size)
    assert Pages().fetch(SHOP, 5) == Page(200, "x" * LARGEST_PAGE, is_whole)


@pytest.mark.parametrize(
    ("content_type", "raw"),
    [
        ("text/html", "ka\u00e4s".encode()),
        ("text/html; charset=ISO-8859-1", "ka\u00e4s".encode("latin-1")),
        ("text/html; charset=klingon", "ka\u00e4s".encode()),
        ("text/html; charset=base64", "ka\u00e4s".encode()),
    ],
)
def test_the_text_is_read_in_the_charset_that_the_shop_names(net: Net, content_type: str, raw: bytes) -> None:
    net.get(SHOP, body=raw, content_type=content_type)
    assert Pages().fetch(SHOP, 5) == Page(200, "ka\u00e4s")


@contextmanager
def listening(act: Callable[[socket.socket], None]) -> Iterator[str]:
    """Serve connections on the loopback, each with `act`, and yield the address."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            try:
                while True:
                    act(server.accept()[0])
            except OSError:
                return

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"
        server.shutdown(socket.SHUT_RDWR)


def reset(connection: socket.socket) -> None:
    connection.recv(100)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def test_a_shop_that_breaks_off_is_the_shop_s_own_fault() -> None:
    with listening(reset) as url:
        assert Pages().fetch(url, 5) == NoPage(f"{url}: the connection was lost", False)


def test_a_shop_that_says_nothing_is_given_up_in_time() -> None:
    kept: list[socket.socket] = []
    with listening(kept.append) as url:
        assert Pages().fetch(url, 0.2) == NoPage(f"{url}: no answer in time", False)
    for connection in kept:
        connection.close()


@pytest.mark.parametrize("head", [b"H", b"HTTP/1.1 200 OK\r\nX: "])
def test_a_head_that_drips_in_is_given_up_too(head: bytes) -> None:
    over = threading.Event()

    def drip(connection: socket.socket) -> None:
        with connection:
            connection.sendall(head)
            while not over.wait(0.05):
                connection.sendall(b"x")

    began = time.monotonic()
    with listening(drip) as url:
        found = Pages().fetch(url, 0.2)
        over.set()
    assert isinstance(found, NoPage)
    assert found.on_the_way
    assert time.monotonic() - began < 5


def test_a_shop_that_is_not_there_refuses() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    found = Pages().fetch(f"http://127.0.0.1:{port}/", 5)
    assert found == NoPage("127.0.0.1 does not accept connections", False)


def test_a_name_without_an_address_says_nothing_of_the_shop() -> None:
    assert Pages().fetch("http://shop.invalid/", 5) == NoPage("shop.invalid has no address (DNS)", True)


def test_a_server_without_tls_says_nothing_of_the_shop() -> None:
    def answer(connection: socket.socket) -> None:
        connection.recv(1000)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        connection.close()

    with listening(answer) as url:
        found = Pages().fetch(url.replace("http", "https"), 5)
    assert found == NoPage("127.0.0.1 does not speak TLS", True)
