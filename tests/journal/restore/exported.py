"""Small journals as JSON exports show them."""

from collections.abc import Sequence
from typing import Any

from strandline.journal.ion.down_conversion import down_convert
from strandline.journal.ion.json import exact
from strandline.journal.make.block import BlockMaker, NewRevision, Statement, timestamp

STRAND = "Strand0000000000000000"
TABLE = "TableLicence0000000000"


def journal_of(documents: Sequence[Any], table: str = "Licence") -> list[dict[str, Any]]:
    """Return a block for each document, inserted into one table."""
    maker = BlockMaker(STRAND)
    return [
        maker.make(
            transaction_id=f"Transaction{number:011d}",
            tx_time=timestamp(1_600_000_000_000 + number * 1_000),
            block_time=timestamp(1_600_000_000_007 + number * 1_000),
            statements=[Statement(f"INSERT INTO {table} ?", timestamp(1_599_999_999_900), (data,))],
            revisions=[NewRevision(f"Document{number:014d}", TABLE, table, 0, data)],
        )
        for number, data in enumerate(documents)
    ]


def shown(block: dict[str, Any]) -> Any:
    """Return a block as a JSON export shows it, read again."""
    return exact(down_convert(block))
