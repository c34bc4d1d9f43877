"""The command `url`."""

import secrets
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from enum import StrEnum
from typing import Annotated

import typer

from strandline.cli.options import AsJson
from strandline.cli.output import note, say, show_json
from strandline.journal.errors import UsageError

PASSWORD_BYTES = 24


class Login(StrEnum):
    ANALYSTS = "analysts"
    CLEARED = "cleared"


def url(
    readers: Annotated[Login, typer.Option(help="What the login may read.")] = Login.ANALYSTS,
    tcp: Annotated[
        bool, typer.Option("--tcp", help="Listen on 127.0.0.1 with a new password, for tools without Unix sockets.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Run the embedded PostgreSQL and print its URL.

    The login may only read. The server runs until Ctrl-C; other commands can use it in the meantime. The password ends
    with this command.
    """
    from psycopg.conninfo import conninfo_to_dict

    from strandline.consumer.database.embedded import embedded_postgres
    from strandline.consumer.database.embedded_server import LOOPBACK
    from strandline.consumer.database.ledgers import ledger_url
    from strandline.consumer.database.migrate import migrate
    from strandline.consumer.database.readers import embedded_reader_url, reader_password
    from strandline.consumer.settings import load_settings

    settings = load_settings()
    if settings.database_url is not None:
        raise UsageError("STRANDLINE_DATABASE_URL is set: connect to that server with a reader's login.")
    with ExitStack() as stack:
        owner_url = stack.enter_context(embedded_postgres(settings.home, tcp=tcp, linger=settings.linger_seconds))
        if settings.ledger is not None:
            owner_url = ledger_url(owner_url, settings.ledger)
        migrate(owner_url)
        given = conninfo_to_dict(embedded_reader_url(owner_url, readers.value))
        if tcp:
            password = secrets.token_urlsafe(PASSWORD_BYTES)
            stack.enter_context(reader_password(owner_url, readers.value, password))
            given |= {"host": LOOPBACK, "password": password}
        shown = _as_url(given)
        if as_json:
            show_json({"url": shown, "readers": readers.value, **given})
        else:
            say(shown)
            for name in ("host", "port", "dbname", "user", "password"):
                if given.get(name):
                    say(f"  {name:<9} {given[name]}")
            for tool, how in _tools(shown):
                say(f"  {tool:<9} {how}")
            note("Serving until Ctrl-C.")
        sys.stdout.flush()
        try:
            signal.pause()
        except KeyboardInterrupt:
            note("Stopped.")
    return 0


def _tools(shown: str) -> Iterator[tuple[str, str]]:
    """Yield how each tool connects; DBeaver and BI tools ask for the values one by one."""
    yield "psql", f"psql '{shown}'"
    alchemy = shown.replace("postgresql:", "postgresql+psycopg:", 1)
    yield "Jupyter", f"pandas.read_sql('SELECT * FROM read.read_models', '{alchemy}')"
    yield "DuckDB", f"ATTACH '{shown}' AS ledger (TYPE postgres, SCHEMA 'read', READ_ONLY)"
    yield "DBeaver", "the values above; with --tcp, since it does not use Unix sockets"


def _as_url(given: Mapping[str, object]) -> str:
    """Return libpq's parameters as a URL, which most tools accept."""
    from urllib.parse import quote

    user, host, port, name = (quote(str(given[key]), safe="") for key in ("user", "host", "port", "dbname"))
    if "password" in given:
        return f"postgresql://{user}:{given['password']}@{host}:{port}/{name}"
    return f"postgresql://{user}@/{name}?host={host}&port={port}"
