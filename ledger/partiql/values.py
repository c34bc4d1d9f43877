"""PartiQL's values: Ion's, as `journal.ion.values` reads them, with MISSING and bags. Comparisons have three answers.

Values stay what they are, typed nulls and annotations included; these functions only look at them. Unknown is None.
"""

from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from amazon.ion.core import IonType, Timestamp
from amazon.ion.simple_types import IonPyDict, IonPyNull
from amazon.ion.symbols import SymbolToken


class Missing:
    """The type of MISSING: the value of a field that is not there."""

    def __repr__(self) -> str:
        return "MISSING"

    def __bool__(self) -> bool:
        return False


MISSING: Final = Missing()


class Bag(list[Any]):
    """An unordered collection: `<< … >>`, or a query's result. As Ion it is a list."""


STRUCTS = (dict, IonPyDict)  # IonPyDict for what only the plain Python reader of amazon.ion reads

_KINDS: dict[type, str] = {
    type(None): "null", IonPyNull: "null", Missing: "missing", bool: "bool", int: "int", Decimal: "decimal",
    float: "float", Timestamp: "timestamp", SymbolToken: "symbol", str: "string", bytes: "blob", list: "list",
    dict: "struct", Bag: "bag",
}  # fmt: skip
_ION_KINDS = {one: name.lower() for name, one in IonType.__members__.items()}
NUMBERS = frozenset(("int", "decimal", "float"))
TEXTS = frozenset(("string", "symbol"))
SEQUENCES = frozenset(("list", "sexp", "bag"))
_BYTES = frozenset(("blob", "clob"))


def kind(value: Any) -> str:
    """Return the name of the value's Ion type, "missing" or "bag"."""
    found = _KINDS.get(type(value))
    return found if found is not None else _ION_KINDS[value.ion_type]


def is_unknown(value: Any) -> bool:
    """Return whether the value is NULL, of whatever type, or MISSING."""
    return value is None or value is MISSING or type(value) is IonPyNull


def as_bool(value: Any) -> bool | None:
    """Return a condition's truth; None if it is unknown, or no boolean."""
    if value is True or value is False:
        return value
    return bool(value) if kind(value) == "bool" else None


def text_of(value: Any) -> str | None:
    """Return the text of a string or a symbol, None for any other value."""
    if isinstance(value, str):
        return value
    return value.text if isinstance(value, SymbolToken) else None


def equal(left: Any, right: Any) -> bool | None:
    """Return whether two values are equal: numbers by value, timestamps by instant, strings and symbols by text.

    Values of other types, and values of different types, are equal by type and contents. None if one is unknown.
    """
    if is_unknown(left) or is_unknown(right):
        return None
    return same(left, right)


def same(left: Any, right: Any) -> bool:
    """Return whether two values are equal, where NULL equals NULL and MISSING equals MISSING (in collections)."""
    one, other = kind(left), kind(right)
    if one in NUMBERS and other in NUMBERS:
        return bool(number(left) == number(right))
    if one in TEXTS and other in TEXTS:
        return text_of(left) == text_of(right)
    if one != other:
        return False
    if one in ("null", "missing"):
        return True
    if one == "timestamp":
        return instant(left) == instant(right)
    if one == "struct":
        return left.keys() == right.keys() and all(same(member, right[name]) for name, member in left.items())
    if one == "bag":
        return len(left) == len(right) and sorted(map(repr, map(key, left))) == sorted(map(repr, map(key, right)))
    if one in SEQUENCES:
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right)


def compare(left: Any, right: Any) -> int | Missing | None:
    """Return -1, 0 or 1; None if a value is unknown, MISSING if the two have no order."""
    if is_unknown(left) or is_unknown(right):
        return None
    one, other = kind(left), kind(right)
    a: Any = left
    b: Any = right
    if one in NUMBERS and other in NUMBERS:
        a, b = number(left), number(right)
    elif one in TEXTS and other in TEXTS:
        a, b = text_of(left), text_of(right)
    elif one == other == "timestamp":
        a, b = instant(left), instant(right)
    elif one != other or one not in ("bool", *_BYTES):
        return MISSING
    return -1 if a < b else 1 if a > b else 0 if a == b else MISSING  # NaN has no order


def number(value: Any) -> Any:
    """Return a number to compare with others. A float counts as the shortest decimal that reads as it, as in JSON."""
    return Decimal(float.__repr__(value)) if isinstance(value, float) and abs(value) < float("inf") else value


def instant(value: Timestamp) -> tuple[datetime, Decimal]:
    """Return the instant that a timestamp begins: a time in UTC of whole seconds, and the fraction of a second.

    A part that it lacks is the first; an unknown offset is that of UTC. Times are exact to any number of digits.
    """
    whole = datetime(value.year, value.month or 1, value.day or 1, value.hour, value.minute, value.second)
    offset = value.utcoffset()
    with suppress(OverflowError):  # at an end of the calendar: its order is off by less than a day
        whole = whole - offset if offset else whole
    fraction = value.fractional_seconds
    return whole.replace(tzinfo=UTC), Decimal(0) if fraction is None else fraction


def key(value: Any) -> Any:
    """Return a hashable key that two values share if and only if `same` says they are equal."""
    one = kind(value)
    if one in NUMBERS:
        return ("number", number(value) if value == value else "nan")
    if one in TEXTS:
        return ("text", text_of(value))
    if one in ("null", "missing"):
        return (one,)
    if one == "timestamp":
        return (one, instant(value))
    if one == "struct":
        return (one, tuple(sorted((name or "", key(member)) for name, member in value.items())))
    if one == "bag":
        return (one, tuple(sorted(map(repr, map(key, value)))))
    if one in SEQUENCES:
        return (one, tuple(map(key, value)))
    return (one, bytes(value) if one in _BYTES else bool(value))


def step(value: Any, name: Any) -> Any:
    """Return a struct's member of this name, or a list's at this position from 0; MISSING if there is none."""
    if isinstance(value, STRUCTS):
        text = text_of(name)
        return MISSING if text is None else value.get(text, MISSING)
    if isinstance(value, list) and kind(value) != "bag" and kind(name) == "int":
        return value[name] if 0 <= name < len(value) else MISSING
    return MISSING


def is_indexable(value: Any) -> bool:
    """Return whether PostgreSQL finds all values that equal this one by comparing them as JSON.

    JSON compares timestamps as texts, and floats that are no numbers. Those must be compared here.
    """
    one = kind(value)
    if one in ("timestamp", "bag"):
        return False
    if one == "float":
        return bool(abs(value) < float("inf"))
    if one == "struct":
        return all(is_indexable(member) for member in value.values())
    return all(is_indexable(member) for member in value) if one in SEQUENCES else True


def present(values: Iterable[Any]) -> list[Any]:
    """Return the values without MISSING, which no collection holds."""
    return [value for value in values if value is not MISSING]
