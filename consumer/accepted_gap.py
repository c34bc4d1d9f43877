"""Passing over blocks that are lost for ever, with a reason; status, verification and proofs say so from then on."""

from typing import Any

import psycopg

from consumer.mark import Mark, advance, head, read_mark, strand_lock
from journal.errors import UsageError

READ_OVERLAPPING = "SELECT first_no, last_no FROM journal.accepted_gap WHERE first_no <= %s AND last_no >= %s"
ADD = "INSERT INTO journal.accepted_gap (first_no, last_no, reason) VALUES (%s, %s, %s)"


def accept_gap(connection: psycopg.Connection[Any], first: int, last: int, reason: str) -> Mark:
    """Accept that the blocks `first` to `last` will not come, and let the mark pass over them when it reaches them.

    The connection must be outside a transaction. Raises UsageError where the mark has passed them, nothing beyond them
    is there, or they overlap with an accepted gap.
    """
    if not 0 <= first <= last:
        raise UsageError(f"From block {first} to block {last} is no range of blocks.")
    if not reason.strip():
        raise UsageError("--reason is empty: say why these blocks will not come, for whoever audits this.")
    beyond = head(connection)
    with strand_lock(connection, alone=True):
        mark = read_mark(connection)
        if first <= mark.sequence_no:
            raise UsageError(f"The mark is at block {mark.sequence_no}: what is below it is not missing.")
        if beyond is None or last >= beyond:
            raise UsageError(f"Nothing beyond block {last} has come, so it cannot be told whether it is lost.")
        if other := connection.execute(READ_OVERLAPPING, [last, first]).fetchone():
            raise UsageError(f"Blocks {other[0]} to {other[1]} are an accepted gap already.")
        connection.execute(ADD, [first, last, reason.strip()])
    return advance(connection).mark
