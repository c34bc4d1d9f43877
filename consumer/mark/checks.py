"""Checks of candidates before the mark passes them: revisions against their block, redactions against the journal."""

from collections.abc import Collection, Iterator

from strandline.consumer.database.connection import Connection
from strandline.consumer.database.planner import AS_BEFORE, BY_INDEX
from strandline.consumer.store.redactions import ENTRIES
from strandline.consumer.store.rejected import Refusal
from strandline.journal.check.block import Table
from strandline.journal.check.pairing import ExpectedRevision, StreamedRevision, differences
from strandline.journal.check.statements import ERASED
from strandline.journal.ion import values as ion

STREAM, CHAIN = "the stream", "the chain"  # the sources of what is rejected here

# All revisions that may differ. Which of several tables a document is in, only transactionInfo says.
DOUBTFUL = """
    SELECT b.sequence_no, b.block_hash, named.document_id, b.transaction_id, b.block_time, b.transaction_info,
           r.hash, r.document_id, r.version, r.table_id, r.table_name, r.tx_id, r.tx_time
    FROM journal.block b
    CROSS JOIN LATERAL unnest(b.revision_hashes, b.revision_documents) AS named (hash, document_id)
    JOIN journal.revision r ON r.sequence_no = b.sequence_no AND r.hash = named.hash
    WHERE NOT b.complete AND b.sequence_no BETWEEN %(first)s AND %(last)s
      AND r.sequence_no BETWEEN %(first)s AND %(last)s AND (
        r.document_id IS DISTINCT FROM named.document_id
        OR r.tx_id IS DISTINCT FROM b.transaction_id
        OR b.tables ->> r.table_id IS DISTINCT FROM r.table_name
        OR (SELECT count(*) FROM jsonb_object_keys(b.tables)) > 1)
    ORDER BY b.sequence_no"""

DELETE_REVISIONS = """
    DELETE FROM journal.revision r
    USING unnest(%(numbers)s::bigint[], %(hashes)s::bytea[]) AS refused (sequence_no, hash)
    WHERE r.sequence_no = refused.sequence_no AND r.hash = refused.hash AND r.sequence_no = ANY (%(numbers)s)"""


def delete_differing(connection: Connection, first: int, last: int, strand_id: str) -> Collection[Refusal]:
    """Delete the revisions of blocks `first` to `last` whose stream records contradict their block.

    The block then waits for another copy. Returns the refusals, which the caller records in its transaction.
    """
    refusals: dict[tuple[int, bytes], Refusal] = {}
    for summary, revision in _doubtful(connection, first, last, strand_id):
        for number, fault, detail in differences(summary, revision):
            refusals[summary.sequence_no, revision.hash] = Refusal(
                number, summary.block_hash, STREAM, None, fault, detail
            )
    if refusals:
        keys = {"numbers": [number for number, _ in refusals], "hashes": [digest for _, digest in refusals]}
        connection.execute(DELETE_REVISIONS, keys, prepare=False)
    return refusals.values()


def _doubtful(
    connection: Connection, first: int, last: int, strand_id: str
) -> Iterator[tuple[ExpectedRevision, StreamedRevision]]:
    at: bytes | None = None
    tables: dict[str, Table] = {}
    for row in connection.execute(DOUBTFUL, {"first": first, "last": last}, prepare=False):
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
    """Return the table of each document, from a checked transactionInfo."""
    info = ion.read_one(transaction_info) if transaction_info is not None else {}
    documents = info.get(ERASED, info).get("documents")
    return {id_: Table(document["tableId"], document["tableName"]) for id_, document in (documents or {}).items()}


# Revisions below the origin or in an accepted gap are unknown, and so is what a gap holds of the document.
# Scalar subqueries, not EXISTS: for that the planner would hash all versions, each time.
FIRST_INVALID_REDACTION = f"""
    WITH entry AS MATERIALIZED ({ENTRIES}), added AS MATERIALIZED (
        SELECT document_id, version, sequence_no FROM journal.revision
        WHERE sequence_no BETWEEN %(first)s AND %(last)s
          AND document_id = ANY (ARRAY(SELECT document_id FROM entry))
    ), checked AS (
        SELECT entry.*,
               named.version IS NOT NULL OR (
                   SELECT true FROM journal.document_version v
                   WHERE v.document_id = entry.document_id AND v.version = entry.version
                     AND v.sequence_no = entry.sequence_no) IS NOT NULL AS stored,
               following.version IS NOT NULL OR (
                   SELECT true FROM journal.document_version v
                   WHERE v.document_id = entry.document_id AND v.version > entry.version LIMIT 1
               ) IS NOT NULL AS replaced
        FROM entry
        CROSS JOIN (SELECT origin FROM journal.mark) AS m
        LEFT JOIN added AS named
               ON named.document_id = entry.document_id AND named.version = entry.version
              AND named.sequence_no = entry.sequence_no
        LEFT JOIN added AS following
               ON following.document_id = entry.document_id AND following.version = entry.version + 1
              AND following.sequence_no <= entry.redacted_by
        WHERE entry.sequence_no >= m.origin AND NOT EXISTS (
            SELECT FROM journal.accepted_gap g
            WHERE g.last_no >= entry.sequence_no AND g.first_no <= entry.redacted_by)
    )
    SELECT redacted_by, block_hash, sequence_no, document_id, version, stored
    FROM checked
    WHERE sequence_no >= redacted_by OR NOT (stored AND replaced)
    ORDER BY redacted_by, document_id, version
    LIMIT 1"""


def first_invalid_redaction(connection: Connection, first: int, last: int) -> Refusal | None:
    """Find the first of the complete blocks `first` to `last` whose redaction names an active revision, or none.

    The mark is at the block before `first`, and the versions of these blocks follow (`first_version_fault`).
    """
    row = connection.execute(FIRST_INVALID_REDACTION, {"first": first, "last": last}, prepare=False).fetchone()
    if row is None:
        return None
    redacted_by, block_hash, number, document_id, version, stored = row
    fault = "which is active" if stored and number < redacted_by else "which is not there"
    detail = f"names version {version} of document {document_id} in block {number}, {fault}"
    return Refusal(redacted_by, block_hash, CHAIN, None, "redactionInfo", detail)


# An imported redaction is confirmed by the block that it names, or it is false.
FIRST_FALSE_REDACTION = """
    SELECT d.redacted_by, b.block_hash, d.document_id, d.version, d.sequence_no
    FROM journal.redaction d JOIN journal.block b ON b.sequence_no = d.redacted_by
    WHERE d.imported AND d.found IS NULL AND d.redacted_by BETWEEN %(first)s AND %(last)s AND NOT EXISTS (
        SELECT FROM jsonb_to_recordset(b.redactions) AS e ("documentId" text, version bigint, "sequenceNo" bigint)
        WHERE e."documentId" = d.document_id AND e.version = d.version AND e."sequenceNo" = d.sequence_no)
    ORDER BY d.redacted_by, d.document_id, d.version
    LIMIT 1"""


def first_false_redaction(connection: Connection, first: int, last: int) -> Refusal | None:
    """Find the first of the complete blocks `first` to `last` that an imported redaction names, but not it that."""
    row = connection.execute(FIRST_FALSE_REDACTION, {"first": first, "last": last}, prepare=False).fetchone()
    if row is None:
        return None
    redacted_by, block_hash, document_id, version, number = row
    detail = (
        f"the imported register says that this block redacts version {version} of document {document_id} in block "
        f"{number}, which it does not: import a register without that into a fresh database"
    )
    return Refusal(redacted_by, block_hash, CHAIN, None, "register", detail)


def first_invalid(connection: Connection, first: int, last: int) -> Refusal | None:
    """Find the first of the complete blocks `first` to `last` that contradicts the journal below it."""
    checks = (first_invalid_redaction, first_version_fault, first_false_redaction)
    found = [refusal for check in checks if (refusal := check(connection, first, last)) is not None]
    return min(found, key=lambda refusal: refusal.sequence_no or 0, default=None)


# The versions of a document below the mark are 0, 1, 2, …, one a block, in one table. A document's first revision in
# the range follows its last one below the mark. What lies below the origin or in an accepted gap is unknown: after a
# gap a version may only be higher.
FIRST_VERSION_FAULT = """
    WITH added AS MATERIALIZED (
        SELECT sequence_no, document_id, version, table_id,
               lag(sequence_no) OVER history AS before_no, lag(version) OVER history AS before,
               lag(table_id) OVER history AS table_before
        FROM journal.revision
        WHERE sequence_no BETWEEN %(first)s AND %(last)s
        WINDOW history AS (PARTITION BY document_id ORDER BY sequence_no, version)
    ), following AS (
        SELECT sequence_no, document_id, version, table_id, before_no, before, table_before
        FROM added WHERE before_no IS NOT NULL
        UNION ALL
        SELECT a.sequence_no, a.document_id, a.version, a.table_id, b.sequence_no, b.version, b.table_id
        FROM added a LEFT JOIN journal.document b USING (document_id)
        WHERE a.before_no IS NULL
    )
    SELECT f.sequence_no, (SELECT min(block_hash) FROM journal.block b WHERE b.sequence_no = f.sequence_no),
           f.document_id, f.version, f.before_no, f.before, f.table_id, f.table_before
    FROM following f, journal.mark m
    WHERE f.table_id <> f.table_before OR f.sequence_no = f.before_no OR (
        f.version <> coalesce(f.before + 1, 0) AND NOT (
            f.version > coalesce(f.before, -1) AND (
                (f.before_no IS NULL AND m.origin > 0) OR EXISTS (
                    SELECT FROM journal.accepted_gap g
                    WHERE g.first_no < f.sequence_no AND g.last_no > coalesce(f.before_no, -1)))))
    ORDER BY f.sequence_no, f.document_id, f.version
    LIMIT 1"""


def first_version_fault(connection: Connection, first: int, last: int) -> Refusal | None:
    """Find the first of the complete blocks `first` to `last` with a revision that does not follow the one before.

    The mark is at the block before `first`. Returns None if every version follows.
    """
    connection.execute(BY_INDEX)
    row = connection.execute(FIRST_VERSION_FAULT, {"first": first, "last": last}, prepare=False).fetchone()
    connection.execute(AS_BEFORE)
    if row is None:
        return None
    number, block_hash, document_id, version, before_no, before, table_id, table_before = row
    if before_no is None:
        reason = "the document has no revision before it"
    elif before_no == number:
        reason = f"the block has version {before} of it, too"
    elif version != before + 1:
        reason = f"version {before} comes before it, in block {before_no}"
    else:
        reason = f"it is in table {table_id}, and version {before} in table {table_before}"
    detail = f"version {version} of document {document_id}: {reason}"
    return Refusal(number, block_hash, CHAIN, None, "version", detail)
