"""An open transaction: its statements arrive one by one, as QLDB's drivers send them."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from threading import RLock
from typing import Any

import psycopg

from strandline.journal.check.merkle import dot
from strandline.journal.ion.hash import ion_hash
from strandline.ledger.errors import TransactionEnded, TransactionExpired, WrongDocument
from strandline.ledger.execution.documents import Documents
from strandline.ledger.execution.explain import explain
from strandline.ledger.execution.statements import Result, run
from strandline.ledger.partiql.errors import SemanticError
from strandline.ledger.prepared import Prepared
from strandline.ledger.reading import Reading
from strandline.ledger.values import as_value

SECONDS = 30.0  # QLDB's limit (developer guide, "Quotas")
_END = object()


class OpenTransaction:
    """Runs PartiQL statements until `commit` or `abort`. One thread at a time may use it, not always the same.

    It holds a connection from its first read on. A statement that fails ends it: only part of it may have happened.
    Leaving a `with` block aborts what was not committed.
    """

    def __init__(
        self,
        documents: Documents,
        reading: Reading,
        commit: Callable[[Prepared], int],
        guard: Callable[[], AbstractContextManager[None]],
        seconds: float = SECONDS,
    ) -> None:
        """`commit` appends and returns the block's number; `guard` turns the database's errors into the ledger's."""
        self.transaction_id = documents.transaction_id
        self.digest = ion_hash(self.transaction_id)
        self._documents = documents
        self._reading = reading
        self._append = commit
        self._guard = guard
        self._deadline = time.monotonic() + seconds
        self._ended: str | None = None
        self._using = RLock()

    def __enter__(self) -> "OpenTransaction":
        return self

    def __exit__(self, *_: object) -> None:
        self.abort()

    @property
    def written(self) -> int:
        """The number of documents that it wrote."""
        return self._documents.written

    @property
    def since(self) -> int:
        """A block that the ledger had when it began. Its own comes after it (`Ledger.find_transaction`)."""
        return self._documents.since

    @property
    def expired(self) -> bool:
        return time.monotonic() > self._deadline

    def execute(self, text: str, *parameters: Any) -> "Rows":
        """Run a statement and return its rows. Values are Ion's, as `journal.ion.values` reads them.

        Raises StatementError, Conflict, TransactionExpired, TransactionEnded, or another LedgerError.
        """
        with self._using:
            self._check()
            values = list(map(as_value, parameters))
            self.digest = dot(self.digest, statement_digest(text, values))
            try:
                return Rows(run(self._documents, text, values, self._check), self)
            except BaseException:
                with self._guard(), self._failing():
                    raise

    def explain(self, text: str) -> list[str]:
        """Return how the rows of a statement's sources would be found; those of a query within it are indented."""
        with self._using, self._guard():
            return list(explain(self._documents, text))

    def commit(self) -> int | None:
        """Append the transaction and return its block's number; None if it ran no statement.

        Raises Conflict, CannotAppend, TransactionExpired, TransactionEnded.
        """
        with self._using:
            self._check()
            prepared = self._documents.prepare()
            self._end("it was committed")
            if prepared is None:
                return None
            with self._guard():
                return self._append(prepared)

    def abort(self) -> None:
        """End the transaction without a trace. A no-op if it has ended."""
        with self._using:
            self._end("it was aborted")

    def _check(self) -> None:
        if self._ended is not None:
            raise TransactionEnded(f"transaction {self.transaction_id} is not open: {self._ended}")
        if self.expired:
            self._end("it has expired")
            raise TransactionExpired(f"Transaction {self.transaction_id} has expired")

    def _end(self, why: str) -> None:
        if self._ended is None:
            self._ended = why
            self._reading.__exit__()

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """End the transaction if a statement fails: only part of it may have happened."""
        try:
            yield
        except BaseException as error:
            self._end("a statement failed")
            if isinstance(error, psycopg.errors.QueryCanceled):
                raise TransactionExpired(f"Transaction {self.transaction_id} has expired") from None
            if isinstance(error, RecursionError):
                raise SemanticError("Semantic Error: the values are nested too deeply") from None
            raise


class Rows:
    """The rows of a statement, which may be read while its transaction is open."""

    def __init__(self, result: Result, transaction: OpenTransaction) -> None:
        self._result = result
        self._rows = iter(result)
        self._transaction = transaction
        self._counted = 0

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        transaction = self._transaction
        with transaction._using:
            transaction._check()
            try:
                row = next(self._rows, _END)
            except BaseException:
                with transaction._guard(), transaction._failing():  # to enter both for each row takes 5 µs
                    raise
        if row is _END:
            raise StopIteration
        return row

    def new_reads(self) -> int:
        """Return how many documents were read since the last call."""
        before, self._counted = self._counted, self._result.reads
        return self._counted - before


def statement_digest(text: str, parameters: Sequence[Any]) -> bytes:
    """Return the digest of a statement as QLDB's drivers compute it. Raises LedgerError for what has no Ion Hash."""
    try:
        digest = ion_hash(text)
        for one in parameters:
            digest = dot(digest, ion_hash(one))
    except (RecursionError, UnicodeEncodeError):
        raise WrongDocument("a value that has no Ion Hash") from None
    return digest
