"""The command `serve`."""

from enum import StrEnum
from typing import Annotated

import typer

from strandline.cli.options import AsJson
from strandline.cli.output import say, show_json
from strandline.cli.session import discover_projections, open_store

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

    from strandline.consumer.generations.stores import open_stores
    from strandline.consumer.logging import log_json
    from strandline.consumer.worker.projectors import ProjectorThreads
    from strandline.ledger.wallet import handlers
    from strandline.ledger.wallet.server import Server

    projections = discover_projections()
    log_json()
    with open_store() as (settings, url):
        server = Server(listen, has_token=settings.serve_token is not None)
        handlers.use(handlers.Api.of(settings, url))
        projectors = ProjectorThreads(url, projections, open_stores(settings, url))
        projectors.start()
        try:
            if as_json:
                show_json({"serving": name.value, "url": server.url})
            else:
                say(f"Serving {name.value} at {server.url}")
            sys.stdout.flush()
            server.run()
        finally:
            server.close()
            ended = projectors.stop(SECONDS_TO_END)
    return 0 if ended else 1
