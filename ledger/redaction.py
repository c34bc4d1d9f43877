"""QLDB's redaction patterns (its developer guide, "Redacting revisions"). Each redaction is a transaction."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import psycopg

from strandline.consumer.database.connection import connect
from strandline.consumer.mark.mark import read_mark
from strandline.journal.check.block import State
from strandline.ledger.errors import NoSuchRevision, NothingToRedact
from strandline.ledger.ledger import Ledger
from strandline.ledger.transaction import Transaction
from strandline.ledger.values import as_json, comparable

REVISIONS = """
    SELECT r.version, r.sequence_no, r.table_id, r.state, r.data, u.name
    FROM journal.document_version v
    CROSS JOIN LATERAL journal.revision_at(v.sequence_no, v.document_id, v.version) r
    LEFT JOIN journal.user_table u ON u.table_id = r.table_id AND u.status = 'ACTIVE'
    WHERE v.document_id = %s
    ORDER BY v.version"""


@dataclass(frozen=True, slots=True)
class Redaction:
    """A redacted revision, and the block that redacted it."""

    document_id: str
    version: int
    table_id: str
    sequence_no: int
    redacted_by: int


@dataclass(frozen=True, slots=True)
class _Revision:
    version: int
    sequence_no: int
    table_id: str
    state: State
    data: Any
    table: str | None  # the name, of an active table


def redact_revision(ledger: Ledger, document_id: str, version: int) -> Redaction:
    """Redact one revision. Raises NoSuchRevision, ActiveRevision, NothingToRedact."""
    found = next((one for one in _revisions(ledger, document_id) if one.version == version), None)
    if found is None:
        raise NoSuchRevision(f"the journal has no version {version} of document {document_id}")
    return _redact(ledger, document_id, found)


def redact_document(ledger: Ledger, document_id: str) -> Iterator[Redaction]:
    """Pattern 2: delete the document unless it is deleted, then redact every revision that has data.

    Idempotent: a repetition redacts what is left.
    """
    last = _revisions(ledger, document_id)[-1]
    if last.state != "deleted":
        table = _active(last, document_id)
        ledger.execute(lambda txn: txn.delete(table, document_id) if txn.get(table, document_id) else None)
    for revision in _revisions(ledger, document_id):
        if revision.state == "normal":
            yield _redact(ledger, document_id, revision)


def redact_attribute(
    ledger: Ledger, document_id: str, attribute: str, matches: Callable[[Any], bool] = lambda _: True
) -> Iterator[Redaction]:
    """Pattern 3: remove the attribute from the document, then redact every revision that had it.

    `matches` decides by the value, as JSON, whether to remove it; every value by default. Idempotent.
    """

    def applies(data: Any) -> bool:
        return isinstance(data, dict) and attribute in data and matches(data[attribute])

    last = _revisions(ledger, document_id)[-1]
    if last.state == "normal" and applies(last.data):
        table = _active(last, document_id)

        def remove(txn: Transaction) -> None:
            current = txn.get(table, document_id)
            if current is not None and applies(as_json(current.data)):
                txn.remove(table, document_id, attribute)

        ledger.execute(remove)
    for revision in _revisions(ledger, document_id):
        if revision.state == "normal" and applies(revision.data):
            yield _redact(ledger, document_id, revision)


def equal_to(value: Any) -> Callable[[Any], bool]:
    """Return a predicate: whether another JSON value equals this one, by jsonb's rules."""
    wanted = comparable(value)
    return lambda other: bool(comparable(other) == wanted)


def _redact(ledger: Ledger, document_id: str, revision: _Revision) -> Redaction:
    with connect(ledger.url) as connection:
        strand_id = read_mark(connection).strand_id
    address = {"strandId": strand_id, "sequenceNo": revision.sequence_no}
    done = ledger.run(lambda txn: txn.redact_revision(address, revision.table_id, document_id))
    assert done.sequence_no is not None
    return Redaction(document_id, revision.version, revision.table_id, revision.sequence_no, done.sequence_no)


def _revisions(ledger: Ledger, document_id: str) -> list[_Revision]:
    with connect(ledger.url) as connection:
        rows: list[tuple[Any, ...]] = _read(connection, document_id)
    if not rows:
        raise NoSuchRevision(f"the journal has no document {document_id}")
    return [_Revision(*row) for row in rows]


def _read(connection: psycopg.Connection[Any], document_id: str) -> list[tuple[Any, ...]]:
    return connection.execute(REVISIONS, [document_id]).fetchall()


def _active(revision: _Revision, document_id: str) -> str:
    if revision.table is None:
        raise NothingToRedact(
            f"document {document_id} is in a dropped table, in which its current revision cannot be changed"
        )
    return revision.table
