"""The fields of each table's documents, counted as the mark passes them: `ledger.user_table_fields`
(migrations/0002_journal.sql, journal/fields.py)."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from strandline.consumer.database.connection import Connection, columns_of
from strandline.journal.decode.copy_format import Count

# The counts follow when the mark is this far ahead; the blocks between are counted when a query asks.
LEAST_BLOCKS = 1_000

ADD = """
    INSERT INTO journal.shape (shape, fields) SELECT * FROM unnest(%s::bigint[], %s::jsonb[])
    ORDER BY 1 ON CONFLICT (shape) DO NOTHING"""
COUNT = "SELECT journal.count_shapes(%s)"
ADD_COUNTS = """
    INSERT INTO journal.shape_count AS c (table_id, shape, revisions, first_no, last_no)
    SELECT table_id, shape, sum(revisions), min(first_no), max(last_no)
    FROM unnest(%s::text[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[])
         AS more (table_id, shape, revisions, first_no, last_no)
    GROUP BY table_id, shape ORDER BY table_id, shape
    ON CONFLICT (table_id, shape) DO UPDATE
    SET revisions = c.revisions + excluded.revisions, first_no = least(c.first_no, excluded.first_no),
        last_no = greatest(c.last_no, excluded.last_no)"""
COUNTED = "UPDATE journal.shape_position SET sequence_no = %s"
FOUND = "SELECT sequence_no, table_id, NULL::bigint, shape FROM journal.revision WHERE sequence_no = ANY (%s)"
CHANGE = "SELECT journal.change_shapes(%s, %s, %s, %s)"
FORGET = "SELECT journal.forget_shapes(%s)"


class Change(NamedTuple):
    """The shape that a stored revision's data had before and has after a change; None for no data."""

    sequence_no: int
    table_id: str | None
    before: int | None
    after: int | None


def add_shapes(connection: Connection, shapes: Mapping[int, str]) -> None:
    """Store the shapes of the revisions that are about to be stored."""
    if shapes:
        connection.execute(ADD, [list(shapes), list(shapes.values())])


def count_shapes(connection: Connection) -> None:
    """Update the counts to the mark. The caller holds the strand's lock alone."""
    connection.execute(COUNT, [LEAST_BLOCKS])


def add_counts(connection: Connection, counts: Iterable[Mapping[tuple[str, int], Count]], last: int) -> None:
    """Add known counts, up to block `last`, to which the mark is about to be raised.

    The caller holds the strand's lock alone.
    """
    connection.execute(COUNT, [1])
    if rows := [(*key, *count) for part in counts for key, count in part.items()]:
        connection.execute(ADD_COUNTS, columns_of(rows))
    connection.execute(COUNTED, [last])


def found_shapes(connection: Connection, numbers: Sequence[int]) -> list[Change]:
    """Return the revisions of blocks that were found below the mark, as changes from no data."""
    return [Change(*row) for row in connection.execute(FOUND, [list(numbers)], prepare=False)]


def change_shapes(connection: Connection, changes: Iterable[Change]) -> None:
    """Update the counts for changes below the mark; revisions that are not counted yet change nothing."""
    parts = [
        (change.table_id, shape, more, change.sequence_no)
        for change in changes
        for shape, more in ((change.before, -1), (change.after, 1))
        if shape is not None
    ]
    if parts:
        connection.execute(CHANGE, columns_of(parts))


def forget_shapes(connection: Connection, changes: Sequence[Change]) -> None:
    """Delete shapes that no revision has any more. The caller holds the strand's lock alone."""
    if gone := sorted({change.before for change in changes if change.before is not None}):
        connection.execute(FORGET, [gone])
