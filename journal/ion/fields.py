"""The shape of a document: its fields and their Ion types, without values. Describes a table.

As JSON: `[[type, name, nested name, …], …]`, each entry once, sorted by UTF-8; `[]` in a name's place is a member of a
list. A document that is not a struct has an entry without a name. Deeper levels are left out, and so are the names of
a nested struct with very many (it is a map).
"""

import hashlib
from collections.abc import Iterator
from decimal import Decimal
from functools import lru_cache
from typing import Any

from amazon.ion.core import IonType, Timestamp
from amazon.ion.simple_types import IonPyNull
from amazon.ion.symbols import SymbolToken

from strandline.journal.ion.encoded import Encoded
from strandline.journal.ion.json import to_json

MOST_DEPTH = 4  # names in a path
MOST_FIELDS = 1_000  # of a document
MOST_NESTED_FIELDS = 50
MOST_MEMBERS = 20  # of a list, the first ones

_SCALARS = {
    bool: "bool",
    bytes: "blob",
    Decimal: "decimal",
    float: "float",
    int: "int",
    str: "string",
    SymbolToken: "symbol",
    Timestamp: "timestamp",
    type(None): "null",
}
_SCALAR_TYPES = frozenset(_SCALARS)

# Equal for documents of one shape, and cheap to build and compare: a scalar's Python type, or a type's name; for a
# struct, its names and its members' keys; for a list, its type's name and its members' keys.
_Key = Any


def shape_of(document: Any) -> tuple[int, str]:
    """Return the number of a document's shape (64 bits, signed; the same on every machine) and the shape as JSON.

    `document` is a value read by `journal.ion.values` or `journal.ion.json`; the latter gives JSON's types.
    """
    return _shape(_key(document, MOST_DEPTH, MOST_FIELDS))


def _key(value: Any, depth: int, most_fields: int = MOST_NESTED_FIELDS) -> _Key:
    kind = type(value)
    if kind in _SCALAR_TYPES:
        return kind
    if kind is dict or kind is Encoded:
        if not depth or len(value) > most_fields:
            return "struct"
        keys: tuple[_Key, ...] = tuple(map(type, value.values()))
        if not _SCALAR_TYPES.issuperset(keys):
            members = zip(keys, value.values(), strict=True)
            keys = tuple([key if key in _SCALAR_TYPES else _key(member, depth - 1) for key, member in members])
        return tuple(value), keys
    if kind is list:
        return ("list", frozenset([_key(member, depth - 1) for member in value[:MOST_MEMBERS]])) if depth else "list"
    return _typed_key(value, depth, most_fields)


def _typed_key(value: Any, depth: int, most_fields: int) -> _Key:
    """Return the key of an IonPy value; such a struct may hold a name twice."""
    ion_type: IonType = value.ion_type
    if isinstance(value, IonPyNull):
        return "null"
    name = ion_type.name.lower()
    if ion_type == IonType.STRUCT and depth and len(value) <= most_fields:
        items = value.items()
        return tuple(name for name, _ in items), tuple(_key(member, depth - 1) for _, member in items)
    if ion_type in (IonType.LIST, IonType.SEXP) and depth:
        return name, frozenset([_key(member, depth - 1) for member in value[:MOST_MEMBERS]])
    return name


@lru_cache(maxsize=4_096)
def _shape(key: _Key) -> tuple[int, str]:
    text = "[" + ",".join(sorted(set(_entries(key, ())))) + "]"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big", signed=True), text


def _entries(key: _Key, path: tuple[str, ...]) -> Iterator[str]:
    if isinstance(key, type):
        yield _entry(_SCALARS[key], path)
    elif isinstance(key, str):
        yield _entry(key, path)
    elif isinstance(key[0], str):
        yield _entry(key[0], path)
        for member in key[1]:
            yield from _entries(member, (*path, "[]"))
    else:
        if path:
            yield _entry("struct", path)
        for name, member in zip(*key, strict=True):
            yield from _entries(member, (*path, "$0" if name is None else name))


def _entry(kind: str, path: tuple[str, ...]) -> str:
    return to_json([kind, *path])
