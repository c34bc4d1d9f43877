"""Ion Hash (amazon-ion.github.io/ion-hash/docs/spec.html) of the values that `journal.ion.values` reads.

A value is serialized as B ‖ TQ ‖ representation ‖ E, with B, E and the escape byte escaped inside; a struct's
representation is the sorted, then escaped, hashes of its fields, each H(s(name) ‖ s(value)). The hash is SHA-256 of
that serialization.
"""

import hashlib
import struct
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Protocol

from amazon.ion.core import IonType, Timestamp, TimestampPrecision
from amazon.ion.simple_types import IonPyNull
from amazon.ion.symbols import SymbolToken

from strandline.journal.ion.encoded import Encoded


class Digest(Protocol):
    """The result of hashlib's constructors."""

    def digest(self) -> bytes: ...


HashFunction = Callable[[bytes], Digest]

_NULL_TQ = {
    IonType.NULL: 0x0F,
    IonType.BOOL: 0x1F,
    IonType.INT: 0x2F,
    IonType.FLOAT: 0x4F,
    IonType.DECIMAL: 0x5F,
    IonType.TIMESTAMP: 0x6F,
    IonType.SYMBOL: 0x7F,
    IonType.STRING: 0x8F,
    IonType.CLOB: 0x9F,
    IonType.BLOB: 0xAF,
    IonType.LIST: 0xBF,
    IonType.SEXP: 0xCF,
    IonType.STRUCT: 0xDF,
}
_UNKNOWN_OFFSET = b"\xc0"
_NO_OFFSET = timedelta(0)
# Field names recur in every revision of a table; the bound only matters for a journal with generated names.
_NAME_CACHE_SIZE = 20_000


def sha256(data: bytes) -> bytes:
    """Return the SHA-256, 32 bytes."""
    return hashlib.sha256(data).digest()


def ion_hash(value: Any) -> bytes:
    """Return the Ion Hash of a value with SHA-256, 32 bytes. Raises TypeError if it is not an Ion value."""
    if type(value) is Encoded:
        return value.digest
    return sha256(serialize(value))


class Serializer:
    """Serializes values for hashing. The hash function is a parameter only for the specification's own tests."""

    def __init__(self, hash_function: HashFunction) -> None:
        self._hash = hash_function
        self._names: dict[str | None, bytes] = {}
        self._plain: dict[type, Callable[[Any], bytes]] = {
            str: string_bytes,
            dict: self._dict,
            int: _int,
            Timestamp: _timestamp,
            Decimal: _decimal,
            bool: lambda value: b"\x0b\x11\x0e" if value else b"\x0b\x10\x0e",
            type(None): lambda _: b"\x0b\x0f\x0e",
            float: _float,
            bytes: _blob,
            list: lambda value: b"\x0b\xb0" + b"".join(map(self, value)) + b"\x0e",
            SymbolToken: lambda value: symbol_bytes(value.text),
        }
        self._typed: dict[IonType, Callable[[Any], bytes]] = {
            IonType.BOOL: self._plain[bool],
            IonType.INT: _int,
            IonType.FLOAT: _float,
            IonType.DECIMAL: _decimal,
            IonType.TIMESTAMP: _timestamp,
            IonType.SYMBOL: lambda value: symbol_bytes(getattr(value, "text", value)),
            IonType.STRING: string_bytes,
            IonType.CLOB: lambda value: b"\x0b\x90" + escape(bytes(value)) + b"\x0e",
            IonType.BLOB: _blob,
            IonType.LIST: self._plain[list],
            IonType.SEXP: lambda value: b"\x0b\xc0" + b"".join(map(self, value)) + b"\x0e",
            IonType.STRUCT: lambda value: self._struct(value.items()),
        }

    def __call__(self, value: Any) -> bytes:
        plain = self._plain.get(type(value))
        if plain is not None:
            return plain(value)
        ion_type = getattr(value, "ion_type", None)
        if ion_type is None:
            raise TypeError(f"{type(value).__name__} is not an Ion value")
        if isinstance(value, IonPyNull):
            serialized = bytes((0x0B, _NULL_TQ[ion_type], 0x0E))
        else:
            serialized = self._typed[ion_type](value)
        annotations = value.ion_annotations
        if annotations:
            names = b"".join(symbol_bytes(getattr(a, "text", a)) for a in annotations)
            return b"\x0b\xe0" + names + serialized + b"\x0e"
        return serialized

    def _dict(self, value: dict[str | None, Any]) -> bytes:
        return self._struct(value.items())

    def _struct(self, fields: Iterable[tuple[str | None, Any]]) -> bytes:
        names, hash_function = self._names, self._hash
        digests = []
        for name, value in fields:
            serialized_name = names.get(name)
            if serialized_name is None:
                serialized_name = self._name(name)
            # Most values are strings; saving two calls saves a fifth of the time.
            serialized = string_bytes(value) if type(value) is str else self(value)
            digests.append(hash_function(serialized_name + serialized).digest())
        digests.sort()
        return b"\x0b\xd0" + escape(b"".join(digests)) + b"\x0e"

    def _name(self, name: str | None) -> bytes:
        if len(self._names) >= _NAME_CACHE_SIZE:
            self._names.clear()
        serialized = self._names[name] = symbol_bytes(name)
        return serialized


def escape(data: bytes) -> bytes:
    """Escape Ion Hash's own marker bytes in a representation."""
    if 0x0B in data or 0x0C in data or 0x0E in data:
        return data.replace(b"\x0c", b"\x0c\x0c").replace(b"\x0b", b"\x0c\x0b").replace(b"\x0e", b"\x0c\x0e")
    return data


def string_bytes(value: str) -> bytes:
    """Serialize a string."""
    return b"\x0b\x80" + escape(value.encode()) + b"\x0e"


def symbol_bytes(text: str | None) -> bytes:
    """Serialize a symbol or a field's name."""
    if text is None:  # symbol zero: its text is unknown
        return b"\x0b\x71\x0e"
    return b"\x0b\x70" + escape(text.encode()) + b"\x0e"


def _blob(value: bytes) -> bytes:
    return b"\x0b\xa0" + escape(bytes(value)) + b"\x0e"


def _int(value: int) -> bytes:
    return (b"\x0b\x30" if value < 0 else b"\x0b\x20") + escape(magnitude_bytes(value)) + b"\x0e"


def magnitude_bytes(value: int) -> bytes:
    """Return an integer's representation, in the fewest bytes."""
    magnitude = -value if value < 0 else value
    return magnitude.to_bytes((magnitude.bit_length() + 7) // 8, "big")


def _float(value: float) -> bytes:
    if value != value:  # one NaN for all
        return b"\x0b\x40\x7f\xf8\x00\x00\x00\x00\x00\x00\x0e"
    representation = struct.pack(">d", value)
    return b"\x0b\x40" + (b"" if representation == bytes(8) else escape(representation)) + b"\x0e"


def _decimal(value: Decimal) -> bytes:
    return b"\x0b\x50" + escape(decimal_bytes(value)) + b"\x0e"


def decimal_bytes(value: Decimal) -> bytes:
    """Return a decimal's representation; empty for zero with exponent zero."""
    sign, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        raise TypeError("an Ion decimal is finite")
    if not sign and exponent == 0 and digits == (0,):
        return b""
    return _var_int(exponent) + _signed_magnitude(sign, _integer(digits))


def _integer(digits: tuple[int, ...]) -> int:
    return int(Decimal((0, digits, 0)))  # exact, and without the limit that int(str) has on digits


def _timestamp(value: Timestamp) -> bytes:
    precision = value.precision
    if (
        value.tzinfo is UTC
        and value.fractional_precision == 3
        and precision == TimestampPrecision.SECOND
        and value.year >= 128
    ):
        return b"\x0b\x60" + escape(milliseconds_bytes(value)) + b"\x0e"
    offset = value.utcoffset()
    body = bytearray()
    if offset is None:
        body += _UNKNOWN_OFFSET
        utc = value
    else:
        body += _var_int(offset // timedelta(minutes=1))
        utc = value if offset == _NO_OFFSET else value.astimezone(UTC)
    body += _var_uint(utc.year)
    if precision is None or precision >= TimestampPrecision.MONTH:
        body.append(0x80 | utc.month)
    if precision is None or precision >= TimestampPrecision.DAY:
        body.append(0x80 | utc.day)
    if precision is None or precision >= TimestampPrecision.MINUTE:
        body.append(0x80 | utc.hour)
        body.append(0x80 | utc.minute)
    if precision is None or precision >= TimestampPrecision.SECOND:
        body.append(0x80 | utc.second)
        body += _fraction(value)
    return b"\x0b\x60" + escape(bytes(body)) + b"\x0e"


def milliseconds_bytes(value: datetime) -> bytes:
    """Return the representation of a timestamp in QLDB's own form, in a tenth of the time."""
    year = value.year
    body = bytes((
        0x80, year >> 7, 0x80 | (year & 0x7F), 0x80 | value.month, 0x80 | value.day,
        0x80 | value.hour, 0x80 | value.minute, 0x80 | value.second, 0xC3,
    ))  # fmt: skip
    coefficient: int = value.microsecond // 1000
    if coefficient < 0x80:
        return body + bytes((coefficient,)) if coefficient else body
    return body + coefficient.to_bytes(2, "big")


def _fraction(value: Timestamp) -> bytes:
    seconds = value.fractional_seconds
    if seconds is None:
        return b""
    _, digits, exponent = seconds.as_tuple()
    if exponent >= 0:
        return b""
    return _var_int(exponent) + _signed_magnitude(0, _integer(digits))


def _var_uint(value: int) -> bytes:
    out = [0x80 | (value & 0x7F)]
    value >>= 7
    while value:
        out.append(value & 0x7F)
        value >>= 7
    return bytes(reversed(out))


def _var_int(value: int) -> bytes:
    magnitude = abs(value)
    out = []
    while magnitude > 0x3F:
        out.append(magnitude & 0x7F)
        magnitude >>= 7
    out.append(magnitude | (0x40 if value < 0 else 0))
    out[0] |= 0x80
    return bytes(reversed(out))


def _signed_magnitude(sign: int, magnitude: int) -> bytes:
    """Return Ion's Int: big-endian magnitude, the sign in the highest bit. Zero has no bytes, negative zero has one."""
    if magnitude == 0:
        return b"\x80" if sign else b""
    data = magnitude.to_bytes((magnitude.bit_length() + 8) // 8, "big")
    return bytes([data[0] | 0x80]) + data[1:] if sign else data


serialize = Serializer(hashlib.sha256)
"""Serializes a value as B ‖ TQ ‖ representation ‖ E, its fields hashed with SHA-256."""
