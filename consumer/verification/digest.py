"""Computes the digest of the journal in the store, as QLDB would have given it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from strandline.consumer.database.connection import AUDITOR, Connection, connect
from strandline.consumer.mark.mark import read_mark
from strandline.consumer.store.graft import read_graft
from strandline.journal.check.merkle import Frontier
from strandline.journal.check.strand import Chain
from strandline.journal.errors import StrandlineError, UsageError

READ_BLOCKS = """
    SELECT sequence_no, block_hash, previous_hash FROM journal.block WHERE sequence_no <= %s ORDER BY sequence_no"""
READ_GAP = "SELECT first_no, last_no FROM journal.accepted_gap WHERE first_no <= %s ORDER BY first_no LIMIT 1"
ROWS_AT_A_TIME = 5_000

Progress = Callable[[int, int], None]  # blocks done, blocks in all


@dataclass(frozen=True)
class Digest:
    """The Merkle root over the hashes of all blocks from 0 to `tip`.

    `graft` is the first block that Strandline wrote, None if QLDB wrote all.
    """

    digest: bytes
    tip: int
    strand_id: str
    graft: int | None = None


class BlockHashes:
    """The hashes of the store's blocks from 0 to a tip, in order, with each link checked. Memory stays flat.

    The constructor raises `UsageError` if the tip is not a block's number, `StrandlineError` if the store does not
    begin at block 0, ends before the tip, or has an accepted gap below it. Iteration raises `StrandlineError` at a
    broken link.
    """

    def __init__(self, connection: Connection, tip: int | None = None, *, progress: Progress = lambda *_: None) -> None:
        if tip is not None and tip < 0:
            raise UsageError(f"a tip is the number of a block, 0 or higher, not {tip}")
        mark = read_mark(connection)
        if mark.strand_id is None or mark.sequence_no < mark.origin:
            raise StrandlineError("the store holds no blocks: run `strandline replay SOURCE` first")
        if mark.origin > 0:
            raise StrandlineError(
                f"a digest covers every block from 0 to its tip, and the store begins at block {mark.origin}: "
                "replay all of the journal into a database with STRANDLINE_ORIGIN=0"
            )
        self.strand_id = mark.strand_id
        self.tip = mark.sequence_no if tip is None else tip
        if self.tip > mark.sequence_no:
            raise StrandlineError(f"the journal in the store ends at block {mark.sequence_no}, before block {tip}")
        if gap := connection.execute(READ_GAP, [self.tip]).fetchone():
            raise StrandlineError(
                f"a digest covers every block from 0 to its tip, and blocks {gap[0]} to {gap[1]} are an accepted gap: "
                f"give a tip below {gap[0]}"
            )
        self._connection = connection
        self._progress = progress

    def __iter__(self) -> Iterator[bytes]:
        chain = Chain(self.tip)
        with self._connection.cursor(name="digest") as cursor:
            cursor.itersize = ROWS_AT_A_TIME
            for row in cursor.execute(READ_BLOCKS, [self.tip], binary=True):
                for fault in chain.add(*row):
                    raise StrandlineError(f"block {fault.sequence_no}: {fault.fault}: {fault.detail}")
                yield row[1]
                if row[0] % ROWS_AT_A_TIME == 0:
                    self._progress(row[0], self.tip + 1)
        if chain.digest is None:
            raise StrandlineError(
                f"blocks from 0 to {self.tip} are missing in the store: run `strandline verify` to see which"
            )


def store_digest(url: str, tip: int | None = None, *, progress: Progress = lambda *_: None) -> Digest:
    """Compute the digest up to block `tip`, by default the mark.

    Checks the links between the blocks, not their contents. Raises as `BlockHashes` does.
    """
    with connect(url, role=AUDITOR) as connection:
        hashes = BlockHashes(connection, tip, progress=progress)
        frontier = Frontier()
        for block_hash in hashes:
            frontier.append(block_hash)
        graft = read_graft(connection)
    return Digest(frontier.digest(), hashes.tip, hashes.strand_id, graft)
