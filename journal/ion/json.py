"""Turns Ion into the JSON that analysts query, in a form that PostgreSQL's jsonb accepts (docs/design.md).

Decimals and integers become exact JSON numbers if jsonb can hold them, else text; timestamps RFC 3339 text of the same
precision; blobs base64; clobs and symbols text; s-expressions arrays; NaN and infinities text. Annotations are dropped.
U+0000 and lone surrogates, which jsonb refuses, become U+FDD0 (a code point that is never a character) and four hex
digits. A U+FDD0 in the data is written the same way, so `unescape` can undo it.
"""

import json
import math
import re
from base64 import b64encode
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from json.encoder import encode_basestring as _quote_as_is
from typing import Any

from amazon.ion.core import IonType, Timestamp, TimestampPrecision
from amazon.ion.simple_types import IonPyNull
from amazon.ion.symbols import SymbolToken

from strandline.journal.errors import UnreadableError
from strandline.journal.ion.encoded import Encoded

_ESCAPE = "\ufdd0"
_REFUSED = re.compile("[\x00\ud800-\udfff\ufdd0]")
_ESCAPED = re.compile("\ufdd0([0-9a-f]{4})")
# PostgreSQL's numeric: 131,072 digits before the point, 16,383 after (documentation, "Numeric Types").
_MOST_DIGITS_BEFORE = 131_072
_MOST_DIGITS_AFTER = 16_383


def to_json(value: Any) -> str:
    """Return the JSON text of an Ion value; annotations and the difference between Ion types are lost."""
    if type(value) is Encoded:
        try:
            return _plain_json(value)
        except ValueError:  # a number that JSON does not have, or a very long one
            return _AS_IS(dict(value))
    text = _AS_IS(value)
    # Refused characters are rare, so one search is cheaper than one for each string.
    refused = "\\u0000" in text or not (text.isascii() or not is_refused(text))
    return _ESCAPED_TEXT(value) if refused else text


def is_refused(text: str) -> bool:
    """Return True if `text` holds a character that jsonb refuses, or U+FDD0."""
    return not text.isprintable() and _REFUSED.search(text) is not None  # isprintable is the fast path


def json_text(value: Any) -> bytes:
    """Write a value of `read_json` as UTF-8 JSON again, refused characters unchanged."""
    return _AS_IS(value).encode("utf-8", "backslashreplace")


def escape(text: str) -> str:
    """Replace characters that jsonb refuses by U+FDD0 and four hex digits."""
    return _REFUSED.sub(lambda match: f"{_ESCAPE}{ord(match[0]):04x}", text) if is_refused(text) else text


def unescape(text: str) -> str:
    """Undo `escape`."""
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), text)


def timestamp_text(value: Timestamp) -> str:
    """Return the RFC 3339 text of an Ion timestamp, cut at its precision; an unknown offset is -00:00."""
    precision = value.precision
    if value.tzinfo is UTC and value.fractional_precision == 3 and precision == TimestampPrecision.SECOND:
        return datetime.isoformat(value, timespec="milliseconds")[:-6] + "Z"
    if precision is not None and precision < TimestampPrecision.MINUTE:
        return f"{value.year:04d}-{value.month:02d}-{value.day:02d}"[: 4 + 3 * precision]
    text = f"{value.year:04d}-{value.month:02d}-{value.day:02d}T{value.hour:02d}:{value.minute:02d}"
    if precision is None or precision >= TimestampPrecision.SECOND:
        text += f":{value.second:02d}"
        fraction = value.fractional_seconds
        if fraction is not None and fraction.as_tuple().exponent < 0:
            text += format(fraction, "f")[1:]
    offset = value.utcoffset()
    if offset is None:
        return text + "-00:00"
    if not offset:
        return text + "Z"
    minutes = int(offset.total_seconds()) // 60
    return f"{text}{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"


def _int(value: int) -> str:
    if value.bit_length() < 10_000:
        return int.__repr__(value)
    return _decimal(Decimal(value))  # Decimal has no limit on digits


def _decimal(value: Decimal) -> str:
    if value.as_tuple().exponent >= -_MOST_DIGITS_AFTER and value.adjusted() < _MOST_DIGITS_BEFORE:  # type: ignore[operator]
        return Decimal.__str__(value)
    return _quote_as_is(Decimal.__str__(value))


def _float(value: float) -> str:
    if math.isfinite(value):
        return float.__repr__(value)
    return '"nan"' if value != value else '"+inf"' if value > 0 else '"-inf"'


def _name(name: str | None) -> str:
    return "$0" if name is None else name  # Ion text's form of a symbol whose text is unknown


class _Writer:
    """Writes values as JSON; `quote` writes the strings."""

    def __init__(self, quote: Callable[[str], str]) -> None:
        self._quote = quote
        self._plain: dict[type, Callable[[Any], str]] = {
            str: quote,
            dict: self._struct,
            int: _int,
            Timestamp: lambda value: f'"{timestamp_text(value)}"',
            Decimal: _decimal,
            bool: lambda value: "true" if value else "false",
            type(None): lambda _: "null",
            float: _float,
            bytes: lambda value: f'"{b64encode(value).decode()}"',
            list: self._array,
            SymbolToken: lambda value: quote(_name(value.text)),
        }
        self._typed: dict[IonType, Callable[[Any], str]] = {
            IonType.BOOL: self._plain[bool],
            IonType.INT: lambda value: _int(int(value)),
            IonType.FLOAT: lambda value: _float(float(value)),
            IonType.DECIMAL: _decimal,
            IonType.TIMESTAMP: self._plain[Timestamp],
            IonType.SYMBOL: lambda value: quote(_name(getattr(value, "text", value))),
            IonType.STRING: lambda value: quote(str(value)),
            IonType.CLOB: lambda value: quote(bytes(value).decode("latin-1")),
            IonType.BLOB: self._plain[bytes],
            IonType.LIST: self._array,
            IonType.SEXP: self._array,
            IonType.STRUCT: self._struct,
        }

    def __call__(self, value: Any) -> str:
        plain = self._plain.get(type(value))
        if plain is not None:
            return plain(value)
        ion_type = getattr(value, "ion_type", None)
        if ion_type is None:
            raise TypeError(f"{type(value).__name__} is not an Ion value")
        return "null" if isinstance(value, IonPyNull) else self._typed[ion_type](value)

    def _struct(self, value: Any) -> str:
        quote = self._quote
        return "{" + ",".join([f"{quote(_name(name))}:{self(member)}" for name, member in value.items()]) + "}"

    def _array(self, value: Any) -> str:
        return "[" + ",".join([self(member) for member in value]) + "]"


_AS_IS = _Writer(_quote_as_is)
_ESCAPED_TEXT = _Writer(lambda text: _quote_as_is(escape(text)))


def _plain_json(value: Encoded) -> str:
    """Write as `_AS_IS` does, by the encoder in C. Numbers are marked with U+0000, which no text here contains."""
    text = _ENCODER.encode(value)
    if _NUMBER in text:
        text = text.replace(_NUMBER, "").replace(_NUMBER_END, "")
    return text


def _unknown_to_json(value: Any) -> str:
    if type(value) is Timestamp:
        return timestamp_text(value)
    if type(value) is Decimal:
        text = _decimal(value)
        return text[1:-1] if text[0] == '"' else f"\0{text}\0\0"
    return b64encode(value).decode()


_ENCODER = json.JSONEncoder(
    ensure_ascii=False, check_circular=False, allow_nan=False, separators=(",", ":"), default=_unknown_to_json
)
# A backslash in a text is doubled, so these marks cannot occur in one.
_NUMBER, _NUMBER_END = '"\\u0000', '\\u0000\\u0000"'


def exact(text: str) -> Any:
    """Return the value of one JSON text; no number loses a digit, however many it has."""
    return _DECODER.decode(text)


def read_json(text: str) -> Iterator[Any]:
    """Yield the values of concatenated JSON texts; no number loses a digit.

    `to_json` accepts these values as it does Ion's. Raises UnreadableError after the values before the damage.
    """
    return (value for value, _, _ in read_json_spans(text))


def read_json_spans(text: str) -> Iterator[tuple[Any, int, int]]:
    """Yield what `read_json` does, each value with its start and end in the text."""
    position, count = _space(text, 0), 0
    while position < len(text):
        try:
            value, end = _DECODER.raw_decode(text, position)
        except (ValueError, ArithmeticError, RecursionError) as error:
            detail = f"not readable as JSON after {count} complete values ({type(error).__name__})"
            raise UnreadableError(detail) from None
        yield value, position, end
        count += 1
        position = _space(text, end)


def _space(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    assert match is not None
    return match.end()


def _json_int(digits: str) -> int | Decimal:
    return int(digits) if len(digits) < 4000 else Decimal(digits)  # int() refuses more digits


_SPACE = re.compile(r"\s*")
_DECODER = json.JSONDecoder(parse_float=Decimal, parse_int=_json_int, parse_constant=str)
