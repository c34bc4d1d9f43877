"""Checks the framing of binary Ion before amazon.ion reads untrusted bytes.

amazon.ion 0.15's C extension loops forever if a value in a symbol table is longer than its container, and crashes the
process if a symbol's text is not UTF-8; damaged lengths of other values make it loop too. `check_shape` checks all of
it; `scan` does so for an export, at half the cost of reading it.

Both refuse imports of shared symbol tables: a reader allocates their `max_id`, which a few bytes can make 2 to the 62.
"""

from typing import NamedTuple

from strandline.journal.errors import UnreadableError

MOST_VALUE = 1 << 26
"""The largest top-level value in bytes; QLDB's quota is 4 MB a transaction."""

_VERSION_MARKER = b"\xe0\x01\x00\xea"
_BOOL, _FLOAT, _DECIMAL, _TIMESTAMP, _SYMBOL, _STRING, _LIST, _STRUCT, _ANNOTATION = 1, 4, 5, 6, 7, 8, 11, 13, 14
_SYMBOL_TABLE, _IMPORTS, _SYMBOLS = 3, 6, 7  # ids of the system's symbols
_CONTAINERS = (11, 12, 13)
_NUMBERS = (_DECIMAL, _TIMESTAMP)
_LEAST_CONTAINER = min(_CONTAINERS)
_NULL = 0x0F
_MOST_LENGTH_BYTES = 9
_DEEPEST = 500
_INSPECTED, _LENGTH_FOLLOWS, _OTHER = 253, 254, 255  # instead of a size
_QLDBS_EXPONENT = 0xC3  # -3: milliseconds
_LONGEST_FRACTION = 9
_GREATEST_EXPONENT = 6_111  # of a decimal128


MOST_TABLES = 1 << 20
"""Bytes of symbol tables that are read again to go on behind a value that cannot be kept."""
MOST_APPENDS = 100
"""Symbol tables that may append to one another: amazon.ion copies the table each time, which takes quadratic time."""
SHARED_TABLE = "it imports a shared symbol table: write it with local symbol tables only"
MANY_APPENDS = f"it has more than {MOST_APPENDS} symbol tables that append to one: write it with one symbol table"


class RefusedError(UnreadableError):
    """Ion that is refused before it is read, because reading it would take unbounded memory or time."""


class Framing(NamedTuple):
    """The number of sound bytes, and if they may hold a number that amazon.ion's C extension does not read exactly."""

    sound: int
    inexact: bool


def check_shape(data: bytes) -> None:
    """Check the framing of binary Ion.

    Raises UnreadableError if it is truncated or nested too deeply, or holds a value that does not fit into its
    container, text that is not UTF-8, or an import of a shared symbol table.
    """
    if not data.startswith(_VERSION_MARKER):
        raise UnreadableError("not binary Ion")
    try:
        _walk(data)
    except (IndexError, UnicodeDecodeError):
        raise _damaged() from None


def scan(data: bytes) -> Framing:
    """Check how many bytes, from the start of binary Ion, are complete, well-framed top-level values.

    Raises UnreadableError for a value of more than MOST_VALUE bytes, and for an import of a shared symbol table.
    """
    position, end, appends = 0, len(data), 0
    inexact = False
    try:
        while position < end:
            step = _STEPS[data[position]]
            if step < _INSPECTED:
                if position + step > end:
                    break
                position += step
                continue
            if data.startswith(_VERSION_MARKER, position):
                position += len(_VERSION_MARKER)
                appends = 0
                continue
            kind, start, value_end = _header(data, position, end)
            if value_end - position > MOST_VALUE:
                raise RefusedError(f"it holds a value of more than {MOST_VALUE >> 20} MB")
            if kind == _ANNOTATION:  # every symbol table is one
                appends += _walk(data[position:value_end])
                if appends > MOST_APPENDS:
                    raise RefusedError(MANY_APPENDS)
                annotation, _ = _var_uint(data, _var_uint(data, start, value_end)[1], value_end)
                inexact |= annotation != _SYMBOL_TABLE  # not looked for: annotated values are rare here
            elif kind in _CONTAINERS:
                inexact |= _check_lengths(data, start, value_end, kind == _STRUCT)
            elif kind in _NUMBERS:
                inexact |= _is_inexact(data, kind, start, value_end)
            position = value_end
    except RefusedError:
        raise
    except (UnreadableError, IndexError, UnicodeDecodeError):
        pass
    return Framing(position, inexact)


def without_newlines(data: bytes) -> bytes:
    """Remove newlines that a delivery stream appended to records of binary Ion; return other data unchanged."""
    position, start, parts = 0, 0, []
    try:
        while position < len(data):
            if data[position] == 10 and data[position + 1 : position + 5] in (b"", _VERSION_MARKER):
                parts.append(data[start:position])
                position = start = position + 1
            elif data.startswith(_VERSION_MARKER, position):
                position += len(_VERSION_MARKER)
            else:
                position = _header(data, position, len(data))[2]
    except UnreadableError:
        pass
    return b"".join([*parts, data[start:]]) if parts else data


def without_values(data: bytes, count: int) -> bytes | None:
    """Return binary Ion whose framing is sound without its first `count` values, with the symbol tables that apply.

    Returns None if these tables have more than MOST_TABLES bytes.
    """
    position, end, tables = 0, len(data), [_VERSION_MARKER]
    while position < end and count:
        if data.startswith(_VERSION_MARKER, position):
            position += len(_VERSION_MARKER)
            tables = [_VERSION_MARKER]
            continue
        kind, start, value_end = _header(data, position, end)
        if kind == _ANNOTATION and _is_table(data, start, value_end):
            table = data[position:value_end]
            tables = [*tables, table] if _walk(table) else [_VERSION_MARKER, table]
        elif kind or data[position] == _NULL:  # else padding
            count -= 1
        position = value_end
    if sum(map(len, tables)) > MOST_TABLES:
        return None
    return b"".join([*tables, data[position:]])


def _check_lengths(data: bytes, position: int, end: int, is_struct: bool) -> bool:
    """Check that every value within a container fits into the one around it; written for speed.

    Returns True if one may not be read exactly.
    """
    around: list[tuple[int, bool]] = []
    inexact = False
    steps = _STEPS
    while True:
        while position < end:
            if is_struct:
                while data[position] < 0x80:
                    position += 1
                position += 1
            step = steps[data[position]]  # a name without a value leads beyond the end, like any other value
            if step < _INSPECTED:
                position += step
                continue
            if step == _INSPECTED:
                kind, start = data[position] >> 4, position + 1
                position = start + (data[position] & 15)
                if data[start] < 0x80 if kind == _DECIMAL else data[start + 8] != _QLDBS_EXPONENT:
                    inexact |= _is_inexact(data, kind, start, position)
                continue
            if step == _OTHER:
                kind, position, value_end = _header(data, position, end)
                if kind == _ANNOTATION:
                    kind, position = _annotated(data, position, value_end)
            else:
                kind = data[position] >> 4
                length = data[position + 1]
                if length >= 0x80:
                    position += 2
                    length -= 0x80
                elif data[position + 2] >= 0x80:
                    length = length << 7 | data[position + 2] & 0x7F
                    position += 3
                else:
                    length, position = _var_uint(data, position + 1, end)
                value_end = position + length
            if kind < _LEAST_CONTAINER:
                if kind in _NUMBERS:
                    inexact |= _is_inexact(data, kind, position, value_end)
                position = value_end
                continue
            around.append((end, is_struct))  # a value longer than its container leads beyond this end
            if len(around) > _DEEPEST:
                raise UnreadableError(f"nested more than {_DEEPEST} deep")
            end, is_struct = value_end, kind == _STRUCT
        if position > end:
            raise _damaged()
        if not around:
            return inexact
        end, is_struct = around.pop()


def _is_inexact(data: bytes, kind: int, position: int, end: int) -> bool:
    """Return True if a timestamp's fraction has more than nine digits, or a decimal a huge exponent."""
    for _ in range(7 if kind == _TIMESTAMP else 0):  # offset, year, month, day, hour, minute, second
        while position < end and data[position] < 0x80:
            position += 1
        position += 1
    if position >= end:
        return False
    negative, digits = data[position] & 0x40, data[position] & 0x3F
    while position + 1 < end and data[position] < 0x80:
        position += 1
        digits = digits << 7 | data[position] & 0x7F
    return digits > _LONGEST_FRACTION and bool(negative) if kind == _TIMESTAMP else digits > _GREATEST_EXPONENT


def _step(first: int) -> int:
    """Return the size of a scalar if its first byte alone gives it."""
    kind, low = first >> 4, first & 15
    if low == 15 and kind < _ANNOTATION:
        return 1
    if kind == _BOOL:
        return 1 if low <= 1 else _OTHER
    if kind >= _ANNOTATION or (kind == _FLOAT and low not in (0, 4, 8)):
        return _OTHER
    if kind == _TIMESTAMP and low >= 8:  # long enough for a fraction
        return _INSPECTED if 9 <= low < 14 else _OTHER
    if kind == _DECIMAL and 2 <= low < 14:  # long enough for a huge exponent
        return _INSPECTED
    if low == 14:
        return _LENGTH_FOLLOWS
    return _OTHER if kind in _CONTAINERS else 1 + low


def _walk(data: bytes) -> bool:
    """Check all values; returns True if one is a symbol table that appends."""
    appends = False
    around = [(len(data), False)]  # the ends of the enclosing values, and if they are structs
    position = 0
    while True:
        end, is_struct = around[-1]
        if position == end:
            around.pop()
            if not around:
                return appends
            continue
        if len(around) == 1 and data.startswith(_VERSION_MARKER, position):
            position += len(_VERSION_MARKER)
            continue
        if is_struct:
            _, position = _var_uint(data, position, end)
        kind, position, value_end = _header(data, position, end)
        if kind == _ANNOTATION:
            is_table = len(around) == 1 and _is_table(data, position, value_end)
            kind, position = _annotated(data, position, value_end)
            if is_table:
                appends |= _check_symbol_table(data, position, value_end)
        if kind in _CONTAINERS:
            around.append((value_end, kind == _STRUCT))
            if len(around) > _DEEPEST:
                raise UnreadableError(f"nested more than {_DEEPEST} deep")
        else:
            if kind == _STRING:
                data[position:value_end].decode()
            position = value_end


def _is_table(data: bytes, position: int, end: int) -> bool:
    """Return True if the annotations at `position` and the value behind them, up to `end`, are a symbol table."""
    annotation, _ = _var_uint(data, _var_uint(data, position, end)[1], end)
    return annotation == _SYMBOL_TABLE and _annotated(data, position, end)[0] == _STRUCT


def _check_symbol_table(data: bytes, position: int, end: int) -> bool:
    """Refuse a local symbol table that imports, or has members that no writer of local tables needs.

    Returns True if it appends to the table before.
    """
    is_append = False
    while position < end:
        field, position = _var_uint(data, position, end)
        kind, position, value_end = _header(data, position, end)
        if field not in (_IMPORTS, _SYMBOLS):
            raise RefusedError("it has a symbol table with members other than imports and symbols")
        if field == _IMPORTS:
            is_empty = kind == 0 or (kind == _LIST and position == value_end)
            is_append = kind == _SYMBOL and int.from_bytes(data[position:value_end], "big") == _SYMBOL_TABLE
            if not is_empty and not is_append:
                raise RefusedError(SHARED_TABLE)
        position = value_end
    return is_append


def _annotated(data: bytes, position: int, end: int) -> tuple[int, int]:
    """Return the type and the start of the value below the annotations at `position`, all up to `end`."""
    names, position = _var_uint(data, position, end)
    kind, position, value_end = _header(data, position + names, end)
    if kind == _ANNOTATION or value_end != end or not names:
        raise _damaged()
    return kind, position


def _header(data: bytes, position: int, end: int) -> tuple[int, int, int]:
    """Return the type of the value at `position`, and the start and end of its content."""
    if position >= end:
        raise _damaged()
    kind, low = data[position] >> 4, data[position] & 15
    position += 1
    if low == 15 and kind < _ANNOTATION:
        return 0, position, position
    if kind == _BOOL:
        if low > 1:
            raise _damaged()
        return kind, position, position
    if kind > _ANNOTATION or low == 15 or (kind == _FLOAT and low not in (0, 4, 8)):
        raise _damaged()
    length = low
    if low == 14 or (kind == _STRUCT and low == 1):
        length, position = _var_uint(data, position, end)
    if position + length > end:
        raise _damaged()
    return kind, position, position + length


def _var_uint(data: bytes, position: int, end: int) -> tuple[int, int]:
    number = 0
    for place in range(position, min(end, position + _MOST_LENGTH_BYTES)):
        number = number << 7 | data[place] & 0x7F
        if data[place] & 0x80:
            return number, place + 1
    raise _damaged()


def _damaged() -> UnreadableError:
    return UnreadableError(
        "damaged Ion: truncated, a value that does not fit into its container, or text that is not UTF-8"
    )


_STEPS = bytes(_step(first) for first in range(256))
