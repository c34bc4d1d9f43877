"""Blocks and revisions that came apart, from a stream, meet before the mark passes them."""

from collections.abc import Collection, Iterator
from typing import Any

import psycopg

from strandline.consumer.database.planner import AS_BEFORE, BY_INDEX
from strandline.consumer.store.redactions import ENTRIES
from strandline.consumer.store.rejected import Refusal
from strandline.journal.check.block import Table
from strandline.journal.check.pairing import ExpectedRevision, StreamedRevision, differences
from strandline.journal.check.statements import ERASED
from strandline.journal.ion import values as ion

STREAM, CHAIN = "the stream", "the chain"  # named as the source of what is rejected here

# All that may differ; which of a block's tables a document is in, only its transactionInfo says.
DOUBTFUL = """
    SELECT b.sequence_no, b.block_hash, named.document_id, b.transaction_id, b.block_time, b.transaction_info,
           r.hash, r.document_id, r.version, r.table_id, r.table_name, r.tx_id, r.tx_time
    FROM journal.block b
    CROSS JOIN LATERAL unnest(b.revision_hashes, b.revision_documents) AS named (hash, document_id)
    JOIN journal.revision r ON r.sequence_no = b.sequence_no AND r.hash = named.hash
    WHERE NOT b.complete AND b.sequence_no BETWEEN %s AND %s AND (
        r.document_id IS DISTINCT FROM named.document_id
        OR r.tx_id IS DISTINCT FROM b.transaction_id
        OR b.tables ->> r.table_id IS DISTINCT FROM r.table_name
        OR (SELECT count(*) FROM jsonb_object_keys(b.tables)) > 1)
    ORDER BY b.sequence_no"""

DELETE_REVISIONS = """
    DELETE FROM journal.revision r
    USING unnest(%s::bigint[], %s::bytea[]) AS refused (sequence_no, hash)
    WHERE r.sequence_no = refused.sequence_no AND r.hash = refused.hash"""


def delete_differing(connection: psycopg.Connection[Any], first: int, last: int, strand_id: str) -> Collection[Refusal]:
    """Take out the revisions of the blocks `first` to `last` whose records say otherwise than their block.

    Their block waits for another copy, then. In the caller's transaction; gives what is to be rejected.
    """
    refusals: dict[tuple[int, bytes], Refusal] = {}
    for summary, revision in _doubtful(connection, first, last, strand_id):
        for number, fault, detail in differences(summary, revision):
            refusals[summary.sequence_no, revision.hash] = Refusal(
                number, summary.block_hash, STREAM, None, fault, detail
            )
    if refusals:
        connection.execute(DELETE_REVISIONS, [[n for n, _ in refusals], [digest for _, digest in refusals]])
    return refusals.values()


def _doubtful(
    connection: psycopg.Connection[Any], first: int, last: int, strand_id: str
) -> Iterator[tuple[ExpectedRevision, StreamedRevision]]:
    at: bytes | None = None
    tables: dict[str, Table] = {}
    for row in connection.execute(DOUBTFUL, [first, last], prepare=False):
        number, block_hash, named, transaction_id, block_time, info, revision_hash, *revision = row
        document_id, version, table_id, table_name, tx_id, tx_time = revision
        if block_hash != at:
            at, tables = block_hash, _tables(info)
        table = tables.get(named, Table(None, None))
        summary = ExpectedRevision(
            number, block_hash, revision_hash, named, table, transaction_id, block_time.timestamp()
        )
        yield (
            summary,
            StreamedRevision(
                number,
                revision_hash,
                strand_id,
                document_id,
                version,
                Table(table_id, table_name),
                tx_id,
                tx_time.timestamp(),
            ),
        )


def _tables(transaction_info: bytes | None) -> dict[str, Table]:
    """The table of each document, as a checked transactionInfo tells."""
    info = ion.read_one(transaction_info) if transaction_info is not None else {}
    documents = info.get(ERASED, info).get("documents")
    return {id_: Table(document["tableId"], document["tableName"]) for id_, document in (documents or {}).items()}


# What lies below the origin, or in an accepted gap, cannot be asked; nor what a gap may hold of the document.
# No EXISTS for the two questions: the planner would hash all the journal for it, each time.
FIRST_MISNAMED = f"""
    WITH entry AS MATERIALIZED ({ENTRIES}), told AS (
        SELECT entry.*,
               (SELECT true FROM journal.revision r
                WHERE r.document_id = entry.document_id AND r.version = entry.version
                  AND r.sequence_no = entry.sequence_no LIMIT 1) IS NOT NULL AS held,
               (SELECT true FROM journal.revision r
                WHERE r.document_id = entry.document_id AND r.version > entry.version
                  AND r.sequence_no <= entry.redacted_by LIMIT 1) IS NOT NULL AS replaced
        FROM entry, journal.mark m
        WHERE entry.sequence_no >= m.origin AND NOT EXISTS (
            SELECT FROM journal.accepted_gap g
            WHERE g.last_no >= entry.sequence_no AND g.first_no <= entry.redacted_by)
    )
    SELECT redacted_by, block_hash, sequence_no, document_id, version, held
    FROM told
    WHERE sequence_no >= redacted_by OR NOT (held AND replaced)
    ORDER BY redacted_by, document_id, version
    LIMIT 1"""


def first_misnamed(connection: psycopg.Connection[Any], first: int, last: int) -> Refusal | None:
    """The first of the blocks `first` to `last`, all complete, whose redaction names an active revision or none."""
    connection.execute(BY_INDEX)
    row = connection.execute(FIRST_MISNAMED, {"first": first, "last": last}, prepare=False).fetchone()
    connection.execute(AS_BEFORE)
    if row is None:
        return None
    redacted_by, block_hash, number, document_id, version, held = row
    fault = "which is active" if held and number < redacted_by else "which is not there"
    detail = f"names version {version} of document {document_id} in block {number}, {fault}"
    return Refusal(redacted_by, block_hash, CHAIN, None, "redactionInfo", detail)
