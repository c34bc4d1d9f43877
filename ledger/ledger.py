"""The ledger that goes on: transactions that append to the journal store."""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from queue import Empty, LifoQueue
from threading import Lock
from typing import Any, TypeVar

import psycopg

from strandline.consumer.database.connection import connect
from strandline.consumer.database.errors import describe_error
from strandline.consumer.database.migrate import migrate
from strandline.consumer.mark.mark import read_mark
from strandline.consumer.store.catalog import Table, read_active
from strandline.journal.make.ids import new_id
from strandline.ledger.appender import Appended, Appender
from strandline.ledger.errors import Conflict, LedgerError, RequestDone
from strandline.ledger.group_commit import Group
from strandline.ledger.prepared import Prepared
from strandline.ledger.reading import Reading
from strandline.ledger.transaction import Transaction

Result = TypeVar("Result")
RETRIES = 4  # as QLDB's driver
_FIRST_WAIT, _LONGEST_WAIT = 0.01, 1.0

READ_REQUEST = "SELECT transaction_id, sequence_no FROM journal.request WHERE request_id = %s"
DEFINED_SINCE = """
    SELECT EXISTS (
        SELECT FROM journal.block b, journal.mark m
        WHERE b.definitions <> '{}' AND b.sequence_no > %s AND b.sequence_no <= m.sequence_no)"""


@dataclass(frozen=True, slots=True)
class Executed:
    """A transaction's result, and where it is in the journal (None where it did nothing).

    `repeated`: its request had happened before, and the result was derived again.
    """

    result: Any
    transaction_id: str | None = None
    sequence_no: int | None = None
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class _Tables:
    """The active tables as of block `at`; `strand_id` is None while the journal is empty."""

    strand_id: str | None
    at: int
    active: dict[str, Table]


class Ledger:
    """Writes to the journal in a database, from any number of threads; other processes may write as well.

    To be closed, or used in a `with` statement.
    """

    def __init__(self, url: str, *, origin: int = 0) -> None:
        """`origin` is the number of the first block where the journal is still empty. Applies missing migrations."""
        migrate(url)
        self.url = url
        self._appender = Appender(url, origin)
        self._group: Group[Prepared, Appended | Conflict] = Group(self._append)
        self._idle: LifoQueue[psycopg.Connection[Any]] = LifoQueue()
        self._loading = Lock()
        self._known: _Tables | None = None

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._appender.close()
        self._drop_idle()

    def execute(
        self, work: Callable[[Transaction], Result], *, request_id: str | None = None, retries: int = RETRIES
    ) -> Result:
        """Run `work` as a transaction and give its result; again, up to `retries` times, where another came first.

        So it should do nothing but read and write through its argument. With a `request_id` it happens once, however
        often it is asked for; the result of a repetition is derived from the journal, by running `work` as of the
        block before. What `work` raises ends the transaction with nothing written.

        Raises Conflict after the last retry, CannotAppend, RequestDone, DatabaseError.
        """
        result: Result = self.run(work, request_id=request_id, retries=retries).result
        return result

    def run(
        self, work: Callable[[Transaction], Any], *, request_id: str | None = None, retries: int = RETRIES
    ) -> Executed:
        """As `execute`, with the transaction's place in the journal."""
        attempt = 0
        while True:
            try:
                if request_id is not None and (done := self._request(request_id)) is not None:
                    return self._again(work, done)
                return self._once(work, request_id)
            except Conflict:
                self._known = None
                if attempt == retries:
                    raise
            except psycopg.OperationalError as error:
                # A connection that was idle may have been lost since; the append's own is looked after where it is.
                self._drop_idle()
                if attempt == retries:
                    raise describe_error(error) from error
            wait = min(_FIRST_WAIT * 2**attempt, _LONGEST_WAIT)
            time.sleep(wait * random.uniform(0.5, 1.5))  # so that those who met do not meet again
            attempt += 1

    def _once(self, work: Callable[[Transaction], Any], request_id: str | None) -> Executed:
        tables = self._tables()
        reading = Reading(self._reader)
        transaction = Transaction(new_id(), tables.strand_id, tables.active, tables.at, reading)
        try:
            result = work(transaction)
            prepared = transaction.prepare(request_id)
        except Conflict:
            raise
        except LedgerError:
            if self._defined_since(tables.at):
                raise Conflict("the ledger's tables were changed") from None
            raise
        finally:
            self._put_back(reading)
        if prepared is None:
            return Executed(result)
        outcome = self._group.submit(prepared)
        if isinstance(outcome, Conflict):
            raise Conflict(str(outcome))
        if outcome.repeated:
            return self._again(work, outcome)
        self._learn(tables, prepared, outcome.sequence_no)
        return Executed(result, outcome.transaction_id, outcome.sequence_no)

    def _again(self, work: Callable[[Transaction], Any], done: Appended) -> Executed:
        """The result of a transaction that has happened, as of the block before it; nothing is written."""
        before = done.sequence_no - 1
        with self._borrowed() as connection, connection.transaction():
            active = read_active(connection, before)
        reading = Reading(self._reader, before)
        transaction = Transaction(done.transaction_id, self._tables().strand_id, active, before, reading)
        try:
            result = work(transaction)
        except RequestDone as error:
            raise RequestDone(f"transaction {done.transaction_id}, block {done.sequence_no}: {error}") from None
        finally:
            self._put_back(reading)
        return Executed(result, done.transaction_id, done.sequence_no, repeated=True)

    def _request(self, request_id: str) -> Appended | None:
        with self._borrowed() as connection:
            row = connection.execute(READ_REQUEST, [request_id]).fetchone()
        return None if row is None else Appended(row[0], row[1], repeated=True)

    def _append(self, group: Sequence[Prepared]) -> Sequence[Appended | Conflict]:
        try:
            return self._appender.append(group)
        except psycopg.OperationalError:
            # The connection was lost, perhaps while the commit was on its way: the journal tells.
            self._appender.close()
            return [self._found(prepared) for prepared in group]
        except psycopg.Error as error:
            raise describe_error(error) from error

    def _found(self, prepared: Prepared) -> Appended | Conflict:
        number = self._appender.written(prepared.transaction_id, prepared.reads.tables_at)
        if number is None:
            return Conflict("the connection to PostgreSQL was lost before the transaction was in the journal")
        return Appended(prepared.transaction_id, number)

    def _tables(self) -> _Tables:
        """The ledger's tables as this process last saw them: what was defined since shows as a conflict."""
        with self._loading:
            if self._known is None:
                with self._borrowed() as connection:
                    at = read_mark(connection)
                    with connection.transaction():
                        active = read_active(connection, at.sequence_no)
                self._known = _Tables(at.strand_id, at.sequence_no, active)
            return self._known

    def _learn(self, tables: _Tables, prepared: Prepared, sequence_no: int) -> None:
        """That it was no conflict says that up to its block no table was defined but by itself."""
        with self._loading:
            if self._known is tables:
                self._known = None if prepared.defines else replace(tables, at=sequence_no)

    def _defined_since(self, number: int) -> bool:
        with self._borrowed() as connection:
            return connection.execute(DEFINED_SINCE, [number]).fetchone() == (True,)

    def _reader(self) -> psycopg.Connection[Any]:
        """A connection that no other thread uses."""
        while True:
            try:
                connection = self._idle.get_nowait()
            except Empty:
                return connect(self.url, autocommit=True, application_name="strandline ledger")
            if not connection.closed:
                return connection

    def _drop_idle(self) -> None:
        with suppress(Empty):
            while True:
                self._idle.get_nowait().close()

    def _put_back(self, reading: Reading) -> None:
        connection = reading.close()
        if connection is not None and not connection.closed:
            self._idle.put(connection)

    @contextmanager
    def _borrowed(self) -> Iterator[psycopg.Connection[Any]]:
        connection = self._reader()
        try:
            yield connection
        finally:
            if not connection.closed:
                self._idle.put(connection)
