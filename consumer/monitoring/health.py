"""`/livez`, `/readyz` and `/metrics` over HTTP."""

import json
from collections.abc import Callable, Mapping

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

Faults = Mapping[str, str | None]
Facts = Mapping[str, object]


def application(
    live: Callable[[], Faults], ready: Callable[[], tuple[Faults, Facts]], metrics: Callable[[], bytes]
) -> Starlette:
    """The ASGI application. `live` must return at once; `ready` and `metrics` may wait for a store."""

    # On the event loop: it answers while every thread waits for a store that does not.
    async def livez(_: Request) -> Response:
        return checks(live())

    def readyz(_: Request) -> Response:
        return checks(*ready())

    def show_metrics(_: Request) -> Response:
        return Response(metrics(), headers={"content-type": CONTENT_TYPE_LATEST})

    return Starlette(routes=[Route("/livez", livez), Route("/readyz", readyz), Route("/metrics", show_metrics)])


def checks(faults: Faults, facts: Facts | None = None) -> Response:
    """200 if no check has a fault, else 503. The body names each check and its fault: ids and kinds, no payload.

    `facts` stand beside `ok`: what the store vouches for.
    """
    ok = not any(faults.values())
    body = {"ok": ok, **(facts or {}), "checks": {name: fault or "ok" for name, fault in faults.items()}}
    return Response(json.dumps(body) + "\n", 200 if ok else 503, media_type="application/json")
