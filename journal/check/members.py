"""Reads members of a block, a revision or a record as the required type, since Ion can hold anything anywhere.

Each reader raises ShapeError if the member is missing or of another type.
"""

from base64 import b64decode
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

_LONGEST_ID = 128  # QLDB's have 22 characters of base62
_MOST_SEQUENCE_NO = 2**62  # so that PostgreSQL's bigint holds the next ones too


class ShapeError(Exception):
    """A member that is missing or of the wrong type."""


def is_null(value: Any) -> bool:
    return value is None or type(value).__name__ == "IonPyNull"


def struct_in(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    member = value.get(name)
    if type(member) is not dict and not isinstance(member, Mapping):  # the first test is faster and usually enough
        raise ShapeError(f"{name} is missing or not a struct")
    return member


def list_in(value: Mapping[str, Any], name: str) -> list[Any]:
    member = value.get(name)
    if not isinstance(member, list):
        raise ShapeError(f"{name} is missing or not a list")
    return member


def text_in(value: Mapping[str, Any], name: str) -> str:
    member = value.get(name)
    if not isinstance(member, str):
        raise ShapeError(f"{name} is missing or not text")
    return member


def table_name_in(value: Mapping[str, Any]) -> str:
    name = text_in(value, "tableName")
    if not name:
        raise ShapeError("tableName is empty")  # PostgreSQL has no empty names
    return name


def id_in(value: Mapping[str, Any], name: str) -> str:
    member = value.get(name)
    if is_id(member):
        return str(member)
    text_in(value, name)
    raise ShapeError(f"{name} is not an id")


def is_id(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _LONGEST_ID and value.isprintable()


def number_in(value: Mapping[str, Any], name: str) -> int:
    member = value.get(name)
    if not isinstance(member, int) or isinstance(member, bool) or not 0 <= member < 2**63:
        raise ShapeError(f"{name} is missing or not a whole number from 0")
    return member


def sequence_no_in(address: Mapping[str, Any]) -> int:
    number = number_in(address, "sequenceNo")
    if number > _MOST_SEQUENCE_NO:
        raise ShapeError("sequenceNo is out of range")
    return number


def hash_in(value: Mapping[str, Any], name: str, *, empty: bool = False) -> bytes:
    member = value.get(name)
    return member if type(member) is bytes and len(member) == 32 else as_hash(member, name, empty=empty)


def hashes_in(value: Mapping[str, Any], name: str) -> list[bytes]:
    """Return the hashes of a list; each may be empty."""
    return [
        member if type(member) is bytes and len(member) == 32 else as_hash(member, name, empty=True)
        for member in list_in(value, name)
    ]


def as_hash(member: Any, name: str, *, empty: bool) -> bytes:
    if isinstance(member, str):
        try:
            member = b64decode(member, validate=True)
        except ValueError:
            raise ShapeError(f"{name} is not base64") from None
    if isinstance(member, bytes) and (len(member) == 32 or (empty and not member)):
        return member
    raise ShapeError(f"{name} is missing or not a SHA-256 hash")


def time_in(value: Mapping[str, Any], name: str) -> datetime:
    member = value.get(name)
    try:
        if isinstance(member, str):
            member = datetime.fromisoformat(member)
        if isinstance(member, datetime):
            return member if member.tzinfo is not None else member.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        pass
    raise ShapeError(f"{name} is missing or not a time")
