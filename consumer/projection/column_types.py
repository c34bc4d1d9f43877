"""The SQL types that a projection's columns may have, and the Python values that each takes.

Every value is checked here, before the database sees it: a revision that parks must park even if a later one of its
batch replaces its rows before they are written.
"""

from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from psycopg.types.json import Jsonb

from strandline.consumer.projection.plain_json import plain_json
from strandline.journal.ion.json import to_json

# PostgreSQL's btree takes 2,704 bytes a row; the rest is for the source columns and the row's header.
MOST_INDEXED_BYTES = 2_400
# Types whose size is bounded, by the type or by the limit above.
INDEXABLE = ("text", "boolean", "integer", "bigint", "timestamptz", "date")
_MOST_DIGITS_BEFORE = 131_072
_MOST_DIGITS_AFTER = 16_383


def checked_text(value: object) -> str:
    """Return a text that PostgreSQL takes; raises `ValueError` for any other value."""
    if not isinstance(value, str):
        raise ValueError
    if not value.isascii():
        value.encode()  # lone surrogates have no UTF-8
    if "\0" in value:
        raise ValueError
    return value


def _boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


def _whole(bits: int) -> Callable[[object], int]:
    low, high = -(1 << bits - 1), (1 << bits - 1) - 1

    def checked(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise ValueError
        return value

    return checked


def _numeric(value: object) -> Decimal:
    if isinstance(value, int) and not isinstance(value, bool):
        value = Decimal(value)
    if not isinstance(value, Decimal) or not value.is_finite():
        raise ValueError
    if value.adjusted() >= _MOST_DIGITS_BEFORE or -int(value.as_tuple().exponent) > _MOST_DIGITS_AFTER:
        raise ValueError
    return value


def _moment(value: object) -> datetime:
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise ValueError
    return value


def _date(value: object) -> date:
    if not isinstance(value, date) or isinstance(value, datetime):
        raise ValueError
    return value


def _json(value: object) -> Jsonb:
    plain = plain_json([value])
    # A value that came from jsonb has its escapes already: an escaped U+FDD0 must not be escaped again.
    text = to_json(value).replace("\ufdd0fdd0", "\ufdd0") if plain is None else plain[0]
    return as_jsonb(text)


def as_jsonb(text: str) -> Jsonb:
    """Wrap JSON text as a value of jsonb."""
    return Jsonb(text, dumps=str)


def _array(member: Callable[[object], Any]) -> Callable[[object], list[Any]]:
    def checked(value: object) -> list[Any]:
        if not isinstance(value, list | tuple):
            raise ValueError
        return [member(part) for part in value]

    return checked


TYPES: dict[str, Callable[[object], Any]] = {
    "text": checked_text,
    "boolean": _boolean,
    "integer": _whole(32),
    "bigint": _whole(64),
    "numeric": _numeric,
    "timestamptz": _moment,
    "date": _date,
    "jsonb": _json,
    "text[]": _array(checked_text),
    "bigint[]": _array(_whole(64)),
}
