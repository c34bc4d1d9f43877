"""Checks the framing of binary Ion before amazon.ion reads untrusted bytes.

amazon.ion 0.15's C extension loops forever if a value in a symbol table is longer than its container, and crashes the
process if a symbol's text is not UTF-8; damaged lengths of other values make it loop too. `check_shape` checks all of
it; `sound_length` does so for an export, at half the cost of reading it.
"""

from strandline.journal.errors import UnreadableError

_VERSION_MARKER = b"\xe0\x01\x00\xea"
_BOOL, _FLOAT, _STRING, _STRUCT, _ANNOTATION = 1, 4, 8, 13, 14
_CONTAINERS = (11, 12, 13)
_LEAST_CONTAINER = min(_CONTAINERS)
_MOST_LENGTH_BYTES = 9
_DEEPEST = 500
_LENGTH_FOLLOWS, _OTHER = 254, 255  # in the place of a size


def check_shape(data: bytes) -> None:
    """Check the framing of binary Ion.

    Raises UnreadableError if it is truncated or nested too deeply, or holds a value that does not fit into its
    container, or text that is not UTF-8.
    """
    if not data.startswith(_VERSION_MARKER):
        raise UnreadableError("not binary Ion")
    try:
        _walk(data)
    except (IndexError, UnicodeDecodeError):
        raise _damaged() from None


def sound_length(data: bytes) -> int:
    """Return the number of bytes, from the start of binary Ion, that are complete, well-framed top-level values."""
    position, end = 0, len(data)
    try:
        while position < end:
            if data.startswith(_VERSION_MARKER, position):
                position += len(_VERSION_MARKER)
                continue
            kind, start, value_end = _header(data, position, end)
            if kind == _ANNOTATION:  # every symbol table is one
                check_shape(_VERSION_MARKER + data[position:value_end])
            elif kind in _CONTAINERS:
                _check_lengths(data, start, value_end, kind == _STRUCT)
            position = value_end
    except (UnreadableError, IndexError):
        pass
    return position


def _check_lengths(data: bytes, position: int, end: int, is_struct: bool) -> None:
    """Check that every value within a container fits into the one around it; written for speed."""
    around: list[tuple[int, bool]] = []
    steps = _STEPS
    while True:
        while position < end:
            if is_struct:
                while data[position] < 0x80:
                    position += 1
                position += 1
            step = steps[data[position]]  # a name without a value leads beyond the end, like any other value
            if step < _LENGTH_FOLLOWS:
                position += step
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
                position = value_end
                continue
            around.append((end, is_struct))  # a value longer than its container leads beyond this end
            if len(around) > _DEEPEST:
                raise UnreadableError(f"nested more than {_DEEPEST} deep")
            end, is_struct = value_end, kind == _STRUCT
        if position > end:
            raise _damaged()
        if not around:
            return
        end, is_struct = around.pop()


def _step(first: int) -> int:
    """Return the size of a scalar if its first byte alone gives it."""
    kind, low = first >> 4, first & 15
    if low == 15 and kind < _ANNOTATION:
        return 1
    if kind == _BOOL:
        return 1 if low <= 1 else _OTHER
    if kind >= _ANNOTATION or (kind == _FLOAT and low not in (0, 4, 8)):
        return _OTHER
    if low == 14:
        return _LENGTH_FOLLOWS
    return _OTHER if kind in _CONTAINERS else 1 + low


def _walk(data: bytes) -> None:
    around = [(len(data), False)]  # the ends of the enclosing values, and if they are structs
    position = 0
    while True:
        end, is_struct = around[-1]
        if position == end:
            around.pop()
            if not around:
                return
            continue
        if len(around) == 1 and data.startswith(_VERSION_MARKER, position):
            position += len(_VERSION_MARKER)
            continue
        if is_struct:
            _, position = _var_uint(data, position, end)
        kind, position, value_end = _header(data, position, end)
        if kind == _ANNOTATION:
            kind, position = _annotated(data, position, value_end)
        if kind in _CONTAINERS:
            around.append((value_end, kind == _STRUCT))
            if len(around) > _DEEPEST:
                raise UnreadableError(f"nested more than {_DEEPEST} deep")
        else:
            if kind == _STRING:
                data[position:value_end].decode()
            position = value_end


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
