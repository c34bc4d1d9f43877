"""Reads and writes Ion, keeping every type that a hash depends on.

Values are plain Python if Ion's type has one (str, int, bool, float, Decimal, bytes for a blob, None, list, dict,
Timestamp, SymbolToken), else amazon.ion's IonPy classes (typed nulls, clobs, s-expressions, annotations).
A struct read as a dict keeps only the last of a repeated field; `read_typed` keeps all, at a tenth of the speed.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal, localcontext
from io import BytesIO
from itertools import islice
from typing import Any

from amazon.ion import simpleion
from amazon.ion.core import Timestamp
from amazon.ion.exceptions import IonException
from amazon.ion.simpleion import IonPyValueModel
from amazon.ion.symbols import SymbolToken

from strandline.journal.errors import UnreadableError, UnsupportedValueError, UnwritableError
from strandline.journal.ion.encoded import Encoded
from strandline.journal.ion.framing import scan, without_values
from strandline.journal.ion.hash import ion_hash
from strandline.journal.ion.text import read_text
from strandline.journal.ion.text_tables import check_tables

__all__ = [
    "SymbolToken",
    "Timestamp",
    "read",
    "read_each",
    "read_one",
    "read_typed",
    "write",
    "write_stream",
    "write_text",
]

BINARY_VERSION_MARKER = b"\xe0\x01\x00\xea"

# amazon.ion 0.15's C extension writes outside its memory if a number is larger, and then crashes.
_MOST_BITS, _MOST_DIGITS, _MOST_EXPONENT = 10_000, 1_000, 500_000
# It changes some decimals beyond a decimal128: it clamps zeros, and moves zeros to or from the coefficient.
_EXACT_DIGITS, _EXACT_EXPONENTS = 34, range(-6_176, 6_112)
_MOST_PRECISION, _LONGEST_FRACTION = 6, 9  # digits in datetime's microseconds; digits that it writes
_LIMITS = ("IERR_NUMERIC_OVERFLOW", "IERR_INTERNAL_ERROR", "IERR_BUFFER_TOO_SMALL", "IERR_INVALID_TIMESTAMP")
# It takes a symbol id in Ion text modulo 2 to the 32, and loops forever on one of very many digits.
_LARGE_SYMBOL_ID = re.compile(rb"\$[0-9]{10}")
# It cuts a fraction of a second after nine digits, reads some as zero, and writes wrong ones.
_LONG_FRACTION = re.compile(rb"T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{10}")
# It moves the zeros at the end of a decimal's digits to its exponent if there are more than 34.
_MANY_DIGITS = re.compile(rb"[0-9][0-9._]{34}")
_HUGE_EXPONENT = re.compile(rb"[dD][+-]?[0-9]{4,}+(?![0-9A-Za-z\"'])")
_MOST_UNSUPPORTED = 100
_LEAVES = frozenset((str, bool, float, bytes, type(None), SymbolToken))
# Decimal's default context would round to 28 digits.
_EXACT = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN)

_PLAIN = IonPyValueModel.MAY_BE_BARE | IonPyValueModel.STRUCT_AS_STD_DICT


def read(data: bytes) -> Iterator[Any]:
    """Yield the top-level values of a stream of binary or text Ion, one at a time.

    Raises UnreadableError at the first bytes that are not Ion, and UnsupportedValueError at the first value that
    cannot be kept, with the number of values before them.
    """
    return map(_supported, read_each(data))


def read_typed(data: bytes) -> Iterator[Any]:
    """Read as `read` does, with IonPy classes throughout and every repeated field of a struct."""
    return map(_supported, read_each(data, typed=True))


def read_each(data: bytes, *, typed: bool = False) -> Iterator[Any]:
    """Read as `read` or `read_typed` does, but yield an UnsupportedValueError in place of a value that cannot be kept.

    After the first hundred of them, or behind symbol tables of more than a megabyte, one in binary Ion is raised: to go
    on takes reading these tables again.
    """
    model = IonPyValueModel.ION_PY if typed else _PLAIN
    before = 0
    for _ in range(_MOST_UNSUPPORTED):
        count = 0
        try:
            for value in _values(data, model):
                count += 1
                yield _placed(value, before + count - 1) if type(value) is UnsupportedValueError else value
            return
        except UnsupportedValueError as error:
            unsupported = _placed(error, before + count)
        rest = without_values(data, count + 1) if data.startswith(BINARY_VERSION_MARKER) else None
        if rest is None:
            raise unsupported
        yield unsupported
        data, before = rest, before + count + 1
    raise unsupported


def _placed(error: UnsupportedValueError, before: int) -> UnsupportedValueError:
    return UnsupportedValueError(f"not supported after {before} complete values: {error}")


def _supported(value: Any) -> Any:
    if type(value) is UnsupportedValueError:
        raise value
    return value


def read_one(data: bytes) -> Any:
    """Return the single value in `data`. Raises UnreadableError if there is not exactly one."""
    values = list(read(data))
    if len(values) != 1:
        raise UnreadableError(f"expected one Ion value, found {len(values)}")
    return values[0]


def _values(data: bytes, model: IonPyValueModel) -> Iterator[Any]:
    count = 0
    binary = data.startswith(BINARY_VERSION_MARKER)
    if binary:
        sound, plain_python = scan(data)
    else:
        check_tables(data)
        sound = len(data)
        plain_python = _is_inexact(data)
    try:
        try:
            if not plain_python:
                for value in simpleion.loads(data[:sound], single_value=False, parse_eagerly=False, value_model=model):
                    yield value
                    count += 1
        except IonException as error:
            # The C extension reads no decimal beyond IEEE 754's decimal128, and no integer of more than 4,300 digits;
            # the plain Python does, twenty times slower.
            # Nor any token of text beyond 16 KB, nor some escapes.
            if binary and not str(error).startswith(_LIMITS):
                raise
            plain_python = True
        if plain_python:
            for value in islice(_exactly(data[:sound] if binary else _decodable(data)), count, None):
                yield value
                count += 1
            if not binary:
                data.decode()
    except GeneratorExit:
        raise
    except UnsupportedValueError:
        raise
    # amazon.ion's C extension raises IonException for most faults, and ValueError, TypeError, OverflowError,
    # UnicodeDecodeError or RecursionError for others. Any of their texts may hold payload.
    except Exception as error:
        if binary and isinstance(error, ValueError | ArithmeticError) and not isinstance(error, UnicodeError):
            # Its framing is sound, so the value is one that Python's types cannot hold.
            raise UnsupportedValueError(f"Python's types cannot hold it ({type(error).__name__})") from None
        raise UnreadableError(f"not readable as Ion after {count} complete values ({type(error).__name__})") from None
    if sound < len(data):
        raise UnreadableError(f"not readable as Ion after {count} complete values (damaged or truncated)")


def _is_inexact(text: bytes) -> bool:
    """Return True if Ion text may hold something that the C extension does not read exactly."""
    if any(inexact.search(text) is not None for inexact in (_LARGE_SYMBOL_ID, _LONG_FRACTION, _MANY_DIGITS)):
        return True
    return any(text[match.start() - 1 : match.start()] in _DIGITS for match in _HUGE_EXPONENT.finditer(text))


_DIGITS = frozenset(bytes([digit]) for digit in b"0123456789.")


def _exactly(data: bytes | str) -> Iterator[Any]:
    """Read without rounding: binary by the plain Python reader of amazon.ion, text by our own."""
    if isinstance(data, str):
        values = read_text(data)
    else:
        values = iter(simpleion.load_python(BytesIO(data), single_value=False, parse_eagerly=False))
    while True:
        with localcontext(_EXACT):  # left before each yield: the caller has its own context
            value = next(values, _END)
        if value is _END:
            return
        yield value


_END = object()


def _decodable(data: bytes) -> str:
    """Decode the longest prefix that is UTF-8."""
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        return data[: error.start].decode()


def write(value: Any) -> bytes:
    """Write one value as binary Ion, with its own version marker and symbol table.

    Raises UnwritableError for values that amazon.ion cannot write, such as a timestamp whose UTC form is outside years
    1 to 9999.
    """
    if type(value) is Encoded:
        return value.ion
    return _written(value, binary=True)


def write_stream(values: Sequence[Any]) -> bytes:
    """Write concatenated values as binary Ion, with one symbol table."""
    return _written(values, binary=True, sequence_as_stream=True)


def write_text(value: Any) -> str:
    """Write one value as Ion text, on one line, without a version marker."""
    return _written(value, binary=False, omit_version_marker=True).decode()


def _written(value: Any, **options: bool) -> bytes:
    risk = _risk((value,))
    try:
        if risk != _UNSAFE:
            written = _dumped(simpleion.dump, value, options)
            if risk == _EXACTLY_WRITTEN or _is_kept(written, value, options):
                return written
        return _dumped(simpleion.dump_python, value, options)
    except (IonException, ValueError, ArithmeticError, TypeError, AttributeError, RecursionError) as error:
        raise UnwritableError(f"holds a value that cannot be written as Ion ({type(error).__name__})") from None


def _dumped(dump: Callable[..., None], value: Any, options: Mapping[str, bool]) -> bytes:
    file = BytesIO()
    with localcontext(_EXACT):
        dump(value, file, **options)
    return file.getvalue()


def _is_kept(written: bytes, value: Any, options: Mapping[str, bool]) -> bool:
    """Return True if what was written is read again as the value, by its Ion Hash."""
    values = value if options.get("sequence_as_stream") else [value]
    return [ion_hash(one) for one in read_typed(written)] == [ion_hash(one) for one in values]


# If the C extension writes a value, it may be right by all that is known, it may be wrong, or the process may crash.
_EXACTLY_WRITTEN, _DOUBTFUL, _UNSAFE = range(3)


def _risk(values: Iterable[Any]) -> int:
    """Return the risk of writing the values by the C extension: that of the riskiest number or time in them."""
    risk = _EXACTLY_WRITTEN
    for value in values:
        kind = type(value)
        if kind in _LEAVES:
            continue
        if isinstance(value, Timestamp):
            fraction = value.fractional_seconds
            if value.fractional_precision == _MOST_PRECISION and fraction.as_tuple().exponent < -_LONGEST_FRACTION:
                return _UNSAFE
        elif isinstance(value, Mapping):
            # Not values(): of a repeated field it has the last value only.
            risk = max(risk, _risk([member for _, member in value.items()]))
        elif isinstance(value, list | tuple):
            risk = max(risk, _risk(value))
        elif isinstance(value, Decimal):
            _, digits, exponent = value.as_tuple()
            if len(digits) > _MOST_DIGITS or abs(exponent) > _MOST_EXPONENT:  # type: ignore[arg-type]
                return _UNSAFE
            if len(digits) > _EXACT_DIGITS or exponent not in _EXACT_EXPONENTS:
                risk = _DOUBTFUL
        elif isinstance(value, int) and value.bit_length() > _MOST_BITS:
            return _UNSAFE
        if risk == _UNSAFE:
            return risk
    return risk
