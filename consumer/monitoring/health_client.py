"""Asks a server on this machine how it is, as the health check of a container does."""

import http.client
import ipaddress
import json
from dataclasses import dataclass

MOST_BYTES = 100_000


@dataclass(frozen=True)
class Answer:
    """The answer of a health check, and a line that says it."""

    ok: bool
    text: str


def ask(listen: str, path: str, seconds: float) -> Answer:
    """Ask for the path at `HOST:PORT`, the address that the worker listens on."""
    connection = http.client.HTTPConnection(reachable(listen), timeout=seconds)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read(MOST_BYTES)
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        return Answer(False, f"No worker answers at {listen} ({reason}): start it, or set STRANDLINE_LISTEN as it has.")
    finally:
        connection.close()
    faults = _faults(body)
    if faults is None:
        return Answer(False, f"What answers at {listen} is no worker (HTTP {response.status}): set STRANDLINE_LISTEN.")
    if response.status == http.client.OK and not faults:
        return Answer(True, "ok")
    return Answer(False, "; ".join(f"{name}: {fault}" for name, fault in faults.items()) + ".")


def reachable(listen: str) -> str:
    """Return HOST:PORT with loopback in place of "any address", which one cannot call."""
    host, _, port = listen.rpartition(":")
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return f"{host or '127.0.0.1'}:{port}"
    if not address.is_unspecified:
        return listen
    return f"{'127.0.0.1' if address.version == 4 else '[::1]'}:{port}"


def _faults(body: bytes) -> dict[str, str] | None:
    """Return the checks that do not hold; None if the body is not `health.checks`'."""
    try:
        checks = json.loads(body)["checks"]
        return {str(name): str(fault) for name, fault in checks.items() if fault != "ok"}
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
