"""Rows for numbers of which the store holds nothing go in by COPY alone, without a stage: several times as fast.

That is what a replay mostly brings. Whatever else there may be to do at intake (rows that are held, or refused, lifted,
registered as redacted) needs something held in their range, and then they are staged.
"""

from collections.abc import Sequence
from itertools import pairwise

from psycopg import errors

from strandline.consumer.database.connection import Connection
from strandline.consumer.intake import writer_sql as sql
from strandline.consumer.store.field_counts import add_shapes
from strandline.journal.decode.copy_format import COPY_HEADER, COPY_TRAILER, Rows, shapes_of

_LARGEST_SPAN = 100_000  # blocks, so that a range with holes in it makes no partitions for nothing


def copy_rows(connection: Connection, statement: str, parts: Sequence[bytes]) -> int:
    """Tuples into a table, by the binary COPY that `statement` names; gives how many."""
    with connection.cursor() as cursor:
        with cursor.copy(statement) as copy:
            copy.write(COPY_HEADER)
            for part in parts:
                copy.write(part)
            copy.write(COPY_TRAILER)
        return cursor.rowcount


def copy_blocks(connection: Connection, rows: Sequence[Rows]) -> int:
    """Blocks of which nothing is held; gives how many."""
    return copy_rows(connection, sql.COPY_FRESH_BLOCKS, [part.blocks for part in rows])


def copy_revisions(connection: Connection, rows: Sequence[Rows]) -> int:
    """Revisions of which nothing is held, whose partitions are there; gives how many."""
    return copy_rows(connection, sql.COPY_FRESH_REVISIONS, [part.revisions for part in rows])


def copy_fresh(connection: Connection, rows: Sequence[Rows], mark_no: int) -> tuple[int, int] | None:
    """Take rows in, in the caller's transaction; gives the counts of blocks and revisions, or None, with nothing done.

    The caller holds the strand's lock. Who brings the same rows meanwhile is met as a key that is there twice; since
    all write in the order of the keys, nobody waits in a circle.
    """
    first, last = rows[0].first_no, rows[-1].last_no
    ascending = all(part.in_order for part in rows) and all(one.last_no < two.first_no for one, two in pairwise(rows))
    if not ascending or first <= mark_no or last - first >= _LARGEST_SPAN:
        return None
    if connection.execute(sql.HOLDS_SOME, {"first": first, "last": last}, prepare=False).fetchone() != (False,):
        return None
    connection.execute(sql.ENSURE_PARTITIONS_BETWEEN, [first, last])
    try:
        with connection.transaction():
            copied = copy_blocks(connection, rows), copy_revisions(connection, rows)
    except errors.UniqueViolation:
        return None
    # Last: whoever brings the same new shapes waits for this transaction's end.
    add_shapes(connection, shapes_of(rows))
    return copied
