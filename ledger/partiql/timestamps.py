"""Arithmetic, parts and texts of timestamps, at the precision that they have (QLDB's developer guide, DATE_ADD,
DATE_DIFF, EXTRACT, TO_STRING, TO_TIMESTAMP, "Timestamp format strings")."""

import calendar
import re
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any

from amazon.ion.core import Timestamp, TimestampPrecision, timestamp

from strandline.ledger.partiql.errors import SemanticError
from strandline.ledger.partiql.values import instant

_PARTS = ("YEAR", "MONTH", "DAY", "HOUR", "MINUTE", "SECOND")
_SECONDS = {"DAY": 86_400, "HOUR": 3_600, "MINUTE": 60, "SECOND": 1}
_PRECISIONS = {
    "YEAR": TimestampPrecision.YEAR, "MONTH": TimestampPrecision.MONTH, "DAY": TimestampPrecision.DAY,
    "HOUR": TimestampPrecision.MINUTE, "MINUTE": TimestampPrecision.MINUTE, "SECOND": TimestampPrecision.SECOND,
}  # fmt: skip
# Not calendar's names, which follow the locale.
_MONTHS = "January February March April May June July August September October November December".split()
_MOST_FORMAT = 1_000


def date_add(part: str, quantity: int, value: Timestamp) -> Timestamp:
    """Add so many years, months, days, hours, minutes or seconds. The result is as precise as the part at least."""
    _check_part(part)
    try:
        if part in ("YEAR", "MONTH"):
            months = value.year * 12 + value.month - 1 + quantity * (12 if part == "YEAR" else 1)
            year, month = divmod(months, 12)
            day = min(value.day, calendar.monthrange(year, month + 1)[1])
            moved = _local(value).replace(year=year, month=month + 1, day=day)
        else:
            moved = _local(value) + timedelta(seconds=quantity * _SECONDS[part])
    except (OverflowError, ValueError):
        raise SemanticError("Semantic Error: DATE_ADD gives a year that is not 1 to 9999") from None
    return _made(moved, max(_precision(value), _PRECISIONS[part]), value.utcoffset(), value.fractional_seconds)


def date_diff(part: str, first: Timestamp, second: Timestamp) -> int:
    """Return how many whole parts lie between the instants; negative if the second is earlier."""
    _check_part(part)
    if instant(second) < instant(first):
        return -date_diff(part, second, first)
    (one, one_fraction), (other, other_fraction) = instant(first), instant(second)
    if part in ("YEAR", "MONTH"):
        months = (other.year - one.year) * 12 + other.month - one.month
        rest = (other.day, other.time(), other_fraction) < (one.day, one.time(), one_fraction)
        months -= rest
        return months // (12 if part == "YEAR" else 1)
    difference = other - one
    seconds = difference.days * 86_400 + difference.seconds - (other_fraction < one_fraction)
    return int(seconds // _SECONDS[part])


def extract(part: str, value: Timestamp) -> int | Decimal:
    """Return a part of the timestamp as it is written; one that it lacks is the first."""
    if part in ("TIMEZONE_HOUR", "TIMEZONE_MINUTE"):
        minutes = _offset_minutes(value) or 0
        hours, rest = divmod(abs(minutes), 60)
        found = hours if part == "TIMEZONE_HOUR" else rest
        return -found if minutes < 0 else found
    _check_part(part)
    if part == "SECOND" and value.fractional_seconds:
        return value.second + value.fractional_seconds  # type: ignore[no-any-return]
    return int(getattr(value, part.lower()))


def to_string(value: Timestamp, pattern: str) -> str:
    """Return the timestamp's text in a format such as `MMMM d, yyyy`."""
    return "".join(text if symbol is None else _write(symbol, value) for symbol, text in _format(pattern))


def to_timestamp(text: str, pattern: str) -> Timestamp:
    """Read a timestamp in a format; its precision is that of the finest part of the format."""
    match = _reader(pattern).fullmatch(text)
    if match is None:
        raise SemanticError("Semantic Error: TO_TIMESTAMP: the string is not in that format")
    parts = {name: found for name, found in match.groupdict().items() if found is not None}
    try:
        return _read(parts)
    except (ValueError, OverflowError):
        raise SemanticError("Semantic Error: TO_TIMESTAMP: there is no such time") from None


def _check_part(part: str) -> None:
    if part not in _PARTS:
        raise SemanticError(f"Semantic Error: a part of a date is one of {', '.join(_PARTS)}")


def _local(value: Timestamp) -> datetime:
    return datetime(value.year, value.month, value.day, value.hour, value.minute, value.second)


def _precision(value: Timestamp) -> int:
    return int(TimestampPrecision.SECOND if value.precision is None else value.precision)


def _offset_minutes(value: Timestamp) -> int | None:
    offset = value.utcoffset()
    return None if offset is None else int(offset.total_seconds()) // 60


def _made(local: datetime, precision: int, offset: timedelta | None, fraction: Decimal | None) -> Timestamp:
    more: dict[str, Any] = {}
    if precision >= TimestampPrecision.SECOND and fraction:
        more["fractional_seconds"] = fraction
    if precision >= TimestampPrecision.MINUTE and offset is not None:
        minutes = int(offset.total_seconds()) // 60
        hours, rest = divmod(abs(minutes), 60)
        sign = -1 if minutes < 0 else 1
        more |= {"off_hours": sign * hours, "off_minutes": sign * rest}
    parts = (local.year, local.month, local.day, local.hour, local.minute, local.second)
    given = parts[: precision + 1 if precision < TimestampPrecision.MINUTE else precision + 2]
    return timestamp(*given, precision=TimestampPrecision(precision), **more)


# ---------------------------------------------------------------------------------------------------------------------
# Formats

_SYMBOL = re.compile(r"'(?P<quoted>(?:[^']|'')*+)'|(?P<symbol>(?P<letter>[A-Za-z])(?P=letter)*+)|(?P<text>[^A-Za-z'])")
_SYMBOLS = re.compile(r"y|yy|yyyy|M{1,5}|d{1,2}|a|h{1,2}|H{1,2}|m{1,2}|s{1,2}|S{1,9}|n|X{1,5}|x{1,5}")


@lru_cache(200)
def _format(pattern: str) -> tuple[tuple[str | None, str], ...]:
    """Return the format's parts: (symbol, "") or (None, text)."""
    parts: list[tuple[str | None, str]] = []
    position = 0
    while position < len(pattern):
        match = _SYMBOL.match(pattern, position)
        symbol = match["symbol"] if match else None
        if match is None or len(pattern) > _MOST_FORMAT or (symbol and not _SYMBOLS.fullmatch(symbol)):
            raise SemanticError(f"Semantic Error: no format of a timestamp, at its character {position + 1}")
        if symbol:
            parts.append((symbol, ""))
        else:
            parts.append((None, match["text"] or match["quoted"].replace("''", "'") or "'"))
        position = match.end()
    return tuple(parts)


def _write(symbol: str, value: Timestamp) -> str:
    width, letter = len(symbol), symbol[0]
    if letter == "y":
        return f"{value.year % 100:02d}" if width == 2 else f"{value.year:0{width}d}"
    if letter == "M":
        if width > 2:
            name: str = _MONTHS[value.month - 1]
            return name if width == 4 else name[:3] if width == 3 else name[0]
        return f"{value.month:0{width}d}"
    if letter == "a":
        return "AM" if value.hour < 12 else "PM"
    if letter in "Sn":
        digits = f"{value.fractional_seconds or Decimal(0):.40f}"[2:]
        return digits[:width] if letter == "S" else str(int(digits[:9]))
    if letter in "Xx":
        return _write_offset(_offset_minutes(value) or 0, width, zulu=letter == "X")
    hours = (value.hour + 11) % 12 + 1
    number = {"d": value.day, "h": hours, "H": value.hour, "m": value.minute, "s": value.second}[letter]
    return f"{number:0{width}d}"


def _write_offset(minutes: int, width: int, *, zulu: bool) -> str:
    if zulu and minutes == 0:
        return "Z"
    hours, rest = divmod(abs(minutes), 60)
    sign = "-" if minutes < 0 else "+"
    if width == 1:
        return f"{sign}{hours:02d}" + (f"{rest:02d}" if rest else "")
    return f"{sign}{hours:02d}{':' if width in (3, 5) else ''}{rest:02d}"


@lru_cache(200)
def _reader(pattern: str) -> re.Pattern[str]:
    """Return a regular expression with a group for each part."""
    seen: set[str] = set()
    expression = ""
    for symbol, text in _format(pattern):
        if symbol is None:
            expression += re.escape(text)
            continue
        name, digits = _group(symbol)
        if name in seen:
            raise SemanticError("Semantic Error: TO_TIMESTAMP: the format has a part twice")
        seen.add(name)
        expression += f"(?P<{name}>{digits})"
    if not seen & {"year", "short"}:
        raise SemanticError("Semantic Error: TO_TIMESTAMP: the format has no year")
    return re.compile(expression, re.IGNORECASE)


def _group(symbol: str) -> tuple[str, str]:
    letter, width = symbol[0], len(symbol)
    if letter == "y":
        return ("short", r"[0-9]{2}") if width == 2 else ("year", r"[0-9]{4}" if width == 4 else r"[0-9]{1,4}+")
    if letter == "M" and width > 2:
        if width == 5:
            raise SemanticError("Semantic Error: TO_TIMESTAMP: one letter does not name a month")
        return "name", "|".join(_MONTHS if width == 4 else [name[:3] for name in _MONTHS])
    if letter == "S":
        return "fraction", f"[0-9]{{{width}}}"
    if letter == "n":
        return "nanosecond", "[0-9]{1,9}+"
    if letter == "a":
        return "half", "AM|PM"
    if letter in "Xx":
        colon = ":" if width in (3, 5) else ""
        numbers = "[+-][0-9]{2}(?:[0-9]{2})?+" if width == 1 else f"[+-][0-9]{{2}}{colon}[0-9]{{2}}"
        return "offset", f"Z|{numbers}" if letter == "X" else numbers
    name = {"M": "month", "d": "day", "h": "hour12", "H": "hour", "m": "minute", "s": "second"}[letter]
    return name, "[0-9]{1,2}+" if width == 1 else "[0-9]{2}"


def _read(parts: dict[str, str]) -> Timestamp:
    short = int(parts.get("short", "0"))
    year = int(parts["year"]) if "year" in parts else short + (1900 if short >= 70 else 2000)
    month = int(parts.get("month", "1"))
    if "name" in parts:
        month = [name[:3].lower() for name in _MONTHS].index(parts["name"][:3].lower()) + 1
    hour = int(parts.get("hour", "0"))
    if "hour12" in parts:
        if not 1 <= int(parts["hour12"]) <= 12:
            raise ValueError("hour")
        hour = int(parts["hour12"]) % 12 + (12 if parts.get("half", "").upper() == "PM" else 0)
    numbers = (int(parts.get(name, first)) for name, first in (("day", "1"), ("minute", "0"), ("second", "0")))
    day, minute, second = numbers
    local = datetime(year, month, day, hour, minute, second)
    return _made(local, _finest(parts), _read_offset(parts.get("offset")), _read_fraction(parts))


def _finest(parts: dict[str, str]) -> int:
    for names, precision in (
        ({"second", "fraction", "nanosecond"}, TimestampPrecision.SECOND),
        ({"hour", "hour12", "minute", "half", "offset"}, TimestampPrecision.MINUTE),
        ({"day"}, TimestampPrecision.DAY),
        ({"month", "name"}, TimestampPrecision.MONTH),
    ):
        if names & parts.keys():
            return int(precision)
    return int(TimestampPrecision.YEAR)


def _read_offset(text: str | None) -> timedelta | None:
    if text is None or text.upper() == "Z":
        return None if text is None else timedelta(0)
    digits = text[1:].replace(":", "")
    minutes = int(digits[:2]) * 60 + int(digits[2:] or 0)
    return timedelta(minutes=-minutes if text[0] == "-" else minutes)


def _read_fraction(parts: dict[str, str]) -> Decimal | None:
    digits = parts.get("fraction") or (parts["nanosecond"].rjust(9, "0") if "nanosecond" in parts else None)
    return None if digits is None else Decimal((0, tuple(map(int, digits)), -len(digits)))
