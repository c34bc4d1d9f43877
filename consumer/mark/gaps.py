"""Gaps below the head, and accepted gaps: blocks that are permanently lost, skipped for a recorded reason."""

from strandline.consumer.database.connection import Connection
from strandline.consumer.mark.lock import strand_lock
from strandline.consumer.mark.mark import Mark, advance, only_row, read_mark
from strandline.journal.errors import UsageError

READ_OVERLAPPING = "SELECT first_no, last_no FROM journal.accepted_gap WHERE first_no <= %s AND last_no >= %s"
ADD = "INSERT INTO journal.accepted_gap (first_no, last_no, reason) VALUES (%s, %s, %s)"


def accept_gap(connection: Connection, first: int, last: int, reason: str) -> Mark:
    """Accept that the blocks `first` to `last` are permanently lost: the mark skips them when it reaches them.

    Status, verification and proofs name the gap from then on. The connection must be outside a transaction. Raises
    UsageError if the mark has passed them, no block beyond them is stored, or they overlap with an accepted gap.
    """
    if not 0 <= first <= last:
        raise UsageError(f"From block {first} to block {last} is not a range of blocks.")
    if not reason.strip():
        raise UsageError("--reason is empty: say why these blocks are lost, for the auditor.")
    beyond = head(connection)
    with strand_lock(connection, alone=True):
        mark = read_mark(connection)
        if first <= mark.sequence_no:
            raise UsageError(f"The mark is at block {mark.sequence_no}: no block below it is missing.")
        if beyond is None or last >= beyond:
            raise UsageError(
                f"No block beyond {last} is stored, so block {last} may not be lost: replay what follows it first."
            )
        if other := connection.execute(READ_OVERLAPPING, [last, first]).fetchone():
            raise UsageError(f"Blocks {other[0]} to {other[1]} are an accepted gap already.")
        connection.execute(ADD, [first, last, reason.strip()])
    return advance(connection).mark


HEAD = """
    SELECT greatest(
        (SELECT max(sequence_no) FROM journal.block),
        journal.last_revision(%(mark)s),
        CASE WHEN %(mark)s >= origin THEN %(mark)s END)
    FROM journal.mark"""

# What an object without a gap covers is stored (journal.forget_objects), and need not be read. Elsewhere, the numbers
# between two blocks that follow each other in the index are missing.
GAPS = """
    WITH known AS (
        SELECT first_no, last_no FROM journal.object WHERE gapless AND last_no >= %(first)s
        UNION ALL SELECT first_no, last_no FROM journal.accepted_gap WHERE last_no >= %(first)s
    ), unknown AS (
        SELECT unnest(
            int8multirange(int8range(%(first)s, %(last)s, '[]'))
            - coalesce(range_agg(int8range(first_no, last_no, '[]')), '{}')) AS numbers
        FROM known
    )
    SELECT held.before + 1, held.sequence_no - 1
    FROM unknown CROSS JOIN LATERAL (
        SELECT sequence_no, lag(sequence_no, 1, lower(numbers) - 1) OVER (ORDER BY sequence_no) AS before
        FROM journal.block WHERE sequence_no >= lower(numbers) AND sequence_no < upper(numbers)
        UNION ALL
        SELECT upper(numbers), coalesce(max(sequence_no), lower(numbers) - 1)
        FROM journal.block WHERE sequence_no >= lower(numbers) AND sequence_no < upper(numbers)
    ) AS held
    WHERE held.sequence_no > held.before + 1
    ORDER BY 1
    LIMIT %(limit)s"""


def head(connection: Connection) -> int | None:
    """The highest number that any block or revision in the store has; None where there is none."""
    with connection.transaction():
        return _head(connection, read_mark(connection).sequence_no)


def gaps(connection: Connection, limit: int = 1000) -> list[tuple[int, int]]:
    """The blocks that are missing between mark and head, as first and last number; accepted gaps are not among them.

    None, with the mark below the head, means that the next block lacks revisions or that two contend for its number.
    The cost grows with the number of objects above the mark, and of blocks there that came by a stream.
    """
    return head_and_gaps(connection, limit)[1]


def head_and_gaps(connection: Connection, limit: int = 1000) -> tuple[int | None, list[tuple[int, int]]]:
    """The head and the gaps below it, as `head` and `gaps` return them."""
    with connection.transaction():
        mark = read_mark(connection).sequence_no
        beyond = _head(connection, mark)
        if beyond is None or beyond <= mark:
            return beyond, []
        between = {"first": mark + 1, "last": beyond}
        return beyond, connection.execute(GAPS, {**between, "limit": limit}, prepare=False).fetchall()


def _head(connection: Connection, mark: int) -> int | None:
    number: int | None = only_row(connection.execute(HEAD, {"mark": mark}, prepare=False))[0]
    return number
