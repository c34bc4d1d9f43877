"""The ledger: transactions that append to the journal store."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Any, TypeVar

import psycopg
import stamina
from psycopg_pool import ConnectionPool, PoolTimeout

from strandline.consumer.database.connection import CONNECT_SECONDS, connect
from strandline.consumer.database.errors import DatabaseError, DatabaseUnreachable, describe_error
from strandline.consumer.database.migrate import migrate
from strandline.consumer.mark.mark import read_mark
from strandline.consumer.store.catalog import Table, read_active, read_tables
from strandline.journal.make.ids import new_id
from strandline.ledger.appender import Appender, AppendResult
from strandline.ledger.appender_sql import WRITTEN
from strandline.ledger.errors import Conflict, LedgerError, RequestDone, TransactionExpired
from strandline.ledger.execution.access import May
from strandline.ledger.execution.documents import Documents
from strandline.ledger.execution.plan import Plans
from strandline.ledger.group_commit import Group
from strandline.ledger.open_transaction import SECONDS, OpenTransaction
from strandline.ledger.prepared import Prepared
from strandline.ledger.reading import Reading
from strandline.ledger.transaction import Transaction

Result = TypeVar("Result")
RETRIES = 4  # as QLDB's driver
FIRST_WAIT, LONGEST_WAIT = 0.01, 1.0
MOST_READERS = 32  # connections; a thread that needs one more waits

READ_REQUEST = "SELECT transaction_id, sequence_no FROM journal.request WHERE request_id = %s"
DEFINED_SINCE = """
    SELECT EXISTS (
        SELECT FROM journal.block b, journal.mark m
        WHERE b.definitions <> '{}' AND b.sequence_no > %s AND b.sequence_no <= m.sequence_no)"""


@dataclass(frozen=True, slots=True)
class ExecutionResult:
    """A transaction's result, and its place in the journal (None if it wrote nothing).

    `repeated` says that its request had happened before, and that the result was derived again.
    """

    result: Any
    transaction_id: str | None = None
    sequence_no: int | None = None
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class _Tables:
    """The tables as of block `at`, the dropped ones by id; `strand_id` is None while the journal is empty."""

    strand_id: str | None
    at: int
    active: dict[str, Table]
    dropped: dict[str, Table]
    plans: Plans = field(default_factory=Plans)


class Ledger:
    """Writes to the journal in a database, from any number of threads. Other processes may write to it too.

    Close it, or use it in a `with` statement.
    """

    def __init__(self, url: str, *, origin: int = 0, readers: int | None = None) -> None:
        """Apply missing migrations. `origin` is the number of the first block of an empty journal.

        `readers` is the most transactions that may read at once (MOST_READERS by default); others wait.
        """
        migrate(url)
        self.url = url
        self._origin = origin
        self._appender = Appender(url, origin)
        self._group: Group[Prepared, AppendResult | Conflict] = Group(self._append)
        self._pool = ConnectionPool(
            url,
            connection_class=_Reader,
            min_size=0,
            max_size=readers or MOST_READERS,
            timeout=CONNECT_SECONDS,
            reconnect_timeout=CONNECT_SECONDS,  # no long pauses after an outage
            open=True,
        )
        self._loading = Lock()
        self._known: _Tables | None = None

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._appender.close()
        self._pool.close()

    def execute(
        self, work: Callable[[Transaction], Result], *, request_id: str | None = None, retries: int = RETRIES
    ) -> Result:
        """Run `work` as a transaction and return its result; again, up to `retries` times, after a conflict.

        So `work` should do nothing but read and write through its argument. What it raises ends the transaction, and
        nothing is written. With a `request_id` the transaction happens once, however often it is called. The result of
        a repetition is derived from the journal: `work` runs as of the block before.

        Raises Conflict after the last retry, CannotAppend, RequestDone, DatabaseError.
        """
        result: Result = self.run(work, request_id=request_id, retries=retries).result
        return result

    def run(
        self, work: Callable[[Transaction], Any], *, request_id: str | None = None, retries: int = RETRIES
    ) -> ExecutionResult:
        """Run as `execute` does; also returns the transaction's place in the journal."""
        for attempt in stamina.retry_context(
            on=_may_pass, attempts=retries + 1, timeout=None,
            wait_initial=FIRST_WAIT, wait_max=LONGEST_WAIT, wait_jitter=FIRST_WAIT,
        ):  # fmt: skip
            with attempt:
                executed = self._try(work, request_id)
        return executed

    def begin(self, seconds: float = SECONDS, may: May | None = None) -> OpenTransaction:
        """Begin a transaction whose PartiQL statements come one by one. It expires after so many seconds.

        `may` says which actions are allowed on which tables; without it all are. Commit or abort the transaction, or
        use it in a `with` statement. Raises DatabaseError.
        """
        with self._guarded():
            tables = self._tables()
        reading = Reading(self._pool, seconds=seconds)
        documents = Documents(new_id(), tables.strand_id, tables.active, tables.at, reading, tables.dropped)
        documents.plans = tables.plans
        documents.may = may
        return OpenTransaction(
            documents,
            reading,
            lambda prepared: self._commit(tables, prepared).sequence_no,
            lambda: self._conflicting(tables),
            seconds,
        )

    def find_transaction(self, transaction_id: str, since: int = -1) -> int | None:
        """Return the number of the block that a transaction became; None if it is not in the journal.

        So the outcome of a commit can be found whose answer was lost. Reads the blocks above `since`, and without it
        the whole journal, of which nobody keeps an index by transaction: keep `OpenTransaction.since` with the id.
        """
        with self._guarded(), self._pool.connection() as connection:
            row = connection.execute(WRITTEN, [since, transaction_id]).fetchone()
        return None if row is None else int(row[0])

    def _try(self, work: Callable[[Transaction], Any], request_id: str | None) -> ExecutionResult:
        with self._guarded():
            if request_id is not None and (done := self._request(request_id)) is not None:
                return self._again(work, done)
            return self._once(work, request_id)

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """Forget the known tables after a conflict; turn errors of the database into the ledger's."""
        try:
            yield
        except Conflict:
            self._known = None
            raise
        except PoolTimeout:
            raise DatabaseUnreachable(
                f"The ledger got no connection to PostgreSQL within {CONNECT_SECONDS} s: "
                "check that the server runs, and that it has connections left."
            ) from None
        except psycopg.OperationalError as error:
            # A connection may have been lost while it was idle. The appender looks after its own connection.
            self._pool.check()
            raise describe_error(error) from error

    @contextmanager
    def _conflicting(self, tables: _Tables) -> Iterator[None]:
        """Turn an error into a conflict if tables were defined since: it may be due to that."""
        with self._guarded():
            try:
                yield
            except (Conflict, TransactionExpired):
                raise
            except LedgerError:
                if self._defined_since(tables.at):
                    raise Conflict("the ledger's tables were changed") from None
                raise

    def _once(self, work: Callable[[Transaction], Any], request_id: str | None) -> ExecutionResult:
        tables = self._tables()
        with self._conflicting(tables), Reading(self._pool) as reading:
            transaction = Transaction(new_id(), tables.strand_id, tables.active, tables.at, reading, tables.dropped)
            result = work(transaction)
            prepared = transaction.prepare(request_id)
        if prepared is None:
            return ExecutionResult(result)
        outcome = self._commit(tables, prepared)
        if outcome.repeated:
            return self._again(work, outcome)
        return ExecutionResult(result, outcome.transaction_id, outcome.sequence_no)

    def _commit(self, tables: _Tables, prepared: Prepared) -> AppendResult:
        outcome = self._group.submit(prepared)
        if isinstance(outcome, Conflict):
            raise Conflict(str(outcome))
        if not outcome.repeated:
            self._learn(tables, prepared, outcome.sequence_no)
        return outcome

    def _again(self, work: Callable[[Transaction], Any], done: AppendResult) -> ExecutionResult:
        """Derive the result of a transaction that has happened, as of the block before it; writes nothing."""
        before = done.sequence_no - 1
        with self._pool.connection() as connection, connection.transaction():
            active = read_active(connection, before)
        strand_id = self._tables().strand_id
        try:
            with Reading(self._pool, before) as reading:
                result = work(Transaction(done.transaction_id, strand_id, active, before, reading))
        except RequestDone as error:
            raise RequestDone(f"transaction {done.transaction_id}, block {done.sequence_no}: {error}") from None
        return ExecutionResult(result, done.transaction_id, done.sequence_no, repeated=True)

    def _request(self, request_id: str) -> AppendResult | None:
        with self._pool.connection() as connection:
            row = connection.execute(READ_REQUEST, [request_id]).fetchone()
        return None if row is None else AppendResult(row[0], row[1], repeated=True)

    def _append(self, group: Sequence[Prepared]) -> Sequence[AppendResult | Conflict]:
        try:
            return self._appender.append(group)
        except psycopg.OperationalError:
            # The connection was lost, perhaps during the commit: only the journal knows whether it happened.
            self._appender.close()
            return [self._found(prepared) for prepared in group]
        except psycopg.Error as error:
            raise describe_error(error) from error

    def _found(self, prepared: Prepared) -> AppendResult | Conflict:
        number = self._appender.written(prepared.transaction_id, prepared.reads.since)
        if number is None:
            return Conflict("the connection to PostgreSQL was lost before the transaction was in the journal")
        return AppendResult(prepared.transaction_id, number)

    def _tables(self) -> _Tables:
        """Return the ledger's tables as this process last saw them. A later definition shows as a conflict."""
        with self._loading:
            if self._known is None:
                with self._pool.connection() as connection:
                    at = read_mark(connection)
                    with connection.transaction():
                        tables = read_tables(connection, at.sequence_no)
                number = self._origin - 1 if at.strand_id is None else at.sequence_no
                self._known = _Tables(at.strand_id, number, tables.active(), tables.dropped())
            return self._known

    def _learn(self, tables: _Tables, prepared: Prepared, sequence_no: int) -> None:
        """Update the known tables: without a conflict, no other transaction defined a table up to its block."""
        with self._loading:
            if self._known is tables:
                self._known = None if prepared.defines else replace(tables, at=sequence_no)

    def _defined_since(self, number: int) -> bool:
        with self._pool.connection() as connection:
            return connection.execute(DEFINED_SINCE, [number]).fetchone() == (True,)


class _Reader(psycopg.Connection[tuple[Any, ...]]):
    """A connection of the pool, with the settings and the role of all connections."""

    @classmethod
    def connect(cls, conninfo: str = "", **_: Any) -> Any:
        return connect(conninfo, autocommit=True, application_name="strandline ledger")


def _may_pass(error: Exception) -> bool:
    """Return whether a retry may help: after a conflict, or a lost connection."""
    lost = isinstance(error, DatabaseError) and isinstance(error.__cause__, psycopg.OperationalError)
    return isinstance(error, Conflict) or lost
