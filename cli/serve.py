"""The command `serve`."""

from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from strandline.cli.options import AsJson
from strandline.cli.output import say, show_json
from strandline.cli.session import discover_projections, open_store, start_log
from strandline.journal.errors import UsageError

if TYPE_CHECKING:
    from strandline.consumer.background import Stoppable
    from strandline.consumer.http_server import HttpServer
    from strandline.consumer.settings import Settings
    from strandline.ledger.endpoint.served import Attendant

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
    from strandline.consumer.worker.projectors import ProjectorThreads

    if name is Service.WALLET and (keys or tls_cert or tls_key or transactions != MOST_TRANSACTIONS):
        raise UsageError("--keys, --tls-cert, --tls-key and --transactions are options of `serve qldb`.")
    if (tls_cert is None) != (tls_key is None):
        raise UsageError("--tls-cert and --tls-key go together.")
    projections = discover_projections()
    start_log()
    with open_store(of_ledger=name is Service.WALLET) as (settings, url), stop_signals() as asked:

        def attend(of_ledger: str) -> ProjectorThreads:
            return ProjectorThreads(of_ledger, projections, open_stores(settings, of_ledger))

        if name is Service.WALLET:
            server, others, close = _wallet(settings, url, listen)
        else:
            certificate = (tls_cert, tls_key) if tls_cert and tls_key else None
            server, others, close = _qldb(settings, url, listen, keys, certificate, transactions, attend)
        services = (server, *others, attend(url))
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
    settings: "Settings",
    url: str,
    address: str,
    keys: Path | None,
    tls: tuple[Path, Path] | None,
    transactions: int,
    attend: "Callable[[str], Attendant]",
) -> Made:
    from strandline.consumer.http_server import Certificate, HttpServer
    from strandline.ledger.endpoint.application import SECONDS_IDLE, Application, listen
    from strandline.ledger.endpoint.jobs import Jobs
    from strandline.ledger.endpoint.served import ServedLedgers
    from strandline.ledger.endpoint.sessions import Sessions
    from strandline.ledger.endpoint.signature import read_keys
    from strandline.ledger.ledger import Ledger

    known = None if keys is None else read_keys(keys)
    certificate = None if tls is None else Certificate(*tls)
    listening = listen(address, has_keys=known is not None)
    readers = transactions + 8  # some to begin transactions with
    own = Ledger(url, readers=readers)
    has_rules = known is not None and any(key.caller.rules is not None for key in known.values())
    ledgers = ServedLedgers(
        own,
        name=settings.ledger,
        create=settings.create_ledgers,
        by_any_name=not has_rules,  # a client could choose the name for which its rules are
        readers=readers,
        attend=attend,
    )
    sessions = Sessions(own, transactions)
    jobs = Jobs(ledgers, sessions)
    application = Application(sessions, keys=known, ledgers=ledgers, jobs=jobs)
    server = HttpServer(application, listening, certificate, idle_seconds=SECONDS_IDLE)
    return server, (sessions, jobs, ledgers), ledgers.close
