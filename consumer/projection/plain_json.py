"""Fast path: JSON of values that have JSON's own types alone, or decimals.

It is several times as fast as `journal.ion.json.to_json`, and writes the same text.
"""

from collections.abc import Sequence
from decimal import Decimal
from itertools import chain
from types import NoneType
from typing import Any

import msgspec

from strandline.journal.ion.json import is_refused

_SCALARS = frozenset((str, int, bool, NoneType, Decimal))  # floats are written otherwise
_TYPES = _SCALARS | {list, dict}
_STRING = frozenset((str,))
_encode = msgspec.json.Encoder(decimal_format="number").encode
_MOST_DIGITS = 1_000  # before and after the point: far fewer than jsonb takes as a number


def plain_json(values: Sequence[Any]) -> list[str] | None:
    """Return each value's JSON text; None if one has other types in it, or a character that jsonb refuses."""
    if not _are_plain(values):
        return None
    try:
        texts = [str(_encode(value), "utf-8") for value in values]
    except (ValueError, RecursionError):  # lone surrogates, very long numbers; nested very deep
        return None
    text = "".join(texts)
    return None if "\\u0000" in text or not (text.isascii() or not is_refused(text)) else texts


def _is_usual(value: Decimal) -> bool:
    return value.is_finite() and int(value.as_tuple().exponent) > -_MOST_DIGITS and value.adjusted() < _MOST_DIGITS


def _are_plain(values: Sequence[Any]) -> bool:
    """Check level by level; subclasses are not plain."""
    while values:
        kinds = set(map(type, values))
        if not kinds <= _TYPES:
            return False
        if Decimal in kinds and not all(_is_usual(value) for value in values if type(value) is Decimal):
            return False
        if kinds <= _SCALARS:
            return True
        structs = [value for value in values if type(value) is dict]
        if not _STRING.issuperset(map(type, chain.from_iterable(structs))):
            return False
        lists = [value for value in values if type(value) is list]
        values = [*chain.from_iterable(lists), *chain.from_iterable(map(dict.values, structs))]
    return True
