"""Rows of a projection as JSON for OpenSearch, checked as for PostgreSQL."""

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from decimal import Decimal
from json.encoder import encode_basestring_ascii
from typing import Any

import msgspec
from psycopg.types.json import Jsonb

from strandline.consumer.projection.definition import Projection, Unprojectable
from strandline.consumer.sinks.contract import MadeRows, PreparedRows
from strandline.consumer.sinks.row_check import RowCheck

_encode = msgspec.json.Encoder().encode


class SearchRows:
    """Converts each row to the hash of its key ('' without a key) and its fields as JSON, without braces."""

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

    def __call__(self, many: Sequence[MadeRows]) -> list[PreparedRows]:
        """Return the converted rows of each source. Raises `Unprojectable` with the column's name, never its value."""
        return [tuple([(self._key_hash(row), self._json(row)) for row in rows]) for rows in self._check(many)]

    def _key_hash(self, row: tuple[Any, ...]) -> str:
        if not self._key:
            return ""
        values = [row[at] for at in self._key]
        if all(isinstance(value, str) for value in values):  # the same, faster
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
    """Return the source fields of a row as JSON, without braces."""
    return _members(names, values)


def _members(names: Sequence[str], values: Sequence[object]) -> bytes:
    return _encode(dict(zip(names, values, strict=True)))[1:-1]


def short_hash(text: str) -> str:
    """Return 128 bits of a hash, in hexadecimal, for ids: they must not hold payload."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _numeric(value: Decimal) -> str:
    # The document has it as it is; the index converts it to a double, and refuses an infinite one.
    if not math.isfinite(float(value)):
        raise ValueError
    return str(value)


def _iso(value: Any) -> str:
    return f'"{value.isoformat()}"'


def _jsonb(value: Jsonb) -> str:
    return str(value.obj)  # JSON text already


def _other(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


_PLAIN = ("text", "boolean", "integer", "bigint")  # JSON as they are
_FRAGMENTS: dict[str, Callable[[Any], str]] = {
    "numeric": _numeric,
    "timestamptz": _iso,
    "date": _iso,
    "jsonb": _jsonb,
}
