"""The HTTP server of health, metrics, wallet, console and QLDB's API: uvicorn on a thread, with limits on clients."""

import asyncio
import ipaddress
import socket
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from strandline.consumer.background import Background
from strandline.journal.errors import UsageError

SECONDS_TO_SEND = 10.0  # for a client to send a request, from its connection or its first byte to the last one
SECONDS_IDLE = 5
SECONDS_TO_END = 20  # for requests in hand when the server stops
MOST_HEAD_BYTES = 16 * 1024
MOST_CONNECTIONS = 500  # others are answered 503; a process commonly has 1,024 file descriptors


def listen_on(address: str, setting: str) -> socket.socket:
    """A socket that listens on `HOST:PORT`; port 0 takes a free one.

    Raises `UsageError`, which names `setting` as the place where another address is given.
    """
    host, _, port = address.rpartition(":")
    try:
        if not 0 <= int(port) < 65_536:  # getaddrinfo accepts a larger one, and takes it modulo 65,536
            raise ValueError
        family, kind, protocol, _, found = socket.getaddrinfo(
            host.strip("[]"), int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(found)
            listening.listen()
        except BaseException:
            listening.close()
            raise
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is no HOST:PORT"
        raise UsageError(f"{address} cannot be listened on ({reason}): set another address with {setting}.") from None
    return listening


def is_this_machine(host: str) -> bool:
    """Return whether a Host header is a loopback address or `localhost`, with any port."""
    name = urlsplit(f"//{host}").hostname or ""
    try:
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


class Certificate(NamedTuple):
    """The files of a certificate with its chain, and of its key, both PEM."""

    chain: Path
    key: Path


class HttpServer(Background):
    """Serves one ASGI application on a listening socket, from `start` until `stop`; with a certificate over TLS."""

    def __init__(
        self,
        application: ASGIApp,
        listening: socket.socket,
        certificate: Certificate | None = None,
        *,
        idle_seconds: int = SECONDS_IDLE,
    ) -> None:
        """`idle_seconds` is the time for which a connection is kept between two requests."""
        super().__init__("http")
        self._socket = listening
        host, self.port = listening.getsockname()[:2]
        self.url = f"http{'s' if certificate else ''}://{f'[{host}]' if ':' in host else host}:{self.port}"
        self._server = uvicorn.Server(
            uvicorn.Config(
                application,
                http=_Protocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                limit_concurrency=MOST_CONNECTIONS,
                h11_max_incomplete_event_size=MOST_HEAD_BYTES,
                timeout_keep_alive=idle_seconds,
                timeout_graceful_shutdown=SECONDS_TO_END,
                ssl_certfile=certificate and certificate.chain,
                ssl_keyfile=certificate and certificate.key,
            )
        )
        if certificate is not None:
            try:
                self._server.config.load()
            except (OSError, ValueError):  # ssl.SSLError is an OSError
                raise UsageError(
                    f"{certificate.chain} and {certificate.key} are no certificate and its key, in PEM format."
                ) from None

    def run(self) -> None:
        self._server.run(sockets=[self._socket])

    def stop(self) -> None:
        super().stop()
        self._server.should_exit = True


class _Protocol(H11Protocol):
    """Closes the connection of a client that does not send its request in time. uvicorn has no such limit."""

    _due: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state in (h11.IDLE, h11.SEND_BODY):
            self._wait()
        else:
            self._wait_no_longer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait_no_longer()
        super().connection_lost(exc)

    def _wait(self) -> None:
        if self._due is None:
            self._due = self.loop.call_later(SECONDS_TO_SEND, self.transport.close)

    def _wait_no_longer(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None
