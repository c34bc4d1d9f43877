"""A column's values checked and converted at once: several times as fast as one by one (`sql_types.TYPES`).

Whoever meets an error here finds out one by one which value it is, if any: what is told apart here is only the usual.
"""

from collections.abc import Callable, Sequence
from datetime import date, datetime
from types import NoneType
from typing import Any

from strandline.consumer.projection.column_types import TYPES, as_jsonb, checked_text
from strandline.consumer.projection.plain_json import plain_json

_USUAL: dict[str, type] = {
    "text": str,
    "boolean": bool,
    "integer": int,
    "bigint": int,
    "timestamptz": datetime,
    "date": date,
}


def converted(type_: str, values: Sequence[Any], most_bytes: int | None) -> Sequence[Any]:
    """What COPY takes, None where there is none; raises `ValueError` or `TypeError` where a value may be refused.

    `most_bytes` is what a text may have at most.
    """
    convert = TYPES[type_]
    usual = _USUAL.get(type_)
    if type_ == "jsonb" and (texts := plain_json([value for value in values if value is not None])) is not None:
        plain = map(as_jsonb, texts)
        return [None if value is None else next(plain) for value in values]
    if usual is None:
        return [None if value is None else convert(value) for value in values]
    kinds = set(map(type, values))
    found = [value for value in values if value is not None] if NoneType in kinds else values
    if not kinds <= {usual, NoneType}:
        raise TypeError
    if found:
        _check(usual, found, convert)
        if usual is str and most_bytes is not None and max(map(len, found)) * 4 > most_bytes:
            raise ValueError
    return values


def _check(usual: type, values: Sequence[Any], convert: Callable[[Any], Any]) -> None:
    if usual is str:
        checked_text("".join(values))
    elif usual is int:
        convert(min(values))
        convert(max(values))
    elif usual is datetime and None in {value.tzinfo for value in values}:
        raise ValueError
