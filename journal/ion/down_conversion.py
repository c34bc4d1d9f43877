"""Writes Ion as the JSON of QLDB's exports: the rules of docs/qldb-formats.md, "Down-conversion to JSON".

The rules are those of the Ion cookbook ("Down-converting to JSON"), to which QLDB's developer guide refers. Where they
leave a spelling open, it is that of ion-java's JSON writer: a decimal is its digits, `e` and its exponent; a float has
an exponent too; a timestamp is Ion's text. `journal.ion.json` writes the JSON for analysts, which differs.
"""

from base64 import b64encode
from collections.abc import Callable
from decimal import Decimal
from json.encoder import encode_basestring as _quote
from math import isfinite
from typing import Any

from amazon.ion.core import IonType, Timestamp, TimestampPrecision
from amazon.ion.simple_types import IonPyNull
from amazon.ion.symbols import SymbolToken

from strandline.journal.ion.encoded import Encoded
from strandline.journal.ion.json import timestamp_text

_LONG_BITS = 10_000  # int's own text has a limit on digits, Decimal's has none
_PLAIN_FLOATS = (1e-3, 1e7)  # Java writes floats within these bounds without an exponent, then ion-java adds e0


def down_convert(value: Any) -> str:
    """Return an Ion value as QLDB's JSON, on one line. Raises TypeError if it is not an Ion value."""
    plain = _PLAIN.get(type(value))
    if plain is not None:
        return plain(value)
    ion_type = getattr(value, "ion_type", None)
    if ion_type is None:
        raise TypeError(f"{type(value).__name__} is not an Ion value")
    return "null" if isinstance(value, IonPyNull) else _TYPED[ion_type](value)


def ion_timestamp_text(value: Timestamp) -> str:
    """Return a timestamp in Ion's text: `2007T` and `2007-02T` for a year and a month, a day without the T."""
    precision = value.precision
    text = timestamp_text(value)
    return text + "T" if precision is not None and precision < TimestampPrecision.DAY else text


def _int(value: int) -> str:
    return int.__repr__(value) if value.bit_length() < _LONG_BITS else str(Decimal(value))


def _decimal(value: Decimal) -> str:
    sign, digits, exponent = value.as_tuple()
    return f"{'-' if sign else ''}{''.join(map(str, digits))}e{exponent}"


def _float(value: float) -> str:
    if not isfinite(value):
        return "null"
    low, high = _PLAIN_FLOATS
    if value == 0 or low <= abs(value) < high:
        text = float.__repr__(value)
        return text.removesuffix(".0") + "e0"
    # Java's form: one digit before the point, at least one after it.
    _, digits, exponent = Decimal(float.__repr__(value)).normalize().as_tuple()
    assert isinstance(exponent, int)
    first, *rest = map(str, digits)
    sign = "-" if value < 0 else ""
    return f"{sign}{first}.{''.join(rest) or '0'}e{exponent + len(digits) - 1}"


def _struct(value: Any) -> str:
    return "{" + ",".join([f"{_quote(_name(name))}:{down_convert(member)}" for name, member in value.items()]) + "}"


def _array(value: Any) -> str:
    return "[" + ",".join([down_convert(member) for member in value]) + "]"


def _name(name: str | None) -> str:
    return "$0" if name is None else name


_PLAIN: dict[type, Callable[[Any], str]] = {
    str: _quote,
    dict: _struct,
    Encoded: _struct,
    list: _array,
    int: _int,
    Timestamp: lambda value: f'"{ion_timestamp_text(value)}"',
    Decimal: _decimal,
    bool: lambda value: "true" if value else "false",
    type(None): lambda _: "null",
    float: _float,
    bytes: lambda value: f'"{b64encode(value).decode()}"',
    SymbolToken: lambda value: _quote(_name(value.text)),
}
_TYPED: dict[IonType, Callable[[Any], str]] = {
    IonType.BOOL: _PLAIN[bool],
    IonType.INT: lambda value: _int(int(value)),
    IonType.FLOAT: lambda value: _float(float(value)),
    IonType.DECIMAL: _decimal,
    IonType.TIMESTAMP: _PLAIN[Timestamp],
    IonType.SYMBOL: lambda value: _quote(_name(getattr(value, "text", value))),
    IonType.STRING: lambda value: _quote(str(value)),
    IonType.CLOB: lambda value: _quote(bytes(value).decode("latin-1")),
    IonType.BLOB: _PLAIN[bytes],
    IonType.LIST: _array,
    IonType.SEXP: _array,
    IonType.STRUCT: _struct,
}
