"""The base of simulated ledgers: documents, transactions that revise them, and the revisions that can be redacted."""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, ClassVar, TypeVar

from strandline.journal.ion.values import Timestamp
from strandline.journal.make.block import NewRedaction, NewRevision

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
# Beyond this number, random old revisions are forgotten, so that memory does not grow with the journal.
_REVISIONS_KEPT = 5_000
_T = TypeVar("_T")


def new_id(random: Random) -> str:
    """Return an id in QLDB's form: 22 characters of base62."""
    return "".join(random.choices(_ALPHABET, k=22))


@dataclass
class Document:
    """A document's newest revision, and the addresses of all its revisions with data."""

    id: str
    table: str
    version: int
    data: dict[str, Any]
    addresses: list[NewRedaction]


@dataclass
class Transaction:
    """The contents of one transaction in block `sequence_no`, for the BlockMaker."""

    sequence_no: int
    time: Timestamp
    table_ids: dict[str, str]
    statements: list[tuple[str, tuple[Any, ...]]] = field(default_factory=list)
    revisions: list[NewRevision] = field(default_factory=list)
    redactions: list[NewRedaction] = field(default_factory=list)
    outdated: list[NewRedaction] = field(default_factory=list)

    def run(self, text: str, *parameters: Any) -> None:
        self.statements.append((text, parameters))

    def insert(self, document_id: str, table: str, data: dict[str, Any]) -> Document:
        self.run(f"INSERT INTO {table} ?", data)
        document = Document(document_id, table, -1, data, [])
        self.revise(document, data)
        return document

    def revise(self, document: Document, data: dict[str, Any] | None) -> None:
        """Add the document's next revision, made by the last statement; None deletes the document."""
        if document.addresses:
            self.outdated.append(document.addresses[-1])
        document.version += 1
        table_id, version = self.table_ids[document.table], document.version
        self.revisions.append(
            NewRevision(document.id, table_id, document.table, version, data, (len(self.statements) - 1,))
        )
        if data is not None:
            document.data = data
            document.addresses.append(NewRedaction(self.sequence_no, table_id, document.id, version))


class SimulatedLedger(ABC):
    """A ledger's state, and its next transaction as a function of that state and `random`."""

    name: ClassVar[str]
    tables: ClassVar[Mapping[str, str]]
    """Its tables and the indexed field of each."""
    redactions: ClassVar[float] = 0.0
    """The default share of blocks that redact."""
    deletes: ClassVar[bool] = False
    """True if documents are deleted; the first is deleted after a quarter of the blocks."""

    def __init__(self, random: Random) -> None:
        self.deletions = 0
        self.asked_for: deque[NewRedaction] = deque(maxlen=_REVISIONS_KEPT)
        """Revisions that somebody requested to redact."""
        self.random = random
        self._table_ids = {table: new_id(random) for table in self.tables}
        self._inactive: list[NewRedaction] = []
        self._redacted: set[tuple[str, int]] = set()

    def transaction(self, sequence_no: int, time: Timestamp, *, first: int, late: bool) -> Transaction:
        """Return the next transaction: number `first` after the opening ones, `late` after a quarter of all blocks."""
        transaction = Transaction(sequence_no, time, self._table_ids)
        self.act(transaction, first=first, late=late)
        return self._done(transaction)

    def outdating(self, sequence_no: int, time: Timestamp) -> Transaction:
        """Return a transaction that makes a revision inactive, if this ledger has one."""
        transaction = Transaction(sequence_no, time, self._table_ids)
        self.outdate(transaction)
        return self._done(transaction)

    def redaction(self, sequence_no: int, time: Timestamp, strand_id: str) -> Transaction | None:
        """Return a redaction, of requested revisions first; None if every inactive revision is already redacted."""
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

    def _next_redaction(self) -> NewRedaction | None:
        while self.asked_for or self._inactive:
            address = self.asked_for.popleft() if self.asked_for else take(self.random, self._inactive)
            if (address.document_id, address.version) not in self._redacted:
                return address
        return None


def keep(random: Random, kept: list[_T], new: _T, limit: int) -> None:
    """Add `new` to `kept`; at the limit it replaces a random member."""
    if len(kept) < limit:
        kept.append(new)
    else:
        kept[random.randrange(limit)] = new


def take(random: Random, kept: list[_T]) -> _T:
    """Remove and return a random member of `kept`."""
    index = random.randrange(len(kept))
    kept[index], kept[-1] = kept[-1], kept[index]
    return kept.pop()
