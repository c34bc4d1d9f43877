"""A licence ledger in which each redacted revision has a unique string; a third of the statements quote it too."""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from strandline.journal.ion.hash import sha256
from strandline.journal.make.block import BlockMaker, NewRedaction, NewRevision, Statement, redact, timestamp
from strandline.journal.make.export import ExportWriter
from strandline.journal.make.format import Format
from tests.journals import STRAND, TABLE, Block

PREFIX = "CanaryBird"
WITHHELD = "StaysThere"


@dataclass(frozen=True)
class Canaries:
    """`blocks` as written; `redactions` by the number of the redacting block; `strings`, one a redacted revision."""

    blocks: list[Block]
    redactions: dict[int, NewRedaction]
    strings: list[str]

    @property
    def first_redaction(self) -> int:
        return min(self.redactions)

    def as_exported(self, count: int | None = None) -> list[Block]:
        """Return the first `count` blocks, as QLDB exported them after it had written the last of those."""
        blocks = list(self.blocks[:count])
        for number, named in self.redactions.items():
            if number < len(blocks):
                blocks[named.sequence_no] = redact(blocks[named.sequence_no], named.document_id, named.version)
        return blocks


def canaries(documents: int = 6, seed: str = "") -> Canaries:
    """Make documents that are inserted, changed and, every other one, deleted; then redact inactive revisions."""
    maker = BlockMaker(STRAND)
    blocks: list[Block] = []
    strings: list[str] = []
    inactive: list[NewRedaction] = []

    def make(statements: list[str], revisions: list[NewRevision] | None = None, **more: Any) -> None:
        at = 1_600_000_000_000 + maker.next_sequence_no * 1_000
        blocks.append(
            maker.make(
                transaction_id=f"Transaction{maker.next_sequence_no:011d}",
                tx_time=timestamp(at),
                block_time=timestamp(at + 7),
                statements=[Statement(text, timestamp(at - 30)) for text in statements],
                revisions=revisions or [],
                **more,
            )
        )

    make(["CREATE TABLE Licence"], system_revisions=[sha256(b"table")])
    for index in range(documents):
        document = f"Document{index:014d}"
        for version in (0, 1):
            string = f"{PREFIX}{sha256(f'{seed} {index} {version}'.encode()).hex()[:16]}"
            strings.append(string)
            inactive.append(NewRedaction(maker.next_sequence_no, TABLE, document, version))
            literal = f"UPDATE Licence SET firstName = '{string}'" if index % 3 == 0 else "UPDATE Licence SET x = ?"
            make([literal, "SELECT * FROM Licence"], [_licence(document, version, string)])
        last = None if index % 2 else {"licenceId": f"L{index}", "status": "Valid", "firstName": WITHHELD}
        make(["UPDATE Licence SET x = ?"], [NewRevision(document, TABLE, "Licence", 2, last)])
    redactions = {}
    for named in inactive:
        redactions[maker.next_sequence_no] = named
        make([f"EXEC redact_revision ?, '{TABLE}', '{named.document_id}'"], redactions=[named])
    return Canaries(blocks, redactions, strings)


def _licence(document: str, version: int, string: str) -> NewRevision:
    data = {"licenceId": string, "status": "Valid", "firstName": string, "county": string, "postcode": string}
    return NewRevision(document, TABLE, "Licence", version, data)


def write_export(folder: Path, blocks: list[Block], format: Format = Format.ION_BINARY) -> Path:
    writer = ExportWriter(folder, format, strand_id=STRAND, export_id="Export", prefix="exports/", object_blocks=7)
    writer.start(ledger="licences", bucket="bucket", start_time=timestamp(0), end_time=timestamp(1))
    for block in blocks:
        writer.add(block)
    writer.finish()
    return folder


def found_in(folder: Path, strings: list[str]) -> set[str]:
    """Return the strings that are in any file below the folder."""
    found = set()
    for parent, _, names in os.walk(folder):  # passes over what a server deletes during the search
        for name in names:
            with suppress(OSError):
                data = Path(parent, name).read_bytes()
                found |= {string for string in strings if string.encode() in data}
    return found
