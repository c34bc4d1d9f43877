"""Applies redactions: adds to the register, and erases a revision's data and its block's statement texts.

All in the caller's transaction.
"""

from collections.abc import Iterator, Sequence

from strandline.consumer.database.connection import Connection, columns_of
from strandline.consumer.database.planner import AS_BEFORE, BY_INDEX
from strandline.consumer.store.documents import change_texts
from strandline.consumer.store.field_counts import Change, change_shapes, forget_shapes
from strandline.journal.check.statements import ERASED, erased, has_literal
from strandline.journal.decode.kernel import statement_texts
from strandline.journal.ion import values as ion
from strandline.journal.ion.json import read_json, to_json

# The redaction `d` is in effect at the mark `m`. An imported one is unconfirmed until the mark passes the block that it
# says redacted the revision, and that block names it: `found` is set then.
IS_IN_EFFECT = "(d.effective_no <= m.sequence_no AND d.found IS NOT NULL)"
# The redaction `d` is applied in every read model, and a receipt says so. An index has only those that are not.
IS_HIDDEN = "d.hidden"
# Blocks above the mark that redact. OFFSET keeps them in order: without statistics the planner expects many above the
# mark, and would read all blocks.
REDACTING_ABOVE = """
    SELECT sequence_no, redactions, block_time FROM journal.block
    WHERE sequence_no > (SELECT sequence_no FROM journal.mark) AND redactions IS NOT NULL
    ORDER BY sequence_no OFFSET 0"""

ENTRIES = """
    SELECT e."documentId" AS document_id, e.version, e."tableId" AS table_id, e."sequenceNo" AS sequence_no,
           b.sequence_no AS redacted_by, b.block_hash
    FROM journal.block b,
         jsonb_to_recordset(b.redactions) AS e ("documentId" text, version bigint, "tableId" text, "sequenceNo" bigint)
    WHERE b.redactions IS NOT NULL AND b.sequence_no BETWEEN %(first)s AND %(last)s"""

# Their blocks' numbers, as constants, say in which partitions they are.
NAMED = f"SELECT DISTINCT entry.sequence_no, entry.document_id FROM ({ENTRIES}) AS entry ORDER BY 1, 2"

# All parts but the first see the rows as they were before the update.
TAKE_REDACTIONS = f"""
    WITH entry AS MATERIALIZED ({ENTRIES}), named AS MATERIALIZED (
        SELECT entry.*, r.hash, r.state, r.table_id AS stored_table_id, r.data_hash, r.shape
        FROM entry LEFT JOIN (
            SELECT * FROM journal.revision WHERE sequence_no = ANY (%(numbers)s)
        ) AS r USING (document_id, version, sequence_no)
    ), erased AS (
        UPDATE journal.revision r
        SET state = 'redacted', data = NULL, data_ion = NULL, shape = NULL
        FROM named
        WHERE named.state = 'normal' AND r.sequence_no = named.sequence_no AND r.hash = named.hash
          AND r.sequence_no = ANY (%(numbers)s)
    ), shaped AS (
        SELECT DISTINCT sequence_no, hash, stored_table_id AS table_id, shape FROM named WHERE shape IS NOT NULL
    ), registered AS (
        INSERT INTO journal.redaction (
            document_id, version, table_id, sequence_no, redacted_by, data_hash, revision_hash, found)
        SELECT DISTINCT ON (document_id, version)
               document_id, version, table_id, sequence_no, redacted_by, data_hash, hash,
               CASE state WHEN 'normal' THEN 'data' WHEN 'redacted' THEN 'redacted' ELSE 'not held' END
        FROM named
        ORDER BY document_id, version, redacted_by, state IS NOT DISTINCT FROM 'normal' DESC
        ON CONFLICT (document_id, version) DO UPDATE
        SET found = excluded.found, revision_hash = coalesce(redaction.revision_hash, excluded.revision_hash)
        WHERE redaction.found IS NULL
        RETURNING sequence_no
    )
    SELECT true, sequence_no, NULL, NULL FROM registered
    UNION ALL SELECT false, sequence_no, table_id, shape FROM shaped"""

STATEMENTS = """
    SELECT sequence_no, level, transaction_info FROM {}
    WHERE sequence_no = ANY (%s) AND transaction_info IS NOT NULL"""
TRANSACTIONS = """
    SELECT sequence_no, block_hash, level, transaction_info, entries_hashes FROM {}
    WHERE sequence_no = ANY (%s) AND transaction_info IS NOT NULL"""
REPLACE_TRANSACTIONS = """
    UPDATE {} b SET transaction_info = remaining.info
    FROM unnest(%s::bigint[], %s::bytea[], %s::text[], %s::bytea[]) AS remaining (sequence_no, block_hash, level, info)
    WHERE b.sequence_no = remaining.sequence_no AND b.block_hash = remaining.block_hash AND b.level = remaining.level"""


def take_redactions(connection: Connection, first: int, last: int, *, alone: bool = True) -> int:
    """Apply the redactions of the blocks `first` to `last`. Returns how many are new to the register.

    Idempotent. `alone`: whether the caller holds the strand's lock alone.
    """
    between = {"first": first, "last": last}
    revisions = connection.execute(NAMED, between, prepare=False).fetchall()
    if not revisions:
        return 0
    numbers = sorted({number for number, _ in revisions})
    connection.execute(BY_INDEX)
    rows = connection.execute(TAKE_REDACTIONS, {**between, "numbers": numbers}, prepare=False).fetchall()
    registered = [number for new, number, *_ in rows if new]
    erase_statements(connection, sorted(set(registered)))
    connection.execute(AS_BEFORE)
    change_texts(connection, sorted({document_id for _, document_id in revisions}))
    if changes := [Change(number, table_id, shape, None) for new, number, table_id, shape in rows if not new]:
        change_shapes(connection, changes)
        if alone:
            forget_shapes(connection, changes)
    return len(registered)


def erase_statements(connection: Connection, numbers: Sequence[int], table: str = "journal.block") -> None:
    """Erase the statement texts of blocks that hold a literal, in the store or in an intake's stage."""
    if not numbers:
        return
    stored = connection.execute(STATEMENTS.format(table), [list(numbers)], binary=True, prepare=False)
    # The rest of a block only if it is needed, which is rare.
    quoting = [number for number, level, info in stored.fetchall() if _may_quote(info, level)]
    if not quoting:
        return
    rows = connection.execute(TRANSACTIONS.format(table), [quoting], binary=True, prepare=False)
    if replaced := list(_without_texts(rows.fetchall())):
        columns = columns_of(replaced)
        connection.execute(REPLACE_TRANSACTIONS.format(table), columns, prepare=False)


def _without_texts(
    rows: Sequence[tuple[int, bytes, str, bytes, list[bytes]]],
) -> Iterator[tuple[int, bytes, str, bytes]]:
    for number, block_hash, level, stored, entries in rows:
        if (left := erased_info(stored, level, entries)) is not None:
            yield number, block_hash, level, left


def erased_info(stored: bytes, level: str, entries_hashes: Sequence[bytes]) -> bytes | None:
    """Return what the store keeps in place of a transactionInfo, in its encoding; None if it may stay as it is."""
    if not _may_quote(stored, level):
        return None
    if level == "chain":
        info = next(read_json(stored.decode()))
        left = None if ERASED in info else erased(info, entries_hashes)
        return None if left is None else to_json({ERASED: left}).encode()
    info = ion.read_one(stored)
    left = None if ERASED in info else erased(info, entries_hashes)
    if left is not None and "hash" not in left:  # a struct that repeats a field, which plain dicts lose
        left = erased(next(ion.read_typed(stored)), entries_hashes)
    return None if left is None else ion.write({ERASED: left})


def _may_quote(stored: bytes, level: str) -> bool:
    """Tell whether a statement of a transactionInfo may hold a literal; one that cannot be read quickly may."""
    texts = None if level == "chain" else statement_texts(stored)
    return texts is None or any(map(has_literal, texts))
