"""Hashing a struct, and writing it as JSON and as binary Ion, in one pass over it.

Each is what `journal.ion_hash.serialize`, `journal.ion_json.to_json` and `journal.ion.write` make of the struct, byte
for byte; tests hold it to that. What is rare (symbols, annotations, s-expressions, a name without text, deep nesting)
is left to those.
"""

import hashlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from json.encoder import encode_basestring as quote
from typing import Any

from amazon.ion.core import IonType, Timestamp, TimestampPrecision
from amazon.ion.symbols import SymbolToken

from journal import ion
from journal.encoded import Encoded
from journal.errors import UnwritableError
from journal.ion_hash import (
    decimal_bytes,
    escape,
    magnitude_bytes,
    milliseconds_bytes,
    serialize,
    string_bytes,
    symbol_bytes,
)
from journal.ion_json import may_hold_refused, to_json

_Forms = tuple[bytes, str, bytes]  # what is hashed, JSON, and Ion without the version marker and symbol table before it

_MOST_DEPTH = 50
_LENGTH_FOLLOWS = 14
_FIRST_SAFE_YEAR = 128
# Field names and short strings come again and again; the bounds only matter for a journal that makes up names.
_MOST_NAMES, _MOST_STRINGS, _SHORT = 20_000, 20_000, 48

_sha256 = hashlib.sha256


class _RareError(Exception):
    """A value that is left to the general ways."""


def encode(value: Any) -> Any:
    """A struct as `Encoded`; what is none, or holds something rare, as it is."""
    if type(value) is not dict:
        return value
    ids = _SYSTEM_IDS.copy()
    try:
        hashed, json, body = _struct(value, ids, _MOST_DEPTH)
    except (_RareError, UnwritableError, UnicodeEncodeError, TypeError, ArithmeticError):
        return value
    if may_hold_refused(json):
        return value
    return Encoded(value, _sha256(hashed).digest(), json, _table(tuple(ids)[len(_SYSTEM) :]) + body)


def _struct(value: dict[str, Any], ids: dict[str, bytes], depth: int) -> _Forms:
    digests, json, fields = [], [], []
    if not depth:
        raise _RareError
    for name, member in value.items():
        fields.append(ids.get(name) or _add_id(name, ids))  # before those of names within it
        if type(member) is str:
            digest, text, body = _strings.get((name, member)) or _string_field(name, member)
        else:
            start, text = _names.get(name) or _name(name)
            hashed, said, body = _forms(member, ids, depth)
            digest, text = _sha256(start + hashed).digest(), text + said
        digests.append(digest)
        json.append(text)
        fields.append(body)
    digests.sort()
    body = b"".join(fields)
    return (
        b"\x0b\xd0" + escape(b"".join(digests)) + b"\x0e",
        "{" + ",".join(json) + "}",
        _head(0xD0, len(body)) + body,
    )


def _forms(value: Any, ids: dict[str, bytes], depth: int) -> _Forms:
    kind = type(value)
    if kind is dict:
        return _struct(value, ids, depth - 1)
    if kind is list:
        return _list(value, ids, depth - 1)
    known = _SCALARS.get(kind)
    return known(value) if known is not None else _rare(value)


def _list(value: list[Any], ids: dict[str, bytes], depth: int) -> _Forms:
    if not depth:
        raise _RareError
    items = [_forms(item, ids, depth) for item in value]
    body = b"".join([item[2] for item in items])
    return (
        b"\x0b\xb0" + b"".join([item[0] for item in items]) + b"\x0e",
        "[" + ",".join([item[1] for item in items]) + "]",
        _head(0xB0, len(body)) + body,
    )


def _string(value: str) -> _Forms:
    raw, quoted = value.encode(), quote(value)
    # What Ion Hash escapes are control characters, and those JSON escapes as well.
    hashed = b"\x0b\x80" + raw + b"\x0e" if len(quoted) == len(value) + 2 else string_bytes(value)
    return hashed, quoted, _head(0x80, len(raw)) + raw


def _string_field(name: str, value: str) -> _Forms:
    """The digest of the field, its JSON with the name, the string's Ion."""
    start, text = _names.get(name) or _name(name)
    hashed, quoted, body = _string(value)
    forms = _sha256(start + hashed).digest(), text + quoted, body
    if len(value) <= _SHORT:
        if len(_strings) >= _MOST_STRINGS:
            _strings.clear()
        _strings[name, value] = forms
    return forms


def _name(name: str) -> tuple[bytes, str]:
    """What a field's name is hashed as, and how JSON has it."""
    if len(_names) >= _MOST_NAMES:
        _names.clear()
    _names[name] = forms = symbol_bytes(name), quote(name) + ":"
    return forms


_names: dict[str, tuple[bytes, str]] = {}
_strings: dict[tuple[str, str], _Forms] = {}


def _int(value: int) -> _Forms:
    raw = magnitude_bytes(value)
    code = 0x30 if value < 0 else 0x20
    return bytes((0x0B, code)) + escape(raw) + b"\x0e", to_json(value), _head(code, len(raw)) + raw


def _decimal(value: Decimal) -> _Forms:
    raw = decimal_bytes(value)
    return b"\x0b\x50" + escape(raw) + b"\x0e", to_json(value), _head(0x50, len(raw)) + raw


def _timestamp(value: Timestamp) -> _Forms:
    if (
        value.tzinfo is not UTC
        or value.fractional_precision != 3
        or value.precision != TimestampPrecision.SECOND
        or value.year < _FIRST_SAFE_YEAR
    ):
        return _rare(value)
    raw = milliseconds_bytes(value)
    text = datetime.isoformat(value, timespec="milliseconds")
    return b"\x0b\x60" + escape(raw) + b"\x0e", f'"{text[:-6]}Z"', _head(0x60, len(raw)) + raw


def _blob(value: bytes) -> _Forms:
    return b"\x0b\xa0" + escape(value) + b"\x0e", to_json(value), _head(0xA0, len(value)) + value


def _rare(value: Any) -> _Forms:
    """A value that holds no others and no symbol, which would have an id."""
    if isinstance(value, SymbolToken | list | tuple | Mapping) or getattr(value, "ion_annotations", None):
        raise _RareError
    if getattr(value, "ion_type", None) == IonType.SYMBOL and ion.write(value)[4:5] != b"\x7f":
        raise _RareError
    return serialize(value), to_json(value), ion.write(value)[len(ion.BINARY_VERSION_MARKER) :]


_SCALARS: dict[type, Callable[[Any], _Forms]] = {
    str: _string,
    int: _int,
    Timestamp: _timestamp,
    Decimal: _decimal,
    bytes: _blob,
    bool: lambda value: (serialize(value), "true" if value else "false", b"\x11" if value else b"\x10"),
    type(None): lambda value: (serialize(value), "null", b"\x0f"),
}


def _var_uint(number: int) -> bytes:
    """Seven bits a byte, the last one marked."""
    out = [0x80 | (number & 0x7F)]
    while number := number >> 7:
        out.append(number & 0x7F)
    return bytes(reversed(out))


def _head(code: int, length: int) -> bytes:
    """The first bytes of a value of a type and length."""
    return _HEADS[code][length] if length < 256 else bytes((code | _LENGTH_FOLLOWS,)) + _var_uint(length)


_HEADS = {
    code: [
        bytes((code | n,)) if n < _LENGTH_FOLLOWS else bytes((code | _LENGTH_FOLLOWS,)) + _var_uint(n)
        for n in range(256)
    ]
    for code in (0x20, 0x30, 0x50, 0x60, 0x80, 0xA0, 0xB0, 0xD0, 0xE0)
}
_IDS = [_var_uint(number) for number in range(256)]
_SYSTEM = "$ion $ion_1_0 $ion_symbol_table name version imports symbols max_id $ion_shared_symbol_table".split()
_SYSTEM_IDS = {name: _var_uint(number) for number, name in enumerate(_SYSTEM, 1)}


def _add_id(name: str | None, ids: dict[str, bytes]) -> bytes:
    """The symbol id of a name that comes for the first time in a whole value, as amazon.ion gives it."""
    if name is None:
        raise _RareError
    number = len(ids) + 1
    ids[name] = given = _IDS[number] if number < 256 else _var_uint(number)
    return given


@lru_cache(1024)
def _table(names: tuple[str, ...]) -> bytes:
    """A version marker, and the symbol table of these names if there are any."""
    if not names:
        return ion.BINARY_VERSION_MARKER
    texts = b"".join([_string(name)[2] for name in names])
    symbols = b"\x87" + _head(0xB0, len(texts)) + texts
    table = b"\x81\x83" + _head(0xD0, len(symbols)) + symbols
    return ion.BINARY_VERSION_MARKER + _head(0xE0, len(table)) + table
