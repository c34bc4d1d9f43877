"""The blocks of the store that a verification covers: all, or those from one block on."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from strandline.consumer.database.connection import Connection
from strandline.consumer.mark.mark import read_mark
from strandline.consumer.store.verifications import Earlier, check_verified, read_clock, read_earlier
from strandline.journal.check.block import Fault
from strandline.journal.errors import StrandlineError, UsageError

RANGE = 1_000  # blocks that are checked in one transaction, and are in memory at once

READ_BEFORE = "SELECT block_hash FROM journal.block WHERE sequence_no = %s"


@dataclass(frozen=True)
class Scope:
    """Blocks `first_no` to `last_no`, the mark; `earlier` says when those from `origin` on, below, were last verified.

    `began_at` is the database's time before the first of them is read.
    """

    origin: int
    first_no: int
    last_no: int
    began_at: datetime
    earlier: list[Earlier] = field(default_factory=list)

    @property
    def full(self) -> bool:
        """Return True if these are all blocks of the store up to the mark."""
        return self.first_no == self.origin

    @property
    def blocks(self) -> int:
        """Return the number of blocks if none is missing."""
        return self.last_no + 1 - self.first_no

    def ranges(self) -> Iterator[range]:
        """Yield the blocks in ranges that are checked one at a time."""
        for start in range(self.first_no, self.last_no + 1, RANGE):
            yield range(start, min(start + RANGE, self.last_no + 1))

    def as_dict(self) -> dict[str, object]:
        """Return the scope in the form of `--json`."""
        return {
            "full": self.full,
            "first": self.first_no,
            "last": self.last_no,
            "began_at": self.began_at.isoformat(),
            "not_verified_now": [one.as_dict() for one in self.earlier],
        }


def read_scope(connection: Connection, since: int | None) -> Scope:
    """Return the scope from block `since`, by default the origin, to the mark.

    Raises `StrandlineError` if the store is empty, `UsageError` if `since` is above the mark.
    """
    began_at = read_clock(connection)
    mark = read_mark(connection)
    if mark.strand_id is None or mark.sequence_no < mark.origin:
        raise StrandlineError("the store holds no blocks yet: replay a journal, or write to the ledger, first")
    first_no = mark.origin if since is None else max(since, mark.origin)
    if first_no > mark.sequence_no:
        raise UsageError(f"--since is a block up to the mark, {mark.sequence_no}, not {since}.")
    earlier = read_earlier(connection, mark.origin, first_no)
    return Scope(mark.origin, first_no, mark.sequence_no, began_at, earlier)


def check_link(connection: Connection, scope: Scope, first: tuple[int, bytes, bytes] | None) -> Iterator[Fault]:
    """Compare the first block's link with the block before it, and the last blocks of earlier verifications with the
    store."""
    yield from check_verified(connection)
    if scope.full or first is None or first[0] != scope.first_no:
        return
    before = connection.execute(READ_BEFORE, [scope.first_no - 1]).fetchone()
    if before is not None and bytes(before[0]) != first[2]:
        yield Fault(scope.first_no, "previousBlockHash", f"is not the blockHash of block {scope.first_no - 1}")
