"""An Ion writer and Ion Hash for tests, independent of the code under test and of amazon.ion.

A `Node` is a value's text, its binary form (given the symbols' ids) and its serialization for hashing. `node` makes one
of plain values, in which other nodes may stand.
"""

import hashlib
import struct
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

_SYSTEM = "$ion $ion_1_0 $ion_symbol_table name version imports symbols max_id $ion_shared_symbol_table".split()
NULLS = ("null", "bool", "int", "", "float", "decimal", "timestamp", "symbol", "string", "clob", "blob", "list", "sexp",
         "struct")  # fmt: skip


class Symbols:
    """Symbol ids in the order of first use."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def id(self, name: str) -> int:
        if name in _SYSTEM:
            return _SYSTEM.index(name) + 1
        if name not in self.names:
            self.names.append(name)
        return self.names.index(name) + len(_SYSTEM) + 1

    def table(self) -> bytes:
        if not self.names:
            return b""
        texts = b"".join(_typed(0x80, name.encode()) for name in self.names)
        return _typed(0xE0, b"\x81\x83" + _typed(0xD0, b"\x87" + _typed(0xB0, texts)))


@dataclass(frozen=True)
class Node:
    """A value: Ion text, binary Ion, and its serialization for Ion Hash."""

    text: str
    body: Callable[[Symbols], bytes]
    serialized: bytes

    def binary(self) -> bytes:
        symbols = Symbols()
        body = self.body(symbols)
        return b"\xe0\x01\x00\xea" + symbols.table() + body

    def digest(self) -> bytes:
        return hashlib.sha256(self.serialized).digest()


def node(value: Any) -> Node:
    """Make a node of a plain value of a block, or return the node."""
    if isinstance(value, Node):
        return value
    if isinstance(value, bool):
        return boolean(value)
    if isinstance(value, int):
        return integer(value)
    if isinstance(value, str):
        return string(value)
    if isinstance(value, datetime):
        date = (value.year, value.month, value.day, value.hour, value.minute, value.second)
        return timestamp(date, f"{value.microsecond // 1000:03d}", 0)
    if isinstance(value, bytes):
        return blob(value)
    if isinstance(value, Mapping):
        return fields([(name, node(member)) for name, member in value.items()])
    return sequence([node(member) for member in value])


def null(code: int) -> Node:
    text = "null" if not code else f"null.{NULLS[code]}"
    raw = bytes([code << 4 | 15])
    return Node(text, lambda _: raw, b"\x0b" + raw + b"\x0e")


def boolean(value: bool) -> Node:
    raw = b"\x11" if value else b"\x10"
    return Node(str(value).lower(), lambda _: raw, b"\x0b" + raw + b"\x0e")


def integer(value: int) -> Node:
    return _scalar(
        str(value) if value.bit_length() < 14_000 else hex(value), 0x30 if value < 0 else 0x20, _uint(abs(value))
    )


def real(value: float) -> Node:
    raw = b"" if struct.pack(">d", value) == bytes(8) else struct.pack(">d", value)
    text = {"inf": "+inf", "-inf": "-inf"}.get(repr(value)) or repr(value) + ("" if "e" in repr(value) else "e0")
    return _scalar(text, 0x40, raw)


def decimal(negative: bool, coefficient: int, exponent: int) -> Node:
    sign = "-" if negative else ""
    raw = b"" if not negative and not coefficient and not exponent else _var_int(exponent) + _int(coefficient, negative)
    return _scalar(f"{sign}{coefficient}d{exponent}", 0x50, raw)


def timestamp(date: Sequence[int], fraction: str, offset: int | None) -> Node:
    """`date` in UTC, as many members as the precision has (1, 2, 3, 5 or 6); the text is of the same instant."""
    raw = b"\xc0" if offset is None else _var_int(offset)
    raw += b"".join(_var_uint(member) for member in date)
    if fraction:
        raw += _var_int(-len(fraction)) + _int(int(fraction), False)
    return _scalar(_time_text(date, fraction, offset), 0x60, raw)


def _time_text(date: Sequence[int], fraction: str, offset: int | None) -> str:
    year, *rest = date
    if len(date) < 4:
        return "-".join([f"{year:04d}", *(f"{member:02d}" for member in rest)]) + "T"
    month, day, hour, minute, *seconds = rest
    minutes = hour * 60 + minute + (offset or 0)
    assert 0 <= minutes < 1_440, "the text is of the same day"
    time = f"{year:04d}-{month:02d}-{day:02d}T{minutes // 60:02d}:{minutes % 60:02d}"
    time += "".join(f":{second:02d}" for second in seconds) + (f".{fraction}" if fraction else "")
    if offset is None:
        return time + "-00:00"
    return time + f"{'-' if offset < 0 else '+'}{abs(offset) // 60:02d}:{abs(offset) % 60:02d}"


def symbol(text: str) -> Node:
    serialized = b"\x0b\x70" + _escape(text.encode()) + b"\x0e"
    return Node(_quote(text, "'"), lambda symbols: _typed(0x70, _uint(symbols.id(text))), serialized)


def string(text: str) -> Node:
    return _scalar(_quote(text, '"'), 0x80, text.encode())


def clob(data: bytes) -> Node:
    return _scalar('{{"' + "".join(f"\\x{byte:02x}" for byte in data) + '"}}', 0x90, data)


def blob(data: bytes) -> Node:
    return _scalar("{{" + b64encode(data).decode() + "}}", 0xA0, data)


def sequence(members: Sequence[Node], sexp: bool = False) -> Node:
    code, (opening, separator, closing) = (0xC0, "( )") if sexp else (0xB0, "[,]")
    return Node(
        opening + separator.join(member.text for member in members) + closing,
        lambda symbols: _typed(code, b"".join(member.body(symbols) for member in members)),
        bytes([0x0B, code]) + b"".join(member.serialized for member in members) + b"\x0e",
    )


def fields(members: Iterable[tuple[str, Node]]) -> Node:
    """A struct; a name may be repeated."""
    members = list(members)
    digests = sorted(hashlib.sha256(symbol(name).serialized + member.serialized).digest() for name, member in members)
    return Node(
        "{" + ",".join(f"{_quote(name, chr(39))}:{member.text}" for name, member in members) + "}",
        lambda symbols: _typed(
            0xD0, b"".join(_var_uint(symbols.id(name)) + member.body(symbols) for name, member in members)
        ),
        b"\x0b\xd0" + _escape(b"".join(digests)) + b"\x0e",
    )


def annotated(names: Sequence[str], value: Node) -> Node:
    def body(symbols: Symbols) -> bytes:
        ids = b"".join(_var_uint(symbols.id(name)) for name in names)
        return _typed(0xE0, _var_uint(len(ids)) + ids + value.body(symbols))

    serialized = b"\x0b\xe0" + b"".join(symbol(name).serialized for name in names) + value.serialized + b"\x0e"
    return Node("".join(_quote(name, "'") + "::" for name in names) + value.text, body, serialized)


def _scalar(text: str, code: int, raw: bytes) -> Node:
    return Node(text, lambda _: _typed(code, raw), bytes([0x0B, code]) + _escape(raw) + b"\x0e")


def _escape(data: bytes) -> bytes:
    return b"".join(b"\x0c" + bytes([byte]) if byte in (0x0B, 0x0C, 0x0E) else bytes([byte]) for byte in data)


def _quote(text: str, quote: str) -> str:
    safe = (c if " " <= c <= "~" and c not in "\\'\"" else f"\\U{ord(c):08x}" for c in text)
    return quote + "".join(safe) + quote


def _typed(code: int, raw: bytes) -> bytes:
    length = len(raw)
    return (bytes([code | length]) if length < 14 else bytes([code | 14]) + _var_uint(length)) + raw


def _uint(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def _int(magnitude: int, negative: bool) -> bytes:
    raw = _uint(magnitude)
    if (raw and raw[0] & 0x80) or (negative and not raw):
        raw = b"\0" + raw
    return bytes([raw[0] | 0x80]) + raw[1:] if negative else raw


def _var_uint(number: int) -> bytes:
    groups = [number & 0x7F | 0x80]
    while number := number >> 7:
        groups.insert(0, number & 0x7F)
    return bytes(groups)


def _var_int(number: int) -> bytes:
    magnitude = abs(number)
    groups = [magnitude & 0x7F]
    while magnitude := magnitude >> 7:
        groups.insert(0, magnitude & 0x7F)
    if groups[0] & 0x40:
        groups.insert(0, 0)
    groups[0] |= 0x40 if number < 0 else 0
    groups[-1] |= 0x80
    return bytes(groups)
