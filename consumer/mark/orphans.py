"""Rejects candidates that an operator names, or that descend from a rejected block.

QLDB's blocks beyond the graft are such: the first of them contends with the graft and was rejected.
"""

from strandline.consumer.database.connection import Connection
from strandline.consumer.mark import mark
from strandline.consumer.mark.checks import CHAIN
from strandline.consumer.mark.lock import strand_lock
from strandline.consumer.store.rejected import OPERATOR, Refusal, reject
from strandline.journal.errors import UsageError

# Candidates whose chain leads down to a rejected block can never pass the mark.
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
CANDIDATE = """
    SELECT FROM journal.block b, journal.mark m
    WHERE b.sequence_no = %s AND b.block_hash = %s AND b.sequence_no > m.sequence_no"""
DROP_CANDIDATES = """
    WITH dropped AS (
        DELETE FROM journal.block b
        USING unnest(%(numbers)s::bigint[], %(hashes)s::bytea[]) AS lost (sequence_no, block_hash)
        WHERE b.sequence_no = lost.sequence_no AND b.block_hash = lost.block_hash
        RETURNING b.sequence_no, b.revision_hashes
    )
    DELETE FROM journal.revision r
    USING dropped
    WHERE r.sequence_no = dropped.sequence_no AND r.hash = ANY (dropped.revision_hashes)
      AND r.sequence_no = ANY (%(numbers)s)
      AND NOT EXISTS (
          SELECT FROM journal.block b
          WHERE b.sequence_no = r.sequence_no AND r.hash = ANY (b.revision_hashes)
            AND NOT EXISTS (
                SELECT FROM unnest(%(numbers)s::bigint[], %(hashes)s::bytea[]) AS gone (sequence_no, block_hash)
                WHERE gone.sequence_no = b.sequence_no AND gone.block_hash = b.block_hash))"""


def reject_block(connection: Connection, sequence_no: int, block_hash: bytes, reason: str) -> list[Refusal]:
    """Reject a block above the mark, and what descends from it; intake refuses every further copy of it.

    For a block that verifies by itself but is not of this journal, such as one far ahead that no other leads to.
    Returns the refusals. Raises UsageError if there is no such block above the mark.
    """
    if not reason.strip():
        raise UsageError("--reason is empty: say why this block is rejected, for the auditor.")
    with strand_lock(connection, alone=True):
        candidate = connection.execute(CANDIDATE, [sequence_no, block_hash]).fetchone()
        if candidate is None:
            raise UsageError(f"There is no block {sequence_no} with the hash {block_hash.hex()} above the mark.")
        key = {"numbers": [sequence_no], "hashes": [block_hash]}
        connection.execute(DROP_CANDIDATES, key, prepare=False)
        refusal = Refusal(sequence_no, block_hash, "an operator", None, OPERATOR, reason.strip())
        reject(connection, [refusal])
    return [refusal, *reject_orphans(connection)]


def reject_orphans(connection: Connection) -> list[Refusal]:
    """Advance the mark, then reject the candidates that descend from rejected blocks. Returns all refusals."""
    refused = list(mark.advance(connection).refused)
    with strand_lock(connection, alone=True):
        lost = connection.execute(DESCENDANTS).fetchall()
        if not lost:
            return refused
        keys = {"numbers": [number for number, *_ in lost], "hashes": [block_hash for _, block_hash, _ in lost]}
        connection.execute(DROP_CANDIDATES, keys, prepare=False)
        detail = "its chain leads to a rejected block, {}"
        orphans = [
            Refusal(number, block_hash, CHAIN, None, "fork", detail.format(previous.hex()))
            for number, block_hash, previous in lost
        ]
        reject(connection, orphans)
    return refused + orphans
