"""Transactions ready to be appended, and the tables and redactions that a transaction reports."""

from dataclasses import dataclass

from strandline.journal.make.block import NewRedaction, NewRevision, Statement
from strandline.ledger.changes import Reads


@dataclass(frozen=True, slots=True)
class UserTable:
    """A table as `information_schema.user_tables` has it; `table_id` is None if QLDB created it and left it empty."""

    table_id: str | None
    name: str
    indexes: tuple[str, ...]
    status: str = "ACTIVE"


@dataclass(frozen=True, slots=True)
class RedactedRevision:
    """A revision that a transaction redacts."""

    strand_id: str
    sequence_no: int
    table_id: str
    document_id: str
    version: int


@dataclass(frozen=True, slots=True)
class Prepared:
    """A finished transaction: everything that its block needs but its place in the journal."""

    transaction_id: str
    statements: tuple[Statement, ...]
    revisions: tuple[NewRevision, ...]
    redactions: tuple[NewRedaction, ...]
    system_revisions: tuple[bytes, ...]
    defines: bool
    reads: Reads
    request_id: str | None = None
