"""The closed list of QLDB's functions (its developer guide, "PartiQL functions"), but those of a transaction.

A function is NULL if an argument is NULL or MISSING, unless it is for such values. An argument of a wrong type is an
error.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from amazon.ion.core import IonType, Timestamp
from amazon.ion.simple_types import IonPyBytes, IonPyList
from amazon.ion.symbols import SymbolToken

from strandline.journal.errors import StrandlineError
from strandline.journal.ion import values as ion
from strandline.journal.ion.json import timestamp_text
from strandline.ledger.partiql import timestamps
from strandline.ledger.partiql.errors import SemanticError
from strandline.ledger.partiql.values import MISSING, NUMBERS, SEQUENCES, Bag, equal, is_unknown, kind, text_of

_DAY = len("2001-01-01")
_MOST_DIGITS = 10_000  # of an integer that CAST makes


@dataclass(frozen=True, slots=True)
class Function:
    """A function of `least` to `most` arguments. `nulls`: it is called with NULL and MISSING too."""

    call: Callable[..., Any]
    least: int
    most: int
    nulls: bool = False


def call(name: str, arguments: list[Any]) -> Any:
    """Return the function's result. Raises SemanticError for an unknown function or a wrong argument."""
    function = FUNCTIONS.get(name)
    if function is None:
        raise SemanticError(f"Semantic Error: No such function: {name.lower()}")
    if not function.least <= len(arguments) <= function.most:
        raise SemanticError(f"Semantic Error: {name} has {_count(function)}, {len(arguments)} given")
    if not function.nulls and any(map(is_unknown, arguments)):
        return None
    return function.call(*arguments)


def _count(function: Function) -> str:
    if function.least == function.most:
        return f"{function.least} argument{'' if function.least == 1 else 's'}"
    return f"{function.least} to {function.most} arguments" if function.most < _ANY else "one argument or more"


def size(collection: Any) -> int:
    if kind(collection) not in (*SEQUENCES, "struct"):
        raise SemanticError("Semantic Error: SIZE: a list, an s-expression, a bag or a struct is expected")
    return len(collection)


def _text(function: str, value: Any) -> str:
    text = text_of(value)
    if text is None:
        raise SemanticError(f"Semantic Error: {function}: a string is expected, not of type {kind(value)}")
    return text


def _whole(function: str, value: Any) -> int:
    if kind(value) != "int":
        raise SemanticError(f"Semantic Error: {function}: an integer is expected, not of type {kind(value)}")
    return int(value)


def _time(function: str, value: Any) -> Timestamp:
    if not isinstance(value, Timestamp):
        raise SemanticError(f"Semantic Error: {function}: a timestamp is expected, not of type {kind(value)}")
    return value


def _substring(value: Any, start: Any, length: Any = None) -> str:
    """Positions are counted from 1; a start before that counts towards the length."""
    text, first = _text("SUBSTRING", value), _whole("SUBSTRING", start) - 1
    if length is None:
        return text[max(0, first) :]
    count = _whole("SUBSTRING", length)
    if count < 0:
        raise SemanticError("Semantic Error: SUBSTRING: the length is not negative")
    return text[max(0, first) : max(0, first + count)]


def _trim(side: str, characters: Any, value: Any) -> str:
    text, removed = _text("TRIM", value), _text("TRIM", characters)
    if side == "LEADING":
        return text.lstrip(removed)
    return text.rstrip(removed) if side == "TRAILING" else text.strip(removed)


def _coalesce(*values: Any) -> Any:
    return next((value for value in values if not is_unknown(value)), None)


def _nullif(one: Any, other: Any) -> Any:
    if one is MISSING:
        return None
    return None if equal(one, other) else one


def _to_timestamp(value: Any, pattern: Any = None) -> Timestamp:
    text = _text("TO_TIMESTAMP", value)
    if pattern is not None:
        return timestamps.to_timestamp(text, _text("TO_TIMESTAMP", pattern))
    found = _ion_of(text)
    if not isinstance(found, Timestamp):
        raise SemanticError("Semantic Error: TO_TIMESTAMP: the string is no Ion timestamp")
    return found


def _ion_of(text: str) -> Any:
    """Return the value that the text is in Ion; MISSING if it is none."""
    try:
        return ion.read_one(text.encode())
    except (StrandlineError, UnicodeEncodeError):
        return MISSING


# ---------------------------------------------------------------------------------------------------------------------
# CAST

_TYPES = {
    "BOOL": "bool", "BOOLEAN": "bool", "INT": "int", "INTEGER": "int", "SMALLINT": "int", "BIGINT": "int",
    "FLOAT": "float", "REAL": "float", "DECIMAL": "decimal", "NUMERIC": "decimal", "TIMESTAMP": "timestamp",
    "CHAR": "string", "CHARACTER": "string", "VARCHAR": "string", "STRING": "string", "SYMBOL": "symbol",
    "BLOB": "blob", "CLOB": "clob", "LIST": "list", "SEXP": "sexp", "STRUCT": "struct", "TUPLE": "struct",
    "BAG": "bag", "NULL": "null", "MISSING": "missing",
}  # fmt: skip


def type_kind(name: str) -> str:
    """Return the kind of value that a type's name means. Raises SemanticError if it is none."""
    if name not in _TYPES:
        raise SemanticError(f"Semantic Error: No such type: {name}")
    return _TYPES[name]


def cast(value: Any, name: str) -> Any:
    """Return the value as the type of this name. Raises SemanticError if it cannot be one."""
    wanted, given = type_kind(name), kind(value)
    if is_unknown(value):
        return None if wanted == "null" else MISSING if wanted == "missing" else value
    if given == wanted:
        return value
    converted = _CASTS.get(wanted, _no_cast)(value, given)
    if converted is MISSING:
        raise SemanticError(f"Semantic Error: CAST: this value of type {given} is no {name}")
    return converted


def _no_cast(_: Any, __: str) -> Any:
    return MISSING


def _as_bool(value: Any, given: str) -> Any:
    text = text_of(value)
    return text.lower() == "true" if text is not None else value != 0 if given in NUMBERS else MISSING


def _as_int(value: Any, given: str) -> Any:
    if given in ("string", "symbol"):
        value = _ion_of(text_of(value) or "")
        given = kind(value)
        if given != "int":
            return MISSING
    if given == "bool":
        return int(value)
    if given == "float":
        return int(value) if abs(value) < float("inf") else MISSING
    if given == "decimal":
        return int(value) if value.adjusted() < _MOST_DIGITS else MISSING
    return value if given == "int" else MISSING


def _as_decimal(value: Any, given: str) -> Any:
    if given in ("string", "symbol"):
        value = _ion_of(text_of(value) or "")
        given = kind(value)
    if given in ("bool", "int"):
        return Decimal(int(value))
    if given == "float":
        return Decimal(float.__repr__(value)) if abs(value) < float("inf") else MISSING
    return value if given == "decimal" else MISSING


def _as_float(value: Any, given: str) -> Any:
    if given in ("string", "symbol"):
        value = _ion_of(text_of(value) or "")
        given = kind(value)
    if given not in (*NUMBERS, "bool"):
        return MISSING
    try:
        return float(value)
    except OverflowError:
        return MISSING


def _as_timestamp(value: Any, given: str) -> Any:
    found = _ion_of(text_of(value) or "") if given in ("string", "symbol") else MISSING
    return found if isinstance(found, Timestamp) else MISSING


def _as_string(value: Any, given: str) -> Any:
    if given == "symbol":
        return text_of(value)
    if given == "bool":
        return "true" if value else "false"
    if given == "timestamp":
        text = timestamp_text(value)
        return text if len(text) >= _DAY else f"{text}T"  # a year or a month, as Ion writes it
    if given == "float":
        return float.__repr__(value)
    if given == "decimal":
        return Decimal.__str__(value)
    return ion.write_text(int(value)) if given == "int" else MISSING


def _as_symbol(value: Any, given: str) -> Any:
    text = value if given == "string" else _as_string(value, given)
    return text if text is MISSING else SymbolToken(str(text), None)


def _as_list(value: Any, given: str) -> Any:
    return list(value) if given in SEQUENCES else MISSING


_CASTS: dict[str, Callable[[Any, str], Any]] = {
    "bool": _as_bool, "int": _as_int, "decimal": _as_decimal, "float": _as_float, "timestamp": _as_timestamp,
    "string": _as_string, "symbol": _as_symbol, "list": _as_list,
    "bag": lambda value, given: Bag(value) if given in SEQUENCES else MISSING,
    "sexp": lambda value, given: IonPyList.from_value(IonType.SEXP, value) if given in SEQUENCES else MISSING,
    "blob": lambda value, given: bytes(value) if given == "clob" else MISSING,
    "clob": lambda value, given: IonPyBytes.from_value(IonType.CLOB, value) if given == "blob" else MISSING,
}  # fmt: skip

_ANY = 1_000_000

FUNCTIONS = {
    "CAST": Function(cast, 2, 2, nulls=True),
    "CHAR_LENGTH": Function(lambda value: len(_text("CHAR_LENGTH", value)), 1, 1),
    "CHARACTER_LENGTH": Function(lambda value: len(_text("CHARACTER_LENGTH", value)), 1, 1),
    "COALESCE": Function(_coalesce, 1, _ANY, nulls=True),
    "DATE_ADD": Function(
        lambda part, quantity, value: timestamps.date_add(
            part, _whole("DATE_ADD", quantity), _time("DATE_ADD", value)
        ), 3, 3,
    ),
    "DATE_DIFF": Function(
        lambda part, one, other: timestamps.date_diff(part, _time("DATE_DIFF", one), _time("DATE_DIFF", other)), 3, 3
    ),
    "EXTRACT": Function(lambda part, value: timestamps.extract(part, _time("EXTRACT", value)), 2, 2),
    "LOWER": Function(lambda value: _text("LOWER", value).lower(), 1, 1),
    "NULLIF": Function(_nullif, 2, 2, nulls=True),
    "SIZE": Function(size, 1, 1),
    "SUBSTRING": Function(_substring, 2, 3),
    "TO_STRING": Function(
        lambda value, pattern: timestamps.to_string(_time("TO_STRING", value), _text("TO_STRING", pattern)), 2, 2
    ),
    "TO_TIMESTAMP": Function(_to_timestamp, 1, 2),
    "TRIM": Function(_trim, 3, 3),
    "UPPER": Function(lambda value: _text("UPPER", value).upper(), 1, 1),
}  # fmt: skip
