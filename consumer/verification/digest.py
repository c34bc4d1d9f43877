"""The digest of the journal in the store, as QLDB would have given it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import psycopg

from strandline.consumer.database.connection import connect
from strandline.consumer.mark.mark import read_mark
from strandline.journal.check.merkle import Frontier
from strandline.journal.check.strand import Chain
from strandline.journal.errors import StrandlineError, UsageError

READ_BLOCKS = """
    SELECT sequence_no, block_hash, previous_hash FROM journal.block WHERE sequence_no <= %s ORDER BY sequence_no"""
READ_GAP = "SELECT first_no, last_no FROM journal.accepted_gap WHERE first_no <= %s ORDER BY first_no LIMIT 1"
ROWS_AT_A_TIME = 5_000

Progress = Callable[[int, int], None]  # blocks done, blocks there are


@dataclass(frozen=True)
class Digest:
    """The Merkle root over the hashes of all blocks from 0 to `tip`."""

    digest: bytes
    tip: int
    strand_id: str


class BlockHashes:
    """The hashes of the store's blocks from 0 to a tip, each linked to the one before; memory stays flat.

    Making one raises `UsageError` for a tip that is no number of a block, `StrandlineError` where the store does not
    begin at block 0, ends before the tip, or has an accepted gap below it; going through it, where a link is broken.
    """

    def __init__(
        self, connection: psycopg.Connection[Any], tip: int | None = None, *, progress: Progress = lambda *_: None
    ) -> None:
        if tip is not None and tip < 0:
            raise UsageError(f"a tip is a block's number, from 0 on, not {tip}")
        mark = read_mark(connection)
        if mark.strand_id is None or mark.sequence_no < mark.origin:
            raise StrandlineError("the store holds no blocks yet: take an export in with `strandline replay SOURCE`")
        if mark.origin > 0:
            raise StrandlineError(
                f"a digest covers every block from 0 on, and the store begins at block {mark.origin}: "
                "replay the whole journal into a database with STRANDLINE_ORIGIN=0"
            )
        self.strand_id = mark.strand_id
        self.tip = mark.sequence_no if tip is None else tip
        if self.tip > mark.sequence_no:
            raise StrandlineError(f"the journal in the store ends at block {mark.sequence_no}, before block {tip}")
        if gap := connection.execute(READ_GAP, [self.tip]).fetchone():
            raise StrandlineError(
                f"a digest covers every block from 0 on, and blocks {gap[0]} to {gap[1]} are an accepted gap: "
                f"only digests with a tip below {gap[0]} can be had"
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
                f"blocks from 0 to {self.tip} are missing in the store: `strandline verify` says which"
            )


def store_digest(url: str, tip: int | None = None, *, progress: Progress = lambda *_: None) -> Digest:
    """The digest up to block `tip`, the mark unless given.

    Only the links are checked on the way, not what is in the blocks. Raises as `BlockHashes` does.
    """
    with connect(url) as connection:
        hashes = BlockHashes(connection, tip, progress=progress)
        frontier = Frontier()
        for block_hash in hashes:
            frontier.append(block_hash)
    return Digest(frontier.digest(), hashes.tip, hashes.strand_id)
