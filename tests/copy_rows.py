"""Blocks of made-up strands as rows for COPY: short hashes that only link, with no Ion to verify."""

import hashlib
import struct
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from psycopg.types.json import Jsonb, JsonbBinaryDumper

from strandline.journal.decode.copy_format import Rows, Tally
from strandline.journal.ion import values as ion
from strandline.journal.ion.fields import shape_of

START = datetime(2024, 1, 1, tzinfo=UTC)
POSTGRES_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
STRAND = "StrandForTests00000000"
INFO = ion.write({"statements": []})
JSON_INFO = b'{"statements": []}'


def digest(*parts: object) -> bytes:
    return hashlib.sha256(repr(parts).encode()).digest()


@dataclass(frozen=True)
class Revision:
    document_id: str
    version: int = 0
    data: dict[str, Any] | None = field(default_factory=lambda: {"secret": "payload"})
    table_id: str = "T1"
    table: str = "Licence"
    state: str = "normal"
    level: str = "full"
    salt: str = ""

    def hash(self, number: int) -> bytes:
        return digest(number, self.document_id, self.version, self.salt)

    @property
    def data_hash(self) -> bytes | None:
        full = self.level == "full" and self.state != "deleted"
        return digest("data", self.document_id, self.version) if full else None


@dataclass(frozen=True)
class Block:
    sequence_no: int
    previous_hash: bytes
    revisions: tuple[Revision, ...] = ()
    redactions: tuple[tuple[int, str, int], ...] = ()  # block, document, version
    definitions: tuple[str, ...] = ()
    level: str = "full"
    complete: bool = True
    salt: str = ""
    system_revisions: int = 0
    statement_kinds: tuple[str, ...] = ("UPDATE",)

    @property
    def block_hash(self) -> bytes:
        hashes = [revision.hash(self.sequence_no) for revision in self.revisions]
        return digest(self.sequence_no, self.previous_hash, hashes, self.salt)

    @property
    def time(self) -> datetime:
        return START + timedelta(minutes=self.sequence_no)


def chain(*blocks: dict[str, Any], first: int = 0, previous: bytes = b"") -> list[Block]:
    """Linked blocks, from the fields of each."""
    made = []
    for number, fields in enumerate(blocks, first):
        made.append(Block(number, previous, **fields))
        previous = made[-1].block_hash
    return made


def as_json(block: Block) -> Block:
    """The same block as from a JSON export."""
    revisions = tuple(replace(revision, level="chain") for revision in block.revisions)
    return replace(block, level="chain", revisions=revisions)


def redacted(block: Block) -> Block:
    """The same block with its revisions' data gone."""
    revisions = tuple(replace(revision, state="redacted", data=None) for revision in block.revisions)
    return replace(block, revisions=revisions)


def pack(blocks: list[Block], *, with_blocks: bool = True, with_revisions: bool = True) -> Rows:
    """One `Rows` of all of them."""
    numbers = [block.sequence_no for block in blocks]
    packed_blocks = b"".join(map(_block, blocks)) if with_blocks else b""
    revisions = [(b, r) for b in blocks for r in sorted(b.revisions, key=lambda one: one.hash(b.sequence_no))]
    packed_revisions = b"".join(_revision(b, r) for b, r in revisions) if with_revisions else b""
    shapes = dict(shape_of(r.data) for b in blocks for r in b.revisions if r.state == "normal")
    in_order = all(before < number for before, number in pairwise(numbers))
    return Rows(packed_blocks, packed_revisions, min(numbers), max(numbers), Tally(shapes), in_order)


def _block(block: Block) -> bytes:
    redactions = [
        {"sequenceNo": number, "tableId": "T1", "documentId": document, "version": version}
        for number, document, version in block.redactions
    ]
    system = [digest("system", block.sequence_no, index) for index in range(block.system_revisions)]
    hashes = system + [revision.hash(block.sequence_no) for revision in block.revisions]
    documents = [None] * len(system) + [revision.document_id for revision in block.revisions]
    return _tuple(
        block.sequence_no,
        block.block_hash,
        block.previous_hash,
        block.level,
        block.complete,
        f"tx{block.sequence_no}",
        block.time,
        [b"entries"],
        hashes,
        documents,
        INFO if block.level == "full" else JSON_INFO,
        None,
        Jsonb(redactions) if redactions else None,
        list(block.statement_kinds),
        list(block.definitions),
        Jsonb({revision.table_id: revision.table for revision in block.revisions}),
        texts=(9, 13, 14),
    )


def _revision(block: Block, revision: Revision) -> bytes:
    normal = revision.state == "normal"
    return _tuple(
        block.sequence_no,
        revision.hash(block.sequence_no),
        revision.document_id,
        revision.version,
        revision.table_id,
        revision.table,
        revision.state,
        revision.level,
        f"tx{block.sequence_no}",
        block.time,
        Jsonb(revision.data) if normal else None,
        b"ion" if normal and revision.level == "full" else None,
        revision.data_hash,
        None,
        shape_of(revision.data)[0] if normal else None,
    )


def _tuple(*values: Any, texts: tuple[int, ...] = ()) -> bytes:
    packed = [_value(value, 25 if index in texts else 17) for index, value in enumerate(values)]
    return struct.pack(">h", len(values)) + b"".join(
        struct.pack(">i", -1) if value is None else struct.pack(">i", len(value)) + value for value in packed
    )


def _value(value: Any, element: int) -> bytes | None:
    match value:
        case None | bytes():
            return value
        case bool():
            return bytes([value])
        case int():
            return struct.pack(">q", value)
        case str():
            return value.encode()
        case datetime():
            return struct.pack(">q", (value - POSTGRES_EPOCH) // timedelta(microseconds=1))
        case Jsonb():
            return bytes(JsonbBinaryDumper(Jsonb).dump(value) or b"")
        case _:
            return _array(value, element)


def _array(values: list[Any], element: int) -> bytes:
    items = [_value(value, element) for value in values]
    body = b"".join(struct.pack(">i", -1) if i is None else struct.pack(">i", len(i)) + i for i in items)
    if not items:
        return struct.pack(">iii", 0, 0, element)
    return struct.pack(">iiiii", 1, None in items, element, len(items), 1) + body


def strand(count: int, *, per_block: int = 1, redact_every: int = 0, data: dict[str, Any] | None = None) -> list[Block]:
    """A strand of `count` blocks; each `redact_every`th erases a version of two blocks before, which the block
    between has replaced."""
    fields = []
    for number in range(count):
        redacts = redact_every and number and number % redact_every == 0
        replaces = redact_every and number and (number + 1) % redact_every == 0
        named = [_named(number, index, redact_every) for index in range(per_block)]
        if replaces:
            document, version = _named(number - 1, 0, redact_every)
            named[0] = document, version + 1
        revisions = tuple(Revision(document, version, data or {"n": number}) for document, version in named)
        target = (number - 2, *_named(number - 2, 0, redact_every))
        fields.append({"revisions": revisions, "redactions": (target,) if redacts else ()})
    return chain(*fields)


def _named(number: int, index: int, redact_every: int) -> tuple[str, int]:
    return f"D{number % 1000}-{index}", number // 1000 * (2 if redact_every else 1)
