"""No answer, or one of somebody else: each is told in words, with what to do."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from odd_servers import HTML, Odd, app, serving
from runs import Hnctl

GET = ["settings", "get", "php_version", "-n", "kaasshop"]


@pytest.fixture(autouse=True)
def one_node(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYPERNODE_API_TOKENS", '{"kaasshop": "canary-token"}')
    monkeypatch.setenv("HNCTL_TIMEOUT", "2s")


def check(hnctl: Hnctl, says: str, *, status: int = 1, hint: str = "") -> None:
    """Run a command that fails, and check what it says and that it says no more."""
    failed = hnctl(*GET)
    assert (failed.status, failed.out) == (status, "")
    assert failed.err.startswith("Error: ")
    assert "kaasshop" in failed.err
    assert says in failed.err
    assert hint in failed.err
    assert len(failed.err.splitlines()) <= 2
    assert "canary" not in failed.err


def test_a_host_that_does_not_listen(hnctl: Hnctl, monkeypatch: pytest.MonkeyPatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    monkeypatch.setenv("HNCTL_API_URL", f"http://127.0.0.1:{port}")
    check(hnctl, f"127.0.0.1:{port} does not accept connections", hint="hnctl config list")


def test_a_name_that_leads_nowhere(hnctl: Hnctl, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HNCTL_API_URL", "https://api.hypernode.invalid")
    check(hnctl, "api.hypernode.invalid has no address (DNS)", hint="hnctl config list")


@pytest.mark.parametrize(
    ("status", "kind", "body", "says", "ends"),
    [
        (200, "text/html", HTML, "answered 200 with an HTML page", 1),
        (200, "application/json", b"[]", "the API answered no object for the node", 1),
        (200, "application/json", b"", "the API answered no object for the node", 1),
        (200, "application/json", b'{"name": "kaasshop"}', "the API says nothing of php_version", 64),
        (404, "application/json", b'{"detail": "Not found."}', "was not found (404): Not found.", 1),
        (404, "text/html", HTML, "was not found (404): an HTML page, Guest portal", 1),
        (418, "text/plain", b"I am a teapot", "answered 418: I am a teapot", 1),
        (500, "text/html", HTML, "answered 500: an HTML page, Guest portal", 1),
    ],
)
def test_an_answer_that_is_not_the_api_s(
    status: int, kind: str, body: bytes, says: str, ends: int, hnctl: Hnctl, monkeypatch: pytest.MonkeyPatch
):
    with serving(lambda _: (status, kind, body)) as odd:
        monkeypatch.setenv("HNCTL_API_URL", odd.url)
        check(hnctl, says, status=ends)


def make_certificate(folder: Path, name: str, address: str) -> ssl.SSLContext:
    """Write a self-signed certificate to `folder`, and return what a server needs to use it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "cert.pem"
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path, folder / "key.pem")
    return context


@pytest.fixture
def secure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Odd]:
    """A server whose certificate nobody has signed but itself, for 127.0.0.1; it lies in cert.pem."""
    with serving(app(php_version="8.3"), make_certificate(tmp_path, "ours", "127.0.0.1")) as odd:
        monkeypatch.setenv("HNCTL_API_URL", f"https://127.0.0.1:{odd.port}")
        yield odd


def test_a_certificate_that_nobody_vouches_for_gets_no_token(hnctl: Hnctl, secure: Odd):
    check(hnctl, f"the certificate of 127.0.0.1:{secure.port} cannot be trusted", hint="HNCTL_CA_FILE")
    assert secure.calls == []


@pytest.mark.parametrize("way", ["option", "HNCTL_CA_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_a_certificate_that_is_named_is_trusted(
    way: str, hnctl: Hnctl, secure: Odd, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    path = str(folder / "cert.pem")
    if way == "option":
        got = hnctl(*GET, "--ca-file", path)
    else:
        monkeypatch.setenv(way, path)
        got = hnctl(*GET)
    assert got == (0, "8.3\n", "")


def test_a_certificate_for_another_host_is_not_trusted_though_it_is_named(
    hnctl: Hnctl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with serving(app(), make_certificate(tmp_path, "theirs", "192.0.2.1")) as odd:
        monkeypatch.setenv("HNCTL_API_URL", f"https://127.0.0.1:{odd.port}")
        monkeypatch.setenv("HNCTL_CA_FILE", str(tmp_path / "cert.pem"))
        check(hnctl, "cannot be trusted")
        assert odd.calls == []


@pytest.mark.parametrize("content", ["", "no certificate at all"])
def test_a_file_of_certificates_that_has_none_is_told(
    content: str, hnctl: Hnctl, secure: Odd, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    (folder / "ca.pem").write_text(content)
    failed = hnctl(*GET, "--ca-file", str(folder / "ca.pem"))
    assert failed.status in (1, 64)
    assert "itself failed" not in failed.err
    assert "certificate" in failed.err
    assert secure.calls == []


@pytest.mark.parametrize("status", [200, 403, 407, 502])
def test_a_proxy_that_answers_html_instead_of_letting_us_through(
    status: int, hnctl: Hnctl, monkeypatch: pytest.MonkeyPatch
):
    with serving(lambda _: (status, "text/html", HTML)) as proxy:
        monkeypatch.setenv("HNCTL_API_URL", "https://api.hypernode.com")
        monkeypatch.setenv("HTTPS_PROXY", f"http://anna:s3cr3t@127.0.0.1:{proxy.port}")
        failed = hnctl(*GET)
        assert proxy.calls[0] == "CONNECT api.hypernode.com:443"
    assert failed.status == 1
    assert "itself failed" not in failed.err
    assert "api.hypernode.com" in failed.err
    assert "s3cr3t" not in failed.err
    assert "canary" not in failed.err


def test_a_proxy_that_is_not_there(hnctl: Hnctl, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HNCTL_API_URL", "https://api.hypernode.com")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    check(hnctl, "the proxy does not let us through to api.hypernode.com", hint="the proxy in use")


@pytest.mark.parametrize(("status", "says"), [(503, "answered 503: an HTML page, Guest portal"), (429, "answered 429")])
def test_an_api_that_asks_to_try_much_later(status: int, says: str, hnctl: Hnctl, monkeypatch: pytest.MonkeyPatch):
    with serving(lambda _: (status, "text/html", HTML), retry_after="3600") as odd:
        monkeypatch.setenv("HNCTL_API_URL", odd.url)
        check(hnctl, says, status=75, hint="Try again later")
        assert len(odd.calls) == 1, "an hour is not waited for, and nothing is asked before it is over"


@pytest.mark.parametrize("command", [["diff"], ["apply", "--yes"], ["settings", "set", "php_version", "8.4", "--all"]])
def test_many_nodes_that_do_not_answer_are_each_named(
    command: list[str], hnctl: Hnctl, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    (folder / "fleet.yaml").write_text("version: 1\nnodes: {kaasshop: {settings: {php_version: 8.4}}, theeplein: {}}\n")
    monkeypatch.setenv("HYPERNODE_API_TOKENS", '{"kaasshop": "a", "theeplein": "b"}')
    with serving(lambda _: (404, "text/html", HTML)) as odd:
        monkeypatch.setenv("HNCTL_API_URL", odd.url)
        failed = hnctl(*command)
    assert failed.status == 1
    for node in ("kaasshop", "theeplein"):
        assert f"{node}: " in failed.out + failed.err
    assert "an HTML page, Guest portal" in failed.out + failed.err
