"""A newly made block as a CheckedBlock."""

from typing import Any

import pytest

from strandline.journal.check.block import check_block
from strandline.journal.ion import values as ion
from strandline.journal.ion.hash import ion_hash, sha256
from strandline.journal.make.as_checked import as_checked
from strandline.journal.make.block import BlockMaker, NewRedaction, NewRevision, Statement, timestamp

TABLE, ADA, BOB = "TableLicence0000000000", "DocumentAda00000000000", "DocumentBob00000000000"
DATA = {"licenceId": "A1", "price": ion.read_one(b"1.50"), "events": [{"at": timestamp(1_600_000_000_007)}]}


@pytest.mark.parametrize(
    "parts",
    [
        {},
        {"statements": [Statement("SELECT * FROM Licence", timestamp(1))]},
        {"statements": [Statement("CREATE TABLE Licence", timestamp(1))], "system_revisions": [sha256(b"t")]},
        {
            "statements": [Statement("INSERT INTO Licence ?", timestamp(1), (DATA,))],
            "revisions": [
                NewRevision(ADA, TABLE, "Licence", 0, DATA, (0,), ion_hash(DATA), ion.write(DATA)),
                NewRevision(BOB, TABLE, "Licence", 3, {"n": 1}),
            ],
            "system_revisions": [sha256(b"t")],
        },
        {
            "statements": [Statement("DELETE FROM Licence", timestamp(1)), Statement("EXEC redact", timestamp(1))],
            "revisions": [NewRevision(BOB, TABLE, "Licence", 4, None)],
            "redactions": [NewRedaction(0, TABLE, BOB, 0)],
        },
    ],
    ids=["system", "select", "define", "insert", "delete and redact"],
)
def test_result_equals_that_of_check(parts: dict[str, Any]) -> None:
    time = timestamp(1_600_000_000_123)
    maker = BlockMaker("Strand0000000000000000", 7, sha256(b"before"))
    block = maker.make(transaction_id="Transaction00000000001", tx_time=time, block_time=time, **parts)
    checked = check_block(block)
    assert not checked.faults
    assert as_checked(block, parts.get("revisions", ()), parts.get("redactions", ())) == checked
