"""Connections to PostgreSQL, and what its errors mean to the person who runs Strandline."""

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
from strandline.consumer.settings import Settings
from strandline.journal.errors import StrandlineError, UsageError
from strandline.journal.ion.json import exact

# Every process that retries imports this module. stamina's own hooks log an error's text, which may hold payload.
stamina.instrumentation.set_on_retry_hooks(())

Connection = psycopg.Connection[tuple[Any, ...]]

WORKER = "strandline_worker"
OLDEST_VERSION = 15
CONNECT_SECONDS = 10
# So that a server whose machine or network is gone without a word is known to be within a minute or so.
LIVENESS = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3, "tcp_user_timeout": 60_000}
# So that the server ends the session of a client that is gone without a word in the middle of a transaction, whose
# locks hold up all others. Nothing here lets a transaction wait for nearly as long.
IDLE_SECONDS = 300
# Of a transaction: whether its commit waits until the disk has it, and all that was committed before.
DURABLE = "SET LOCAL synchronous_commit TO DEFAULT"
NOT_DURABLE = "SET LOCAL synchronous_commit = off"


# For what every row has; it gives the same values as `exact`, but for whole numbers that it does not take.
_JSONB = msgspec.json.Decoder(float_hook=Decimal)


def read_json(text: str | bytes) -> Any:
    """The value of jsonb, given as text; numbers are int or `Decimal`."""
    try:
        return _JSONB.decode(text)
    except msgspec.MsgspecError:
        return exact(text if isinstance(text, str) else str(text, "utf-8"))


def columns_of(rows: Iterable[Sequence[Any]], width: int = 0) -> list[list[Any]]:
    """Return the columns of rows, as the parameters of `unnest`; `width` is how many there are if there is no row."""
    return [list(column) for column in zip(*rows, strict=True)] or [[] for _ in range(width)]


@contextmanager
def open_database(settings: Settings) -> Iterator[str]:
    """The URL of the database: the one that is set, else that of the embedded server, running meanwhile."""
    if settings.database_url is not None:
        yield settings.database_url
        return
    with embedded_postgres(settings.home) as url:
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
    """A connection that acts as `role` (None: as its login), in UTC, jsonb's fractions as `Decimal`.

    The server ends it where a transaction waits for its client for longer than `idle_seconds`. Unless `durable`, the
    server may lose what it commits in a crash, until a transaction that begins with `DURABLE` is committed.
    Raises `DatabaseUnreachable`, or `DatabaseError` where the role may not be taken or the server is too old.
    """
    connection = _connect(url, application_name)
    try:
        _check_version(connection)
        settings = f"SET TIME ZONE 'UTC'; SET idle_in_transaction_session_timeout = '{idle_seconds}s'"
        connection.execute((settings if durable else f"{settings}; SET synchronous_commit = off").encode())
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
    """A connection that is opened while something else goes on, and waited for where it is asked for."""
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
    conninfo = make_conninfo(
        url,
        application_name=given.get("application_name", application_name),
        connect_timeout=given.get("connect_timeout", CONNECT_SECONDS),
        **{name: given.get(name, value) for name, value in LIVENESS.items()},
    )
    try:
        return psycopg.connect(conninfo, autocommit=True)
    except psycopg.OperationalError as exc:
        raise _unreachable(given, exc) from exc


def _unreachable(given: dict[str, Any], exc: psycopg.OperationalError) -> DatabaseUnreachable:
    host = given.get("host") or given.get("hostaddr") or "the default host"
    port, name = given.get("port") or "its default", given.get("dbname") or "of the login's name"
    reason = str(exc).splitlines()[0].rpartition("failed: ")[2].removeprefix("FATAL:").strip()
    return DatabaseUnreachable(
        f"PostgreSQL at {host}, port {port}, database {name} cannot be reached: {reason}.\n"
        "Check STRANDLINE_DATABASE_URL and that the server runs; unset it to use the embedded PostgreSQL."
    )


def _check_version(connection: Connection) -> None:
    major = connection.info.server_version // 10_000
    if major < OLDEST_VERSION:
        raise DatabaseError(f"The server is PostgreSQL {major}; Strandline needs {OLDEST_VERSION} or later.")


def _role_error(exc: psycopg.Error, role: str | None) -> DatabaseError:
    if exc.sqlstate == "22023":
        return DatabaseError(f"The role {role} does not exist on this server: run `strandline migrate`.")
    if exc.sqlstate == "42501":
        return DatabaseError(
            f"The database login may not act as {role}: let an administrator run GRANT {role} TO that login."
        )
    return describe_error(exc)
