"""The wallet over HTTP on this machine: a request becomes API Gateway's event, for the same functions as in Lambda."""

import ipaddress
import socket
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl
from wsgiref.types import StartResponse, WSGIEnvironment

from waitress.server import create_server

from strandline.journal.errors import UsageError
from strandline.ledger.wallet.events import MOST_BYTES, Answer, problem_answer
from strandline.ledger.wallet.handlers import ROUTES
from strandline.ledger.wallet.problems import NotFound, TooLarge, WrongMethod, WrongRequest

THREADS = 32
_REASONS = {200: "OK", 201: "Created"}


class Server:
    """Bound when made; `run` serves until the process is asked to end, and finishes what is in hand."""

    def __init__(self, listen: str, *, has_token: bool) -> None:
        """`listen` is HOST:PORT; port 0 takes a free one. Beyond this machine it wants a token."""
        self._socket = _bound(listen, has_token=has_token)
        host, port = self._socket.getsockname()[:2]
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        self._server = create_server(
            application,
            sockets=[self._socket],
            threads=THREADS,
            ident="",
            max_request_body_size=2 * MOST_BYTES,
            max_request_header_size=16 * 1024,
        )

    def run(self) -> None:
        self._server.run()

    def close(self) -> None:
        self._server.close()


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """WSGI (PEP 3333): the request as an event, and its answer."""
    found = _answer(environ)
    status = found["statusCode"]
    body = found["body"].encode()
    headers = [*found["headers"].items(), ("content-length", str(len(body)))]
    start_response(f"{status} {_REASONS.get(status, 'Refused')}", headers)
    return [body]


def _answer(environ: WSGIEnvironment) -> Answer:
    route = ROUTES.get(environ.get("PATH_INFO", ""))
    if route is None:
        return problem_answer(NotFound(f"there are {', '.join(ROUTES)}"))
    method, handler = route
    if environ["REQUEST_METHOD"] != method:
        refused = problem_answer(WrongMethod(f"it takes {method}"))
        refused["headers"]["allow"] = method
        return refused
    if int(environ.get("CONTENT_LENGTH") or 0) > MOST_BYTES:
        return problem_answer(TooLarge(f"a request has at most {MOST_BYTES:,} bytes"))
    try:
        return handler(_event(environ, method), None)
    except UnicodeDecodeError:
        return problem_answer(WrongRequest("the body is no UTF-8"))


def _event(environ: WSGIEnvironment, method: str) -> Mapping[str, Any]:
    return {
        "version": "2.0",
        "rawPath": environ["PATH_INFO"],
        "requestContext": {"http": {"method": method, "path": environ["PATH_INFO"]}},
        "headers": {name[5:].replace("_", "-"): value for name, value in environ.items() if name.startswith("HTTP_")},
        "queryStringParameters": dict(parse_qsl(environ.get("QUERY_STRING", ""))),
        "body": environ["wsgi.input"].read().decode(),
        "isBase64Encoded": False,
    }


def _bound(listen: str, *, has_token: bool) -> socket.socket:
    host, _, port = listen.rpartition(":")
    try:
        if not 0 <= int(port) < 65_536:  # the system's look-up takes it, and listens on another
            raise ValueError
        family, kind, protocol, _, address = socket.getaddrinfo(
            host.strip("[]"), int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        if not has_token and not ipaddress.ip_address(address[0]).is_loopback:
            raise UsageError(f"To listen on {listen}, beyond this machine, set STRANDLINE_SERVE_TOKEN.")
        bound = socket.socket(family, kind, protocol)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except (OSError, OverflowError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is no HOST:PORT"
        raise UsageError(f"{listen} cannot be listened on ({reason}): give another with --listen.") from None
    return bound
