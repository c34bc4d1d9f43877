"""The statements of an append, in a transaction that holds the strand's lock alone."""

from strandline.consumer.mark.lock import LOCK_ALONE

# Several statements in one trip. Each sees what was committed before it, so the tail is read with the lock held.
TAIL = "SELECT * FROM journal.strand_end()"
BEGIN = f"BEGIN ISOLATION LEVEL READ COMMITTED; {LOCK_ALONE}; {TAIL}"
FOLLOW_LOOKUPS = "SELECT journal.follow_lookups()"

APPEND = "SELECT journal.append(%s::journal.block[], %s::journal.revision[], %s, %s)"
ADD_BLOCKS = "INSERT INTO journal.block SELECT * FROM unnest(%s::journal.block[])"
ADD_REVISIONS = "INSERT INTO journal.revision SELECT * FROM unnest(%s::journal.revision[])"
REQUESTS = "SELECT request_id, transaction_id, sequence_no FROM journal.request WHERE request_id = ANY (%s)"
ADD_REQUESTS = """
    INSERT INTO journal.request (request_id, transaction_id, sequence_no)
    SELECT * FROM unnest(%s::text[], %s::text[], %s::bigint[])"""

# Data only if it is compared with what a transaction looked for.
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
