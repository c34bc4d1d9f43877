"""`/livez`, `/readyz` and `/metrics` over HTTP."""

import json
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from strandline.journal.errors import UsageError

Answer = tuple[int, str, bytes]  # status, content type, body
PLAIN = "text/plain; charset=utf-8"
SECONDS_TO_READ = 10


class HealthServer:
    """Answers GETs for the given paths, on a thread of its own."""

    def __init__(self, listen: str, routes: Mapping[str, Callable[[], Answer]]) -> None:
        host, _, port = listen.rpartition(":")

        class Handler(BaseHTTPRequestHandler):
            timeout = SECONDS_TO_READ

            def do_GET(self) -> None:
                route = routes.get(self.path.partition("?")[0])
                status, content_type, body = route() if route else (404, PLAIN, b"not found\n")
                self.send_response(status)
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Nothing: a check every few seconds is no event."""

        try:
            self._server = ThreadingHTTPServer((host.strip("[]"), int(port)), Handler)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise UsageError(f"STRANDLINE_LISTEN: {listen} cannot be listened on ({reason}).") from None
        self._server.daemon_threads = True
        self._thread = Thread(target=self._server.serve_forever, name="health", daemon=True)

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def checks(faults: Mapping[str, str | None]) -> Answer:
    """200 where no check has a fault, else 503; the body names each check and its fault, ids and kinds only."""
    holds = not any(faults.values())
    body = {"ok": holds, "checks": {name: fault or "ok" for name, fault in faults.items()}}
    return 200 if holds else 503, "application/json", (json.dumps(body) + "\n").encode()
