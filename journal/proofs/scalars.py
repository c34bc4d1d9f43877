"""Checks the timestamps and decimals of binary Ion: amazon.ion reads one that does not exist as another that does.

It takes the 64th minute for the fourth of the next hour, for example, and does not look at values in a symbol table. A
proof's bytes must mean one thing to everybody who reads them.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from strandline.journal.errors import UnreadableError

_DECIMAL, _TIMESTAMP, _STRUCT, _ANNOTATION = 5, 6, 13, 14
_CONTAINERS = (11, 12, 13)
_VERSION_MARKER = b"\xe0\x01\x00\xea"
_MOST_MINUTES = 24 * 60


def check_scalars(data: bytes) -> None:
    """Check every timestamp and decimal of binary Ion that `check_shape` has passed. Raises UnreadableError."""
    for kind, body in _scalars(data, 0, len(data)):
        try:
            if kind == _TIMESTAMP:
                _check_time(body)
            elif body:
                _var_int(body, 0)
        except (IndexError, ValueError, OverflowError):
            raise UnreadableError("damaged Ion: a time or a decimal that does not exist") from None


def _scalars(data: bytes, position: int, end: int, around: int | None = None) -> Iterator[tuple[int, bytes]]:
    annotated = False
    while position < end:
        if around is None and data.startswith(_VERSION_MARKER, position):
            position += len(_VERSION_MARKER)
            continue
        if around == _STRUCT and not annotated:  # the field's name stands before the annotations
            _, position = _var_uint(data, position)
        annotated = False
        kind, low = data[position] >> 4, data[position] & 15
        position += 1
        if low == 15 or kind == 1:
            continue
        length = low
        if low == 14 or (kind == _STRUCT and low == 1):
            length, position = _var_uint(data, position)
        if kind == _ANNOTATION:
            names, position = _var_uint(data, position)
            position += names
            annotated = True
            continue  # with the value that is annotated, which ends where the annotation does
        if kind in _CONTAINERS:
            yield from _scalars(data, position, position + length, kind)
        elif kind in (_DECIMAL, _TIMESTAMP):
            yield kind, data[position : position + length]
        position += length


def _check_time(body: bytes) -> None:
    negative, offset, position = _var_int(body, 0)
    parts: list[int] = []
    while position < len(body) and len(parts) < 6:
        number, position = _var_uint(body, position)
        parts.append(number)
    if len(parts) not in (1, 2, 3, 5, 6) or offset >= _MOST_MINUTES:
        raise ValueError
    if len(parts) < 4 and (offset or not negative):  # the offset of a day is not known
        raise ValueError
    moment = datetime(*(parts + [1, 1])[: max(3, len(parts))])  # type: ignore[arg-type]
    if len(parts) > 3:
        moment += timedelta(minutes=-offset if negative else offset)
    if position < len(body):
        below_one, exponent, position = _var_int(body, position)
        fraction = int.from_bytes(body[position:], "big")
        if fraction and (not below_one or fraction >= 10**exponent):
            raise ValueError


def _var_uint(data: bytes, position: int) -> tuple[int, int]:
    number = 0
    while True:
        byte = data[position]
        position += 1
        number = number << 7 | byte & 0x7F
        if byte & 0x80:
            return number, position


def _var_int(data: bytes, position: int) -> tuple[bool, int, int]:
    first = data[position]
    magnitude, after = _var_uint(bytes([first & 0xBF]) + data[position + 1 :], 0)
    return bool(first & 0x40), magnitude, position + after
