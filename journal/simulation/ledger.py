"""What a simulated ledger is made of: documents, transactions that revise them, and what can be redacted."""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, ClassVar, TypeVar

from strandline.journal.ion.values import Timestamp
from strandline.journal.make.block import NewRevision, Redaction

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
# Old revisions beyond these are forgotten at random, so that memory does not grow with the journal.
_REVISIONS_KEPT = 5_000
_T = TypeVar("_T")


def new_id(random: Random) -> str:
    """An id in QLDB's form: 22 characters of base62."""
    return "".join(random.choices(_ALPHABET, k=22))


@dataclass
class Document:
    """A document's newest revision, and the address of every one that had data."""

    id: str
    table: str
    version: int
    data: dict[str, Any]
    addresses: list[Redaction]


@dataclass
class Transaction:
    """What one transaction does in block `sequence_no`, for the maker of blocks."""

    sequence_no: int
    time: Timestamp
    table_ids: dict[str, str]
    statements: list[tuple[str, tuple[Any, ...]]] = field(default_factory=list)
    revisions: list[NewRevision] = field(default_factory=list)
    redactions: list[Redaction] = field(default_factory=list)
    outdated: list[Redaction] = field(default_factory=list)

    def run(self, text: str, *parameters: Any) -> None:
        self.statements.append((text, parameters))

    def insert(self, document_id: str, table: str, data: dict[str, Any]) -> Document:
        self.run(f"INSERT INTO {table} ?", data)
        document = Document(document_id, table, -1, data, [])
        self.revise(document, data)
        return document

    def revise(self, document: Document, data: dict[str, Any] | None) -> None:
        """Adds the document's next revision, by the statement that ran last; None deletes the document."""
        if document.addresses:
            self.outdated.append(document.addresses[-1])
        document.version += 1
        table_id, version = self.table_ids[document.table], document.version
        self.revisions.append(
            NewRevision(document.id, table_id, document.table, version, data, (len(self.statements) - 1,))
        )
        if data is not None:
            document.data = data
            document.addresses.append(Redaction(self.sequence_no, table_id, document.id, version))


class SimulatedLedger(ABC):
    """A ledger's state and, by `random` alone, what happens next in it."""

    name: ClassVar[str]
    tables: ClassVar[Mapping[str, str]]
    """Its tables and the field that each is indexed by."""
    redactions: ClassVar[float] = 0.0
    """The share of blocks that redact, where the caller does not say."""
    deletes: ClassVar[bool] = False
    """Whether documents are deleted: then one is, once a quarter of the blocks is made."""

    def __init__(self, random: Random) -> None:
        self.deletions = 0
        self.asked_for: deque[Redaction] = deque(maxlen=_REVISIONS_KEPT)
        """Revisions that somebody asked to have redacted."""
        self.random = random
        self._table_ids = {table: new_id(random) for table in self.tables}
        self._inactive: list[Redaction] = []
        self._redacted: set[tuple[str, int]] = set()

    def transaction(self, sequence_no: int, time: Timestamp, *, first: int, late: bool) -> Transaction:
        """The next transaction, number `first` after the tables were made; `late` once a quarter of the blocks is."""
        transaction = Transaction(sequence_no, time, self._table_ids)
        self.act(transaction, first=first, late=late)
        return self._done(transaction)

    def outdating(self, sequence_no: int, time: Timestamp) -> Transaction:
        """A transaction that leaves something to redact, if there is one in this ledger."""
        transaction = Transaction(sequence_no, time, self._table_ids)
        self.outdate(transaction)
        return self._done(transaction)

    def redaction(self, sequence_no: int, time: Timestamp, strand_id: str) -> Transaction | None:
        """A redaction, one that was asked for first; None if there is no inactive revision that is not yet redacted."""
        redacted = self._next_redaction()
        if redacted is None:
            return None
        self._redacted.add((redacted.document_id, redacted.version))
        transaction = Transaction(sequence_no, time, self._table_ids)
        transaction.run(
            f"EXEC redact_revision ?, '{redacted.table_id}', '{redacted.document_id}'",
            {"strandId": strand_id, "sequenceNo": redacted.sequence_no},
        )
        transaction.redactions.append(redacted)
        return transaction

    @abstractmethod
    def act(self, transaction: Transaction, *, first: int, late: bool) -> None:
        """Fill the transaction."""

    @abstractmethod
    def outdate(self, transaction: Transaction) -> None:
        """Fill the transaction with an update."""

    def _done(self, transaction: Transaction) -> Transaction:
        for address in transaction.outdated:
            keep(self.random, self._inactive, address, _REVISIONS_KEPT)
        return transaction

    def _next_redaction(self) -> Redaction | None:
        while self.asked_for or self._inactive:
            address = self.asked_for.popleft() if self.asked_for else take(self.random, self._inactive)
            if (address.document_id, address.version) not in self._redacted:
                return address
        return None


def keep(random: Random, kept: list[_T], new: _T, limit: int) -> None:
    """Add to what is kept, in another's place where there are as many as may be."""
    if len(kept) < limit:
        kept.append(new)
    else:
        kept[random.randrange(limit)] = new


def take(random: Random, kept: list[_T]) -> _T:
    """One of them, no longer kept."""
    index = random.randrange(len(kept))
    kept[index], kept[-1] = kept[-1], kept[index]
    return kept.pop()
