"""Requirements on every answer and request: headers, a Host of this machine, and the same origin for a POST."""

from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from strandline.consumer.http_server import is_this_machine

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}


class SecurityHeaders:
    """Adds the headers to every answer, errors included."""

    def __init__(self, application: ASGIApp) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
            await send(message)

        await self._application(scope, receive, sending)


def is_wanted_host(request: Request, hosts: Sequence[str], *, loopback_only: bool) -> bool:
    """Return whether the Host header is a name of the console: else a page elsewhere could reach it through DNS."""
    given = request.headers.getlist("host")
    if len(given) != 1:
        return False
    if loopback_only and is_this_machine(given[0]):
        return True
    name = urlsplit(f"//{given[0]}").hostname or ""
    return name in hosts if hosts else not loopback_only


def is_same_origin(headers: Headers) -> bool:
    """Return whether one of the console's own pages sent the request, or a program that is no browser.

    Every current browser sends Sec-Fetch-Site to loopback and over TLS, and Origin with each POST. A program sends
    neither, but an Authorization header of its own.
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = headers.get("origin")
    if origin is not None:
        return urlsplit(origin).netloc.lower() == headers.get("host", "").lower() != ""
    return "authorization" in headers and "cookie" not in headers
