"""Statements that quote a value in their text are found, at both levels, until a redaction erases the texts."""

import pytest

from strandline.consumer.database.connection import AUDITOR, connect
from strandline.consumer.erasure.quotations import Quotation, find_quotations
from strandline.journal.make.block import BlockMaker, NewRevision, Statement, timestamp
from strandline.journal.make.format import Format
from tests.consumer.erasure.canaries import canaries
from tests.consumer.erasure.conftest import Replayed
from tests.journals import STRAND, TABLE, Block

NAMES = ["Zoë Example", "Mac O'Neil", 'Ann "Ace" Example', "C:\\Ann"]
TEXTS = [
    "SELECT * FROM Licence WHERE firstName = 'Zoë Example'",
    "SELECT * FROM Licence WHERE firstName = 'Mac O''Neil'",
    'INSERT INTO Licence `{firstName: "Ann \\"Ace\\" Example"}`',
    'INSERT INTO Licence `{firstName: "C:\\\\Ann"}`',
]


def quoting() -> list[Block]:
    """Blocks that quote one name each; the last two write a document."""
    maker = BlockMaker(STRAND)
    blocks = []
    for number, text in enumerate(["CREATE TABLE Licence", *TEXTS]):
        at = timestamp(1_600_000_000_000 + number)
        insert = [NewRevision(f"Document{number:014d}", TABLE, "Licence", 0, {"licenceId": "L"})] if number > 2 else []
        made = maker.make(
            transaction_id=f"Transaction{number:011d}", tx_time=at, block_time=at, statements=[Statement(text, at)],
            revisions=insert, system_revisions=[] if number else [b"t" * 32],
        )  # fmt: skip
        blocks.append(made)
    return blocks


@pytest.mark.parametrize("format", [Format.ION_BINARY, Format.JSON], ids=["full", "chain"])
def test_each_spelling_is_found(store: Replayed, format: Format) -> None:
    store.replay(quoting(), format)
    with connect(store.url, role=AUDITOR) as connection:
        found = [find_quotations(connection, name) for name in NAMES]
        assert [[one.sequence_no for one in several] for several in found] == [[1], [2], [3], [4]]
        assert found[0][0].documents == ()
        (one,) = found[2]
        assert (one.statement, one.kind, one.documents) == (0, "INSERT", ("Document00000000000003",))
        assert find_quotations(connection, "zoë example") == []
        assert find_quotations(connection, "") == []
        assert [one.sequence_no for one in find_quotations(connection, "Example")] == [1, 3]


def test_redaction_erases_what_was_found(store: Replayed) -> None:
    made = canaries(documents=1)
    store.replay(made.blocks[: made.first_redaction])
    with connect(store.url) as connection:
        (found,) = find_quotations(connection, made.strings[0])
    assert found == Quotation(1, "Transaction00000000001", found.block_time, 0, "UPDATE", ("Document00000000000000",))
    store.replay(made.blocks)
    with connect(store.url) as connection:
        assert find_quotations(connection, made.strings[0]) == []


def test_block_above_the_mark_is_left_out(store: Replayed) -> None:
    blocks = quoting()
    store.replay([*blocks[:2], *blocks[3:]])
    with connect(store.url) as connection:
        assert [len(find_quotations(connection, name)) for name in NAMES] == [1, 0, 0, 0]
