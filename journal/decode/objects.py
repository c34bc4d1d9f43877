"""Decodes the bytes of an export object into verified rows ready for COPY: one pure function.

It is the seam for other executors and for the native kernel: input and output are bytes and plain values. A block that
does not verify gives faults and no rows.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

from strandline.journal.check.block import CheckedBlock, Fault, Omission, check_block
from strandline.journal.check.members import ShapeError
from strandline.journal.decode.copy_format import Rows, Tally, pack
from strandline.journal.decode.gzip import decompress
from strandline.journal.errors import UnreadableError, UnsupportedValueError, UnwritableError
from strandline.journal.ion import values as ion
from strandline.journal.ion.json import read_json

MOST_OTHERS = 100
"""Values of an object or a record that may be anything else before the rest is refused unread."""


class Link(NamedTuple):
    """The members of a block that the check of a strand needs, even if the block itself did not verify.

    `revisions` counts the revisions that the block names; a stream delivers them apart from its summary. `unexplained`
    counts the members of entriesHashList that no part of the block explains (CheckedBlock).
    """

    strand_id: str
    sequence_no: int
    block_hash: bytes
    previous_hash: bytes
    full: bool
    revisions: int
    system_revisions: int
    unexplained: int


@dataclass(slots=True)
class Decoded:
    """The contents of an object.

    `deletions` counts deletions by the form of their hashes (CheckedRevision.deletion). `redacted` lists (document,
    version) of revisions without data, `named` of those that a redactionInfo names. `erased` lists (block, document,
    version) of the revisions of blocks whose statement texts are erased. `omissions` lists the blocks that verified and
    are not shown to be complete; their rows are in `rows` like those of any other block. `graft` is the first block
    that Strandline appended; it is looked for only when no rows are packed.
    """

    links: list[Link] = field(default_factory=list)
    rows: Rows | None = None
    faults: list[Fault] = field(default_factory=list)
    warnings: list[Fault] = field(default_factory=list)
    redactions: int = 0
    deletions: Counter[str] = field(default_factory=Counter)
    redacted: list[tuple[str, int]] = field(default_factory=list)
    named: list[tuple[str, int]] = field(default_factory=list)
    erased: list[tuple[int, str, int]] = field(default_factory=list)
    omissions: list[Omission] = field(default_factory=list)
    graft: int | None = None

    @property
    def revision_count(self) -> int:
        """The number of revisions, without the system's."""
        return sum(link.revisions for link in self.links)

    def add(self, part: "Decoded") -> None:
        """Add what another part of the source holds, without its rows and faults."""
        self.links += part.links
        self.warnings += part.warnings
        self.redactions += part.redactions
        self.deletions.update(part.deletions)
        self.redacted += part.redacted
        self.named += part.named
        self.erased += part.erased
        self.omissions += part.omissions
        if self.graft is None:
            self.graft = part.graft


def decode(data: bytes, *, trust_deletions: bool = False, with_rows: bool = True) -> Decoded:
    """Read, verify and pack the blocks of one export object (Ion text, Ion binary or JSON, optionally gzip'd).

    Never raises because of the bytes: unreadable bytes are a fault, and the blocks before them are kept.
    """
    result = Decoded()
    packed_blocks: list[bytes] = []
    packed_revisions: list[bytes] = []
    numbers: list[int] = []
    tally = Tally()
    for block in _checked_blocks(data, trust_deletions, result.faults):
        count_block(block, result)
        if block.faults:
            result.faults.extend(block.faults)
        elif with_rows:
            try:
                rows, revisions = pack(block, tally)
            except UnwritableError as error:
                result.faults.append(Fault(block.sequence_no, "unsupported-value", str(error)))
                continue
            numbers.append(block.sequence_no)
            packed_blocks.append(rows)
            packed_revisions.append(revisions)
    if numbers:
        in_order = all(before < number for before, number in pairwise(numbers))
        result.rows = Rows(
            b"".join(packed_blocks), b"".join(packed_revisions), min(numbers), max(numbers), tally, in_order
        )
    return result


def count_block(block: CheckedBlock, result: Decoded) -> None:
    """Add a block to the result."""
    documents = sum(document_id is not None for document_id in block.revision_documents)
    result.links.append(
        Link(
            block.strand_id,
            block.sequence_no,
            block.block_hash,
            block.previous_hash,
            block.level == "full",
            documents,
            len(block.revision_hashes) - documents,
            block.unexplained,
        )
    )
    result.warnings.extend(block.warnings)
    result.redactions += len(block.redactions)
    result.deletions.update(r.deletion for r in block.revisions if r.deletion)
    result.redacted += [(r.document_id, r.version) for r in block.revisions if r.state == "redacted"]
    if block.statements_erased:
        result.erased += [(block.sequence_no, r.document_id, r.version) for r in block.revisions]
    if not block.faults:  # an unverified block may not explain a redaction
        result.named += [(redaction.document_id, redaction.version) for redaction in block.redactions]
        result.omissions += [Omission(block.sequence_no, block.block_hash, detail) for detail in block.omissions]


def _checked_blocks(data: bytes, trust_deletions: bool, faults: list[Fault]) -> Iterator[CheckedBlock]:
    others = 0
    try:
        data = decompress(data)
        typed: Iterator[tuple[int, Any]] | None = None
        for index, value in enumerate(block_values(data)):
            if type(value) is UnsupportedValueError:
                others += 1
                faults.append(unreadable(value))
                continue
            try:
                block = check_block(value, trust_deletions=trust_deletions)
            except ShapeError as error:
                others += 1
                if others > MOST_OTHERS:
                    raise UnreadableError(f"more than {MOST_OTHERS} values are not blocks: not an export") from None
                faults.append(Fault(None, "shape", f"value {index + 1} is not a block: {error}"))
                continue
            if block.faults and block.level == "full":
                # A struct may repeat a field, which plain dicts lose: read this value again with all its fields.
                typed = typed or enumerate(ion.read_each(data, typed=True))
                again = check_block(value_at(typed, index), trust_deletions=trust_deletions)
                block = block if again.faults else again
            yield block
    except UnreadableError as error:
        faults.append(unreadable(error))


def unreadable(error: UnreadableError) -> Fault:
    """Return the fault of bytes that were not read."""
    return Fault(None, "unsupported-value" if isinstance(error, UnsupportedValueError) else "unreadable", str(error))


def value_at(values: Iterator[tuple[int, Any]], index: int) -> Any:
    """Return the value with that index, which is not before the last one taken from the iterator."""
    return next(value for position, value in values if position == index)


def block_values(data: bytes) -> Iterator[Any]:
    """Yield the values of an object's bytes: Ion (as `ion.read_each`), or JSON's. Raises UnreadableError."""
    if not data.lstrip().startswith((b'{"', b"\xef\xbb\xbf{")):
        return ion.read_each(data)
    try:
        return read_json(data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise UnreadableError("not readable as JSON: not UTF-8") from None
