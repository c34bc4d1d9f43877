"""Recipes: each says how a JSON value becomes the Ion value that it may have been.

A recipe is text, so that it can be stated in a hints file: an Ion type (`string`, `timestamp`, `decimal`, `sexp`), a
typed null (`null.string`), `nan`, `+inf` or `-inf`, with annotations before it (`money::decimal`). A few recipes undo
other programs' spellings: `decimal(2)` has two digits after the point, `timestamp(day)` is cut to its date,
`timestamp(ms)` has milliseconds, and `timestamp(unknown)` no known offset.

The rules of the conversion are in docs/qldb-formats.md, "Down-conversion to JSON".
"""

import re
from base64 import b64decode
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Context, Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, Literal

from amazon.ion.core import IonType, Timestamp, TimestampPrecision
from amazon.ion.symbols import SymbolToken

from strandline.journal.ion.text import made, timestamp_in

Kind = Literal["null", "bool", "int", "real", "time", "text", "array", "object"]
"""The form of a value in JSON. `time` is a string in the form of an Ion timestamp."""

NOT_POSSIBLE: Any = object()
"""The result of a recipe for a value that it cannot have given."""

_MILLISECONDS = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)\.(\d{3})Z")
_TIME = re.compile(r"\d{4}(?:T|-\d\d(?:T|-\d\d(?:T(?:\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d))?)?))")
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*+(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
_LEAST_ENCODED = 16  # characters of base64 that are unlikely to be a word
_RECIPE = re.compile(r"((?:[^:\s]+::)*)([a-z+-][a-z.]*)(?:\((\w+)\))?")
_EXACT = Context(prec=20_000)
_MOST_PLACES = 100
_MOST_DIGITS = 10_000

NULL_TYPES = tuple("string timestamp int decimal bool float symbol struct list blob clob sexp".split())
_FLOATS = {"nan": float("nan"), "+inf": float("inf"), "-inf": float("-inf")}
_PLACES = (2, 1, 3, 4, 0, 6)


def kind_of(value: Any) -> Kind:
    """Return what a value of `journal.ion.json.read_json` shows of its type."""
    kind = _KINDS.get(type(value))
    if kind is not None:
        return kind
    return "time" if _TIME.fullmatch(value) else "text"


_KINDS: dict[type, Kind] = {
    dict: "object",
    list: "array",
    bool: "bool",
    int: "int",
    Decimal: "real",
    type(None): "null",
}


def recipes_for(value: Any) -> list[tuple[str, float]]:
    """Return the recipes that may have given a JSON value, and how unlikely each is (lower is likelier).

    Best first. Containers have only their own recipe here, not their members'. Annotations are never guessed.
    """
    return _BY_KIND[kind_of(value)](value)


def _of_null(_: Any) -> list[tuple[str, float]]:
    return _NULLS


_NULLS = [
    ("null", 0.0),
    *[(f"null.{name}", 4.0 + rank / 4) for rank, name in enumerate(NULL_TYPES)],
    ("nan", 8.0),
    ("+inf", 10.0),
    ("-inf", 10.0),
]


def _of_int(value: int) -> list[tuple[str, float]]:
    found = [("int", 0.0), ("decimal", 4.0)]
    if abs(value) < 2**53:
        found.append(("float", 4.5))
    return [*found, *[(f"decimal({places})", 6.0 + rank / 2) for rank, places in enumerate(_PLACES) if places]]


def _of_real(value: Decimal) -> list[tuple[str, float]]:
    found = [("decimal", 0.5)]
    if _is_float(value):
        found.append(("float", 1.5))
    own = -exponent if isinstance(exponent := value.as_tuple().exponent, int) else 0
    found += [(f"decimal({places})", 6.0 + rank / 2) for rank, places in enumerate(_PLACES) if places != own]
    return [*found, ("int", 9.0)] if value == value.to_integral_value() else found


def _of_time(value: str) -> list[tuple[str, float]]:
    found = [("timestamp", 0.3), ("string", 1.5), ("symbol", 6.0), ("clob", 8.0)]
    if len(value) > len("2007-02-23T"):
        found += [("timestamp(unknown)", 7.0), ("timestamp(ms)", 7.5), ("timestamp(day)", 8.0)]
    return found


def _of_text(value: str) -> list[tuple[str, float]]:
    found = [("string", 0.1), ("symbol", 3.0)]
    if len(value) % 4 == 0 and _BASE64.fullmatch(value):
        likely = value.endswith("=") or (len(value) >= _LEAST_ENCODED and not value.isalpha())
        found.append(("blob", 1.5 if likely else 5.5))
    if all(ord(character) < 256 for character in value):
        found.append(("clob", 5.0))
    return sorted(found, key=lambda one: one[1])


_BY_KIND: dict[Kind, Callable[[Any], list[tuple[str, float]]]] = {
    "null": _of_null,
    "bool": lambda _: [("bool", 0.0)],
    "int": _of_int,
    "real": _of_real,
    "time": _of_time,
    "text": _of_text,
    "array": lambda _: [("list", 0.0), ("sexp", 5.0)],
    "object": lambda _: [("struct", 0.0)],
}


def is_recipe(text: str) -> bool:
    """Return True if a text is a recipe."""
    match = _RECIPE.fullmatch(text)
    if match is None:
        return False
    _, name, argument = match.groups()
    if name == "decimal":
        return argument is None or (argument.isdigit() and int(argument) <= _MOST_PLACES)
    if name == "timestamp":
        return argument in (None, "day", "ms", "unknown")
    names = {"string", "symbol", "int", "float", "bool", "blob", "clob", "list", "sexp", "struct", "null", *_FLOATS}
    return argument is None and (name in names or name.removeprefix("null.") in (*NULL_TYPES, "null"))


def apply(recipe: str, value: Any) -> Any:
    """Return the Ion value that a recipe makes of a JSON value; NOT_POSSIBLE if it cannot be its source.

    For a container, `value` has Ion members already.
    """
    return converter(recipe)(value)


@lru_cache(4_096)
def converter(recipe: str) -> Callable[[Any], Any]:
    """Return the function of a recipe."""
    match = _RECIPE.fullmatch(recipe)
    assert match is not None
    prefix, name, argument = match.groups()
    annotations = tuple(SymbolToken(text, None) for text in prefix.split("::")[:-1])
    convert, ion_type = _converter(name, argument)
    if not annotations and ion_type not in (IonType.CLOB, IonType.SEXP, IonType.NULL):
        return convert

    def typed(value: Any) -> Any:
        converted = convert(value)
        if converted is NOT_POSSIBLE:
            return converted
        kind = ion_type
        if kind is IonType.NULL:
            kind = IonType[name.removeprefix("null.").upper()]
        return made(kind, list(converted.items()) if kind is IonType.STRUCT and converted else converted, annotations)

    return typed


def _converter(name: str, argument: str | None) -> tuple[Callable[[Any], Any], IonType]:
    if name in _FLOATS:
        number = _FLOATS[name]
        return lambda value: number if value is None else NOT_POSSIBLE, IonType.FLOAT
    if name == "null" or name.startswith("null."):
        return lambda value: None if value is None else NOT_POSSIBLE, IonType.NULL
    if name == "decimal" and argument is not None:
        places = int(argument)
        return lambda value: _with_places(value, places), IonType.DECIMAL
    if name == "timestamp" and argument is not None:
        return _TIMESTAMPS[argument], IonType.TIMESTAMP
    return _CONVERTERS[name]


def _typed(kind: type) -> Callable[[Any], Any]:
    return lambda value: value if type(value) is kind else NOT_POSSIBLE


def _symbol(value: Any) -> Any:
    return SymbolToken(value, None) if type(value) is str else NOT_POSSIBLE


def _blob(value: Any) -> Any:
    if type(value) is not str or len(value) % 4 or not _BASE64.fullmatch(value):
        return NOT_POSSIBLE
    return b64decode(value)


def _clob(value: Any) -> Any:
    try:
        return value.encode("latin-1") if type(value) is str else NOT_POSSIBLE
    except UnicodeEncodeError:
        return NOT_POSSIBLE


def _int(value: Any) -> Any:
    if type(value) is int:
        return value
    if type(value) is not Decimal or value.adjusted() > _MOST_DIGITS or value != value.to_integral_value():
        return NOT_POSSIBLE
    return int(value)


def _decimal(value: Any) -> Any:
    if type(value) is Decimal:
        return value
    return Decimal(value) if type(value) is int else NOT_POSSIBLE


def _with_places(value: Any, places: int) -> Any:
    value = _decimal(value)
    if value is NOT_POSSIBLE:
        return value
    try:
        result = _EXACT.quantize(value, Decimal((0, (1,), -places)))
    except InvalidOperation:
        return NOT_POSSIBLE
    return result if result == value else NOT_POSSIBLE


def _float(value: Any) -> Any:
    if type(value) is int:
        return float(value) if abs(value) < 2**53 else NOT_POSSIBLE
    return float(value) if type(value) is Decimal and _is_float(value) else NOT_POSSIBLE


def _is_float(value: Decimal) -> bool:
    """Return True if a number's text is the shortest of some float."""
    if len(value.as_tuple().digits) > 20:
        return False
    number = float(value)
    return number - number == 0 and Decimal(repr(number)) == value


def timestamp(value: Any) -> Any:
    """Return the timestamp of an Ion timestamp's text; NOT_POSSIBLE for anything else."""
    if type(value) is not str:
        return NOT_POSSIBLE
    match = _MILLISECONDS.fullmatch(value)
    if match is not None:  # the form of QLDB's own times, in a fifth of the time
        year, month, day, hour, minute, second, milliseconds = map(int, match.groups())
        try:
            return Timestamp(
                year, month, day, hour, minute, second, milliseconds * 1_000, tzinfo=UTC,
                precision=TimestampPrecision.SECOND, fractional_precision=3,
            )  # fmt: skip
        except ValueError:
            return NOT_POSSIBLE
    found = timestamp_in(value) if _TIME.fullmatch(value) else None
    try:
        return NOT_POSSIBLE if found is None or (found.utcoffset() and not found.astimezone(UTC)) else found
    except OverflowError:  # a time that is beyond the year 9999 in UTC, which cannot be hashed
        return NOT_POSSIBLE


def _day(value: Any) -> Any:
    return timestamp(value[:10]) if type(value) is str and value[10:11] == "T" else NOT_POSSIBLE


def _with_milliseconds(value: Any) -> Any:
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return NOT_POSSIBLE
    if moment.tzinfo is None or moment.microsecond % 1_000:
        return NOT_POSSIBLE
    utc = moment.astimezone(UTC)
    return timestamp(f"{utc:%Y-%m-%dT%H:%M:%S}.{utc.microsecond // 1_000:03d}Z")


def _without_offset(value: Any) -> Any:
    if type(value) is not str or not value.endswith(("Z", "+00:00")):
        return NOT_POSSIBLE
    return timestamp(value.removesuffix("Z").removesuffix("+00:00") + "-00:00")


_TIMESTAMPS: dict[str, Callable[[Any], Any]] = {"day": _day, "ms": _with_milliseconds, "unknown": _without_offset}
_CONVERTERS: dict[str, tuple[Callable[[Any], Any], IonType]] = {
    "string": (_typed(str), IonType.STRING),
    "bool": (_typed(bool), IonType.BOOL),
    "symbol": (_symbol, IonType.SYMBOL),
    "blob": (_blob, IonType.BLOB),
    "clob": (_clob, IonType.CLOB),
    "int": (_int, IonType.INT),
    "decimal": (_decimal, IonType.DECIMAL),
    "float": (_float, IonType.FLOAT),
    "timestamp": (timestamp, IonType.TIMESTAMP),
    "list": (_typed(list), IonType.LIST),
    "sexp": (_typed(list), IonType.SEXP),
    "struct": (_typed(dict), IonType.STRUCT),
}
