"""Rows that a projection's function gave, checked and converted to what COPY takes.

This runs for every row of every revision, so the way of rows that are right is short; what is wrong with others is
found out afterwards.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import chain, islice
from typing import Any

from strandline.consumer.projection.column_types import MOST_INDEXED_BYTES, TYPES
from strandline.consumer.projection.definition import Column, Projection, Rows, Unprojectable
from strandline.consumer.sinks.column_check import converted
from strandline.consumer.sinks.contract import PreparedRows

Check = Callable[[Any], Any]
_WRONG = (ValueError, TypeError, RecursionError)


class RowCheck:
    """Checks rows against a projection's columns; raises `Unprojectable` with the column's name, never its value."""

    def __init__(self, projection: Projection) -> None:
        indexes = (projection.key, *projection.indexes)
        indexed = frozenset(name for index in indexes for name in index)
        most_bytes = MOST_INDEXED_BYTES // max(1, *map(len, indexes))
        self._columns = projection.columns
        self._names = tuple(column.name for column in projection.columns)
        self._known = frozenset(self._names)
        self._key = tuple(self._names.index(name) for name in projection.key)
        self._most_bytes = dict.fromkeys(indexed, most_bytes)
        self._checks = [
            (column.name, _check(column, column.name in projection.key, self._most_bytes.get(column.name)))
            for column in projection.columns
        ]

    def all(self, many: Sequence[Sequence[Mapping[str, object]]]) -> list[PreparedRows] | None:
        """What each item's rows are converted to, if all are right at first sight; else None."""
        rows = list(chain.from_iterable(many))
        if not self._columns or not all(map(self._known.issuperset, rows)):
            return None
        columns = []
        try:
            for column in self._columns:
                values = [row.get(column.name) for row in rows]
                columns.append(converted(column.type, values, self._most_bytes.get(column.name)))
        except _WRONG:
            return None
        if any(None in columns[at] for at in self._key):
            return None
        if len(rows) == len(many) and all(many):
            return [(row,) for row in zip(*columns, strict=True)]
        left = zip(*columns, strict=True)
        prepared = [tuple(islice(left, len(one))) for one in many]
        return None if any(map(self._repeat, prepared)) else prepared

    def __call__(self, rows: Rows) -> PreparedRows:
        prepared = []
        for row in rows:
            if not self._known.issuperset(row):
                raise Unprojectable("a row names a column that the projection does not have")
            get = row.get
            try:
                prepared.append(tuple([check(get(name)) for name, check in self._checks]))
            except _WRONG:
                raise Unprojectable(self._fault(row)) from None
        if self._repeat(prepared):
            raise Unprojectable("two rows have the same key")
        return tuple(prepared)

    def _repeat(self, rows: Sequence[tuple[Any, ...]]) -> bool:
        """Whether two rows of one source have the same key."""
        return len(rows) > 1 and len({tuple([row[at] for at in self._key]) for row in rows}) < len(rows)

    def _fault(self, row: Mapping[str, object]) -> str:
        for column, (_, check) in zip(self._columns, self._checks, strict=True):
            value = row.get(column.name)
            try:
                check(value)
            except _TooLongForIndex:
                return f"column {column.name} has an index, which does not take a text that long"
            except _WRONG:
                if value is None:
                    return f"key column {column.name} is empty"
                return f"column {column.name} does not take the value as {column.type}"
        return "a row changes while it is read"


class _TooLongForIndex(ValueError):
    pass


def _check(column: Column, is_key: bool, most_bytes: int | None) -> Check:
    converted = TYPES[column.type]

    def check(value: Any) -> Any:
        if value is None:
            if is_key:
                raise ValueError
            return None
        value = converted(value)
        if most_bytes is not None and isinstance(value, str) and _is_longer(value, most_bytes):
            raise _TooLongForIndex
        return value

    return check


def _is_longer(text: str, most_bytes: int) -> bool:
    return len(text) * 4 > most_bytes and len(text.encode()) > most_bytes
