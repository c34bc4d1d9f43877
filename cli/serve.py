"""The command `serve`."""

from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from strandline.cli.options import AsJson
from strandline.cli.output import say, show_json
from strandline.cli.session import discover_projections, open_store
from strandline.journal.errors import UsageError

if TYPE_CHECKING:
    from strandline.consumer.background import Stoppable
    from strandline.consumer.http_server import HttpServer
    from strandline.consumer.settings import Settings

TICK_SECONDS = 0.2
SECONDS_TO_END = 20.0
MOST_TRANSACTIONS = 32


class Service(StrEnum):
    WALLET = "wallet"
    QLDB = "qldb"


def serve(
    name: Annotated[Service, typer.Argument(help="The service: wallet or qldb.", metavar="NAME")],
    listen: Annotated[str, typer.Option(help="HOST:PORT. Port 0 picks a free port.")] = "127.0.0.1:8700",
    keys: Annotated[Path | None, typer.Option(help="Of qldb: the clients' keys, an AWS credentials file.")] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="Of qldb: the certificate and its chain (PEM).")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Of qldb: the certificate's key (PEM).")] = None,
    ledger: Annotated[str | None, typer.Option(help="Of qldb: the ledger's name. Default: any name.")] = None,
    transactions: Annotated[
        int, typer.Option(min=1, max=1000, help="Of qldb: the most open transactions; each has a connection.")
    ] = MOST_TRANSACTIONS,
    as_json: AsJson = False,
) -> int:
    """Serve a ledger over HTTP and update its read models.

    Runs until Ctrl-C or SIGTERM. The log on standard error has one JSON object a request, without its contents.
    """
    import sys

    from strandline.consumer.background import stop_all, stop_signals
    from strandline.consumer.generations.stores import open_stores
    from strandline.consumer.logging import log_json
    from strandline.consumer.worker.projectors import ProjectorThreads

    if name is Service.WALLET and (keys or tls_cert or tls_key or ledger or transactions != MOST_TRANSACTIONS):
        raise UsageError("--keys, --tls-cert, --tls-key, --ledger and --transactions are options of `serve qldb`.")
    if (tls_cert is None) != (tls_key is None):
        raise UsageError("--tls-cert and --tls-key go together.")
    projections = discover_projections()
    log_json()
    with open_store() as (settings, url), stop_signals() as asked:
        if name is Service.WALLET:
            server, others, close = _wallet(settings, url, listen)
        else:
            server, others, close = _qldb(url, listen, keys, tls_cert, tls_key, ledger, transactions)
        projectors = ProjectorThreads(url, projections, open_stores(settings, url))
        services = (server, *others, projectors)
        try:
            for service in services:
                service.start()  # type: ignore[attr-defined]
            if as_json:
                show_json({"serving": name.value, "url": server.url})
            else:
                say(f"Serving {name.value} at {server.url}")
            sys.stdout.flush()
            while not asked.wait(TICK_SECONDS) and server.failure is None:
                pass
        finally:
            ended = stop_all(services, SECONDS_TO_END)
            close()
    return 0 if ended and server.failure is None else 1


Made = tuple["HttpServer", "Sequence[Stoppable]", Callable[[], None]]


def _wallet(settings: "Settings", url: str, address: str) -> Made:
    from strandline.consumer.http_server import HttpServer
    from strandline.ledger.wallet import handlers
    from strandline.ledger.wallet.server import Application, listen

    has_token = settings.serve_token is not None
    server = HttpServer(Application(loopback_only=not has_token), listen(address, has_token=has_token))
    api = handlers.Api.of(settings, url)
    handlers.use(api)
    return server, (), api.close


def _qldb(
    url: str,
    address: str,
    keys: Path | None,
    tls_cert: Path | None,
    tls_key: Path | None,
    name: str | None,
    transactions: int,
) -> Made:
    from strandline.consumer.http_server import Certificate, HttpServer
    from strandline.ledger.endpoint.application import SECONDS_IDLE, Application, listen
    from strandline.ledger.endpoint.sessions import Sessions
    from strandline.ledger.endpoint.signature import read_keys
    from strandline.ledger.ledger import Ledger

    known = None if keys is None else read_keys(keys)
    certificate = Certificate(tls_cert, tls_key) if tls_cert and tls_key else None
    listening = listen(address, has_keys=known is not None)
    ledger = Ledger(url, readers=transactions + 8)  # some to begin transactions with
    sessions = Sessions(ledger, transactions)
    server = HttpServer(
        Application(sessions, keys=known, ledger_name=name), listening, certificate, idle_seconds=SECONDS_IDLE
    )
    return server, (sessions,), ledger.close
