"""Hashes a struct and writes it as binary Ion, in one pass.

The hash and the Ion equal those of `journal.ion.hash.serialize` and `journal.ion.values.write`, byte for byte, which
tests check. Rare values are left to those two: symbols, annotations, typed nulls, clobs, s-expressions, a name without
text, deep nesting, characters that jsonb refuses. Two structs that QLDB writes have fast paths: a revision's metadata
and a transactionInfo.
"""

import hashlib
from collections.abc import Callable, Iterable
from datetime import UTC
from decimal import Decimal
from functools import lru_cache
from typing import Any

from amazon.ion.core import Timestamp, TimestampPrecision

from strandline.journal.errors import UnwritableError
from strandline.journal.ion import values as ion
from strandline.journal.ion.encoded import Encoded
from strandline.journal.ion.hash import (
    decimal_bytes,
    escape,
    magnitude_bytes,
    milliseconds_bytes,
    serialize,
    symbol_bytes,
)
from strandline.journal.ion.json import is_refused

_Forms = tuple[bytes, bytes]  # the bytes to hash, and the Ion without its version marker and symbol table

_MOST_DEPTH = 50
_LENGTH_FOLLOWS = 14
_FIRST_SAFE_YEAR = 128
# Field names and short strings recur; the bounds only matter for a journal with generated names.
_MOST_NAMES, _MOST_STRINGS, _SHORT = 20_000, 20_000, 48

_sha256 = hashlib.sha256


class _RareError(Exception):
    """A value that the fast path does not cover."""


def encode(value: Any) -> Any:
    """Return a struct as `Encoded`; return any other value, or a struct with a rare value, unchanged."""
    if type(value) is not dict:
        return value
    ids = _SYSTEM_IDS.copy()
    try:
        hashed, body = _struct(value, ids, _MOST_DEPTH)
    except (_RareError, UnwritableError, UnicodeEncodeError, TypeError, ArithmeticError, IndexError):
        return value
    return Encoded(value, _sha256(hashed).digest(), _table(tuple(ids)[len(_SYSTEM) :]) + body)


_METADATA = ("id", "version", "txTime", "txId")


def metadata_digest(metadata: Any) -> bytes | None:
    """Return the Ion Hash of metadata in QLDB's own form; None for any other form."""
    if type(metadata) is not dict or tuple(metadata) != _METADATA:
        return None
    document_id, version, time, tx_id = metadata.values()
    if not (type(document_id) is str and type(version) is int and type(time) is Timestamp and type(tx_id) is str):
        return None
    try:
        digests = [
            (_strings.get(("id", document_id)) or _string_field("id", document_id))[0],
            _version_digest(version),
            _sha256(_TX_TIME + _timestamp(time)[0]).digest(),
            (_strings.get(("txId", tx_id)) or _string_field("txId", tx_id))[0],
        ]
    except (_RareError, UnwritableError, UnicodeEncodeError):
        return None
    return _sha256(_struct_bytes(digests)).digest()


_TX_TIME = symbol_bytes("txTime")


@lru_cache(1_024)
def _version_digest(version: int) -> bytes:
    return _sha256(symbol_bytes("version") + serialize(version)).digest()


def encode_transaction_info(info: Any) -> Any:
    """Encode a transactionInfo as `encode` does, by a fast path if it has QLDB's own form."""
    try:
        known = _transaction_info(info)
    except (_RareError, UnwritableError, UnicodeEncodeError, IndexError):
        known = None
    return encode(info) if known is None else known


_INFO = ("statements", "documents")
_STATEMENT = ("statement", "startTime", "statementDigest")
_DOCUMENT = ("tableName", "tableId", "statements")
# Names in the order of their first use, which gives their symbol ids. The documents' ids are names too.
_INFO_NAMES = ("statements", *_STATEMENT, "documents")
_NAMES_WITHIN_DOCUMENT = ("tableName", "tableId")


def _transaction_info(info: Any) -> Encoded | None:
    if type(info) is not dict or tuple(info) != _INFO or not all(info.values()):
        return None
    statements, documents = info.values()
    if type(statements) is not list or type(documents) is not dict:
        return None
    hashed, bodies = [], []
    for statement in statements:
        if type(statement) is not dict or tuple(statement) != _STATEMENT:
            return None
        text, start, digest = statement.values()
        if type(text) is not str or type(start) is not Timestamp or type(digest) is not bytes:
            return None
        text_digest, text_body = _strings.get(("statement", text)) or _string_field("statement", text)
        start_hashed, start_body = _timestamp(start)
        digest_hashed, digest_body = _blob(digest)
        hashes = [
            text_digest,
            _sha256(_START_TIME + start_hashed).digest(),
            _sha256(_STATEMENT_DIGEST + digest_hashed).digest(),
        ]
        hashed.append(_struct_bytes(hashes))
        fields = (_TEXT_ID, text_body, _START_TIME_ID, start_body, _STATEMENT_DIGEST_ID, digest_body)
        bodies.append(_value(0xD0, b"".join(fields)))
    digests, members, texts = [], [], []
    number = _FIRST_DOCUMENT
    for document_id, document in documents.items():
        if type(document_id) is not str or document_id in _INFO_IDS or not document_id.isprintable():
            return None
        if type(document) is not dict or tuple(document) != _DOCUMENT:
            return None
        table_name, table_id, numbers = document.values()
        if type(table_name) is not str or type(table_id) is not str or len(table_name) + len(table_id) > 2 * _SHORT:
            return None
        if type(numbers) is not list or len(numbers) > _SHORT or {*map(type, numbers)} != {int}:
            return None
        document_hashed, body = _document_forms(table_name, table_id, tuple(numbers))
        raw = document_id.encode()
        digests.append(_sha256(b"\x0b\x70" + raw + b"\x0e" + document_hashed).digest())
        members.append(_IDS[number])
        members.append(body)
        texts.append(_value(0x80, raw))
        number += 1 if len(texts) > 1 else 1 + len(_NAMES_WITHIN_DOCUMENT)
    texts[0] = _INFO_TEXTS + texts[0] + _TEXTS_WITHIN_DOCUMENT
    digest = _sha256(
        _struct_bytes(
            [
                _sha256(_STATEMENTS + b"\x0b\xb0" + b"".join(hashed) + b"\x0e").digest(),
                _sha256(_DOCUMENTS + _struct_bytes(digests)).digest(),
            ]
        )
    ).digest()
    fields_of_info = (_STATEMENTS_ID, _value(0xB0, b"".join(bodies)), _DOCUMENTS_ID, _value(0xD0, b"".join(members)))
    return Encoded(info, digest, _symbol_table(b"".join(texts)) + _value(0xD0, b"".join(fields_of_info)))


@lru_cache(4_096)
def _document_forms(table_name: str, table_id: str, numbers: tuple[int, ...]) -> _Forms:
    """Encode a document's entry; cached, since each transaction of a table repeats it."""
    document: dict[str | None, Any] = {"tableName": table_name, "tableId": table_id, "statements": list(numbers)}
    return _struct(document, _INFO_IDS.copy(), _MOST_DEPTH)


_START_TIME, _STATEMENT_DIGEST = symbol_bytes("startTime"), symbol_bytes("statementDigest")
_STATEMENTS, _DOCUMENTS = symbol_bytes("statements"), symbol_bytes("documents")


def _struct(value: dict[str | None, Any], ids: dict[str | None, bytes], depth: int) -> _Forms:
    digests, fields = [], []
    if not depth:
        raise _RareError
    for name, member in value.items():
        given = ids.get(name)
        if given is None:
            given = ids[name] = _IDS[len(ids) + 1]  # assigned before those of nested names
        fields.append(given)
        kind = type(member)
        if kind is str:
            digest, body = _strings.get((name, member)) or _string_field(name, member)
        else:
            known = _SCALARS.get(kind)
            hashed, body = known(member) if known is not None else _container(member, ids, depth - 1)
            digest = _sha256((_names.get(name) or _name(name)) + hashed).digest()
        digests.append(digest)
        fields.append(body)
    return _struct_bytes(digests), _value(0xD0, b"".join(fields))


def _struct_bytes(digests: list[bytes]) -> bytes:
    """Serialize a struct from the digests of its fields."""
    digests.sort()
    return b"\x0b\xd0" + escape(b"".join(digests)) + b"\x0e"


def _container(value: Any, ids: dict[str | None, bytes], depth: int) -> _Forms:
    if type(value) is dict:
        return _struct(value, ids, depth)
    if type(value) is not list or not depth:
        raise _RareError
    hashed, bodies = [], []
    for item in value:
        known = _SCALARS.get(type(item))
        item_hashed, body = known(item) if known is not None else _container(item, ids, depth - 1)
        hashed.append(item_hashed)
        bodies.append(body)
    return b"\x0b\xb0" + b"".join(hashed) + b"\x0e", _value(0xB0, b"".join(bodies))


def _string(value: str) -> _Forms:
    raw = value.encode()
    if value.isprintable():  # so it holds nothing that Ion Hash escapes or jsonb refuses
        return b"\x0b\x80" + raw + b"\x0e", _value(0x80, raw)
    if is_refused(value):
        raise _RareError
    return b"\x0b\x80" + escape(raw) + b"\x0e", _value(0x80, raw)


def _string_field(name: str | None, value: str) -> _Forms:
    """Return the digest of the field, and the string's Ion."""
    hashed, body = _string(value)
    forms = _sha256((_names.get(name) or _name(name)) + hashed).digest(), body
    if len(value) <= _SHORT:
        if len(_strings) >= _MOST_STRINGS:
            _strings.clear()
        _strings[name, value] = forms
    return forms


def _name(name: str | None) -> bytes:
    """Return the serialization of a field's name for hashing."""
    if name is None or is_refused(name):
        raise _RareError
    if len(_names) >= _MOST_NAMES:
        _names.clear()
    _names[name] = hashed = symbol_bytes(name)
    return hashed


_names: dict[str | None, bytes] = {}
_strings: dict[tuple[str | None, str], _Forms] = {}


def _int(value: int) -> _Forms:
    if 0 <= value < len(_INTS):
        return _INTS[value]
    raw = magnitude_bytes(value)
    code = 0x30 if value < 0 else 0x20
    return bytes((0x0B, code)) + escape(raw) + b"\x0e", _value(code, raw)


def _decimal(value: Decimal) -> _Forms:
    raw = decimal_bytes(value)
    return b"\x0b\x50" + escape(raw) + b"\x0e", _value(0x50, raw)


def _timestamp(value: Timestamp) -> _Forms:
    if (
        value.tzinfo is not UTC
        or value.fractional_precision != 3
        or value.precision != TimestampPrecision.SECOND
        or value.year < _FIRST_SAFE_YEAR
    ):
        return _general(value)
    raw = milliseconds_bytes(value)
    return b"\x0b\x60" + escape(raw) + b"\x0e", _TIME_HEADS[len(raw)] + raw


def _blob(value: bytes) -> _Forms:
    return b"\x0b\xa0" + escape(value) + b"\x0e", _value(0xA0, value)


def _general(value: Any) -> _Forms:
    """Encode a value that holds no other value and no symbol (a symbol would need an id)."""
    return serialize(value), ion.write(value)[len(ion.BINARY_VERSION_MARKER) :]


_SCALARS: dict[type, Callable[[Any], _Forms]] = {
    str: _string,
    int: _int,
    Timestamp: _timestamp,
    Decimal: _decimal,
    bytes: _blob,
    float: _general,
    bool: lambda value: (b"\x0b\x11\x0e", b"\x11") if value else (b"\x0b\x10\x0e", b"\x10"),
    type(None): lambda _: (b"\x0b\x0f\x0e", b"\x0f"),
}


def _var_uint(number: int) -> bytes:
    """Return a VarUInt: seven bits a byte, the last byte marked."""
    out = [0x80 | (number & 0x7F)]
    while number := number >> 7:
        out.append(number & 0x7F)
    return bytes(reversed(out))


def _value(code: int, representation: bytes) -> bytes:
    """Return a value's Ion: type descriptor, length, representation."""
    length = len(representation)
    if length < 256:
        return _HEADS[code][length] + representation
    return bytes((code | _LENGTH_FOLLOWS,)) + _var_uint(length) + representation


_HEADS = {
    code: [
        bytes((code | n,)) if n < _LENGTH_FOLLOWS else bytes((code | _LENGTH_FOLLOWS,)) + _var_uint(n)
        for n in range(256)
    ]
    for code in (0x20, 0x30, 0x50, 0x60, 0x80, 0xA0, 0xB0, 0xD0, 0xE0)
}
_INTS = [_general(number) for number in range(256)]
_TIME_HEADS = _HEADS[0x60]
# In the order of first use, as amazon.ion assigns them; a struct with more names is rare.
_IDS = [_var_uint(number) for number in range(2_000)]
_SYSTEM = "$ion $ion_1_0 $ion_symbol_table name version imports symbols max_id $ion_shared_symbol_table".split()
_SYSTEM_IDS: dict[str | None, bytes] = {name: _var_uint(number) for number, name in enumerate(_SYSTEM, 1)}


@lru_cache(1024)
def _table(names: tuple[str, ...]) -> bytes:
    """Return a version marker, and the symbol table of these names if there are any."""
    return _symbol_table(_texts(names)) if names else ion.BINARY_VERSION_MARKER


def _symbol_table(texts: bytes) -> bytes:
    symbols = b"\x87" + _value(0xB0, texts)
    table = b"\x81\x83" + _value(0xD0, symbols)
    return ion.BINARY_VERSION_MARKER + _value(0xE0, table)


def _texts(names: Iterable[str]) -> bytes:
    return b"".join([_value(0x80, name.encode()) for name in names])


_FIRST_DOCUMENT = len(_SYSTEM) + 1 + len(_INFO_NAMES)
_INFO_IDS: dict[str | None, bytes] = {
    **_SYSTEM_IDS,
    **{name: _IDS[number] for number, name in enumerate(_INFO_NAMES, len(_SYSTEM) + 1)},
    **{name: _IDS[number] for number, name in enumerate(_NAMES_WITHIN_DOCUMENT, _FIRST_DOCUMENT + 1)},
}
_STATEMENTS_ID, _TEXT_ID, _START_TIME_ID, _STATEMENT_DIGEST_ID, _DOCUMENTS_ID = map(_INFO_IDS.__getitem__, _INFO_NAMES)
_INFO_TEXTS, _TEXTS_WITHIN_DOCUMENT = _texts(_INFO_NAMES), _texts(_NAMES_WITHIN_DOCUMENT)
