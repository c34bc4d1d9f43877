"""Redactions that name what cannot be redacted, an active revision or none: the mark stops before them."""

from typing import Any

import psycopg

from consumer.erasure import AS_BEFORE, BY_INDEX, ENTRIES
from consumer.rejected import Refusal

SOURCE = "the chain"  # as the mark names what it rejects

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
    return Refusal(redacted_by, block_hash, SOURCE, None, "redactionInfo", detail)
