"""The wallet over HTTP on this machine: a request becomes API Gateway's event, for the same functions as in Lambda.

Any web page that a person opens on this machine may send requests to loopback. The server refuses what only a browser
sends: a Host by which a page reaches it through DNS, an Origin, a body that is not declared as JSON.
"""

import ipaddress
import socket
from collections.abc import Mapping
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from strandline.consumer.http_server import is_this_machine, listen_on
from strandline.journal.errors import UsageError
from strandline.ledger.wallet.events import MOST_BYTES, Answer, problem_answer
from strandline.ledger.wallet.handlers import ROUTES
from strandline.ledger.wallet.problems import (
    FromElsewhere,
    NotFound,
    Problem,
    TooLarge,
    WrongMethod,
    WrongRequest,
    WrongType,
)

JSON = "application/json"


def listen(address: str, *, has_token: bool) -> socket.socket:
    """A socket that listens on `HOST:PORT`. Raises `UsageError` for an address beyond this machine without a token."""
    listening = listen_on(address, "--listen")
    if not has_token and not ipaddress.ip_address(listening.getsockname()[0]).is_loopback:
        listening.close()
        raise UsageError(f"To listen on {address}, beyond this machine, set STRANDLINE_SERVE_TOKEN.")
    return listening


class Application:
    """The ASGI application. With `loopback_only`, it accepts requests to this machine's own names only."""

    def __init__(self, *, loopback_only: bool) -> None:
        self._loopback_only = loopback_only

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            answer = await self._answer(request)
        except Problem as problem:
            answer = problem_answer(problem)
        except ClientDisconnect:
            return
        await Response(answer["body"].encode(), answer["statusCode"], answer["headers"])(scope, receive, send)

    async def _answer(self, request: Request) -> Answer:
        if self._loopback_only and not is_this_machine(request.headers.get("host", "")):
            raise FromElsewhere("the Host is not a name of this machine: use 127.0.0.1, [::1] or localhost")
        if "origin" in request.headers:
            raise FromElsewhere("a web page sent it: it is not served to browsers")
        route = ROUTES.get(request.url.path)
        if route is None:
            raise NotFound(f"the paths are {', '.join(ROUTES)}")
        method, handler = route
        if request.method != method:
            refused = problem_answer(WrongMethod(f"use {method}"))
            refused["headers"]["allow"] = method
            return refused
        if method == "POST" and request.headers.get("content-type", "").partition(";")[0].strip().lower() != JSON:
            raise WrongType(f"send Content-Type: {JSON}")
        return await run_in_threadpool(handler, _event(request, await _body(request)), None)


async def _body(request: Request) -> str:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MOST_BYTES:
            raise TooLarge(f"a request has at most {MOST_BYTES:,} bytes")
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise WrongRequest("the body is not UTF-8") from None


def _event(request: Request, body: str) -> Mapping[str, Any]:
    path = request.url.path
    return {
        "version": "2.0",
        "rawPath": path,
        "requestContext": {"http": {"method": request.method, "path": path}},
        "headers": dict(request.headers),
        "queryStringParameters": dict(request.query_params),
        "body": body,
        "isBase64Encoded": False,
    }
