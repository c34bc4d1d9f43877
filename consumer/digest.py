"""The digest of the journal in the store, as QLDB would have given it."""

from collections.abc import Callable
from dataclasses import dataclass

from consumer.database import connect
from consumer.mark import read_mark
from journal.errors import StrandlineError, UsageError
from journal.strand import Chain

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


def store_digest(url: str, tip: int | None = None, *, progress: Progress = lambda *_: None) -> Digest:
    """The digest up to block `tip`, the mark unless given; memory stays flat.

    Only the links are checked on the way, not what is in the blocks. Raises `UsageError` for a tip that is no number of
    a block, `StrandlineError` where the store does not hold every block from 0 to the tip.
    """
    if tip is not None and tip < 0:
        raise UsageError(f"a tip is a block's number, from 0 on, not {tip}")
    with connect(url) as connection:
        mark = read_mark(connection)
        if mark.strand_id is None or mark.sequence_no < mark.origin:
            raise StrandlineError("the store holds no blocks yet: take an export in with `strandline replay SOURCE`")
        if mark.origin > 0:
            raise StrandlineError(
                f"a digest covers every block from 0 on, and the store begins at block {mark.origin}: "
                "replay the whole journal into a database with STRANDLINE_ORIGIN=0"
            )
        tip = mark.sequence_no if tip is None else tip
        if tip > mark.sequence_no:
            raise StrandlineError(f"the journal in the store ends at block {mark.sequence_no}, before block {tip}")
        if gap := connection.execute(READ_GAP, [tip]).fetchone():
            raise StrandlineError(
                f"a digest covers every block from 0 on, and blocks {gap[0]} to {gap[1]} are an accepted gap: "
                f"only digests with a tip below {gap[0]} can be had"
            )
        chain = Chain(tip)
        with connection.cursor(name="digest") as cursor:
            cursor.itersize = ROWS_AT_A_TIME
            for row in cursor.execute(READ_BLOCKS, [tip], binary=True):
                for fault in chain.add(*row):
                    raise StrandlineError(f"block {fault.sequence_no}: {fault.fault}: {fault.detail}")
                if row[0] % ROWS_AT_A_TIME == 0:
                    progress(row[0], tip + 1)
    if chain.digest is None:
        raise StrandlineError(f"blocks from 0 to {tip} are missing in the store: `strandline verify` says which")
    return Digest(chain.digest, tip, mark.strand_id)
