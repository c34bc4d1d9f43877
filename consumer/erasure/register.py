"""The register of redactions as a file: what one store knows of erased data, for a fresh store to strip at intake.

JSON, `{"strandId", "redactions": [{"documentId", "version", "tableId", "sequenceNo", "redactedBy", "dataHash"}]}`, a
redaction a line; dataHash is base64, or null where the data was only ever held as JSON. It holds no data.
"""

import json
import os
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from strandline.consumer.intake.writer import JournalWriter
from strandline.consumer.mark.lock import strand_lock
from strandline.consumer.mark.mark import read_mark
from strandline.journal.check.members import ShapeError, hash_in, id_in, list_in, number_in, struct_in
from strandline.journal.errors import StrandlineError, UsageError

READ_REGISTER = """
    SELECT document_id, version, table_id, sequence_no, redacted_by, data_hash FROM journal.redaction
    ORDER BY redacted_by, document_id, version"""
READ_UNKNOWN = """
    SELECT count(*) FROM unnest(%s::text[], %s::bigint[]) AS named (document_id, version)
    WHERE NOT EXISTS (
        SELECT FROM journal.redaction d WHERE d.document_id = named.document_id AND d.version = named.version)"""
READ_IN_USE = """
    SELECT EXISTS (SELECT FROM journal.block) OR EXISTS (SELECT FROM journal.revision)
        OR EXISTS (SELECT FROM projection.generation)"""
ADD = """
    INSERT INTO journal.redaction (document_id, version, table_id, sequence_no, redacted_by, data_hash, imported)
    SELECT *, true FROM unnest(%s::text[], %s::bigint[], %s::text[], %s::bigint[], %s::bigint[], %s::bytea[])
    ON CONFLICT (document_id, version) DO NOTHING"""


@dataclass(frozen=True, slots=True)
class Entry:
    """One redaction: the revision, its block, the block that redacted it, and the hash of the data."""

    document_id: str
    version: int
    table_id: str
    sequence_no: int
    redacted_by: int
    data_hash: bytes | None


@dataclass(frozen=True)
class Register:
    """The redactions of one strand."""

    strand_id: str
    entries: Sequence[Entry]


def read_register(connection: psycopg.Connection[Any]) -> Register:
    """The store's register; StrandlineError where the store holds no strand."""
    strand_id = read_mark(connection).strand_id
    if strand_id is None:
        raise StrandlineError("The store is empty, so it knows of no redactions.")
    with connection.transaction():
        return Register(strand_id, [Entry(*row) for row in connection.execute(READ_REGISTER)])


def write_file(register: Register, path: Path) -> None:
    """Write the register to a file, whole or not at all."""
    lines = ",\n".join(json.dumps(_told(entry)) for entry in register.entries)
    text = f'{{"strandId": {json.dumps(register.strand_id)}, "redactions": [\n{lines}\n]}}\n'
    new = path.with_name(f"{path.name}.new")
    with new.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def read_file(path: Path) -> Register:
    """A register from a file; UsageError where it is none."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(told, dict):
            raise ShapeError("not an object")
        return Register(id_in(told, "strandId"), list(_entries(list_in(told, "redactions"))))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror}).") from None
    except (ShapeError, ValueError, RecursionError) as error:
        reason = str(error) if isinstance(error, ShapeError) else "not JSON in UTF-8"
        raise UsageError(f"{path}: is not a register of redactions ({reason}).") from None


def import_register(connection: psycopg.Connection[Any], register: Register, origin: int) -> int:
    """Put the register into a fresh store, which is bound to its strand; gives how many redactions are new.

    Raises StrandlineError where the store holds blocks, or ForeignStrand: what is there already is not stripped.
    """
    columns: list[list[Any]] = [[getattr(entry, name) for entry in register.entries] for name in Entry.__slots__]
    with connection.transaction():
        unknown = _only(connection, READ_UNKNOWN, columns[:2])
    if unknown == 0 and read_mark(connection).strand_id == register.strand_id:
        return 0
    JournalWriter(connection).begin_strand(register.strand_id, origin)
    with strand_lock(connection, alone=True):
        if _only(connection, READ_IN_USE, []):
            raise StrandlineError(
                f"The store holds blocks already, and {unknown:,} of these redactions are not in its register:\n"
                "import a register into a fresh database, before anything is replayed there."
            )
        return connection.execute(ADD, columns).rowcount


def _entries(told: Sequence[Any]) -> Iterator[Entry]:
    for each in told:
        one: Mapping[str, Any] = struct_in({"redaction": each}, "redaction")
        yield Entry(
            id_in(one, "documentId"),
            number_in(one, "version"),
            id_in(one, "tableId"),
            number_in(one, "sequenceNo"),
            number_in(one, "redactedBy"),
            None if one.get("dataHash") is None else hash_in(one, "dataHash"),
        )


def _told(entry: Entry) -> dict[str, Any]:
    return {
        "documentId": entry.document_id,
        "version": entry.version,
        "tableId": entry.table_id,
        "sequenceNo": entry.sequence_no,
        "redactedBy": entry.redacted_by,
        "dataHash": None if entry.data_hash is None else b64encode(entry.data_hash).decode(),
    }


def _only(connection: psycopg.Connection[Any], statement: str, parameters: list[Any]) -> Any:
    row = connection.execute(statement.encode(), parameters).fetchone()
    assert row is not None
    return row[0]
