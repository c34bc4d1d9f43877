"""A proxy before OpenSearch that can refuse, keep or lose what passes."""

import http.server
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

# What it does with a request instead of passing it on: an answer (status, body), or None to pass it on all the same.
Meddle = Callable[["Passing"], tuple[int, bytes] | None]


class Passing:
    """A request on its way."""

    def __init__(
        self, path: str, headers: Mapping[str, str], body: bytes, onward: Callable[[], tuple[int, bytes]]
    ) -> None:
        self.path = path
        self.headers = headers
        self.body = body
        self.onward = onward

    @property
    def is_bulk(self) -> bool:
        return "/_bulk" in self.path


class Proxy:
    """Passes requests on to `target`; `meddle` is asked about each one first."""

    def __init__(self, target: str) -> None:
        self.meddle: Meddle = lambda _: None
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                pass

            def _handle(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                passing = Passing(self.path, dict(self.headers), body, lambda: proxy._pass(target, self, body))
                status, answer = proxy.meddle(passing) or passing.onward()
                if status == 0:  # lost
                    self.close_connection = True
                    return
                with suppress(ConnectionError):  # the client may have given up
                    self.send_response(status)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(answer)))
                    self.end_headers()
                    if self.command != "HEAD":
                        self.wfile.write(answer)

            do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _handle  # noqa: N815

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})

    @contextmanager
    def running(self) -> Iterator["Proxy"]:
        self._thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()

    @staticmethod
    def _pass(target: str, handler: http.server.BaseHTTPRequestHandler, body: bytes) -> tuple[int, bytes]:
        request = urllib.request.Request(target + handler.path, body or None, method=handler.command)
        request.add_header("Content-Type", handler.headers.get("Content-Type") or "application/json")
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()
