"""A small ledger that is written block by block, and every way in which QLDB could have handed it over."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

from amazon.ion import simpleion

from strandline.journal.decode import stream
from strandline.journal.ion.hash import sha256
from strandline.journal.make.block import BlockMaker, NewRedaction, NewRevision, Statement, redact, timestamp
from tests.journals import STRAND, Block

Flavour = Literal["good", "good", "odd", "bad", "raise", "exotic", "delete"]
FLAVOURS: tuple[Flavour, ...] = ("good", "good", "good", "odd", "bad", "raise", "exotic", "delete")
TABLES = {"T": "TableT0000000000000000", "U": "TableU0000000000000000"}
SLOTS = 4  # documents that live at one time; the last is in table U
ARN = "arn:aws:qldb:eu-west-2:123456789012:stream/test/0"


@dataclass(frozen=True)
class Revision:
    """A revision as it was written; `secret` stands in its data and nowhere else."""

    sequence_no: int
    document_id: str
    version: int
    table: str
    data: Any | None

    @property
    def secret(self) -> str | None:
        return self.data["secret"] if self.data is not None else None


@dataclass
class _Document:
    incarnation: int = -1
    version: int = -1
    inactive: list[Revision] = field(default_factory=list)
    active: Revision | None = None


class Ledger:
    """`blocks` as they were written; `revisions` and `redactions` (what, by which block) of them."""

    def __init__(self) -> None:
        self._maker = BlockMaker(STRAND)
        self._documents = [_Document() for _ in range(SLOTS)]
        self.blocks: list[Block] = []
        self.revisions: list[Revision] = []
        self.redactions: list[tuple[NewRedaction, int]] = []
        self._make([], system_revisions=[sha256(b"system")])
        self._make([f"CREATE TABLE {name}" for name in TABLES], system_revisions=[sha256(b"table")])

    @property
    def tip(self) -> int:
        return len(self.blocks) - 1

    def write(self, changes: list[tuple[int, Flavour]], redaction: int | None = None) -> None:
        """The next block: changes of documents, by slot, and the redaction of one of the inactive revisions."""
        number = self._maker.next_sequence_no
        new = [self._change(slot, flavour, number, place) for place, (slot, flavour) in enumerate(changes)]
        inactive = [one for document in self._documents for one in document.inactive if one.sequence_no < number]
        named = []
        if redaction is not None and inactive:
            target = inactive[redaction % len(inactive)]
            for document in self._documents:
                document.inactive = [one for one in document.inactive if one != target]
            named = [NewRedaction(target.sequence_no, TABLES[target.table], target.document_id, target.version)]
            self.redactions.append((named[0], number))
        statements = ["UPDATE T SET x = ?"] if new else []
        statements += ["EXEC redact_revision ?, ?, ?"] if named else []
        self.revisions += new
        self._make(
            statements or ["SELECT * FROM T"],
            revisions=[NewRevision(r.document_id, TABLES[r.table], r.table, r.version, r.data) for r in new],
            redactions=named,
        )

    def exported(self, number: int, as_of: int) -> Block:
        """A block as an export shows it that was made when `as_of` was the last block."""
        block = self.blocks[number]
        for redaction, by in self.redactions:
            if redaction.sequence_no == number and by <= as_of:
                block = redact(block, redaction.document_id, redaction.version)
        return block

    def records(self, number: int) -> list[bytes]:
        """The stream's records of a block: its summary, then each revision, with the data that it had when written."""
        return [record.data for record in stream.block_records(ARN, self.blocks[number])]

    def of(self, number: int) -> list[Revision]:
        """The revisions of a block, in its order, and so in that of its records."""
        return [revision for revision in self.revisions if revision.sequence_no == number]

    def redacted_by(self, revision: Revision) -> int | None:
        for redaction, by in self.redactions:
            if (redaction.document_id, redaction.version) == (revision.document_id, revision.version):
                return by
        return None

    def forged(self, number: int) -> Block:
        """A block that holds together and links to the one before, but is not QLDB's; it redacts what it can."""
        maker = BlockMaker(STRAND, number, self.blocks[number - 1]["blockHash"])
        victims = [one for one in self.revisions if one.sequence_no < number and one.data is not None]
        redactions = [
            NewRedaction(one.sequence_no, TABLES[one.table], one.document_id, one.version) for one in victims[-1:]
        ]
        return _make_block(
            maker,
            ["UPDATE T SET x = ?"],
            revisions=[NewRevision("Forged", TABLES["T"], "T", 0, {"secret": f"forged-{number}-"})],
            redactions=redactions,
        )

    def _make(self, statements: list[str], **more: Any) -> None:
        self.blocks.append(_make_block(self._maker, statements, **more))

    def _change(self, slot: int, flavour: Flavour, number: int, place: int) -> Revision:
        document = self._documents[slot]
        if document.active is None:
            document.incarnation += 1
            document.version = -1
            flavour = "good" if flavour == "delete" else flavour
        else:
            document.inactive.append(document.active)
        document.version += 1
        data = None if flavour == "delete" else _data(flavour, f"canary-{number}-{place}-", slot)
        table = "U" if slot == SLOTS - 1 else "T"
        id_ = f"D{slot}x{document.incarnation}"
        made = Revision(number, id_, document.version, table, data)
        document.active = None if flavour == "delete" else made
        return made


def _data(flavour: Flavour, secret: str, slot: int) -> Any:
    data: dict[str, Any] = {"secret": secret, "key": f"k{slot % 2}", "flavour": flavour, "amount": len(secret)}
    if flavour == "odd":
        data["amount"] = 2**40
    if flavour == "exotic":
        data |= {"key": "k\0" if slot % 2 else "", "large": 10**40, "fine": Decimal("1.10"), "blob": b"\0\xff"}
        data["sexp"] = simpleion.loads("(a::b {{aGk=}} 2020T)")
    return data


def _make_block(maker: BlockMaker, statements: list[str], **more: Any) -> Block:
    number = maker.next_sequence_no
    at = 1_600_000_000_000 + number * 1_000
    return maker.make(
        transaction_id=f"Transaction{number:011d}",
        tx_time=timestamp(at),
        block_time=timestamp(at + 7),
        statements=[Statement(text, timestamp(at - 30)) for text in statements],
        **more,
    )


def parts(ledger: Ledger) -> Iterator[tuple[int, int]]:
    """Every stream record there is, as block and place: 0 is the block's summary."""
    for number in range(ledger.tip + 1):
        for place in range(len(ledger.of(number)) + 1):
            yield number, place
