"""Runs a person's query with exact values: as JSON text, not as Python would round them."""

import json
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Any, cast

import psycopg
from psycopg.adapt import AdaptersMap, Buffer, Loader
from psycopg.postgres import types

from strandline.consumer.database.connection import Connection, connect
from strandline.consumer.database.errors import DatabaseError, describe_error
from strandline.journal.errors import StrandlineError

Row = tuple[Any, ...]

# A query finds tables by the search_path of its login.
SETTINGS = "RESET search_path"
WRITE_HINT = ": `strandline sql --write` uses all rights of your login"
NUMBERS = ("int2", "int4", "int8", "oid", "float4", "float8", "numeric")


class QueryError(StrandlineError):
    """PostgreSQL rejected the query. The text is PostgreSQL's own, since the query is the person's."""


class Exact(str):
    """JSON text of a value, such as a number with all its digits."""

    __slots__ = ()


@dataclass(frozen=True)
class Answer:
    """Columns, each with a unique name, and rows in the same order, read on demand.

    A value is None, bool, str, `Exact`, or a list of these.
    """

    columns: list[str]
    rows: Iterator[Row]


@contextmanager
def query(url: str, text: str, *, write: bool = False, seconds: int | None = None) -> Iterator[Answer]:
    """Run one statement that returns rows, as the login of the URL. Memory does not grow with the answer.

    The server ends it after so many `seconds`.

    Unless `write`, the transaction is read-only; with it, the statement is committed once all rows were read.
    Raises `QueryError`, also while rows are read, and `DatabaseUnreachable`.
    """
    statement = _encoded(text)
    # Closed, not committed or rolled back: the server may still be sending rows.
    with closing(connect(url, role=None, application_name="strandline sql")) as connection, _query_errors():
        connection.execute(SETTINGS)
        if seconds is not None:
            connection.execute(f"SET statement_timeout = '{seconds}s'".encode())
        connection.commit()
        connection.read_only = not write
        _load_exactly(connection.adapters)
        cursor = connection.cursor()
        # Streamed, so by the extended protocol: that accepts one statement only, and a COMMIT before the real one would
        # end the read-only transaction.
        with closing(cast(Generator[Row], cursor.stream(statement))) as rows:
            first = next(rows, None)
            if first is None:
                yield Answer(_distinct(_described(connection, statement)), rows)
            else:
                columns = [column.name for column in cursor.description or ()]
                yield Answer(_distinct(columns), chain((first,), rows))
            if write:
                deque(rows, maxlen=0)
        if write:
            connection.commit()


def json_text(value: Any) -> str:
    """Return a value of an answer as JSON."""
    if isinstance(value, Exact):
        return value
    if isinstance(value, list):
        return f"[{', '.join(map(json_text, value))}]"
    return json.dumps(value, ensure_ascii=False)


def _encoded(text: str) -> bytes:
    try:
        statement = text.encode()
    except UnicodeEncodeError:
        raise QueryError("The query is not valid UTF-8 text.") from None
    if b"\0" in statement:
        raise QueryError("The query contains a NUL character, which PostgreSQL does not accept.")
    return statement


def _described(connection: Connection, statement: bytes) -> list[str]:
    """Return the columns of a query without rows: psycopg describes those of a stream with its first row only."""
    connection.pgconn.prepare(b"", statement)
    described = connection.pgconn.describe_prepared(b"")
    return [(described.fname(index) or b"").decode() for index in range(described.nfields)]


def _distinct(names: list[str]) -> list[str]:
    """Number repeated names: a JSON object would lose all but one of them."""
    result: list[str] = []
    for name in names:
        candidate, number = name, 1
        while candidate in result:
            number += 1
            candidate = f"{name}_{number}"
        result.append(candidate)
    return result


@contextmanager
def _query_errors() -> Iterator[None]:
    try:
        yield
    except psycopg.Error as exc:
        raise _query_error(exc) from exc


def _query_error(exc: psycopg.Error) -> DatabaseError | QueryError:
    if exc.sqlstate is None and not isinstance(exc, psycopg.OperationalError):
        return QueryError("The query returns no rows: run `strandline sql` without a query to use psql.")
    if exc.sqlstate == "08P01":  # a parameter, which the protocol allows and `sql` has no value for
        return QueryError("The query has parameters, such as $1: write their values into the query.")
    if exc.sqlstate == "42501":
        return QueryError(f"PostgreSQL: {exc.diag.message_primary} (SQLSTATE {exc.sqlstate}){WRITE_HINT}.")
    if exc.sqlstate is None or exc.sqlstate.startswith(("08", "57P")):
        return describe_error(exc)
    hint = f" ({exc.diag.message_hint})" if exc.diag.message_hint else ""
    return QueryError(f"PostgreSQL: {exc.diag.message_primary}{hint} (SQLSTATE {exc.sqlstate}).")


class _Text(Loader):
    def load(self, data: Buffer) -> str:
        return bytes(data).decode()


class _Json(Loader):
    def load(self, data: Buffer) -> Exact:
        return Exact(bytes(data).decode())


class _Number(Loader):
    """Loads NaN and the infinities as text: JSON has no such numbers."""

    def load(self, data: Buffer) -> str:
        text = bytes(data).decode()
        return text if text[-1:] in ("N", "y") else Exact(text)


class _Time(Loader):
    """Loads times as RFC 3339; those that it cannot express (infinity, years BC) as PostgreSQL writes them."""

    def load(self, data: Buffer) -> str:
        text = bytes(data).decode()
        if text.endswith(("y", "C")):
            return text
        text = text.replace(" ", "T", 1)
        return text.removesuffix("+00") + "Z" if text.endswith("+00") else text


def _load_exactly(adapters: AdaptersMap) -> None:
    special: dict[str, type[Loader]] = {
        **dict.fromkeys(NUMBERS, _Number),
        "json": _Json,
        "jsonb": _Json,
        "timestamp": _Time,
        "timestamptz": _Time,
    }
    for info in types:
        # Not bool, whose own loader agrees with JSON.
        if info.name != "bool":
            adapters.register_loader(info.oid, special.get(info.name, _Text))
