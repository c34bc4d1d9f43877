"""The journal's blocks as QLDB would export them now, read from the store."""

from collections.abc import Iterator
from typing import Any

import psycopg

from strandline.consumer.store.blocks import Row, block_value, read_rows, read_typed
from strandline.journal.check.block import check_block
from strandline.journal.errors import StrandlineError
from strandline.journal.make.block import timestamp

AT_A_TIME = 200

Block = dict[str, Any]


def read_blocks(connection: psycopg.Connection[Any], first_no: int, last_no: int) -> Iterator[Block]:
    """Yield the blocks from `first_no` to `last_no`, none above the mark, each checked; bounded memory.

    Each has the hashes that were ingested; a redacted revision has its dataHash. Blocks from JSON are as JSON has them.
    Raises StrandlineError for a block that does not verify.
    """
    for start in range(first_no, last_no + 1, AT_A_TIME):
        # One snapshot: a redaction between two statements must not show in half of what is read.
        with connection.transaction():
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            strand_id, rows = read_rows(connection, start, min(start + AT_A_TIME - 1, last_no))
        for block, revisions in rows:
            yield _checked(strand_id, block, revisions)


def _checked(strand_id: str, row: Row, revisions: dict[bytes, Row]) -> Block:
    value = _with_time(block_value(strand_id, row, revisions), row)
    faults = check_block(value, trust_deletions=True).faults
    if faults and row["level"] == "full":
        # A struct may repeat a field, which plain dicts lose.
        value = _with_time(block_value(strand_id, row, revisions, read_typed), row)
        faults = check_block(value, trust_deletions=True).faults
    if faults:
        raise StrandlineError(
            f"Block {row['sequence_no']} in the store does not verify ({faults[0].fault}): see `strandline verify`."
        )
    return value


def _with_time(value: Block, row: Row) -> Block:
    """Return the block with its time as QLDB writes it: Ion, in milliseconds."""
    stamp = timestamp(round(row["block_time"].timestamp() * 1000))
    if not value["revisions"]:
        del value["revisions"]
    return {**value, "blockTimestamp": stamp}
