"""The tail of the journal, and the blocks made to follow it."""

import time
from dataclasses import dataclass
from datetime import datetime

from strandline.journal.check.block import CheckedBlock
from strandline.journal.ion.values import Timestamp
from strandline.journal.make.as_checked import as_checked
from strandline.journal.make.block import BlockMaker, timestamp
from strandline.ledger.prepared import Prepared


@dataclass(frozen=True, slots=True)
class Tail:
    """The mark, the time of its block, and whether candidates wait above it."""

    strand_id: str | None
    origin: int
    sequence_no: int
    block_hash: bytes | None
    block_time: datetime | None
    candidates: bool


class TailBlocks:
    """New blocks that follow the tail, in the order in which transactions are added."""

    def __init__(self, tail: Tail) -> None:
        assert tail.strand_id is not None
        self.tail = tail
        self.blocks: list[CheckedBlock] = []
        self.added: list[Prepared] = []
        self._maker = BlockMaker(tail.strand_id, tail.sequence_no + 1, tail.block_hash or b"")
        # Clocks differ between machines, and may be set back; block times never decrease.
        self._time: Timestamp = timestamp(max(time.time_ns() // 1_000_000, _milliseconds(tail.block_time)))

    def add(self, prepared: Prepared) -> int:
        """Make the transaction's block. Returns its number."""
        made = self._maker.make(
            transaction_id=prepared.transaction_id,
            tx_time=self._time,
            block_time=self._time,
            statements=prepared.statements,
            revisions=prepared.revisions,
            redactions=prepared.redactions,
            system_revisions=prepared.system_revisions,
        )
        self.blocks.append(as_checked(made, prepared.revisions, prepared.redactions))
        self.added.append(prepared)
        return self.blocks[-1].sequence_no

    @property
    def first_no(self) -> int:
        return self.tail.sequence_no + 1

    def new_tail(self) -> Tail:
        """Return the tail after these blocks are appended."""
        last = self.blocks[-1]
        return Tail(self.tail.strand_id, self.tail.origin, last.sequence_no, last.block_hash, last.block_time, False)


def _milliseconds(moment: datetime | None) -> int:
    if moment is None:
        return 0
    # Rounded up: a block's time is never before that of the block it follows.
    return -(-round(moment.timestamp() * 1_000_000) // 1000)
