"""Documents and their values: reading, copying and comparing them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from amazon.ion.simple_types import IonPyStdDict

from strandline.journal.check.block import State
from strandline.journal.decode.kernel import hash_and_json
from strandline.journal.ion import values as ion
from strandline.journal.ion.hash import ion_hash
from strandline.journal.ion.json import exact, to_json
from strandline.ledger.errors import DocumentTooLarge, WrongDocument

MOST_DOCUMENT_BYTES = 128 * 1024
_JSON_TOO = frozenset((str, int, bool, type(None)))  # the same value in Ion and in JSON
_READ_AS_THEMSELVES = frozenset((str, int, bool, float, bytes, type(None)))


@dataclass(frozen=True, slots=True)
class Document:
    """A revision of a document; `data` is a dict of Ion values, None if it is deleted or redacted.

    `sequence_no`, `tx_id` and `tx_time` are those of its block; None for a revision that this transaction writes.
    """

    document_id: str
    version: int
    data: dict[str, Any] | None
    state: State = "normal"
    sequence_no: int | None = None
    tx_id: str | None = None
    tx_time: datetime | None = None


def as_ion(value: Any) -> tuple[Any, bytes]:
    """Return a value as it will be read back, and its binary Ion. Raises WrongDocument if Ion has no such value."""
    try:
        data = ion.write(value)
        return (_copied(value) if _reads_as_itself(value) else ion.read_one(data)), data
    # amazon.ion raises almost any error for a value that it cannot write, with the value in its text.
    except Exception as error:
        raise WrongDocument(f"a value that Ion does not have ({type(error).__name__})") from None


def as_value(value: Any) -> Any:
    """Return a value as it will be read back. Raises WrongDocument if Ion has no such value.

    A text is not looked into: one that UTF-8 does not have has no Ion Hash either.
    """
    return value if type(value) in _JSON_TOO else as_ion(value)[0]


def as_document(value: Mapping[str, Any]) -> tuple[dict[str, Any], bytes]:
    """Return a document as it will be read back, annotations included, and its binary Ion."""
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise WrongDocument(f"a document is a struct with named members, not {type(value).__name__}")
    document, data = as_ion(value if hasattr(value, "ion_annotations") else dict(value))
    if len(data) > MOST_DOCUMENT_BYTES:
        raise DocumentTooLarge(f"a document of {len(data):,} bytes; it may have {MOST_DOCUMENT_BYTES:,}")
    return document, data


def read_value(data: bytes) -> Any:
    """Return the one Ion value. Raises UnreadableError, and WrongDocument if a struct repeats a field.

    A struct is read as a dict, which has each field once; the rest would be lost.
    """
    value = ion.read_one(data)
    if isinstance(value, Mapping | list):
        found = hash_and_json(data)
        if (found[0] if found is not None else ion_hash(next(ion.read_typed(data)))) != ion_hash(value):
            raise WrongDocument("a struct that has a field twice: name each field once")
    return value


def alike(before: Any, after: Any) -> Any:
    """Return the changed collection with the type and the annotations of the old one."""
    if type(before) in (dict, list) or not hasattr(before, "ion_type"):
        return after
    if type(before) is IonPyStdDict:
        made = IonPyStdDict(before.ion_annotations)
        made.update(after)
        return made
    return type(before).from_value(before.ion_type, after, before.ion_annotations)


def _reads_as_itself(value: Any) -> bool:
    """Return whether Ion reads the value back unchanged. Not reading it back saves a third of the time."""
    kind = type(value)
    if kind in _READ_AS_THEMSELVES:
        return True
    if kind is dict:
        return all(type(name) is str for name in value) and all(map(_reads_as_itself, value.values()))
    return kind is list and all(map(_reads_as_itself, value))


def _copied(value: Any) -> Any:
    """Return a deep copy: the caller may change its own value later."""
    kind = type(value)
    if kind is dict:
        return {name: _copied(member) for name, member in value.items()}
    return list(map(_copied, value)) if kind is list else value


def as_json(value: Any) -> Any:
    """Return the value as jsonb stores it, with exact numbers."""
    return value if type(value) in _JSON_TOO else exact(to_json(value))


def comparable(value: Any) -> Any:
    """Return a key that two JSON values share if and only if jsonb says they are equal (1 and 1.0; not 1 and true)."""
    if isinstance(value, bool) or value is None:
        return (type(value), value)
    if isinstance(value, dict):
        return (dict, tuple(sorted((name, comparable(member)) for name, member in value.items())))
    if isinstance(value, list):
        return (list, tuple(map(comparable, value)))
    return value
