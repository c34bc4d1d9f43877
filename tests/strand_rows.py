"""A journal as the store holds it, written straight into its tables: projectors are tested without intake."""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from strandline.consumer.store.documents import add_documents, change_texts

EPOCH = datetime(2020, 1, 1, tzinfo=UTC)

INSERT_BLOCK = """
    INSERT INTO journal.block (sequence_no, block_hash, previous_hash, level, complete, transaction_id, block_time,
        entries_hashes, revision_hashes, revision_documents, redactions, statement_kinds, definitions, tables)
    VALUES (%s, %s, %s, 'full', true, %s, %s, '{}', %s, %s, %s, %s, '{}', %s)"""
INSERT_REVISION = """
    INSERT INTO journal.revision (sequence_no, hash, document_id, version, table_id, table_name, state, level, tx_id,
        tx_time, data)
    VALUES (%s, %s, %s, %s, %s, %s, %s, 'full', %s, %s, %s)"""
INSERT_TABLE = """
    INSERT INTO journal.user_table (table_id, name, status, view_name, first_no) VALUES (%s, %s, 'ACTIVE', %s, 0)
    ON CONFLICT DO NOTHING"""
ERASE = """
    WITH erased AS (
        UPDATE journal.revision SET state = 'redacted', data = NULL
        WHERE document_id = %s AND version = %s AND state = 'normal' RETURNING *)
    INSERT INTO journal.redaction (document_id, version, table_id, sequence_no, redacted_by)
    SELECT document_id, version, table_id, sequence_no, %s FROM erased"""

# (document, version, table, data), where None is a deletion.
Change = tuple[str, int, str, dict[str, Any] | None]


class StrandRows:
    """Appends blocks and moves the mark with them; the caller commits (or the connection is autocommit)."""

    def __init__(self, connection: psycopg.Connection[Any], origin: int = 0) -> None:
        self.connection = connection
        self.next_no = origin
        connection.execute("SELECT journal.ensure_partitions(%s, %s)", [origin, origin + 200_000])
        connection.execute(
            "UPDATE journal.mark SET strand_id = 's', origin = %s, sequence_no = %s", [origin, origin - 1]
        )

    def block(self, *changes: Change, kinds: Sequence[str] = ("UPDATE",), redact: tuple[str, int] | None = None) -> int:
        number = self.next_no
        self.next_no += 1
        moment = EPOCH + timedelta(seconds=number)
        hashes = [hashlib.sha256(f"{number}/{change[0]}/{change[1]}".encode()).digest() for change in changes]
        tables = {f"id-{change[2]}": change[2] for change in changes}
        redactions = [{"documentId": redact[0], "version": redact[1]}] if redact else None
        block = [
            number, str(number).encode(), str(number - 1).encode(), f"tx{number}", moment, hashes,
            [change[0] for change in changes], Jsonb(redactions) if redactions else None, list(kinds), Jsonb(tables),
        ]  # fmt: skip
        self.connection.execute(INSERT_BLOCK, block)
        for (document, version, table, data), hash_ in zip(changes, hashes, strict=True):
            state, json = ("deleted", None) if data is None else ("normal", Jsonb(data))
            self.connection.execute(
                INSERT_REVISION,
                [number, hash_, document, version, f"id-{table}", table, state, f"tx{number}", moment, json],
            )
            self.connection.execute(INSERT_TABLE, [f"id-{table}", table, table])
        add_documents(self.connection, number, number)
        if redact:
            self.connection.execute(ERASE, [*redact, number])
            change_texts(self.connection, [redact[0]])
        self.connection.execute("UPDATE journal.mark SET sequence_no = %s", [number])
        return number
