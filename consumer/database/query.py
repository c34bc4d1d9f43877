"""A user's own query in a read-only transaction, its values exact: as JSON text, not as Python would round them."""

import json
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

SETTINGS = "SET datestyle = 'ISO'; SET bytea_output = 'hex'; SET default_transaction_read_only = on"
NUMBERS = ("int2", "int4", "int8", "oid", "float4", "float8", "numeric")


class QueryError(StrandlineError):
    """PostgreSQL refused the query; its own words, since the query is the user's."""


class Exact(str):
    """JSON text of a value, such as a number with all its digits."""

    __slots__ = ()


@dataclass(frozen=True)
class Answer:
    """Columns, each with a name of its own, and rows in the same order, read as they are asked for.

    A value is None, bool, str, `Exact`, or a list of these.
    """

    columns: list[str]
    rows: Iterator[Row]


@contextmanager
def query(url: str, text: str) -> Iterator[Answer]:
    """Run one statement that gives rows, as the login of the URL; memory does not grow with the answer.

    Raises `QueryError`, also while rows are read, `DatabaseUnreachable`.
    """
    # Closed, not committed or rolled back: rows may still be on their way.
    with closing(connect(url, role=None, application_name="strandline sql")) as connection, _told():
        connection.execute(SETTINGS)
        connection.commit()
        connection.read_only = True
        _load_exactly(connection.adapters)
        cursor = connection.cursor()
        # Streamed, so by the extended protocol: that takes one statement only, and a COMMIT before the real one would
        # end the read-only transaction.
        with closing(cast(Generator[Row], cursor.stream(text.encode()))) as rows:
            first = next(rows, None)
            if first is None:
                yield Answer(_distinct(_described(connection, text)), rows)
            else:
                columns = [column.name for column in cursor.description or ()]
                yield Answer(_distinct(columns), chain((first,), rows))


def json_text(value: Any) -> str:
    """A value of an answer as JSON."""
    if isinstance(value, Exact):
        return value
    if isinstance(value, list):
        return f"[{', '.join(map(json_text, value))}]"
    return json.dumps(value, ensure_ascii=False)


def _described(connection: Connection, text: str) -> list[str]:
    """The columns of a query that gave no rows: psycopg tells those of a stream by its first row only."""
    connection.pgconn.prepare(b"", text.encode())
    described = connection.pgconn.describe_prepared(b"")
    return [(described.fname(index) or b"").decode() for index in range(described.nfields)]


def _distinct(names: list[str]) -> list[str]:
    """The names, those that repeat with a number: a JSON object would lose all but one of them."""
    result: list[str] = []
    for name in names:
        candidate, number = name, 1
        while candidate in result:
            number += 1
            candidate = f"{name}_{number}"
        result.append(candidate)
    return result


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except psycopg.Error as exc:
        raise _meaning(exc) from exc


def _meaning(exc: psycopg.Error) -> DatabaseError | QueryError:
    if exc.sqlstate is None and not isinstance(exc, psycopg.OperationalError):
        return QueryError("The query gives no rows; for commands, use `strandline sql` without a query (psql).")
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
    """NaN and the infinities are text: JSON has no such numbers."""

    def load(self, data: Buffer) -> str:
        text = bytes(data).decode()
        return text if text[-1:] in ("N", "y") else Exact(text)


class _Time(Loader):
    """RFC 3339; what it cannot say (infinity, years before Christ) stays as PostgreSQL writes it."""

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
        # Not bool, whose own loader says what JSON says.
        if info.name != "bool":
            adapters.register_loader(info.oid, special.get(info.name, _Text))
