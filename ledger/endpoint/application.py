"""The ASGI application: QLDB's two APIs at one address.

Without keys it serves this machine alone, and refuses what only a browser sends: a Host by which a page reaches it
through DNS, an Origin.
"""

import asyncio
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from strandline.consumer.http_server import is_this_machine, listen_on
from strandline.journal.errors import UsageError
from strandline.journal.make.ids import new_id
from strandline.ledger.endpoint import refusals, session_api
from strandline.ledger.endpoint.control.api import Control, ControlRequest
from strandline.ledger.endpoint.jobs import Jobs
from strandline.ledger.endpoint.refusals import Refusal
from strandline.ledger.endpoint.rights import ANYONE, Caller
from strandline.ledger.endpoint.served import ServedLedgers
from strandline.ledger.endpoint.sessions import Sessions
from strandline.ledger.endpoint.signature import Keys, SignedRequest, check

MOST_BYTES = 8 * 1024 * 1024
MOST_THREADS = 40
# Longer than the drivers keep an idle connection (Go's 90 s): a request that meets the close is lost, and not retried.
SECONDS_IDLE = 120
TARGET = "QLDBSession.SendCommand"
SESSION_TYPE, CONTROL_TYPE = "application/x-amz-json-1.0", "application/json"

log = structlog.get_logger()


def listen(address: str, *, has_keys: bool) -> socket.socket:
    """A socket that listens on `HOST:PORT`. Raises UsageError for an address beyond this machine without keys."""
    listening = listen_on(address, "--listen")
    if not has_keys and not is_this_machine(_host(listening)):
        listening.close()
        raise UsageError(f"To listen on {address}, beyond this machine, give the clients' keys with --keys.")
    return listening


def _host(listening: socket.socket) -> str:
    host = listening.getsockname()[0]
    return f"[{host}]" if ":" in host else host


class Application:
    """Serves `ledgers`; by default the sessions' own one, by the name `ledger_name` or by any."""

    def __init__(
        self,
        sessions: Sessions,
        *,
        keys: Keys | None,
        ledger_name: str | None = None,
        ledgers: ServedLedgers | None = None,
        jobs: Jobs | None = None,
    ) -> None:
        """`jobs` does the work that the control API begins; without it, such work waits for a server that has it."""
        self._sessions = sessions
        self._keys = keys
        self._ledgers = ledgers or ServedLedgers(sessions.ledger, name=ledger_name)
        self._control = Control(self._ledgers, jobs)
        self._threads = ThreadPoolExecutor(MOST_THREADS, thread_name_prefix="qldb")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request, begun = Request(scope, receive), time.monotonic()
        target = request.headers.get("x-amz-target", "")
        try:
            answer, status, more = await self._answer(request, target), 200, dict[str, str]()
        except ClientDisconnect:
            return
        except Refusal as refusal:
            answer, status, more = _refused(refusal, session=bool(target))
        except Exception as error:
            log.error("request failed", error=type(error).__name__)
            answer, status, more = _refused(Refusal("InternalFailure", "Internal error", 500), session=bool(target))
        request_id = new_id()
        milliseconds = round((time.monotonic() - begun) * 1000)
        operation = "session" if target else "control"
        log.info("request", id=request_id, api=operation, status=status, code=answer.get("__type"), ms=milliseconds)
        headers = {"x-amzn-RequestId": request_id, **more}
        media = SESSION_TYPE if target else CONTROL_TYPE
        await Response(msgspec.json.encode(answer), status, headers, media)(scope, receive, send)

    async def _answer(self, request: Request, target: str) -> dict[str, Any]:
        headers = request.headers
        if self._keys is None and not is_this_machine(headers.get("host", "")):
            raise refusals.forbidden("AccessDeniedException", "Without keys only this machine is served")
        if "origin" in headers:
            raise refusals.forbidden("AccessDeniedException", "A web page sent it: browsers are not served")
        body = await _body(request)
        path = (request.scope.get("raw_path") or request.url.path.encode()).decode("latin-1")
        query, caller = request.scope["query_string"].decode("latin-1"), ANYONE
        if self._keys is not None:
            caller = check(SignedRequest(request.method, path, query, dict(headers), body), self._keys)
        if not target:
            asked = ControlRequest(caller, request.method, path, query, body)
            return await self._in_thread(self._control.answer, asked)
        if target != TARGET or request.method != "POST":
            raise Refusal("UnknownOperationException", f"The operation is {TARGET}")
        if headers.get("content-type", "").partition(";")[0].strip().lower() != SESSION_TYPE:
            raise Refusal("SerializationException", f"Send Content-Type: {SESSION_TYPE}")
        return await self._command(caller, session_api.read_command(body))

    async def _command(self, caller: Caller, command: session_api.Command) -> dict[str, Any]:
        run, known = session_api.run_command, (self._sessions, self._ledgers, caller)
        if command.StartSession is not None:
            return await self._in_thread(run, *known, None, command)
        session = self._sessions.session(command.SessionToken)
        if session.caller.key_id != caller.key_id:
            raise refusals.invalid_session("Invalid session")
        # Waiting here takes no thread from others.
        async with session.turn:
            return await self._in_thread(run, *known, session, command)

    async def _in_thread(self, function: Any, *arguments: Any) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        answer: dict[str, Any] = await loop.run_in_executor(self._threads, function, *arguments)
        return answer


def _refused(refusal: Refusal, *, session: bool) -> tuple[dict[str, Any], int, dict[str, str]]:
    # No member Code: the drivers for Go and Node.js would take it for the error's name.
    answer = {"Message": refusal.message, **refusal.more}
    if session:
        answer = {"__type": refusal.code, **answer}
    return answer, refusal.status, {"x-amzn-ErrorType": refusal.code}


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MOST_BYTES:
            raise Refusal("RequestEntityTooLargeException", f"A request has at most {MOST_BYTES:,} bytes", 413)
    return bytes(body)
