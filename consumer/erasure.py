"""Redactions take effect: the register's row and the erasure of the revision's data, in one statement."""

from typing import Any

import psycopg

# A few revisions out of very many: the planner, which cannot know how few a jsonb holds, would read them all.
BY_INDEX = "SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off"
AS_BEFORE = "SET LOCAL enable_hashjoin TO DEFAULT; SET LOCAL enable_mergejoin TO DEFAULT"

TAKE_REDACTIONS = """
    WITH entry AS MATERIALIZED (
        SELECT e."documentId" AS document_id, e.version, e."tableId" AS table_id, e."sequenceNo" AS sequence_no,
               b.sequence_no AS redacted_by
        FROM journal.block b,
             jsonb_to_recordset(b.redactions)
                 AS e ("documentId" text, version bigint, "tableId" text, "sequenceNo" bigint)
        WHERE b.redactions IS NOT NULL AND b.sequence_no BETWEEN %(first)s AND %(last)s
    ), erased AS (
        UPDATE journal.revision r
        SET state = 'redacted', data = NULL, data_ion = NULL
        FROM entry
        WHERE r.document_id = entry.document_id AND r.version = entry.version
          AND r.sequence_no = entry.sequence_no AND r.state = 'normal'
    )
    INSERT INTO journal.redaction (document_id, version, table_id, sequence_no, redacted_by, data_hash)
    SELECT DISTINCT ON (document_id, version) document_id, version, table_id, sequence_no, redacted_by,
           (SELECT r.data_hash FROM journal.revision r
            WHERE r.document_id = entry.document_id AND r.version = entry.version
              AND r.sequence_no = entry.sequence_no
            LIMIT 1)
    FROM entry
    ORDER BY document_id, version, redacted_by
    ON CONFLICT (document_id, version) DO NOTHING"""


def take_redactions(connection: psycopg.Connection[Any], first: int, last: int) -> int:
    """Let the redactions of the blocks `first` to `last` take effect, in the caller's transaction.

    Gives the number of new rows in the register. To repeat it changes nothing.
    """
    connection.execute(BY_INDEX)
    registered = connection.execute(TAKE_REDACTIONS, {"first": first, "last": last}, prepare=False).rowcount
    connection.execute(AS_BEFORE)
    return registered
