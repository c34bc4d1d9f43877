"""The statements of an append, each in the transaction that holds the strand's lock alone."""

from collections.abc import Sequence

from consumer import mark
from journal.rows import BLOCK_COLUMNS, REVISION_COLUMNS

# Several statements in one trip. Each sees what was committed before it, so the end is that of the time with the lock.
END = "SELECT * FROM journal.strand_end()"
BEGIN = f"BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_advisory_xact_lock({mark.STRAND_LOCK}); {END}"
FINISH = f"{mark.MOVE}; SELECT journal.follow_lookups(); NOTIFY {mark.CHANNEL}; COMMIT"

REQUESTS = "SELECT request_id, transaction_id, sequence_no FROM journal.request WHERE request_id = ANY (%s)"
ADD_REQUEST = "INSERT INTO journal.request (request_id, transaction_id, sequence_no) VALUES (%s, %s, %s)"

# Data only where it is to be compared with what was looked for.
CHANGED_REVISIONS = """
    SELECT sequence_no, table_id, document_id, CASE WHEN table_id = ANY (%(searched)s) THEN data END
    FROM journal.revision
    WHERE sequence_no > %(since)s AND sequence_no <= %(end)s
      AND (document_id = ANY (%(documents)s) OR table_id = ANY (%(searched)s) OR table_id = ANY (%(tables)s))"""
CHANGED_REDACTIONS = """
    SELECT redacted_by, table_id, document_id FROM journal.redaction
    WHERE redacted_by > %(since)s AND (document_id = ANY (%(documents)s) OR table_id = ANY (%(tables)s))"""
DEFINED = """
    SELECT coalesce(max(sequence_no), -1) FROM journal.block
    WHERE definitions <> '{}' AND sequence_no > %(since)s AND sequence_no <= %(end)s"""

BEGIN_STRAND = "UPDATE journal.mark SET strand_id = %s, origin = %s, sequence_no = %s - 1"
ENSURE_PARTITIONS = "SELECT journal.ensure_partitions(%s, %s)"

WRITTEN = """
    SELECT sequence_no FROM journal.block
    WHERE sequence_no > %s AND sequence_no <= (SELECT sequence_no FROM journal.mark) AND transaction_id = %s"""

# Candidates whose chain leads down to a block that was refused can never come in.
DESCENDANTS = """
    WITH RECURSIVE lost AS (
        SELECT b.sequence_no, b.block_hash, b.previous_hash
        FROM journal.block b, journal.mark m
        WHERE b.sequence_no > m.sequence_no AND EXISTS (
            SELECT FROM journal.rejected r
            WHERE r.sequence_no = b.sequence_no - 1 AND r.block_hash = b.previous_hash)
        UNION
        SELECT b.sequence_no, b.block_hash, b.previous_hash
        FROM lost JOIN journal.block b ON b.sequence_no = lost.sequence_no + 1 AND b.previous_hash = lost.block_hash
    )
    SELECT sequence_no, block_hash, previous_hash FROM lost ORDER BY sequence_no"""
DROP_CANDIDATES = """
    WITH dropped AS (
        DELETE FROM journal.block b
        USING unnest(%s::bigint[], %s::bytea[]) AS lost (sequence_no, block_hash)
        WHERE b.sequence_no = lost.sequence_no AND b.block_hash = lost.block_hash
        RETURNING b.sequence_no, b.revision_hashes
    )
    DELETE FROM journal.revision r
    USING dropped
    WHERE r.sequence_no = dropped.sequence_no AND r.hash = ANY (dropped.revision_hashes)
      AND NOT EXISTS (
          SELECT FROM journal.block b
          WHERE b.sequence_no = r.sequence_no AND r.hash = ANY (b.revision_hashes)
            AND NOT EXISTS (
                SELECT FROM unnest(%s::bigint[], %s::bytea[]) AS gone (sequence_no, block_hash)
                WHERE gone.sequence_no = b.sequence_no AND gone.block_hash = b.block_hash))"""


def _insert(table: str, columns: Sequence[tuple[str, str]]) -> str:
    names, places = ", ".join(name for name, _ in columns), ", ".join(["%b"] * len(columns))
    return f"INSERT INTO {table} ({names}) VALUES ({places})"


# Their values are the fields of a COPY tuple as they are: the server takes both in the same binary form.
ADD_BLOCK = _insert("journal.block", BLOCK_COLUMNS)
ADD_REVISION = _insert("journal.revision", REVISION_COLUMNS)
