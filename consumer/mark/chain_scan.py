"""The way of the mark where the chain goes straight on: one ready candidate a number, each linked to the one before.

PostgreSQL says in one pass where that ends, and no block is fetched; consumer/chain.py decides about all else.
"""

from typing import Any

import psycopg

from strandline.consumer.mark.chain import Walk

READY = """
    b.complete OR NOT EXISTS (
        SELECT FROM unnest(b.revision_hashes, b.revision_documents) AS named (hash, document_id)
        WHERE named.document_id IS NOT NULL AND NOT EXISTS (
            SELECT FROM journal.revision r WHERE r.sequence_no = b.sequence_no AND r.hash = named.hash))"""

# A number that is there twice shows in its second row, which is not where it should be.
FIRST_BEND = f"""
    WITH ahead AS (
        SELECT b.*, %(mark)s::bigint + row_number() OVER numbers AS expected,
               lag(block_hash, 1, %(block_hash)s::bytea) OVER numbers AS hash_before
        FROM journal.block b
        WHERE sequence_no > %(mark)s::bigint AND sequence_no <= %(mark)s::bigint + %(window)s::bigint
        WINDOW numbers AS (ORDER BY sequence_no, block_hash)
    )
    SELECT sequence_no FROM ahead b
    WHERE sequence_no <> expected OR previous_hash <> hash_before OR NOT ({READY})
    ORDER BY sequence_no LIMIT 1"""

STRAIGHT = """
    SELECT b.sequence_no, b.block_hash,
           (SELECT sum(cardinality(array_remove(revision_documents, NULL)))::bigint
            FROM journal.block WHERE sequence_no > %(mark)s::bigint AND sequence_no <= %(end)s::bigint),
           EXISTS (SELECT FROM journal.accepted_gap g WHERE g.last_no > b.sequence_no)
    FROM journal.block b
    WHERE b.sequence_no > %(mark)s::bigint AND b.sequence_no <= %(end)s::bigint
    ORDER BY b.sequence_no DESC LIMIT 1"""


def straight_way(
    connection: psycopg.Connection[Any], sequence_no: int, block_hash: bytes | None, window: int
) -> Walk | None:
    """How far it goes straight on from block `sequence_no`, over `window` numbers at most; None where not at all.

    `cut` where there may be more. The caller holds the strand's lock alone.
    """
    of = {"mark": sequence_no, "block_hash": block_hash, "window": window}
    bend = connection.execute(FIRST_BEND, of, prepare=False).fetchone()
    end = sequence_no + window if bend is None else bend[0] - 1
    row = connection.execute(STRAIGHT, {"mark": sequence_no, "end": end}, binary=True, prepare=False).fetchone()
    if row is None:
        return None
    number, reached, documents, gap_ahead = row
    more = bend is not None or number == sequence_no + window or gap_ahead
    return Walk(number, reached, documents, cut=more)
