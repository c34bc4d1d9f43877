"""Reads Ion 1.0 text exactly (amazon-ion.github.io/ion-docs, "Ion Text Encoding"), in linear time.

For text that amazon.ion's C extension does not read: tokens of more than 16 KB, large symbol ids, long fractions of a
second, large numbers. A repeated field of a struct is kept. The caller has refused imports of shared symbol tables.
"""

import re
from base64 import b64decode
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import Any

from amazon.ion.core import IonType, Timestamp, TimestampPrecision, timestamp
from amazon.ion.simple_types import (
    IonPyBool,
    IonPyBytes,
    IonPyDecimal,
    IonPyDict,
    IonPyFloat,
    IonPyInt,
    IonPyList,
    IonPyNull,
    IonPySymbol,
    IonPyText,
    IonPyTimestamp,
)
from amazon.ion.symbols import SymbolToken

from strandline.journal.errors import UnsupportedValueError
from strandline.journal.ion.framing import MOST_VALUE

_SPACE = re.compile(r"(?:[ \t\n\r\v\f]++|//[^\n\r]*+|/\*(?:[^*]|\*(?!/))*+\*/)*+")
_BLANK = re.compile(r"[ \t\n\r\v\f]*+")
_WORD = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*+")
_QUOTED = {
    '"': re.compile(r'"((?:[^"\\\n\r]++|\\(?:\r\n|[\s\S]))*+)"'),
    "'": re.compile(r"'((?:[^'\\\n\r]++|\\(?:\r\n|[\s\S]))*+)'"),
    "'''": re.compile(r"'''((?:[^'\\]++|\\(?:\r\n|[\s\S])|'(?!''))*+)'''"),
}
_NUMBER = re.compile(r"[-+]?[0-9a-z][0-9A-Za-z_.:+-]*+")
_NUMBER_START = re.compile(r"-?[0-9]|[-+]inf")
_OPERATOR = re.compile(r"[!#%&*+\-./;<=>?@^`|~]++")
_BLOB = re.compile(r"[A-Za-z0-9+/=\s]*+")
_STOP = frozenset("{}[](),\"' \t\n\r\v\f")
_INT = re.compile(r"-?(?:0|[1-9][0-9]*+(?:_[0-9]++)*+)")
_RADIX = re.compile(r"(-?)0(?:[xX]([0-9A-Fa-f]++(?:_[0-9A-Fa-f]++)*+)|[bB]([01]++(?:_[01]++)*+))")
_REAL = re.compile(rf"({_INT.pattern}(?:\.(?:[0-9]++(?:_[0-9]++)*+)?)?)(?:([dDeE])([-+]?[0-9]++))?")
_DATE = r"([0-9]{4})(?:-([0-9]{2})(?:-([0-9]{2}))?)?"
_TIME = r"([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]++))?)?(Z|[-+][0-9]{2}:[0-9]{2})"
_TIMESTAMP = re.compile(rf"{_DATE}(T)?(?:{_TIME})?")
_ESCAPE = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(\r\n|[\s\S]))")
_ESCAPED = {
    "0": "\0", "a": "\a", "b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", "v": "\v",
    '"': '"', "'": "'", "?": "?", "\\": "\\", "/": "/", "\n": "", "\r": "", "\r\n": "",
}  # fmt: skip
_NULLS = {name.lower(): kind for name, kind in IonType.__members__.items()}
_KEYWORDS = frozenset(("null", "true", "false", "nan"))
_SYSTEM = "$ion $ion_1_0 $ion_symbol_table name version imports symbols max_id $ion_shared_symbol_table".split()
_MOST_DIGITS = 100_000
_DEEPEST = 500
_CLASSES: dict[IonType, Any] = {
    IonType.BOOL: IonPyBool,
    IonType.INT: IonPyInt,
    IonType.FLOAT: IonPyFloat,
    IonType.DECIMAL: IonPyDecimal,
    IonType.TIMESTAMP: IonPyTimestamp,
    IonType.SYMBOL: IonPySymbol,
    IonType.STRING: IonPyText,
    IonType.CLOB: IonPyBytes,
    IonType.BLOB: IonPyBytes,
    IonType.LIST: IonPyList,
    IonType.SEXP: IonPyList,
}
_NOT_PLAIN = (IonType.CLOB, IonType.SEXP)


def read_text(text: str) -> Iterator[Any]:
    """Yield the top-level values of Ion text, in the model of `journal.ion.values.read_each`.

    Yields an UnsupportedValueError in the place of a value that cannot be kept. Raises ValueError at the first text
    that is not Ion.
    """
    return _Reader(text).values()


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._symbols: list[str | None] = []
        self._unsupported: UnsupportedValueError | None = None

    def values(self) -> Iterator[Any]:
        while True:
            self._space()
            if self._at == len(self._text):
                return
            if self._version_marker():
                self._symbols = []
                continue
            value = self._value(0)
            is_table = self._is_table(value)
            unsupported, self._unsupported = self._unsupported, None
            if unsupported is not None:
                if is_table:  # no symbol behind it would be known
                    raise unsupported
                yield unsupported
            elif not is_table:
                yield value

    def _version_marker(self) -> bool:
        match = _WORD.match(self._text, self._at)
        if match is None or not match[0].startswith("$ion_1_"):
            return False
        end = _SPACE.match(self._text, match.end())
        assert end is not None
        if self._text.startswith("::", end.end()):
            return False
        if match[0] != "$ion_1_0":
            raise ValueError("another version of Ion")
        self._at = match.end()
        return True

    def _is_table(self, value: Any) -> bool:
        annotations = getattr(value, "ion_annotations", ())
        if not annotations or annotations[0].text != "$ion_symbol_table" or not isinstance(value, IonPyDict):
            return False
        if getattr(value.get("imports"), "text", None) != "$ion_symbol_table":
            self._symbols = []
        symbols = value.get("symbols")
        for symbol in symbols if isinstance(symbols, list) else ():
            self._symbols.append(symbol if isinstance(symbol, str) else None)
        return True

    def _space(self) -> None:
        match = _SPACE.match(self._text, self._at)
        assert match is not None
        self._at = match.end()

    def _skip(self, expected: str) -> bool:
        found = self._text.startswith(expected, self._at)
        if found:
            self._at += len(expected)
        return found

    def _match(self, pattern: re.Pattern[str]) -> re.Match[str]:
        match = pattern.match(self._text, self._at)
        if match is None:
            raise ValueError("not Ion text")
        self._at = match.end()
        return match

    def _value(self, depth: int, *, operators: bool = False) -> Any:
        if depth > _DEEPEST:
            raise ValueError("nested too deeply")
        annotations: list[SymbolToken] = []
        while True:
            kind, value = self._one(depth, operators)
            if kind != IonType.SYMBOL or not self._annotates():
                return made(kind, value, tuple(annotations))
            annotations.append(value)

    def _annotates(self) -> bool:
        before = self._at
        self._space()
        if self._skip("::"):
            self._space()
            return True
        self._at = before
        return False

    def _one(self, depth: int, operators: bool) -> tuple[IonType, Any]:
        text, at = self._text, self._at
        first = text[at : at + 1]
        if first == "{":
            return self._lob() if self._skip("{{") else (IonType.STRUCT, self._fields(depth))
        if first == "[":
            return IonType.LIST, self._members("]", depth, ",")
        if first == "(":
            return IonType.SEXP, self._members(")", depth, "")
        if first == '"':
            return IonType.STRING, self._quoted('"')
        if text.startswith("'''", at):
            return IonType.STRING, self._long()
        if first == "'":
            return IonType.SYMBOL, SymbolToken(self._quoted("'"), None)
        if _NUMBER_START.match(text, at):
            return self._number()
        if operators and _OPERATOR.match(text, at):
            return IonType.SYMBOL, SymbolToken(self._match(_OPERATOR)[0], None)
        return self._word()

    def _word(self) -> tuple[IonType, Any]:
        word = self._match(_WORD)[0]
        if word == "null":
            kind = _NULLS[self._match(_WORD)[0]] if self._skip(".") else IonType.NULL
            return kind, None
        if word in ("true", "false"):
            return IonType.BOOL, word == "true"
        return (IonType.FLOAT, float("nan")) if word == "nan" else (IonType.SYMBOL, self._symbol(word))

    def _symbol(self, word: str) -> SymbolToken:
        if word[0] != "$" or not word[1:].isdigit():
            return SymbolToken(word, None)
        number = int(word[1:]) if len(word) < 20 else 1 << 63
        if number == 0:
            return SymbolToken(None, 0)
        number -= 1
        if number < len(_SYSTEM):
            return SymbolToken(_SYSTEM[number], None)
        if number - len(_SYSTEM) >= len(self._symbols):
            raise ValueError("a symbol id beyond the symbol table")
        text = self._symbols[number - len(_SYSTEM)]
        return SymbolToken(text, None if text is not None else 0)

    def _quoted(self, quote: str) -> str:
        text = self._match(_QUOTED[quote])[1]
        if len(text) > MOST_VALUE:
            self._unsupported = UnsupportedValueError(f"a text of more than {MOST_VALUE >> 20} MB")
            return ""
        return _unescaped(text)

    def _long(self) -> str:
        parts = []
        while True:
            parts.append(self._quoted("'''"))
            before = self._at
            self._space()
            if not self._text.startswith("'''", self._at):
                self._at = before
                return "".join(parts)

    def _members(self, end: str, depth: int, separator: str) -> list[Any]:
        self._at += 1
        members: list[Any] = []
        while True:
            self._space()
            if self._skip(end):
                return members
            members.append(self._value(depth + 1, operators=not separator))
            self._separate(end, separator)

    def _separate(self, end: str, separator: str) -> None:
        self._space()
        if separator and not self._skip(separator) and not self._text.startswith(end, self._at):
            raise ValueError("members without a comma")

    def _fields(self, depth: int) -> list[tuple[str | None, Any]]:
        self._at += 1
        fields: list[tuple[str | None, Any]] = []
        while True:
            self._space()
            if self._skip("}"):
                return fields
            name = self._field_name()
            self._space()
            if self._text.startswith("::", self._at) or not self._skip(":"):
                raise ValueError("a field without a colon")
            self._space()
            fields.append((name, self._value(depth + 1)))
            self._separate("}", ",")

    def _field_name(self) -> str | None:
        first = self._text[self._at : self._at + 1]
        if self._text.startswith("'''", self._at):
            return self._long()
        if first in ('"', "'"):
            return self._quoted(first)
        word = self._match(_WORD)[0]
        if word in _KEYWORDS:
            raise ValueError("a keyword as a field's name")
        text: str | None = self._symbol(word).text
        return text

    def _lob(self) -> tuple[IonType, bytes]:
        self._match(_BLANK)  # no comments within
        if self._text.startswith(('"', "'''"), self._at):
            start = self._at
            content = self._quoted('"') if self._text[self._at] == '"' else self._long()
            if not self._text[start : self._at].isascii():
                raise ValueError("a clob of other characters than ASCII")
            kind, data = IonType.CLOB, content.encode("latin-1")
        else:
            kind, data = IonType.BLOB, b64decode("".join(self._match(_BLOB)[0].split()), validate=True)
        self._match(_BLANK)
        if not self._skip("}}"):
            raise ValueError("a lob without end")
        return kind, data

    def _number(self) -> tuple[IonType, Any]:
        word = self._match(_NUMBER)[0]
        if self._at < len(self._text) and self._text[self._at] not in _STOP:
            raise ValueError("a number with something behind it")
        try:
            return _number(word)
        except UnsupportedValueError as error:
            self._unsupported = error
            return IonType.NULL, None


def _number(word: str) -> tuple[IonType, Any]:
    """Return a number or a timestamp. Raises ValueError or UnsupportedValueError."""
    if word in ("+inf", "-inf"):
        return IonType.FLOAT, float(word)
    if ("-" in word[1:] or "T" in word) and (match := _TIMESTAMP.fullmatch(word)):
        return IonType.TIMESTAMP, _timestamp(match)
    if match := _RADIX.fullmatch(word):
        number = int(match[2], 16) if match[2] else int(match[3], 2)
        return IonType.INT, -number if match[1] else number
    if len(word) > _MOST_DIGITS:
        raise UnsupportedValueError(f"a number of more than {_MOST_DIGITS:,} digits")
    plain = word.replace("_", "")
    if _INT.fullmatch(word):
        return IonType.INT, int(Decimal(plain))  # int() has a limit on digits
    match = _REAL.fullmatch(word)
    if match is None:
        raise ValueError("not a number")
    if match[2] in ("e", "E"):
        return IonType.FLOAT, float(plain)
    return IonType.DECIMAL, _decimal(plain)


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text.replace("d", "e").replace("D", "e"))
    except InvalidOperation:
        raise UnsupportedValueError("a decimal with a huge exponent") from None


def timestamp_in(text: str) -> Timestamp | None:
    """Return the timestamp that a text is in Ion, None for any other text."""
    match = _TIMESTAMP.fullmatch(text)
    try:
        return None if match is None else _timestamp(match)
    except (ValueError, ArithmeticError, UnsupportedValueError):
        return None


def _timestamp(match: re.Match[str]) -> Timestamp:
    year, month, day, mark, hour, minute, second, fraction, offset = match.groups()
    if (hour is None) != (offset is None) or (hour is not None and (day is None or mark is None)):
        raise ValueError("not a timestamp")
    if (month is None and mark is None) or (day is None and mark is None):
        raise ValueError("not a timestamp")
    members: dict[str, Any] = {
        name: int(text)
        for name, text in {"month": month, "day": day, "hour": hour, "minute": minute, "second": second}.items()
        if text is not None
    }
    precisions = (
        (second, TimestampPrecision.SECOND),
        (minute, TimestampPrecision.MINUTE),
        (day, TimestampPrecision.DAY),
        (month, TimestampPrecision.MONTH),
        (year, TimestampPrecision.YEAR),
    )
    members["precision"] = next(precision for text, precision in precisions if text is not None)
    if fraction is not None:
        if len(fraction) > _MOST_DIGITS:
            raise UnsupportedValueError(f"a fraction of more than {_MOST_DIGITS:,} digits")
        members["fractional_seconds"] = Decimal((0, tuple(map(int, fraction)), -len(fraction)))
    if offset is not None and offset != "-00:00":
        sign = -1 if offset[0] == "-" else 1
        members["off_hours"], members["off_minutes"] = (
            (0, 0) if offset == "Z" else (sign * int(offset[1:3]), sign * int(offset[4:6]))
        )
    return timestamp(int(year), **members)


def _unescaped(text: str) -> str:
    if "\\" not in text:
        return text
    text = _ESCAPE.sub(_character, text)
    return text.encode("utf-16", "surrogatepass").decode("utf-16")  # joins pairs; a lone surrogate is an error


def _character(match: re.Match[str]) -> str:
    digits = match[1] or match[2] or match[3]
    return chr(int(digits, 16)) if digits else _ESCAPED[match[4]]


def made(kind: IonType, value: Any, annotations: tuple[SymbolToken, ...]) -> Any:
    """Return a value of the reader's model: plain if it can be, else of amazon.ion's classes.

    `value` is None for a null, a list of names and values for a struct.
    """
    if kind == IonType.STRUCT and value is not None:
        return _struct(value, annotations)
    if value is None:
        if kind == IonType.NULL and not annotations:
            return None
        return IonPyNull.from_value(kind, None, annotations)
    if annotations or kind in _NOT_PLAIN:
        return _CLASSES[kind].from_value(kind, value, annotations)
    return value


def _struct(fields: list[tuple[str | None, Any]], annotations: tuple[SymbolToken, ...]) -> Any:
    members = dict(fields)
    if len(members) == len(fields) and not annotations:
        return members
    struct = IonPyDict.from_value(IonType.STRUCT, {}, annotations)
    for name, member in fields:
        struct.add_item(name, member)
    return struct
