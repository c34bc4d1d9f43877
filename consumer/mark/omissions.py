"""Omissions: blocks that are not shown to be complete, which the mark does not pass unless they are accepted."""

from dataclasses import dataclass
from datetime import datetime

from strandline.consumer.database.connection import Connection
from strandline.consumer.mark.lock import strand_lock
from strandline.consumer.mark.mark import Mark, advance
from strandline.journal.errors import UsageError

READ = """
    SELECT sequence_no, block_hash, detail, accepted_at, reason FROM journal.omission
    ORDER BY sequence_no, block_hash, detail LIMIT %s"""
COUNT = """
    SELECT count(DISTINCT (sequence_no, block_hash)) FILTER (WHERE accepted_at IS NULL),
           count(DISTINCT (sequence_no, block_hash)) FILTER (WHERE accepted_at IS NOT NULL)
    FROM journal.omission"""
ACCEPT = """
    UPDATE journal.omission SET accepted_at = now(), reason = %(reason)s
    WHERE sequence_no = %(number)s AND accepted_at IS NULL"""


@dataclass(frozen=True)
class StoredOmission:
    """The reason why a stored block is not shown to be complete.

    `accepted_at` and `reason` are None until it is accepted.
    """

    sequence_no: int
    block_hash: bytes
    detail: str
    accepted_at: datetime | None
    reason: str | None


def accept_omission(connection: Connection, sequence_no: int, reason: str) -> Mark:
    """Accept the omissions of a block, so that the mark may pass it. Returns the mark after that.

    Status, verification and proofs name the block from then on. The connection must be outside a transaction. Raises
    UsageError if the block has no omission that is open.
    """
    if not reason.strip():
        raise UsageError("--reason is empty: say why this block is accepted, for the auditor.")
    with strand_lock(connection, alone=True):
        if not connection.execute(ACCEPT, {"number": sequence_no, "reason": reason.strip()}).rowcount:
            raise UsageError(f"Block {sequence_no} has no omission to accept: `strandline rejected` lists them.")
    return advance(connection).mark


def count_omissions(connection: Connection) -> tuple[int, int]:
    """Return how many blocks have open omissions, and how many have accepted ones."""
    with connection.transaction():
        row = connection.execute(COUNT).fetchone()
        return (row[0], row[1]) if row else (0, 0)


def read_omissions(connection: Connection, limit: int = 1000) -> list[StoredOmission]:
    """Return the omissions of stored blocks, open and accepted, in the order of the blocks."""
    with connection.transaction():
        return [StoredOmission(*row) for row in connection.execute(READ, [limit])]
