"""Checks that blocks form one unbroken strand, and computes its digests."""

from collections.abc import Iterator

from strandline.journal.check import merkle
from strandline.journal.check.block import Fault


class Chain:
    """The links of a strand's blocks, added in the order of their numbers, and the digest up to a tip."""

    def __init__(self, tip: int | None = None) -> None:
        """`tip`: the last block that the digest covers; by default the last block added."""
        self.first_no: int | None = None
        self.last_no: int | None = None
        self._last_hash = b""
        self._tip = tip
        self._frontier = merkle.Frontier()
        self._digest: bytes | None = None

    def add(self, sequence_no: int, block_hash: bytes, previous_hash: bytes) -> Iterator[Fault]:
        """Add the next block; yields the faults between it and the one before."""
        if self.first_no is None or self.last_no is None:
            self.first_no = sequence_no
            if sequence_no == 0 and previous_hash:
                yield Fault(0, "previousBlockHash", "the first block has one")
        elif sequence_no != self.last_no + 1:
            yield missing(self.last_no + 1, sequence_no - 1)
        elif previous_hash != self._last_hash:
            yield Fault(sequence_no, "previousBlockHash", f"is not the blockHash of block {self.last_no}")
        self.last_no, self._last_hash = sequence_no, block_hash
        self._frontier.append(block_hash)
        if sequence_no == self._tip and self._frontier.count == sequence_no + 1:
            self._digest = self._frontier.digest()

    @property
    def digest(self) -> bytes | None:
        """The ledger's digest at the tip; None unless every block from 0 to the tip was added."""
        tip = self.last_no if self._tip is None else self._tip
        if self.first_no != 0 or tip is None or self.last_no is None or tip > self.last_no:
            return None
        if self._tip is not None:
            return self._digest
        return self._frontier.digest() if self._frontier.count == tip + 1 else None


def missing(first_no: int, last_no: int) -> Fault:
    """Return the fault of missing blocks."""
    if first_no == last_no:
        return Fault(first_no, "missing", f"block {first_no} is missing")
    return Fault(first_no, "missing", f"blocks {first_no} to {last_no} are missing")
