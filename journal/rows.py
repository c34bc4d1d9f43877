"""One pure function: the bytes of an export object → verified rows, ready for COPY.

It is the seam for other executors and for a native kernel: nothing in or out but bytes and plain values. A block that
does not verify gives faults and no rows.
"""

import struct
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from itertools import pairwise
from operator import attrgetter
from typing import Any, NamedTuple

from journal import ion
from journal.block import (
    DEFINING_KEYWORDS,
    CheckedBlock,
    CheckedRevision,
    Fault,
    check_block,
    is_plain_metadata,
)
from journal.errors import UnreadableError, UnwritableError
from journal.fields import shape_of
from journal.gzipped import decompressed
from journal.ion_json import escape, read_json, to_json
from journal.shape import ShapeError
from journal.statements import ERASED, statement_kind

BLOCK_COLUMNS = (
    ("sequence_no", "bigint"),
    ("block_hash", "bytea"),
    ("previous_hash", "bytea"),
    ("level", "text"),
    ("complete", "boolean"),
    ("transaction_id", "text"),
    ("block_time", "timestamptz"),
    ("entries_hashes", "bytea[]"),
    ("revision_hashes", "bytea[]"),
    ("revision_documents", "text[]"),
    ("transaction_info", "bytea"),
    ("redaction_info", "bytea"),
    ("redactions", "jsonb"),
    ("statement_kinds", "text[]"),
    ("definitions", "text[]"),
    ("tables", "jsonb"),
)
REVISION_COLUMNS = (
    ("sequence_no", "bigint"),
    ("hash", "bytea"),
    ("document_id", "text"),
    ("version", "bigint"),
    ("table_id", "text"),
    ("table_name", "text"),
    ("state", "text"),
    ("level", "text"),
    ("tx_id", "text"),
    ("tx_time", "timestamptz"),
    ("data", "jsonb"),
    ("data_ion", "bytea"),
    ("data_hash", "bytea"),
    ("metadata", "bytea"),
    ("shape", "bigint"),
)
COPY_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
COPY_TRAILER = b"\xff\xff"

_POSTGRES_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_BYTEA, _TEXT = 17, 25
_LENGTH = struct.Struct(">i").pack
_BIGINT = struct.Struct(">iq").pack
_NULL = _LENGTH(-1)
_SHORT = 48
_BLOCK_FIELDS = struct.pack(">h", len(BLOCK_COLUMNS))
_REVISION_START = struct.Struct(">hiqi32s").pack


class Count(NamedTuple):
    """So many revisions, and the first and the last block that has one."""

    revisions: int
    first_no: int
    last_no: int


@dataclass(slots=True)
class Tally:
    """What rows tell beside themselves: the `shapes` of the revisions' data by their numbers (journal.fields); how many
    there are with data, by table id and shape; and the `tables` that blocks name, by id: name and block, of the first.
    """

    shapes: dict[int, str] = field(default_factory=dict)
    counts: dict[tuple[str, int], Count] = field(default_factory=dict)
    tables: dict[str, tuple[str, int]] = field(default_factory=dict)

    def count(self, table_id: str, shape: int, sequence_no: int) -> None:
        """Another revision of a table, with data of that shape."""
        revisions, first, last = self.counts.get((table_id, shape), (0, sequence_no, sequence_no))
        self.counts[table_id, shape] = Count(revisions + 1, min(first, sequence_no), max(last, sequence_no))


class Rows(NamedTuple):
    """Binary COPY tuples for BLOCK_COLUMNS and REVISION_COLUMNS, without COPY's header and trailer; and a `Tally`.

    `in_order` where the tuples come in the order of their keys, (number, hash), and no number twice.
    """

    blocks: bytes
    revisions: bytes
    first_no: int
    last_no: int
    tally: Tally
    in_order: bool = False


def shapes_of(rows: Iterable[Rows]) -> dict[int, str]:
    """The shapes of all of them, by their numbers."""
    return {number: fields for part in rows for number, fields in part.tally.shapes.items()}


class Link(NamedTuple):
    """What the check of a strand needs of a block, whether or not the block itself verified.

    `revisions` counts those that it names, which come apart from a stream's summary of it.
    """

    strand_id: str
    sequence_no: int
    block_hash: bytes
    previous_hash: bytes
    full: bool
    revisions: int
    system_revisions: int


@dataclass(slots=True)
class Decoded:
    """What an object held. `deletions` counts by the form of their hashes (CheckedRevision.deletion); `redacted` and
    `named` are (document, version): revisions found without data, and those that a redactionInfo names; `erased` are
    (block, document, version): the revisions of blocks whose statement texts are erased."""

    links: list[Link] = field(default_factory=list)
    rows: Rows | None = None
    faults: list[Fault] = field(default_factory=list)
    warnings: list[Fault] = field(default_factory=list)
    redactions: int = 0
    deletions: Counter[str] = field(default_factory=Counter)
    redacted: list[tuple[str, int]] = field(default_factory=list)
    named: list[tuple[str, int]] = field(default_factory=list)
    erased: list[tuple[int, str, int]] = field(default_factory=list)

    @property
    def revision_count(self) -> int:
        """The revisions that came, the system's apart."""
        return sum(link.revisions for link in self.links)


def decode(data: bytes, *, trust_deletions: bool = False, with_rows: bool = True) -> Decoded:
    """Read, verify and pack the blocks of one export object (Ion text, Ion binary or JSON; also gzip'd).

    Never raises for what the bytes hold: what cannot be read is a fault, and the whole blocks before it are kept.
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
                result.faults.append(Fault(block.sequence_no, "shape", str(error)))
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
    """Add a block to what was found."""
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
        )
    )
    result.warnings.extend(block.warnings)
    result.redactions += len(block.redactions)
    result.deletions.update(r.deletion for r in block.revisions if r.deletion)
    result.redacted += [(r.document_id, r.version) for r in block.revisions if r.state == "redacted"]
    if block.statements_erased:
        result.erased += [(block.sequence_no, r.document_id, r.version) for r in block.revisions]
    if not block.faults:  # nothing unverified may explain a redaction
        result.named += [(redaction.document_id, redaction.version) for redaction in block.redactions]


def _checked_blocks(data: bytes, trust_deletions: bool, faults: list[Fault]) -> Iterator[CheckedBlock]:
    try:
        data = decompressed(data)
        typed: Iterator[tuple[int, Any]] | None = None
        for index, value in enumerate(_values(data)):
            try:
                block = check_block(value, trust_deletions=trust_deletions)
            except ShapeError as error:
                faults.append(Fault(None, "shape", f"value {index + 1} is no block: {error}"))
                continue
            if block.faults and block.level == "full":
                # A struct may repeat a field, which plain dicts lose: read this value again with all of them.
                typed = typed or enumerate(ion.read_typed(data))
                again = check_block(_advance(typed, index), trust_deletions=trust_deletions)
                block = block if again.faults else again
            yield block
    except UnreadableError as error:
        faults.append(Fault(None, "unreadable", str(error)))


def _advance(values: Iterator[tuple[int, Any]], index: int) -> Any:
    return next(value for position, value in values if position == index)


def _values(data: bytes) -> Iterator[Any]:
    if not data.lstrip().startswith((b'{"', b"\xef\xbb\xbf{")):
        return ion.read(data)
    try:
        return read_json(data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise UnreadableError("not readable as JSON: not UTF-8") from None


class Shown(NamedTuple):
    """The columns of a block that say again, for queries, what its transactionInfo and redactionInfo hold."""

    redactions: list[dict[str, str | int]]
    statement_kinds: list[str]
    definitions: list[str]
    tables: dict[str | None, str | None]


def shown_of(block: CheckedBlock) -> Shown:
    """As `pack_block` writes them."""
    kinds = [statement_kind(statement) for statement in block.statements]
    return Shown(
        redactions=[
            {"sequenceNo": r.sequence_no, "tableId": r.table_id, "documentId": r.document_id, "version": r.version}
            for r in block.redactions
        ],
        statement_kinds=kinds,
        definitions=[
            text
            for text, kind in zip(block.statements, kinds, strict=True)
            if kind in DEFINING_KEYWORDS and not block.statements_erased
        ],
        tables={table.table_id: table.name for table in block.documents.values()},
    )


def pack(block: CheckedBlock, tally: Tally) -> tuple[bytes, bytes]:
    """The tuples of a block and of its revisions, in the order of their hashes; adds to `tally` what they tell."""
    revisions = sorted(block.revisions, key=attrgetter("hash"))
    packed = pack_block(block), b"".join([pack_revision(block, revision, tally) for revision in revisions])
    for table_id, name in {table.table_id: table.name for table in block.documents.values()}.items():
        if table_id is not None and name is not None and table_id not in tally.tables:
            tally.tables[table_id] = escape(name), block.sequence_no
    return packed


def pack_block(block: CheckedBlock) -> bytes:
    """One binary COPY tuple of BLOCK_COLUMNS."""
    shown = shown_of(block)
    return b"".join(
        (
            _BLOCK_FIELDS,
            _BIGINT(8, block.sequence_no),
            _bytes(block.block_hash),
            _bytes(block.previous_hash),
            _LEVEL[block.level],
            b"\0\0\0\1\1" if block.complete else b"\0\0\0\1\0",
            _id(block.transaction_id),
            _time(block.block_time),
            _array(_BYTEA, map(_bytes, block.entries_hashes)),
            _array(_BYTEA, map(_bytes, block.revision_hashes)),
            _array(_TEXT, map(_id, block.revision_documents), None in block.revision_documents),
            _info(block, {ERASED: block.transaction_info} if block.statements_erased else block.transaction_info),
            _info(block, block.redaction_info),
            _jsonb(shown.redactions) if shown.redactions else _NULL,
            _array(_TEXT, map(_id, shown.statement_kinds)),
            _array(_TEXT, map(_text, shown.definitions)),
            _tables(tuple(shown.tables.items())),
        )
    )


def pack_revision(block: CheckedBlock, revision: CheckedRevision, tally: Tally) -> bytes:
    """One binary COPY tuple of REVISION_COLUMNS; of the block only the number and level are looked at.

    Adds to `tally` what it tells.
    """
    normal, full = revision.state == "normal", block.level == "full"
    shape = _NULL
    if normal:
        number, fields = shape_of(revision.data)
        tally.shapes[number] = fields
        shape = _BIGINT(8, number)
        if revision.table.table_id is not None:
            tally.count(revision.table.table_id, number, block.sequence_no)
    return b"".join(
        (
            _REVISION_START(len(REVISION_COLUMNS), 8, block.sequence_no, len(revision.hash), revision.hash),
            _id(revision.document_id),
            _BIGINT(8, revision.version),
            _id(revision.table.table_id),
            _text(revision.table.name),
            _STATE[revision.state],
            _LEVEL[block.level],
            _id(revision.tx_id),
            _time(revision.tx_time),
            _jsonb(revision.data) if normal else _NULL,
            _bytes(revision.data_ion or ion.write(revision.data)) if normal and full else _NULL,
            _bytes(revision.data_hash) if revision.data_hash is not None else _NULL,
            _bytes(ion.write(revision.metadata)) if full and not is_plain_metadata(revision.metadata) else _NULL,
            shape,
        )
    )


def _bytes(value: bytes) -> bytes:
    return _LENGTH(len(value)) + value


def _text(value: str | None) -> bytes:
    return _NULL if value is None else _bytes(escape(value).encode())


@lru_cache(4_096)
def _id(value: str | None) -> bytes:
    """As `_text`, for what comes again and again."""
    return _text(value)


_LEVEL = {level: _text(level) for level in ("full", "chain")}
_STATE = {state: _text(state) for state in ("normal", "redacted", "deleted")}


def _time(value: datetime | None) -> bytes:
    if value is None:
        return _NULL
    since = datetime.__sub__(value, _POSTGRES_EPOCH)  # Timestamp's own subtraction is slow
    return _BIGINT(8, (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds)


def _jsonb(value: Any) -> bytes:
    return _bytes(b"\x01" + to_json(value).encode())  # version 1 of jsonb's binary form


def _tables(tables: tuple[tuple[str | None, str | None], ...]) -> bytes:
    """The same few tables come again and again; what is long is not kept."""
    short = all(name is None or len(name) <= _SHORT for _, name in tables)
    return (_known_tables if short and len(tables) <= _SHORT else _known_tables.__wrapped__)(tables)


@lru_cache(1_024)
def _known_tables(tables: tuple[tuple[str | None, str | None], ...]) -> bytes:
    return _jsonb(dict(tables))


def _info(block: CheckedBlock, value: Any) -> bytes:
    """Ion; at level chain the JSON text."""
    if value is None:
        return _NULL
    return _bytes(ion.write(value) if block.level == "full" else to_json(value).encode())


def _array(element_type: int, items: Iterable[bytes], has_null: bool = False) -> bytes:
    """An array of one dimension; each item with its length before it."""
    values = list(items)
    if not values:
        return _EMPTY_ARRAYS[element_type]
    body = b"".join(values)
    return _ARRAY(20 + len(body), 1, has_null, element_type, len(values), 1) + body


_ARRAY = struct.Struct(">iiiiii").pack
_EMPTY_ARRAYS = {kind: struct.pack(">iiii", 12, 0, 0, kind) for kind in (_BYTEA, _TEXT)}
