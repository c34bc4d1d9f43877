"""The reads of statements, as of the block `end`."""

DOCUMENT = "r.document_id, r.version, r.data_ion, r.data, r.state, r.sequence_no, r.tx_id, r.tx_time"
COMMITTED = f"{DOCUMENT}, r.hash, r.data_hash, r.metadata"

_LAST = """
    SELECT DISTINCT ON (document_id) * FROM journal.revision
    WHERE table_id = %(table)s AND sequence_no <= %(end)s
    ORDER BY document_id, version DESC"""

# A table's current documents.
SCAN = f"SELECT {{columns}} FROM ({_LAST}) AS r WHERE r.state <> 'deleted'"
# Those that may equal one of the values, as JSON.
NARROWED = f"{SCAN} AND r.data -> %(field)s::text = ANY (%(values)s::jsonb[])"

# The current revisions of documents.
LAST = f"""
    SELECT {COMMITTED} FROM unnest(%(documents)s::text[]) AS wanted (document_id),
    LATERAL (
        SELECT * FROM journal.revision r
        WHERE r.document_id = wanted.document_id AND r.sequence_no <= %(end)s
        ORDER BY r.version DESC LIMIT 1) AS r
    WHERE r.table_id = %(table)s AND r.state <> 'deleted'"""

# Revisions that were active at some time of the period; `documents` is NULL for all.
HISTORY = f"""
    SELECT {COMMITTED} FROM (
        SELECT *, lead(tx_time) OVER (PARTITION BY document_id ORDER BY version) AS replaced_at FROM journal.revision
        WHERE table_id = %(table)s AND sequence_no <= %(end)s
          AND (%(documents)s::text[] IS NULL OR document_id = ANY (%(documents)s))) AS r
    WHERE (%(to)s::timestamptz IS NULL OR r.tx_time <= %(to)s)
      AND (%(from)s::timestamptz IS NULL OR r.replaced_at IS NULL OR r.replaced_at > %(from)s)
    ORDER BY r.document_id, r.version"""
