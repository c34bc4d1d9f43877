"""Rows that a projection's function gave, checked as for PostgreSQL and written as JSON for OpenSearch."""

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from json.encoder import encode_basestring_ascii
from typing import Any

import msgspec
from psycopg.types.json import Jsonb

from strandline.consumer.projection.definition import Projection, Rows, Unprojectable
from strandline.consumer.sinks.contract import PreparedRows
from strandline.consumer.sinks.row_check import RowCheck

_encode = msgspec.json.Encoder().encode


class SearchRows:
    """Makes of each row the hash of its key ('' where the projection has none) and its fields as JSON, without braces.

    Raises `Unprojectable` with the column's name, never its value.
    """

    def __init__(self, projection: Projection) -> None:
        self._check = RowCheck(projection)
        names = [column.name for column in projection.columns]
        self._names = names
        self._fragments = [
            (at, column.name, _FRAGMENTS.get(column.type, _other))
            for at, column in enumerate(projection.columns)
            if column.type not in _PLAIN
        ]
        self._key = [names.index(name) for name in projection.key]

    def __call__(self, rows: Rows) -> PreparedRows:
        return tuple([(self._key_hash(row), self._json(row)) for row in self._check(rows)])

    def all(self, many: Sequence[Sequence[Mapping[str, object]]]) -> list[PreparedRows] | None:
        """The same of many at once; None where one may have to be refused."""
        checked = self._check.all(many)
        if checked is None:
            return None
        try:
            return [tuple([(self._key_hash(row), self._json(row)) for row in rows]) for rows in checked]
        except Unprojectable:
            return None

    def _key_hash(self, row: tuple[Any, ...]) -> str:
        if not self._key:
            return ""
        values = [row[at] for at in self._key]
        if all(isinstance(value, str) for value in values):  # the same, sooner
            return short_hash(f"[{', '.join(map(encode_basestring_ascii, values))}]")
        return short_hash(json.dumps(values, default=str))

    def _json(self, row: tuple[Any, ...]) -> bytes:
        values = list(row)
        for at, name, fragment in self._fragments:
            if values[at] is not None:
                try:
                    values[at] = msgspec.Raw(fragment(values[at]).encode())
                except ValueError:
                    raise Unprojectable(f"column {name} does not take the value as a number") from None
        return _members(self._names, values)


def json_source(names: Sequence[str], values: Sequence[object]) -> bytes:
    """The fields that say where a row comes from, as JSON without braces."""
    return _members(names, values)


def _members(names: Sequence[str], values: Sequence[object]) -> bytes:
    return _encode(dict(zip(names, values, strict=True)))[1:-1]


def short_hash(text: str) -> str:
    """For ids, which must not hold payload: 128 bits, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _numeric(value: Decimal) -> str:
    # It stands as it is in the document; the index makes a double of it, and refuses an infinite one.
    if not math.isfinite(float(value)):
        raise ValueError
    return str(value)


def _iso(value: Any) -> str:
    return f'"{value.isoformat()}"'


def _jsonb(value: Jsonb) -> str:
    return str(value.obj)  # JSON text already


def _other(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


_PLAIN = ("text", "boolean", "integer", "bigint")  # those that are written as they are
_FRAGMENTS: dict[str, Callable[[Any], str]] = {
    "numeric": _numeric,
    "timestamptz": _iso,
    "date": _iso,
    "jsonb": _jsonb,
}
