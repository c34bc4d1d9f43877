"""The HTTP server against clients that hold it up, and addresses that it cannot listen on."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection, HTTPSConnection
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from strandline.consumer import http_server
from strandline.consumer.http_server import Certificate, HttpServer, listen_on
from strandline.journal.errors import UsageError

HALF_SENT = (b"", b"GET / HTTP/1.1\r\nHost: x\r\n", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf")


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    body = await Request(scope, receive).body()
    await PlainTextResponse(b"got " + body)(scope, receive, send)


@pytest.fixture
def server() -> Iterator[HttpServer]:
    made = HttpServer(echo, listen_on("127.0.0.1:0", "--listen"))
    made.start()
    yield made
    made.stop()
    assert made.join(30)
    assert made.failure is None


def ask(server: HttpServer, body: bytes = b"all") -> tuple[int, bytes]:
    with closing(HTTPConnection("127.0.0.1", server.port, timeout=30)) as client:
        client.request("POST", "/", body)
        answer = client.getresponse()
        return answer.status, answer.read()


def self_signed(folder: Path) -> Certificate:
    """A certificate for 127.0.0.1, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(address, critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate = Certificate(folder / "chain.pem", folder / "key.pem")
    certificate.chain.write_bytes(made.public_bytes(Encoding.PEM))
    certificate.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return certificate


def test_certificate_serves_https(tmp_path: Path) -> None:
    certificate = self_signed(tmp_path)
    made = HttpServer(echo, listen_on("127.0.0.1:0", "--listen"), certificate)
    made.start()
    try:
        assert made.url == f"https://127.0.0.1:{made.port}"
        context = ssl.create_default_context(cafile=str(certificate.chain))
        with closing(HTTPSConnection("127.0.0.1", made.port, timeout=30, context=context)) as client:
            client.request("POST", "/", b"all")
            assert client.getresponse().read() == b"got all"
    finally:
        made.stop()
        assert made.join(30)


def test_files_that_are_no_certificate_are_named(tmp_path: Path) -> None:
    certificate = self_signed(tmp_path)
    with (
        closing(listen_on("127.0.0.1:0", "--listen")) as listening,
        pytest.raises(UsageError, match="no certificate and its key"),
    ):
        HttpServer(echo, listening, Certificate(certificate.key, certificate.chain))


def test_half_sent_requests_do_not_hold_up_others(server: HttpServer) -> None:
    with ExitStack() as open_sockets:
        for number in range(200):
            client = open_sockets.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            client.sendall(HALF_SENT[number % len(HALF_SENT)])
        assert ask(server) == (200, b"got all")


@pytest.mark.parametrize("half", HALF_SENT)
def test_half_sent_request_is_dropped_in_time(half: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "SECONDS_TO_SEND", 0.2)
    made = HttpServer(echo, listen_on("127.0.0.1:0", "--listen"))
    made.start()
    try:
        with socket.create_connection(("127.0.0.1", made.port), timeout=30) as client:
            client.sendall(half)
            assert client.recv(1) == b""  # raises TimeoutError if the server waits on
        assert ask(made) == (200, b"got all")
    finally:
        made.stop()
        assert made.join(30)


def test_connection_is_kept_for_the_next_request(server: HttpServer) -> None:
    with closing(HTTPConnection("127.0.0.1", server.port, timeout=30)) as client:
        for body in (b"one", b"two"):
            client.request("POST", "/", body)
            assert client.getresponse().read() == b"got " + body


def test_connections_beyond_the_limit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "MOST_CONNECTIONS", 3)
    made = HttpServer(echo, listen_on("127.0.0.1:0", "--listen"))
    made.start()
    try:
        with ExitStack() as open_sockets:
            for _ in range(3):
                open_sockets.enter_context(socket.create_connection(("127.0.0.1", made.port)))
            assert ask(made)[0] == 503
    finally:
        made.stop()
        assert made.join(30)


@pytest.mark.parametrize("address", ["192.0.2.1:80", "127.0.0.1:99999", "127.0.0.1", "somewhere", "127.0.0.1:-1"])
def test_address_that_cannot_be_listened_on_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match=r"cannot be listened on .*: set another address with --listen"):
        listen_on(address, "--listen")


@pytest.mark.parametrize(("idle_seconds", "closed"), [(0, True), (60, False)])
def test_idle_connection_is_kept_for_its_time(idle_seconds: int, closed: bool) -> None:
    """Clients that keep connections for longer would send requests into the close."""
    made = HttpServer(echo, listen_on("127.0.0.1:0", "--listen"), idle_seconds=idle_seconds)
    made.start()
    try:
        with closing(HTTPConnection("127.0.0.1", made.port, timeout=30)) as client:
            client.request("POST", "/", b"all")
            client.getresponse().read()
            assert client.sock is not None
            client.sock.settimeout(30 if closed else 0.3)
            if closed:
                assert client.sock.recv(1) == b""
            else:
                with pytest.raises(TimeoutError):
                    client.sock.recv(1)
    finally:
        made.stop()
        assert made.join(30)
