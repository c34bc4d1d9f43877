"""Compares the texts and values by which documents are found with the journal: journal.found_text, journal.lookup."""

from collections.abc import Iterator

from strandline.consumer.database.connection import Connection
from strandline.journal.check.block import Fault

HAS_FOUND_BY = "SELECT EXISTS (SELECT FROM journal.found_by)"
# What revisions have, as journal.add_texts takes it.
_HELD = """
    SELECT DISTINCT f.table_name, f.field, hashtextextended(r.data ->> f.field, 0) AS text_hash, r.document_id
    FROM journal.revision r JOIN journal.found_by f ON f.table_name IN (r.table_name, '')
    WHERE r.sequence_no BETWEEN %(first)s AND least(%(last)s, (SELECT sequence_no FROM journal.mark))
      AND r.data ->> f.field IS NOT NULL"""
# One statement sees one state of both.
_TEXTS = f"""
    SELECT document_id, field, is_held IS NULL
    FROM (SELECT *, true AS is_held FROM ({_HELD}) AS h) AS held
    {{}} JOIN (SELECT *, true AS is_found FROM journal.found_text) AS found
         USING (table_name, field, text_hash, document_id)
    WHERE is_held IS NULL OR is_found IS NULL
    ORDER BY 1, 2 LIMIT 1000"""
ALL_TEXTS = _TEXTS.format("FULL")
TEXTS_OF_BLOCKS = _TEXTS.format("LEFT")

# Look-ups that wait to be filled again are not compared, nor those of documents that changed beyond their position.
LOOKUPS = """
    WITH reached AS (
        SELECT p.sequence_no FROM journal.lookup_position p
        WHERE p.change_id = coalesce((SELECT max(id) FROM journal.change), 0)
    ), documents AS (
        SELECT d.* FROM journal.document d, reached p
        WHERE d.sequence_no BETWEEN %(first)s AND least(%(last)s, p.sequence_no)
    ), held AS (
        SELECT d.table_id, i.field, jsonb_hash_extended(r.data -> i.field, 0) AS value_hash, d.document_id,
               true AS is_held
        FROM documents d JOIN journal.lookup_index i USING (table_id)
        JOIN journal.revision r ON r.document_id = d.document_id AND r.version = d.version
                               AND r.sequence_no = d.sequence_no AND r.sequence_no BETWEEN %(first)s AND %(last)s
        WHERE NOT d.deleted AND r.data -> i.field IS NOT NULL
    ), found AS (
        SELECT l.*, true AS is_found FROM journal.lookup l JOIN documents d USING (document_id)
        UNION ALL
        SELECT l.*, true FROM journal.lookup l, reached
        WHERE %(everything)s AND NOT EXISTS (SELECT FROM journal.document d WHERE d.document_id = l.document_id)
    )
    SELECT document_id, field, is_held IS NULL
    FROM held FULL JOIN found USING (table_id, field, value_hash, document_id)
    WHERE is_held IS NULL OR is_found IS NULL
    ORDER BY 1, 2 LIMIT 1000"""


def check_texts(connection: Connection, first: int, last: int, *, everything: bool) -> Iterator[Fault]:
    """Compare the texts by which documents are found with the revisions of these blocks, as far as the mark.

    Unless these blocks are `everything`, a text that no revision has (any more) is not noticed.
    """
    (found_by,) = connection.execute(HAS_FOUND_BY).fetchone() or (False,)
    if not found_by:
        return
    statement = ALL_TEXTS if everything else TEXTS_OF_BLOCKS
    for document_id, field, stray in connection.execute(statement, {"first": first, "last": last}, prepare=False):
        yield Fault(None, "found_text", _detail(document_id, field, stray))


def check_lookups(connection: Connection, first: int, last: int, *, everything: bool) -> Iterator[Fault]:
    """Compare the write side's look-ups with the current documents whose last version is in these blocks.

    Look-ups that are to be brought to the mark first are not compared; those of no document only if these blocks are
    `everything`.
    """
    blocks = {"first": first, "last": last, "everything": everything}
    for document_id, field, stray in connection.execute(LOOKUPS, blocks, prepare=False):
        yield Fault(None, "lookup", _detail(document_id, field, stray))


def _detail(document_id: str, field: str, stray: bool) -> str:
    if stray:
        return f"document {document_id} is found by a value of field {field} that it does not have"
    return f"document {document_id} is not found by its value of field {field}"
