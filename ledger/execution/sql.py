"""The reads of statements, as of the block `end`."""

from strandline.ledger.reading import DOCUMENT

COMMITTED = f"{DOCUMENT}, r.hash, r.data_hash, r.metadata"

# `end` is the mark of the snapshot, which journal.document reflects.
_CURRENT = """
    FROM journal.document d CROSS JOIN LATERAL journal.revision_at(d.sequence_no, d.document_id, d.version) r
    WHERE d.table_id = %(table)s AND NOT d.deleted"""

# A table's current documents.
SCAN = f"SELECT {{columns}} {_CURRENT}"
# Those that may equal one of the values, as JSON.
NARROWED = f"{SCAN} AND r.data -> %(field)s::text = ANY (%(values)s::jsonb[])"

# The current revisions of documents.
LAST = f"SELECT {COMMITTED} {_CURRENT} AND d.document_id = ANY (%(documents)s)"

# Revisions that were active at some time of the period; `documents` is NULL for all.
HISTORY = f"""
    SELECT {COMMITTED} FROM (
        SELECT r.*, lead(r.tx_time) OVER (PARTITION BY v.document_id ORDER BY v.version) AS replaced_at
        FROM journal.document d JOIN journal.document_version v USING (document_id)
        CROSS JOIN LATERAL journal.revision_at(v.sequence_no, v.document_id, v.version) r
        WHERE d.table_id = %(table)s AND v.sequence_no <= %(end)s
          AND (%(documents)s::text[] IS NULL OR d.document_id = ANY (%(documents)s))) AS r
    WHERE (%(to)s::timestamptz IS NULL OR r.tx_time <= %(to)s)
      AND (%(from)s::timestamptz IS NULL OR r.replaced_at IS NULL OR r.replaced_at > %(from)s)
    ORDER BY r.document_id, r.version"""
