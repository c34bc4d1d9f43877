"""The command `serve`."""

from enum import StrEnum
from typing import Annotated

import typer

from strandline.cli.options import AsJson
from strandline.cli.output import say, show_json
from strandline.cli.session import discover_projections, open_store

TICK_SECONDS = 0.2
SECONDS_TO_END = 20.0


class Service(StrEnum):
    WALLET = "wallet"


def serve(
    name: Annotated[Service, typer.Argument(help="The service: wallet.", metavar="NAME")],
    listen: Annotated[str, typer.Option(help="HOST:PORT. Port 0 picks a free port.")] = "127.0.0.1:8700",
    as_json: AsJson = False,
) -> int:
    """Serve a ledger over HTTP and update its read models.

    Runs until Ctrl-C or SIGTERM. The log on standard error has one JSON object a request, without its contents.
    """
    import sys

    from strandline.consumer.background import stop_all, stop_signals
    from strandline.consumer.generations.stores import open_stores
    from strandline.consumer.http_server import HttpServer
    from strandline.consumer.logging import log_json
    from strandline.consumer.worker.projectors import ProjectorThreads
    from strandline.ledger.wallet import handlers
    from strandline.ledger.wallet.server import Application
    from strandline.ledger.wallet.server import listen as listen_on

    projections = discover_projections()
    log_json()
    with open_store() as (settings, url), stop_signals() as asked:
        has_token = settings.serve_token is not None
        server = HttpServer(Application(loopback_only=not has_token), listen_on(listen, has_token=has_token))
        api = handlers.Api.of(settings, url)
        handlers.use(api)
        projectors = ProjectorThreads(url, projections, open_stores(settings, url))
        services = (server, projectors)
        try:
            for service in services:
                service.start()
            if as_json:
                show_json({"serving": name.value, "url": server.url})
            else:
                say(f"Serving {name.value} at {server.url}")
            sys.stdout.flush()
            while not asked.wait(TICK_SECONDS) and server.failure is None:
                pass
        finally:
            ended = stop_all(services, SECONDS_TO_END)
            api.close()
    return 0 if ended and server.failure is None else 1
