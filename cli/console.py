"""The command `console`."""

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from strandline.cli.options import AsJson
from strandline.cli.output import note, say, show_json
from strandline.cli.session import discover_projections, open_store, start_log
from strandline.consumer.extras import needs_extra

if TYPE_CHECKING:
    from strandline.consumer.projection.definition import Projection
    from strandline.consumer.settings import Settings

TICK_SECONDS = 0.2
SECONDS_TO_END = 20.0
HEALTH_SECONDS = 4.0
ADDRESS = "127.0.0.1:8780"


def console(
    listen: Annotated[str, typer.Option(help="HOST:PORT. Port 0 picks a free port.")] = ADDRESS,
    prefix: Annotated[
        str, typer.Option(help="The path below which a proxy serves it, such as /strandline.", metavar="PATH")
    ] = "",
    read_only: Annotated[bool, typer.Option("--read-only", help="Offer no action that changes anything.")] = False,
    behind_tls: Annotated[
        bool, typer.Option("--behind-tls", help="A proxy in front ends TLS: allow passwords beyond this machine.")
    ] = False,
    healthcheck: Annotated[
        bool, typer.Option("--healthcheck", help="Ask the console at --listen if it is ready: for a container.")
    ] = False,
    add_user: Annotated[
        str | None,
        typer.Option(help="Print a line for the file of users; asks for the password, or reads it.", metavar="NAME"),
    ] = None,
    rights: Annotated[
        str, typer.Option(help="With --add-user: reader, analyst, cleared, operator, separated by commas.")
    ] = "reader",
    as_json: AsJson = False,
) -> int:
    """Serve web pages: health, documents, proofs, redactions.

    Runs until Ctrl-C or SIGTERM. Without a sign-in (STRANDLINE_CONSOLE_USERS, STRANDLINE_CONSOLE_PROXIES) it listens on
    this machine only. The log on standard error has one JSON object for each thing that was revealed or done.
    """
    with needs_extra("console"):
        import python_multipart  # noqa: F401  # Starlette imports it when a form comes

        import strandline.console.serving  # noqa: F401
    if healthcheck:
        return _healthcheck(listen, prefix, as_json=as_json)
    if add_user is not None:
        return _add_user(add_user, rights, as_json=as_json)
    from strandline.console.serving import Options

    projections = discover_projections()
    start_log()
    with open_store() as (settings, url):
        return serve_console(
            settings, url, projections, Options(listen, prefix, read_only, behind_tls), as_json=as_json
        )


def serve_console(
    settings: "Settings", url: str, projections: "Mapping[str, Projection]", options: object, *, as_json: bool = False
) -> int:
    """Serve the console until a signal ends it; prints its address."""
    from strandline.console.serving import Options, open_server
    from strandline.consumer.background import stop_all, stop_signals

    assert isinstance(options, Options)
    with stop_signals() as asked:
        server = open_server(settings, url, projections, options)
        try:
            server.start()
            address = f"{server.url}{options.prefix.rstrip('/')}/"
            if as_json:
                show_json({"serving": "console", "url": address})
            else:
                say(f"Serving the console at {address}")
                note("Ctrl-C ends it.")
            sys.stdout.flush()
            while not asked.wait(TICK_SECONDS) and server.failure is None:
                pass
        finally:
            ended = stop_all([server], SECONDS_TO_END)
    return 0 if ended and server.failure is None else 1


def _healthcheck(listen: str, prefix: str, *, as_json: bool) -> int:
    """Ask a running console whether it is ready. Returns 0 if so, else 1."""
    import urllib.request

    from strandline.consumer.monitoring.health_client import reachable

    url = f"http://{reachable(listen)}{prefix.rstrip('/')}/readyz"
    try:
        with urllib.request.urlopen(url, timeout=HEALTH_SECONDS) as answer:
            ready = answer.status == 200
    except (OSError, ValueError):
        ready = False
    if as_json:
        show_json({"ready": ready})
    else:
        say("Ready." if ready else f"Not ready: {url} does not answer ok.")
    return 0 if ready else 1


def _add_user(name: str, rights: str, *, as_json: bool) -> int:
    from getpass import getpass

    from strandline.console.users import user_line

    password = getpass("Password: ") if sys.stdin.isatty() else sys.stdin.readline().removesuffix("\n")
    line = user_line(name, password, [one.strip() for one in rights.split(",") if one.strip()])
    if as_json:
        show_json({"user": name, "line": line})
    else:
        say(line)
        note("Append the line to the file that STRANDLINE_CONSOLE_USERS names.")
    return 0
