"""A small ledger whose licences the kit migrated: updated, deleted and redacted ones, and one of another table."""

from typing import Any

from strandline.consumer.database.connection import connect
from strandline.consumer.intake.writer import JournalWriter
from strandline.consumer.mark.mark import advance
from strandline.journal.decode.objects import decode
from strandline.journal.ion import values as ion
from strandline.journal.make.block import BlockMaker, NewRedaction, NewRevision, Statement, redact, timestamp

STRAND = "Strand0000000000000000"
TABLE, OTHER_TABLE = "TableLicence0000000000", "TableContact0000000000"
ADA, BOB, CARL, DORA = (f"Document{name:0<14}" for name in ("Ada", "Bob", "Carl", "Dora"))


def licence(name: str, fee: str = "34.00", **more: Any) -> dict[str, Any]:
    text = f"""{{licenceId: "L-{name}", firstName: "{name}", dateOfBirth: 1980-02-03T, fee: {fee},
        owner: {{personId: "P-{name}"}}, tags: ["a", "b"]}}"""
    return {**ion.read_one(text.encode()), **more}


def journal() -> list[dict[str, Any]]:
    """Ten blocks: 0 the system's, 1 to 4 Ada, Bob, Carl and Dora inserted, 5 Ada changed, 6 Bob changed, 7 Bob deleted,
    8 Carl changed, 9 Carl's version 0 redacted."""
    maker = BlockMaker(STRAND)

    def make(*revisions: NewRevision, redactions: list[NewRedaction] | None = None) -> dict[str, Any]:
        at = 1_600_000_000_123 + maker.next_sequence_no * 1_000
        statements = [Statement("UPDATE Licence SET a = ?", timestamp(at - 30))] if maker.next_sequence_no else []
        return maker.make(
            transaction_id=f"Transaction{maker.next_sequence_no:011d}",
            tx_time=timestamp(at),
            block_time=timestamp(at + 7),
            statements=statements,
            revisions=revisions,
            redactions=redactions or [],
        )

    def of(document: str, version: int, data: Any) -> NewRevision:
        return NewRevision(document, TABLE, "Licence", version, data)

    other = NewRevision("DocumentContact0000000", OTHER_TABLE, "Contact", 0, licence("Contact"))
    return [
        make(),
        make(of(ADA, 0, licence("Ada")), other),
        make(of(BOB, 0, licence("Bob"))),
        make(of(CARL, 0, licence("Carl"))),
        make(of(DORA, 0, licence("Dora"))),
        make(of(ADA, 1, licence("Ada", "35.5"))),
        make(of(BOB, 1, licence("Bob", "36.00"))),
        make(of(BOB, 2, None)),
        make(of(CARL, 1, licence("Carl", tags=[]))),
        make(redactions=[NewRedaction(3, TABLE, CARL, 0)]),
    ]


def as_exported(blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the blocks as exported after the redaction."""
    return [redact(block, CARL, 0) if number == 3 else block for number, block in enumerate(blocks)]


def store(url: str, data: bytes) -> None:
    """Put blocks into the store, up to the mark."""
    rows = decode(data).rows
    assert rows is not None
    with connect(url) as connection:
        writer = JournalWriter(connection)
        writer.begin_strand(STRAND, 0)
        writer.intake([rows], source="test")
        advance(connection)
