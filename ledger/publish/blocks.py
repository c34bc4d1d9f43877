"""The journal's blocks as QLDB would have exported them now, read from the store."""

from collections.abc import Iterator
from typing import Any

import psycopg
from psycopg.rows import dict_row

from strandline.consumer.store.blocks import block_value
from strandline.journal.check.block import check_block
from strandline.journal.errors import StrandlineError
from strandline.journal.ion import values as ion
from strandline.journal.make.block import timestamp

AT_A_TIME = 200

BLOCKS = """
    SELECT * FROM journal.block
    WHERE sequence_no BETWEEN %s AND least(%s, (SELECT sequence_no FROM journal.mark))
    ORDER BY sequence_no"""
REVISIONS = "SELECT * FROM journal.revision WHERE sequence_no BETWEEN %s AND %s"

Block = dict[str, Any]


def read_blocks(connection: psycopg.Connection[Any], first_no: int, last_no: int) -> Iterator[Block]:
    """The blocks from `first_no` to `last_no`, none above the mark, each checked; memory stays flat.

    Hash-equal to what was taken in; a redacted revision has its dataHash. Blocks from JSON are as JSON has them.
    Raises StrandlineError for a block that does not verify.
    """
    strand_id = _strand_id(connection)
    for start in range(first_no, last_no + 1, AT_A_TIME):
        # One state of the database: what is redacted between two statements must not be half there.
        with connection.transaction(), connection.cursor(row_factory=dict_row) as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            end = min(start + AT_A_TIME - 1, last_no)
            blocks = cursor.execute(BLOCKS, (start, end)).fetchall()
            revisions: dict[int, dict[bytes, dict[str, Any]]] = {}
            for row in cursor.execute(REVISIONS, (start, end)):
                revisions.setdefault(row["sequence_no"], {})[row["hash"]] = row
        for block in blocks:
            yield _checked(strand_id, block, revisions.get(block["sequence_no"], {}))


def _checked(strand_id: str, row: dict[str, Any], revisions: dict[bytes, dict[str, Any]]) -> Block:
    value = _with_time(block_value(strand_id, row, revisions), row)
    faults = check_block(value, trust_deletions=True).faults
    if faults and row["level"] == "full":
        # A struct may repeat a field, which plain dicts lose.
        value = _with_time(block_value(strand_id, row, revisions, _read_typed), row)
        faults = check_block(value, trust_deletions=True).faults
    if faults:
        raise StrandlineError(
            f"Block {row['sequence_no']} in the store does not verify ({faults[0].fault}): see `strandline verify`."
        )
    return value


def _with_time(value: Block, row: dict[str, Any]) -> Block:
    """QLDB's times are Ion's, in milliseconds."""
    stamp = timestamp(round(row["block_time"].timestamp() * 1000))
    if not value["revisions"]:
        del value["revisions"]
    return {**value, "blockTimestamp": stamp}


def _read_typed(data: bytes) -> Any:
    return next(iter(ion.read_typed(data)))


def _strand_id(connection: psycopg.Connection[Any]) -> str:
    with connection.transaction():
        row = connection.execute("SELECT strand_id FROM journal.mark").fetchone()
    return row[0] if row and row[0] else ""
