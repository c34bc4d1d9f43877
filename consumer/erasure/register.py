"""The register of redactions as a file: a fresh store imports it, and strips the redacted data at intake.

JSON, `{"strandId", "redactions": [{"documentId", "version", "tableId", "sequenceNo", "redactedBy", "dataHash",
"revisionHash"}]}`, a redaction a line. The hashes are base64: dataHash is null if the data was only ever there as JSON,
revisionHash if the store had no such revision. The file holds no data.
"""

import json
import os
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from strandline.consumer.database.connection import Connection
from strandline.consumer.intake.writer import JournalWriter
from strandline.consumer.mark.lock import strand_lock
from strandline.consumer.mark.mark import read_mark
from strandline.journal.check.members import ShapeError, hash_in, id_in, list_in, number_in, struct_in
from strandline.journal.errors import StrandlineError, UsageError

READ_REGISTER = """
    SELECT document_id, version, table_id, sequence_no, redacted_by, data_hash, revision_hash FROM journal.redaction
    ORDER BY redacted_by, document_id, version"""
READ_UNKNOWN = """
    SELECT count(*) FROM unnest(%s::text[], %s::bigint[]) AS named (document_id, version)
    WHERE NOT EXISTS (
        SELECT FROM journal.redaction d WHERE d.document_id = named.document_id AND d.version = named.version)"""
READ_IN_USE = """
    SELECT EXISTS (SELECT FROM journal.block) OR EXISTS (SELECT FROM journal.revision)
        OR EXISTS (SELECT FROM projection.generation)"""
ADD = """
    INSERT INTO journal.redaction (
        document_id, version, table_id, sequence_no, redacted_by, data_hash, revision_hash, imported)
    SELECT *, true FROM unnest(
        %s::text[], %s::bigint[], %s::text[], %s::bigint[], %s::bigint[], %s::bytea[], %s::bytea[])
    ON CONFLICT (document_id, version) DO NOTHING"""


@dataclass(frozen=True, slots=True)
class Entry:
    """One redaction: the revision, its block, the block that redacted it, and both hashes."""

    document_id: str
    version: int
    table_id: str
    sequence_no: int
    redacted_by: int
    data_hash: bytes | None
    revision_hash: bytes | None


@dataclass(frozen=True)
class Register:
    """The redactions of one strand."""

    strand_id: str
    entries: Sequence[Entry]

    @property
    def last_redacting_block(self) -> int | None:
        """Return the block that confirms the last of the entries; None without entries."""
        return max((entry.redacted_by for entry in self.entries), default=None)


def read_register(connection: Connection) -> Register:
    """Return the store's register. Raises `StrandlineError` if the store holds no strand."""
    strand_id = read_mark(connection).strand_id
    if strand_id is None:
        raise StrandlineError("The store is empty: run `strandline replay SOURCE` first.")
    with connection.transaction():
        return Register(strand_id, [Entry(*row) for row in connection.execute(READ_REGISTER)])


def write_file(register: Register, path: Path) -> None:
    """Write the register to a file, atomically."""
    lines = ",\n".join(json.dumps(_as_dict(entry)) for entry in register.entries)
    text = f'{{"strandId": {json.dumps(register.strand_id)}, "redactions": [\n{lines}\n]}}\n'
    new = path.with_name(f"{path.name}.new")
    with new.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def read_file(path: Path) -> Register:
    """Read a register from a file. Raises `UsageError` if it is not one."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ShapeError("not an object")
        return Register(id_in(content, "strandId"), list(_entries(list_in(content, "redactions"))))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror}).") from None
    except (ShapeError, ValueError, RecursionError) as error:
        reason = str(error) if isinstance(error, ShapeError) else "not JSON in UTF-8"
        raise UsageError(f"{path}: is not a register of redactions ({reason}).") from None


def import_register(connection: Connection, register: Register, origin: int) -> int:
    """Import the register into a fresh store, and bind the store to its strand. Returns the number of new redactions.

    They are unconfirmed, and get no receipts, until the mark passes the blocks that redacted the revisions.

    Raises `StrandlineError` if the store holds blocks: data already there would not be stripped. Raises `ForeignStrand`
    if the store is bound to another strand.
    """
    columns: list[list[Any]] = [[getattr(entry, name) for entry in register.entries] for name in Entry.__slots__]
    with connection.transaction():
        new = _only(connection, READ_UNKNOWN, columns[:2])
    if new == 0 and read_mark(connection).strand_id == register.strand_id:
        return 0
    JournalWriter(connection).begin_strand(register.strand_id, origin)
    with strand_lock(connection, alone=True):
        if _only(connection, READ_IN_USE, []):
            raise StrandlineError(
                f"The store holds blocks already, and {new:,} of these redactions are not in its register:\n"
                "import the register into a fresh database, before the first replay."
            )
        return connection.execute(ADD, columns).rowcount


def _entries(items: Sequence[Any]) -> Iterator[Entry]:
    for item in items:
        one: Mapping[str, Any] = struct_in({"redaction": item}, "redaction")
        yield Entry(
            id_in(one, "documentId"),
            number_in(one, "version"),
            id_in(one, "tableId"),
            number_in(one, "sequenceNo"),
            number_in(one, "redactedBy"),
            None if one.get("dataHash") is None else hash_in(one, "dataHash"),
            None if one.get("revisionHash") is None else hash_in(one, "revisionHash"),
        )


def _as_dict(entry: Entry) -> dict[str, Any]:
    return {
        "documentId": entry.document_id,
        "version": entry.version,
        "tableId": entry.table_id,
        "sequenceNo": entry.sequence_no,
        "redactedBy": entry.redacted_by,
        "dataHash": None if entry.data_hash is None else b64encode(entry.data_hash).decode(),
        "revisionHash": None if entry.revision_hash is None else b64encode(entry.revision_hash).decode(),
    }


def _only(connection: Connection, statement: str, parameters: list[Any]) -> Any:
    row = connection.execute(statement.encode(), parameters).fetchone()
    assert row is not None
    return row[0]
