"""Copies rows straight into the journal if the store has nothing for their numbers: several times as fast as a stage.

All other work of an intake (rows that are stored, refused, upgraded or registered as redacted) needs something stored
in their range; then the rows are staged (writer.py).
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
    """Run the binary COPY `statement` with the tuples. Returns how many it copied."""
    with connection.cursor() as cursor:
        with cursor.copy(statement) as copy:
            copy.write(COPY_HEADER)
            for part in parts:
                copy.write(part)
            copy.write(COPY_TRAILER)
        return cursor.rowcount


def copy_blocks(connection: Connection, rows: Sequence[Rows]) -> int:
    """Copy blocks of which nothing is stored. Returns how many."""
    return copy_rows(connection, sql.COPY_FRESH_BLOCKS, [part.blocks for part in rows])


def copy_revisions(connection: Connection, rows: Sequence[Rows]) -> int:
    """Copy revisions of which nothing is stored; their partitions must exist. Returns how many."""
    return copy_rows(connection, sql.COPY_FRESH_REVISIONS, [part.revisions for part in rows])


def copy_fresh(connection: Connection, rows: Sequence[Rows], mark_no: int) -> tuple[int, int] | None:
    """Copy rows in the caller's transaction. Returns how many blocks and revisions, or None if nothing was done.

    The caller holds the strand's lock. Another intake of the same rows shows as a duplicate key. All write in the order
    of the keys, so they do not wait for each other in a circle.
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
    # Last: another intake of the same new shapes waits until this transaction ends.
    add_shapes(connection, shapes_of(rows))
    return copied
