"""A query in PartiQL that can write nothing: one SELECT, as of the mark, by a role that may only read."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import psycopg

from strandline.consumer.database.connection import AUDITOR, connect
from strandline.consumer.mark.mark import read_mark
from strandline.consumer.store.catalog import Table, read_tables
from strandline.journal.make.ids import new_id
from strandline.ledger.errors import TransactionExpired
from strandline.ledger.execution.documents import Documents
from strandline.ledger.execution.explain import explain
from strandline.ledger.execution.statements import Result, run
from strandline.ledger.partiql import syntax
from strandline.ledger.partiql.errors import SemanticError, StatementError
from strandline.ledger.partiql.parser import parse
from strandline.ledger.reading import Reading
from strandline.ledger.values import as_ion

Connection = psycopg.Connection[tuple[Any, ...]]


@dataclass(frozen=True)
class _Pool:
    """A pool of the one connection that a query has."""

    connection: Connection

    def getconn(self) -> Connection:
        return self.connection

    def putconn(self, connection: Connection) -> None: ...


class _WithoutIndexes(Documents):
    """Documents that no index leads to: its look-ups are behind."""

    def table(self, name: str) -> Table | None:
        found = super().table(name)
        return None if found is None else replace(found, indexes=[])


@dataclass(frozen=True)
class Query:
    """A query that runs. `rows` are Ion values, read as they are asked for; `rows.reads` counts what was read for them.

    `at` is the block as of which it reads, `plan` says how the rows of each source are found. `indexed`: the look-ups
    of indexes are up to date.
    """

    rows: Result
    plan: list[str]
    at: int
    indexed: bool


class Cancelled(StatementError):
    """The query was cancelled."""


class Cancel:
    """Ends a query from another thread."""

    def __init__(self) -> None:
        self.asked = False
        self._connection: Connection | None = None

    def __call__(self) -> None:
        self.asked = True
        if self._connection is not None:
            self._connection.cancel_safe(timeout=5)

    def watch(self, connection: Connection) -> None:
        self._connection = connection


@contextmanager
def query(
    url: str, text: str, parameters: Sequence[Any] = (), *, seconds: float, cancel: Cancel | None = None
) -> Iterator[Query]:
    """Run a SELECT. PostgreSQL sees fixed statements only, as the auditor, in a transaction that is read-only.

    An index is used if its look-ups are up to date, as the ledger's own writes keep them; else the table is read.
    Raises StatementError, also while rows are read; TransactionExpired after so many seconds; DatabaseError.
    """
    statement = parse(text).node
    if not isinstance(statement, syntax.Select):
        raise StatementError("Only SELECT can be run here: nothing is changed")
    given = [as_ion(one)[0] for one in parameters]
    cancel, deadline = cancel or Cancel(), time.monotonic() + seconds

    def check() -> None:
        if cancel.asked:
            raise Cancelled("The query was cancelled")
        if time.monotonic() > deadline:
            raise TransactionExpired(f"The query ran for {seconds:g} s, the most that it may: narrow it")

    with connect(url, role=AUDITOR, application_name="strandline partiql", autocommit=True) as connection:
        connection.execute("SET default_transaction_read_only = on")
        cancel.watch(connection)
        with _errors(check), Reading(_Pool(connection), seconds=seconds, follow=False) as reading:
            at = reading.end
            tables, strand_id = read_tables(connection, at), read_mark(connection).strand_id
            kind = Documents if reading.followed else _WithoutIndexes
            documents = kind(new_id(), strand_id, tables.active(), at, reading, tables.dropped())
            plan = list(explain(documents, text))
            yield Query(run(documents, text, given, check), plan, at, reading.followed)


@contextmanager
def _errors(check: Callable[[], None]) -> Iterator[None]:
    try:
        yield
    except psycopg.errors.QueryCanceled:
        check()
        raise Cancelled("PostgreSQL ended the query: it ran for too long, or was cancelled") from None
    except RecursionError:
        raise SemanticError("Semantic Error: the values are nested too deeply") from None
