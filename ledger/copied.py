"""The fields of a binary COPY tuple as parameters of a statement, so that there is one way to pack a row.

PostgreSQL takes a field and a parameter in the same binary form; parameters without a type get that of their column.
"""

import struct
from typing import Any

import psycopg
from psycopg.adapt import Dumper
from psycopg.pq import Format

_COUNT = struct.Struct(">h")
_LENGTH = struct.Struct(">i")


class Field(bytes):
    """One field, packed."""


class _FieldDumper(Dumper):
    format = Format.BINARY
    oid = 0

    def dump(self, obj: bytes) -> bytes:
        return bytes(obj)


def register(connection: psycopg.Connection[Any]) -> None:
    """Let the connection's statements take fields."""
    connection.adapters.register_dumper(Field, _FieldDumper)


def fields(row: bytes) -> list[Field | None]:
    """The fields of one tuple (`journal.rows.pack_block`, `pack_revision`)."""
    (count,) = _COUNT.unpack_from(row)
    position, found = _COUNT.size, list[Field | None]()
    for _ in range(count):
        (length,) = _LENGTH.unpack_from(row, position)
        position += _LENGTH.size
        found.append(None if length < 0 else Field(row[position : position + length]))
        position += max(length, 0)
    return found
