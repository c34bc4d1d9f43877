"""Splits packed rows by block, to find the one that PostgreSQL refuses."""

import struct
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from strandline.journal.decode.copy_format import REVISION_COLUMNS, Rows

_SHAPE = [name for name, _ in REVISION_COLUMNS].index("shape")
_COUNT, _LENGTH, _BIGINT = struct.Struct(">h"), struct.Struct(">i"), struct.Struct(">q")


class _Tuple(NamedTuple):
    """A binary COPY tuple, and its fields; None stands for NULL."""

    data: bytes
    fields: list[bytes | None]

    @property
    def sequence_no(self) -> int:
        number: int = _BIGINT.unpack(self.fields[0] or b"")[0]
        return number


def split_by_block(rows: Rows) -> list[Rows]:
    """Return the rows of each block number on their own, with the shapes that they need."""
    blocks, revisions = defaultdict[int, list[_Tuple]](list), defaultdict[int, list[_Tuple]](list)
    for part, groups in ((rows.blocks, blocks), (rows.revisions, revisions)):
        for one in _tuples(part):
            groups[one.sequence_no].append(one)
    return [_rows(rows, number, blocks[number], revisions[number]) for number in sorted({*blocks, *revisions})]


def _rows(rows: Rows, number: int, blocks: list[_Tuple], revisions: list[_Tuple]) -> Rows:
    used = {_BIGINT.unpack(shape)[0] for one in revisions if (shape := one.fields[_SHAPE]) is not None}
    shapes = {shape: fields for shape, fields in rows.tally.shapes.items() if shape in used}
    tally = replace(rows.tally, shapes=shapes, counts={}, tables={})
    packed_blocks, packed_revisions = (b"".join(one.data for one in part) for part in (blocks, revisions))
    in_order = len(blocks) == 1 and rows.in_order
    return Rows(packed_blocks, packed_revisions, number, number, tally, in_order)


def _tuples(data: bytes) -> Iterator[_Tuple]:
    start = 0
    while start < len(data):
        (count,) = _COUNT.unpack_from(data, start)
        at = start + _COUNT.size
        fields: list[bytes | None] = []
        for _ in range(count):
            (length,) = _LENGTH.unpack_from(data, at)
            at += _LENGTH.size
            fields.append(None if length < 0 else data[at : at + length])
            at += max(length, 0)
        yield _Tuple(data[start:at], fields)
        start = at
