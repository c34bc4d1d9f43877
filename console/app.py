"""The application: which address leads to which page, who may ask, and how an answer is written."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import structlog
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from strandline.console.console import Console
from strandline.console.download import download_response
from strandline.console.page import Answer, Asked, Download, Elsewhere, Missing, Page, Refused, Unchanged
from strandline.console.pages import (
    answers,
    blocks,
    documents,
    health,
    job,
    models,
    partiql,
    proofs,
    query,
    redactions,
    seen,
    sources,
    waiting,
)
from strandline.console.reader import Reader
from strandline.console.rendering import render
from strandline.console.security import SecurityHeaders, is_same_origin, is_wanted_host
from strandline.consumer.database.errors import describe_error
from strandline.journal.errors import StrandlineError, UsageError

log = structlog.get_logger()

STATIC = Path(__file__).parent / "static"
MOST_BODY = 17 * 1024 * 1024  # a file of 16 MiB, as the command reads
NOBODY = Reader("nobody", frozenset())

Handler = Callable[[Asked], Answer]


@dataclass(frozen=True)
class Address:
    """A page at a path; it has a twin with `.json`. Actions are POST alone."""

    path: str
    get: Handler | None = None
    post: Handler | None = None
    json_path: str | None = None


ADDRESSES = (
    Address("/", health.health, json_path="/health.json"),
    Address("/models", models.models),
    Address("/models/{name}", models.model),
    Address("/models/{name}/rebuild", post=models.start_rebuild),
    Address("/models/{name}/rollback", post=models.roll_back),
    Address("/models/{name}/retry", post=models.run_parked),
    Address("/jobs/{number}", job.job),
    Address("/go", post=documents.go),
    Address("/documents", documents.documents),
    Address("/documents/{document}", documents.document),
    Address("/documents/{document}/reveal", post=documents.reveal),
    Address("/documents/{document}/receipts", redactions.document_receipts),
    Address("/documents/{document}/{version}/proof", proofs.proof_form, proofs.make_proof),
    Address("/documents/{document}/{version}/proof/file", proofs.proof_file),
    Address("/documents/{document}/{version}/proof/with-data", post=proofs.proof_file_with_data),
    Address("/verify", proofs.verify, proofs.start_verification),
    Address("/verify/proof", post=proofs.check_file),
    Address("/verify/digest", proofs.digest_file),
    Address("/verify/verify_proof.py", proofs.verifier),
    Address("/blocks", blocks.blocks),
    Address("/blocks/{number}", blocks.block),
    Address("/blocks/{number}/recompute", post=blocks.recompute),
    Address("/blocks/{number}/reveal", post=blocks.reveal),
    Address("/redactions", redactions.redactions),
    Address("/redactions/find", post=redactions.find),
    Address("/receipts", redactions.receipts),
    Address("/receipts/check", post=redactions.check),
    Address("/receipts/{number}", redactions.receipt),
    Address("/waiting", waiting.waiting),
    Address("/waiting/acknowledge", post=waiting.acknowledge),
    Address("/waiting/accept-gap", post=waiting.skip_gap),
    Address("/query", query.form, query.run),
    Address("/query/cancel", post=query.cancel),
    Address("/query/csv", post=query.as_csv),
    Address("/query/file", post=query.as_file),
    Address("/query/partiql", partiql.form, partiql.run),
    Address("/query/partiql/ion", post=partiql.as_ion),
    Address("/query/partiql/file", post=partiql.as_json),
    Address("/query/partiql/indexes", post=partiql.fill_indexes),
    Address("/query/still", answers.still),
    Address("/sources", sources.sources),
    Address("/seen", seen.seen),
)


def application(console: Console) -> ASGIApp:
    """Return the ASGI application of the console."""
    routes: list[BaseRoute] = [
        Route("/livez", _alive),
        Route("/readyz", _ready(console)),
        Mount("/static", StaticFiles(directory=STATIC)),
    ]
    for one in ADDRESSES:
        methods = [name for name, handler in (("GET", one.get), ("POST", one.post)) if handler]
        routes.append(
            Route(one.json_path or f"{one.path}.json", _endpoint(console, one, as_json=True), methods=methods)
        )
        routes.append(Route(one.path, _endpoint(console, one), methods=methods))
    if console.prefix:
        routes = [Mount(console.prefix, routes=routes)]
    served = Starlette(
        routes=routes,
        exception_handlers={HTTPException: _unrouted(console), Exception: _broken},  # type: ignore[dict-item]
    )
    return SecurityHeaders(served)


async def _alive(_: Request) -> Response:
    return PlainTextResponse("ok\n")


def _ready(console: Console) -> Callable[[Request], Response]:
    """Tell anybody whether the store can be reached, and nothing else."""

    def readyz(_: Request) -> Response:
        try:
            with console.status():
                return PlainTextResponse("ok\n")
        except (psycopg.Error, StrandlineError) as error:
            return PlainTextResponse(f"the store cannot be reached ({type(error).__name__})\n", 503)

    return readyz


def _endpoint(console: Console, address: Address, *, as_json: bool = False) -> Callable[[Request], Any]:
    async def endpoint(request: Request) -> Response:
        asked = Asked(console, NOBODY, request.path_params, request.query_params, as_json=as_json)
        if not is_wanted_host(request, console.settings.console_hosts, loopback_only=console.loopback_only):
            return _refused(asked, "The Host of this request is not a name of the console: STRANDLINE_CONSOLE_HOSTS.")
        reader = await run_in_threadpool(console.sign_in.reader, request)
        if reader is None:
            return _nobody(asked)
        asked = replace(asked, reader=reader, fragment=request.headers.get("hx-request") == "true")
        if not reader.may("reader"):
            return _refused(asked, f"{reader.name} has no right on this console.")
        handler = address.get
        if request.method == "POST":
            if not is_same_origin(request.headers):
                return _refused(asked, "Another site sent this request: use the console's own pages.")
            handler = address.post
            try:
                asked = await _with_form(request, asked)
            except TooLarge:
                return _show(asked, _problem("That is too large.", 413))
            except ClientDisconnect:
                return Response(status_code=400)
        assert handler is not None
        return await run_in_threadpool(_answer, handler, asked, request.url.path)

    return endpoint


class TooLarge(Exception):
    """A body is larger than any form of the console."""


async def _with_form(request: Request, asked: Asked) -> Asked:
    """Read the form; a file's content is its upload."""
    size = request.headers.get("content-length", "")
    if not size.isdecimal() or int(size) > MOST_BODY:
        raise TooLarge
    form = await request.form(max_files=1, max_fields=20, max_part_size=MOST_BODY)
    fields: dict[str, str] = {}
    upload: bytes | None = None
    for name, value in form.multi_items():
        if isinstance(value, UploadFile):
            upload = await value.read() or upload
        else:
            fields[name] = value
    await form.close()
    return replace(asked, form=fields, upload=upload)


def _answer(handler: Handler, asked: Asked, path: str) -> Response:
    """Run a page's function, and write its answer, or its error as a page."""
    try:
        answer = handler(asked)
        if isinstance(answer, Download):
            return download_response(answer)
    except Refused as refused:
        return _refused(asked, str(refused))
    except Missing as missing:
        return _show(asked, _problem(str(missing), 404))
    except UsageError as error:
        return _show(asked, _problem(str(error), 400))
    except StrandlineError as error:
        return _show(asked, _problem(str(error), 409))
    except psycopg.Error as error:
        return _show(asked, _problem(str(describe_error(error)), 503))
    if isinstance(answer, Elsewhere):
        if asked.as_json:
            return _json({"location": f"{answer.path}.json"}, 202)
        return RedirectResponse(asked.console.prefix + quote(answer.path), 303)
    if isinstance(answer, Unchanged):
        return Response(status_code=204)
    return _show(asked, answer, path)


def _show(asked: Asked, page: Page, path: str = "") -> Response:
    if asked.as_json:
        return _json(page.data, page.status)
    here = path.removeprefix(asked.console.prefix) or "/"
    return HTMLResponse(render(asked, page, here), page.status)


def _json(data: Mapping[str, object], status: int) -> Response:
    text = json.dumps(data, ensure_ascii=False, indent=2) + "\n"
    return Response(text.encode("utf-8", "backslashreplace"), status, media_type="application/json")


def _problem(text: str, status: int) -> Page:
    return Page("problem.html", {"error": {"message": text, "status": status}}, {"text": text}, status)


def _refused(asked: Asked, text: str) -> Response:
    log.info("refused", user=asked.reader.name)
    return _show(asked, _problem(text, 403))


def _nobody(asked: Asked) -> Response:
    sign_in = asked.console.sign_in
    answer = _show(asked, _problem("Nobody is signed in.", 401 if sign_in.asks_password else 403))
    if sign_in.asks_password:
        answer.headers["www-authenticate"] = 'Basic realm="strandline", charset="UTF-8"'
    return answer


def _unrouted(console: Console) -> Callable[[Request, HTTPException], Response]:
    def answer(request: Request, error: HTTPException) -> Response:
        # Nobody may have signed in: the page says nothing of the store.
        text = "There is no such page." if error.status_code == 404 else str(error.detail)
        asked = Asked(console, NOBODY, {}, {}, as_json=request.url.path.endswith(".json"))
        return _show(asked, _problem(text, error.status_code))

    return answer


def _broken(_: Request, error: Exception) -> Response:
    """An error that no code foresaw: its text may hold payload, so only its kind is said."""
    log.error("page failed", error=type(error).__name__)
    return PlainTextResponse(f"The page failed ({type(error).__name__}).\n", 500)
