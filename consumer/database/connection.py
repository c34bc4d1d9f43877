"""Connections to PostgreSQL, with all settings that data depends on."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from decimal import Decimal
from typing import Any

import msgspec
import psycopg
import stamina.instrumentation
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.sql import SQL, Identifier
from psycopg.types.json import set_json_loads

from strandline.consumer.database.embedded import embedded_postgres
from strandline.consumer.database.errors import DatabaseError, DatabaseUnreachable, describe_error
from strandline.consumer.database.password import SETTING, encryption, password_source, source_for
from strandline.consumer.settings import Settings
from strandline.journal.errors import StrandlineError, UsageError
from strandline.journal.ion.json import exact

# Every process that retries imports this module. stamina's own hooks log an error's text, which may hold payload.
stamina.instrumentation.set_on_retry_hooks(())

Connection = psycopg.Connection[tuple[Any, ...]]

WORKER = "strandline_worker"
OPERATOR = "strandline_operator"  # reads no payload
AUDITOR = "strandline_auditor"  # reads everything
OLDEST_VERSION = 15
CONNECT_SECONDS = 10
# Find out within about a minute that a server's machine or network no longer responds.
LIVENESS = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3, "tcp_user_timeout": 60_000}
# The server ends the session of a client that vanished in the middle of a transaction: its locks hold up all others.
# No code here lets a transaction wait for nearly as long.
IDLE_SECONDS = 300
# For a transaction: whether its commit waits until it is on disk, with all that was committed before.
DURABLE = "SET LOCAL synchronous_commit = on"
NOT_DURABLE = "SET LOCAL synchronous_commit = off"

# All settings on which a value that is written or read depends, or whether a statement works at all. A database, a role
# or the environment (PG…) may set each of them otherwise.
PINNED = {
    "client_encoding": "UTF8",
    "datestyle": "ISO, YMD",
    "intervalstyle": "postgres",
    "timezone": "UTC",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "standard_conforming_strings": "on",
    "array_nulls": "on",
    "transform_null_equals": "off",
    "xmloption": "content",
    "search_path": "pg_catalog",
    "default_transaction_isolation": "read committed",
    "default_transaction_read_only": "off",
    "default_transaction_deferrable": "off",
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_session_timeout": "0",
}
TRANSACTION_TIMEOUT_VERSION = 170_000  # the first server that has this setting

# For most rows: the same values as `exact`, except that it refuses some large integers.
_JSONB = msgspec.json.Decoder(float_hook=Decimal)


def read_json(text: str | bytes) -> Any:
    """Return the value of jsonb text; numbers are int or `Decimal`."""
    try:
        return _JSONB.decode(text)
    except msgspec.MsgspecError:
        return exact(text if isinstance(text, str) else str(text, "utf-8"))


def columns_of(rows: Iterable[Sequence[Any]], width: int = 0) -> list[list[Any]]:
    """Return the columns of rows, as the parameters of `unnest`; `width` is how many there are if there is no row."""
    return [list(column) for column in zip(*rows, strict=True)] or [[] for _ in range(width)]


def client_environment() -> dict[str, str]:
    """Return the environment that gives another client of libpq, such as psql, the settings that values depend on."""
    names = ("datestyle", "intervalstyle", "timezone", "bytea_output", "extra_float_digits")
    options = [f"-c {name}={PINNED[name].replace(' ', '')}" for name in names]
    return {
        "PGCLIENTENCODING": PINNED["client_encoding"],
        "PGOPTIONS": " ".join([*os.environ.get("PGOPTIONS", "").split(), *options]),
    }


@contextmanager
def open_database(settings: Settings) -> Iterator[str]:
    """Give the URL of the database of the ledger that is set, else of the one that `open_home` gives."""
    from strandline.consumer.database.ledgers import ledger_url  # which needs connections

    with open_home(settings) as url:
        yield url if settings.ledger is None else ledger_url(url, settings.ledger)


@contextmanager
def open_home(settings: Settings) -> Iterator[str]:
    """Give the URL of the database that has the catalogue of ledgers: the one that is set, else that of the embedded
    server, which runs until the end and for the seconds that are set."""
    if settings.database_url is not None:
        with password_source(settings):
            yield settings.database_url
        return
    with embedded_postgres(settings.home, linger=settings.linger_seconds) as url:
        yield url


def connect(
    url: str,
    *,
    autocommit: bool = False,
    role: str | None = WORKER,
    application_name: str = "strandline",
    idle_seconds: int = IDLE_SECONDS,
    durable: bool = True,
) -> Connection:
    """Open a connection that acts as `role` (None: as its login), with the settings `PINNED`.

    jsonb's fractions are `Decimal`. The server ends the connection if a transaction waits for its client for longer
    than `idle_seconds`. Unless `durable`, a crash may lose commits until one of a transaction that begins with
    `DURABLE`. Raises `DatabaseUnreachable`, or `DatabaseError` if the database cannot serve or the role is refused.
    """
    connection = _connect(url, application_name)
    try:
        _check_database(connection)
        connection.execute(_settings(connection, idle_seconds, durable).encode())
        if role is not None:
            connection.execute(SQL("SET ROLE {}").format(Identifier(role)))
        set_json_loads(read_json, connection)
        connection.autocommit = autocommit
    except BaseException as exc:
        connection.close()
        if isinstance(exc, psycopg.Error):
            raise _role_error(exc, role) from exc
        raise
    return connection


@contextmanager
def opening(url: str) -> Iterator[Callable[[], Connection]]:
    """Open a connection in the background; the function that is given waits for it."""
    with ThreadPoolExecutor(1, thread_name_prefix="opening") as pool:
        opened = pool.submit(connect, url)
        try:
            yield opened.result
        finally:
            with suppress(StrandlineError):
                opened.result().close()


def _connect(url: str, application_name: str) -> Connection:
    try:
        given = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        # libpq's own text quotes the URL, and that may hold a password.
        raise UsageError("STRANDLINE_DATABASE_URL is not a PostgreSQL URL.") from None
    source = source_for(given)
    conninfo = make_conninfo(
        url,
        **encryption(source, given),
        application_name=given.get("application_name", application_name),
        client_encoding="UTF8",
        connect_timeout=given.get("connect_timeout", CONNECT_SECONDS),
        **{name: given.get(name, value) for name, value in LIVENESS.items()},
    )
    password = source.password(given) if source is not None else None
    while True:
        try:
            return psycopg.connect(conninfo, password=password, autocommit=True)
        except psycopg.OperationalError as exc:
            # The server asked for the password: it may have been rotated. (The reason's text is in its language.)
            asked = exc.pgconn is not None and exc.pgconn.used_password
            password = source.newer(password) if source is not None and password is not None and asked else None
            if password is None:
                raise _unreachable(given, exc) from exc


def _unreachable(given: dict[str, Any], exc: psycopg.OperationalError) -> DatabaseUnreachable:
    host = given.get("host") or given.get("hostaddr") or "the default host"
    port, name = given.get("port") or "its default", given.get("dbname") or "of the login's name"
    reason = str(exc).splitlines()[0].rpartition("failed: ")[2].removeprefix("FATAL:").strip()
    advice = "Check STRANDLINE_DATABASE_URL and that the server runs; unset it to use the embedded PostgreSQL."
    if exc.pgconn is not None and exc.pgconn.used_password:
        advice = f"Check the login and its password: in STRANDLINE_DATABASE_URL, or where {SETTING} says."
    return DatabaseUnreachable(
        f"PostgreSQL at {host}, port {port}, database {name} cannot be reached: {reason}.\n{advice}"
    )


def _check_database(connection: Connection) -> None:
    major = connection.info.server_version // 10_000
    if major < OLDEST_VERSION:
        raise DatabaseError(f"The server is PostgreSQL {major}; Strandline needs {OLDEST_VERSION} or later.")
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise DatabaseError(
            f"Database {connection.info.dbname} has the encoding {encoding}, which cannot hold every document: create "
            "another one (CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0) and set STRANDLINE_DATABASE_URL to it."
        )


def _settings(connection: Connection, idle_seconds: int, durable: bool) -> str:
    """Return the statements that set the connection up, for one trip."""
    values = {**PINNED, "idle_in_transaction_session_timeout": f"{idle_seconds}s"}
    if connection.info.server_version >= TRANSACTION_TIMEOUT_VERSION:
        values["transaction_timeout"] = "0"
    statements = [f"SET {name} = {value if name == 'search_path' else repr(value)}" for name, value in values.items()]
    # A role or database that is not durable by default is overruled; a stricter level than `on` stays.
    statements.append(
        "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
        if durable
        else "SET synchronous_commit = off"
    )
    return "; ".join(statements)


def _role_error(exc: psycopg.Error, role: str | None) -> DatabaseError:
    if exc.sqlstate == "22023":
        return DatabaseError(f"The role {role} does not exist on this server: run `strandline migrate`.")
    if exc.sqlstate == "42501":
        return DatabaseError(
            f"The database login may not act as {role}: let an administrator run GRANT {role} TO that login."
        )
    return describe_error(exc)
