"""Activity of a ledger, block by block, without any of its contents."""

from strandline import Block, BlockProjection, Column, Rows


def rows(block: Block) -> Rows:
    yield {
        "sequence_no": block.sequence_no,
        "block_time": block.block_time,
        "statement_kinds": block.statement_kinds,
        "tables": block.tables,
        "revisions": block.revisions,
        "redactions": block.redactions,
    }


PROJECTION = BlockProjection(
    name="ledger_activity",
    purpose="How busy the ledger was, and with what, for any ledger.",
    readers="analysts",
    columns=(
        Column("sequence_no", "bigint", "The block's number."),
        Column("block_time", "timestamptz", "When the block was written."),
        Column("statement_kinds", "text[]", "Leading keyword of each statement, never its text."),
        Column("tables", "text[]", "Tables whose documents the block revises."),
        Column("revisions", "integer", "Revisions of documents in the block."),
        Column("redactions", "integer", "Revisions that the block redacts."),
    ),
    rows=rows,
    indexes=(("block_time",),),
)
