"""The blocks of a period. Block times never decrease, so they are consecutive."""

from datetime import datetime
from typing import Any

import psycopg

from strandline.consumer.mark.lock import strand_lock
from strandline.journal.errors import StrandlineError

FIRST = """
    SELECT coalesce(
        (SELECT min(b.sequence_no) FROM journal.block b
         WHERE b.sequence_no BETWEEN m.origin AND m.sequence_no AND b.block_time >= %(starts_at)s),
        CASE WHEN %(starts_at)s::timestamptz IS NULL THEN m.origin ELSE m.sequence_no + 1 END)
    FROM journal.mark m"""
LAST = """
    SELECT coalesce(
               (SELECT min(b.sequence_no) - 1 FROM journal.block b
                WHERE b.sequence_no BETWEEN m.origin AND m.sequence_no AND b.block_time >= %(ends_at)s),
               m.sequence_no),
           coalesce(clock_timestamp() >= %(ends_at)s, false)
    FROM journal.mark m"""


class EmptyJournal(StrandlineError):
    """The store holds no blocks yet."""


def first_block(connection: psycopg.Connection[Any], starts_at: datetime | None) -> int:
    """Return the first block of this time or later: the next one to be appended if there is none so far."""
    with strand_lock(connection, alone=False):  # waits for an append in progress, which may be of an earlier time
        row = connection.execute(FIRST, {"starts_at": starts_at}).fetchone()
    return 0 if row is None else int(row[0])


def last_block(connection: psycopg.Connection[Any], ends_at: datetime | None) -> tuple[int, bool]:
    """Return the last block before this time by now, and whether no more can come."""
    # The lock waits for an append in progress, whose block time may be just before the end.
    with strand_lock(connection, alone=False):
        last_no, is_last = connection.execute(LAST, {"ends_at": ends_at}).fetchone() or (-1, False)
    return last_no, is_last
