"""Compares a row's columns with a document's fields, as far as it is known which column shows which field.

A column belongs to the field of its name, upper or lower case, with or without underscores, at any depth, if there is
only one. Others are named by a mapping. The kit flattens documents and turns times into dates; a column equals a field
if it says the same in its own type.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

DOCUMENT_ID = "@id"
"""The target of a mapping for a column that repeats the document's id."""

_MISSING = object()
_TRUE, _FALSE = ("true", "t", "1"), ("false", "f", "0")


def differences(
    columns: Mapping[str, Any], data: Mapping[str, Any], document_id: str, mapping: Mapping[str, str]
) -> tuple[list[str], list[str]]:
    """Return the columns that differ from the document, and those that could not be compared."""
    fields = _fields_by_name(data)
    differing, unknown = [], []
    for name, value in columns.items():
        target = mapping.get(name)
        if target == DOCUMENT_ID:
            same = value == document_id
        elif target is not None:
            same = _is_same(value, _at(data, target.split(".")))
        elif len(found := fields.get(_plain(name), [])) == 1:
            same = _is_same(value, found[0])
        elif value is None:
            continue  # a field that the document may not have
        else:
            unknown.append(name)
            continue
        if not same:
            differing.append(name)
    return differing, unknown


def _fields_by_name(data: Mapping[str, Any]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for name, value in _fields(data):
        found.setdefault(_plain(name), []).append(value)
    return found


def _fields(value: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, member in value.items():
        if isinstance(member, Mapping):
            yield from _fields(member)
        yield name, member


def _at(value: Any, path: Sequence[str]) -> Any:
    """Return the member at a path; of a list, the list of its members' members."""
    for place, name in enumerate(path):
        if isinstance(value, list):
            return [_at(one, path[place:]) for one in value]
        if not isinstance(value, Mapping) or name not in value:
            return _MISSING
        value = value[name]
    return value


def _is_same(column: Any, field: Any) -> bool:
    if field is _MISSING or field is None:
        return column is None
    if column is None:
        return isinstance(field, list) and not field  # the kit writes an empty list as NULL
    if isinstance(field, list) and isinstance(column, str):
        return column == ",".join(map(str, field))
    if isinstance(field, bool):
        return column is field or str(column).lower() in (_TRUE if field else _FALSE)
    if isinstance(field, int | float | Decimal):
        return _number(column) == _number(field)
    if isinstance(field, str) and not (isinstance(column, str) and column == field):
        return _is_same_time(column, field)
    return bool(column == field)


def _number(value: Any) -> Decimal | None:
    try:
        return None if isinstance(value, bool) else Decimal(str(value))
    except InvalidOperation:
        return None


def _is_same_time(column: Any, field: str) -> bool:
    """Return True if both are one time, or one day if the column has no time of day."""
    own, other = _time(column), _time(field)
    if own is None or other is None:
        return False
    if isinstance(column, date) and not isinstance(column, datetime):
        return own.date() == other.date()
    if isinstance(column, str) and len(column) == len("2007-02-23"):
        return own.date() == other.date()
    return own == other


def _time(value: Any) -> datetime | None:
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)  # UTC is set below
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if not isinstance(value, datetime):
        return None
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _plain(name: str) -> str:
    return name.replace("_", "").lower()
