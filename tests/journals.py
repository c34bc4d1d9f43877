"""A small journal of a made-up ledger, as block values, and the ways to write it down."""

from typing import Any

from strandline.journal.ion.hash import sha256
from strandline.journal.ion.json import to_json
from strandline.journal.ion.values import write_stream, write_text
from strandline.journal.make.block import BlockMaker, NewRedaction, NewRevision, Statement, redact, timestamp

STRAND = "Strand0000000000000000"
TABLE = "TableLicence0000000000"
OTHER_TABLE = "TableContact0000000000"
ADA, BOB = "DocumentAda00000000000", "DocumentBob00000000000"

Block = dict[str, Any]


def small_journal(strand: str = STRAND) -> list[Block]:
    """Nine blocks: 0 the system's, 1 CREATE TABLE, 2 Ada and Bob inserted, 3 Ada changed, 4 a SELECT, 5 Bob changed,
    6 Bob deleted, 7 Bob's version 0 redacted (as exported after that), 8 Ada changed."""
    maker = BlockMaker(strand)

    def make(statements: list[str], revisions: list[NewRevision] | None = None, **more: Any) -> Block:
        number = maker.next_sequence_no
        at = 1_600_000_000_000 + number * 1_000
        return maker.make(
            transaction_id=f"Transaction{number:011d}",
            tx_time=timestamp(at),
            block_time=timestamp(at + 7),
            statements=[Statement(text, timestamp(at - 30)) for text in statements],
            revisions=revisions or [],
            **more,
        )

    def licence(document: str, version: int, data: Any) -> NewRevision:
        return NewRevision(document, TABLE, "Licence", version, data)

    blocks = [
        make([], system_revisions=[sha256(b"system")]),
        make(["CREATE TABLE Licence"], system_revisions=[sha256(b"table")]),
        make(
            ["INSERT INTO Licence ?"],
            [
                licence(ADA, 0, {"licenceId": "A1", "status": "Valid", "firstName": "Ada"}),
                licence(BOB, 0, {"licenceId": "B1", "status": "Valid", "firstName": "Bob"}),
            ],
        ),
        make(["UPDATE Licence SET status = ?"], [licence(ADA, 1, {"licenceId": "A1", "status": "Revoked"})]),
        make(["SELECT * FROM Licence"]),
        make(["UPDATE Licence SET status = ?"], [licence(BOB, 1, {"licenceId": "B1", "status": "Revoked"})]),
        make(["DELETE FROM Licence WHERE licenceId = ?"], [licence(BOB, 2, None)]),
        make(["EXEC redact_revision ?, ?, ?"], redactions=[NewRedaction(2, TABLE, BOB, 0)]),
        make(["UPDATE Licence SET status = ?"], [licence(ADA, 2, {"licenceId": "A1", "status": "Valid"})]),
    ]
    blocks[2] = redact(blocks[2], BOB, 0)
    return blocks


def ion_binary(blocks: list[Block]) -> bytes:
    return write_stream(blocks)


def ion_text(blocks: list[Block]) -> bytes:
    return "\n".join(write_text(block) for block in blocks).encode()


def json_lines(blocks: list[Block]) -> bytes:
    """As QLDB wrote JSON: what the store must escape stands in it by JSON's own means."""
    text = "\n".join(to_json(block) for block in blocks)
    return text.replace("\ufdd00000", "\\u0000").replace("\ufdd0fdd0", "\\ufdd0").encode()
