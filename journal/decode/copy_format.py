"""Packs verified blocks and revisions in PostgreSQL's binary COPY format, and tallies them."""

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from operator import attrgetter
from typing import Any, NamedTuple

from strandline.journal.check.block import (
    DEFINING_KEYWORDS,
    CheckedBlock,
    CheckedRevision,
    is_plain_metadata,
)
from strandline.journal.check.statements import ERASED, statement_kind
from strandline.journal.errors import UnreadableError, UnwritableError
from strandline.journal.ion import values as ion
from strandline.journal.ion.encoded import Encoded
from strandline.journal.ion.fields import shape_of
from strandline.journal.ion.hash import ion_hash
from strandline.journal.ion.json import escape, to_json

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
    """The number of revisions, and the first and the last block that holds one."""

    revisions: int
    first_no: int
    last_no: int


@dataclass(slots=True)
class Tally:
    """Counts made while packing rows.

    `shapes`: the shapes of the revisions' data by their numbers (journal.ion.fields). `counts`: the revisions with data
    by table id and shape. `tables`: name and block of the first mention of each table, by its id.
    """

    shapes: dict[int, str] = field(default_factory=dict)
    counts: dict[tuple[str, int], Count] = field(default_factory=dict)
    tables: dict[str, tuple[str, int]] = field(default_factory=dict)

    def count(self, table_id: str, shape: int, sequence_no: int) -> None:
        """Count a revision of a table, with data of that shape."""
        revisions, first, last = self.counts.get((table_id, shape), (0, sequence_no, sequence_no))
        self.counts[table_id, shape] = Count(revisions + 1, min(first, sequence_no), max(last, sequence_no))


class Rows(NamedTuple):
    """Binary COPY tuples for BLOCK_COLUMNS and REVISION_COLUMNS, without COPY's header and trailer; and a `Tally`.

    `in_order` if the tuples are sorted by their keys, (number, hash), without a repeated number.
    """

    blocks: bytes
    revisions: bytes
    first_no: int
    last_no: int
    tally: Tally
    in_order: bool = False


def shapes_of(rows: Iterable[Rows]) -> dict[int, str]:
    """Return the shapes of all rows by their numbers."""
    return {number: fields for part in rows for number, fields in part.tally.shapes.items()}


class BlockColumns(NamedTuple):
    """The denormalised columns of a block, for queries: contents of its transactionInfo and redactionInfo."""

    redactions: list[dict[str, str | int]]
    statement_kinds: list[str]
    definitions: list[str]
    tables: dict[str | None, str | None]


def block_columns(block: CheckedBlock) -> BlockColumns:
    """Return the denormalised columns as `pack_block` writes them."""
    kinds = [statement_kind(statement) for statement in block.statements]
    return BlockColumns(
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
    """Return the tuples of a block and of its revisions, sorted by hash; counts them in `tally`."""
    revisions = sorted(block.revisions, key=attrgetter("hash"))
    packed = pack_block(block), b"".join([pack_revision(block, revision, tally) for revision in revisions])
    for table_id, name in {table.table_id: table.name for table in block.documents.values()}.items():
        if table_id is not None and name is not None and table_id not in tally.tables:
            tally.tables[table_id] = escape(name), block.sequence_no
    return packed


def pack_block(block: CheckedBlock) -> bytes:
    """Return one binary COPY tuple of BLOCK_COLUMNS."""
    columns = block_columns(block)
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
            _jsonb(columns.redactions) if columns.redactions else _NULL,
            _array(_TEXT, map(_id, columns.statement_kinds)),
            _array(_TEXT, map(_text, columns.definitions)),
            _tables(tuple(columns.tables.items())),
        )
    )


def pack_revision(block: CheckedBlock, revision: CheckedRevision, tally: Tally) -> bytes:
    """Return one binary COPY tuple of REVISION_COLUMNS; counts the revision in `tally`.

    Of the block it reads only the number and the level.
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
            _bytes(revision.data_ion or _exactly(revision.data, revision.data_hash)) if normal and full else _NULL,
            _bytes(revision.data_hash) if revision.data_hash is not None else _NULL,
            _bytes(_exactly(revision.metadata)) if full and not is_plain_metadata(revision.metadata) else _NULL,
            shape,
        )
    )


def _bytes(value: bytes) -> bytes:
    return _LENGTH(len(value)) + value


def _text(value: str | None) -> bytes:
    return _NULL if value is None else _bytes(escape(value).encode())


@lru_cache(4_096)
def _id(value: str | None) -> bytes:
    """Pack a recurring text, as `_text` does."""
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
    """Pack the tables; the same few recur, so all but long ones are cached."""
    short = all(name is None or len(name) <= _SHORT for _, name in tables)
    return (_known_tables if short and len(tables) <= _SHORT else _known_tables.__wrapped__)(tables)


@lru_cache(1_024)
def _known_tables(tables: tuple[tuple[str | None, str | None], ...]) -> bytes:
    return _jsonb(dict(tables))


def _info(block: CheckedBlock, value: Any) -> bytes:
    """Pack a struct as Ion; at level chain as its JSON text."""
    if value is None:
        return _NULL
    return _bytes(_exactly(value) if block.level == "full" else to_json(value).encode())


def _exactly(value: Any, digest: bytes | None = None) -> bytes:
    """Write Ion that hashes to the value's own hash. Raises UnwritableError if the writer rounds something."""
    written = ion.write(value)
    if type(value) is Encoded:  # written from the very bytes that were hashed
        return written
    try:
        if ion_hash(next(ion.read_typed(written))) == (digest or ion_hash(value)):
            return written
    except UnreadableError:
        pass
    raise UnwritableError("holds a value that cannot be written as Ion without a change")


def _array(element_type: int, items: Iterable[bytes], has_null: bool = False) -> bytes:
    """Pack a one-dimensional array; each item has its length before it."""
    values = list(items)
    if not values:
        return _EMPTY_ARRAYS[element_type]
    body = b"".join(values)
    return _ARRAY(20 + len(body), 1, has_null, element_type, len(values), 1) + body


_ARRAY = struct.Struct(">iiiiii").pack
_EMPTY_ARRAYS = {kind: struct.pack(">iiii", 12, 0, 0, kind) for kind in (_BYTEA, _TEXT)}
