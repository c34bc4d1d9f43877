"""Checks of the rows that a projection's function returned, and their conversion to what COPY accepts.

This runs for every row of every revision, a column at a time: several times as fast as value by value.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from itertools import chain, islice
from types import NoneType
from typing import Any

from strandline.consumer.projection.column_types import MOST_INDEXED_BYTES, TYPES, as_jsonb, checked_text
from strandline.consumer.projection.definition import Column, Projection, Unprojectable
from strandline.consumer.projection.plain_json import plain_json
from strandline.consumer.sinks.contract import MadeRows, PreparedRows

_WRONG = (ValueError, TypeError, RecursionError)
# The Python type of nearly all values of a column.
_USUAL: dict[str, type] = {
    "text": str,
    "boolean": bool,
    "integer": int,
    "bigint": int,
    "timestamptz": datetime,
    "date": date,
}


class RowCheck:
    """Checks rows against a projection's columns."""

    def __init__(self, projection: Projection) -> None:
        indexes = (projection.key, *projection.indexes)
        most_bytes = MOST_INDEXED_BYTES // max(1, *map(len, indexes))
        self._most_bytes = dict.fromkeys(chain.from_iterable(indexes), most_bytes)
        self._columns = projection.columns
        names = tuple(column.name for column in projection.columns)
        self._known = frozenset(names)
        self._key_names = frozenset(projection.key)
        self._key = tuple(names.index(name) for name in projection.key)

    def __call__(self, many: Sequence[MadeRows]) -> list[PreparedRows]:
        """Return the converted rows of each source. Raises `Unprojectable` with the column's name, never its value."""
        rows = list(chain.from_iterable(many))
        if not all(map(self._known.issuperset, rows)):
            raise Unprojectable("a row names a column that the projection does not have")
        columns = [self._column(column, rows) for column in self._columns]
        converted = iter(zip(*columns, strict=True) if columns else [()] * len(rows))
        if len(rows) == len(many) and all(many):  # one each, as usual
            return [(row,) for row in converted]
        prepared = [tuple(islice(converted, len(one))) for one in many]
        if any(map(self._repeats_key, prepared)):
            raise Unprojectable("two rows have the same key")
        return prepared

    def _column(self, column: Column, rows: Sequence[Mapping[str, object]]) -> Sequence[Any]:
        name = column.name
        values = [row.get(name) for row in rows]
        if name in self._key_names and None in values:
            raise Unprojectable(f"key column {name} is empty")
        try:
            converted = _convert_usual(column.type, values)
            if converted is None:
                convert = TYPES[column.type]
                converted = [None if value is None else convert(value) for value in values]
        except _WRONG:
            raise Unprojectable(f"column {name} does not take the value as {column.type}") from None
        most_bytes = self._most_bytes.get(name)
        if most_bytes is not None and column.type == "text" and _has_longer(converted, most_bytes):
            raise Unprojectable(f"column {name} has an index, which does not take a text that long")
        return converted

    def _repeats_key(self, rows: PreparedRows) -> bool:
        """Return whether two rows of one source have the same key."""
        return len(rows) > 1 and len({tuple([row[at] for at in self._key]) for row in rows}) < len(rows)


def _convert_usual(type_: str, values: Sequence[Any]) -> Sequence[Any] | None:
    """Convert the values at once; None if there may be an unusual or a wrong one, which `TYPES` finds by itself."""
    if type_ == "jsonb":
        texts = plain_json([value for value in values if value is not None])
        if texts is None:
            return None
        plain = map(as_jsonb, texts)
        return [None if value is None else next(plain) for value in values]
    kinds = set(map(type, values))
    if type_ == "text[]" and kinds <= {list, NoneType}:
        parts = list(chain.from_iterable([value for value in values if value]))
        if not set(map(type, parts)) <= {str}:
            return None
        checked_text("".join(parts))
        return values
    usual = _USUAL.get(type_)
    if usual is None or not kinds <= {usual, NoneType}:
        return None
    some = [value for value in values if value is not None] if NoneType in kinds else values
    if some:
        _check_usual(usual, some, TYPES[type_])
    return values


def _check_usual(usual: type, values: Sequence[Any], convert: Callable[[Any], Any]) -> None:
    if usual is str:
        checked_text("".join(values))
    elif usual is int:
        convert(min(values))
        convert(max(values))
    elif usual is datetime and None in {value.tzinfo for value in values}:
        raise ValueError


def _has_longer(texts: Sequence[str | None], most_bytes: int) -> bool:
    some = list(filter(None, texts))
    if not some or len(max(some, key=len)) * 4 <= most_bytes:
        return False
    return any(len(text.encode()) > most_bytes for text in some)
