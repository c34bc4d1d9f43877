"""A proxy in front of a store that can close, delay or black-hole its connections."""

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from psycopg.conninfo import conninfo_to_dict, make_conninfo

Mode = Literal["pass", "refuse", "delay", "black hole"]
DELAY_SECONDS = 0.05
CHUNK = 65_536
RESET = struct.pack("ii", 1, 0)  # SO_LINGER of no time: closing sends RST


class Proxy:
    """Listens on loopback; `url` is the store behind it (PostgreSQL or HTTP). A mode applies to later data."""

    def __init__(self, url: str) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        port = self._server.getsockname()[1]
        if url.startswith("http://"):
            parts = urlsplit(url)
            self._behind = str(parts.hostname), int(parts.port or 80)
            self.url = f"http://127.0.0.1:{port}"
        else:
            given = conninfo_to_dict(url)
            self._behind = str(given["host"]), int(given.get("port", 5432))
            self.url = make_conninfo("", **{**given, "host": "127.0.0.1", "port": port})
        self.mode: Mode = "pass"
        self.passed = 0  # chunks, of either side
        self.cut_after: int | None = None  # chunks after which the store is unreachable
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._resetting = False
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Close every connection at once."""
        self._end(socket.SHUT_RDWR)

    def reset(self) -> None:
        """Close every connection by RST, so that data in transit is lost."""
        self._resetting = True
        self._end(socket.SHUT_RD)  # wakes the reader, and sends nothing to the peer

    def close(self) -> None:
        self._server.close()
        self.cut()

    def _end(self, how: int) -> None:
        pairs, self._pairs = self._pairs, []
        for pair in pairs:
            for end in pair:
                with suppress(OSError):
                    if how == socket.SHUT_RD:
                        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                    end.shutdown(how)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._server.accept()
                if self.mode == "refuse":
                    client.close()
                    continue
                self._resetting = False
                behind = self._connect()
                self._pairs.append((client, behind))
                for source, target in ((client, behind), (behind, client)):
                    threading.Thread(target=self._pass_on, args=(source, target), daemon=True).start()

    def _connect(self) -> socket.socket:
        host, port = self._behind
        if not host.startswith("/"):
            return socket.create_connection((host, port))
        behind = socket.socket(socket.AF_UNIX)
        behind.connect(str(Path(host) / f".s.PGSQL.{port}"))
        return behind

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(CHUNK):
                if self.mode == "delay":
                    time.sleep(DELAY_SECONDS)
                self.passed += 1
                if self.cut_after is not None and self.passed > self.cut_after:
                    self.mode = "refuse"
                    self.cut()
                elif self.mode != "black hole":
                    target.sendall(data)
        with source, suppress(OSError):
            if not self._resetting:
                target.shutdown(socket.SHUT_RDWR)


@contextmanager
def proxy(url: str) -> Iterator[Proxy]:
    made = Proxy(url)
    try:
        yield made
    finally:
        made.close()
