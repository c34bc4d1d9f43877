"""Binary COPY tuples as parameters of a statement: one way to pack a row serves both.

A composite value's binary form has the fields of a COPY tuple, each behind the id of its type (PostgreSQL's
`record_recv`); an array's is a header and its members behind their lengths (`array_recv`).
"""

import struct
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg.adapt import Dumper
from psycopg.pq import Format

_COUNT = struct.Struct(">h")
_LENGTH = struct.Struct(">i")
_COLUMNS = """
    SELECT c.reltype, array_agg(a.atttypid ORDER BY a.attnum)
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE c.oid = %s::regclass
    GROUP BY c.oid"""


class Field(bytes):
    """A value in the binary form of the parameter's type."""


class _FieldDumper(Dumper):
    format = Format.BINARY
    oid = 0

    def dump(self, obj: bytes) -> bytes:
        return bytes(obj)


def register(connection: psycopg.Connection[Any]) -> None:
    """Let the connection's statements have `Field` parameters."""
    connection.adapters.register_dumper(Field, _FieldDumper)


class RowType:
    """The rows of one table as a parameter of the type `table[]`."""

    def __init__(self, connection: psycopg.Connection[Any], table: str) -> None:
        found = connection.execute(_COLUMNS, [table]).fetchone()
        assert found is not None
        self._type, columns = found
        self._prefixes = [struct.pack(">I", one) for one in columns]

    def array(self, rows: Sequence[bytes]) -> Field:
        """Return an array of COPY tuples, which have all of the table's columns in their order."""
        if not rows:
            return Field(struct.pack(">iiI", 0, 0, self._type))
        parts = [struct.pack(">iiIii", 1, 0, self._type, len(rows), 1)]
        for row in rows:
            record = self._record(row)
            parts += (_LENGTH.pack(len(record)), record)
        return Field(b"".join(parts))

    def _record(self, row: bytes) -> bytes:
        prefixes = self._prefixes
        (count,) = _COUNT.unpack_from(row)
        assert count == len(prefixes)
        parts = [_LENGTH.pack(count)]
        position = _COUNT.size
        for prefix in prefixes:
            (length,) = _LENGTH.unpack_from(row, position)
            end = position + _LENGTH.size + (length if length > 0 else 0)
            parts += (prefix, row[position:end])
            position = end
        return b"".join(parts)
