"""Refuses Ion text that imports shared symbol tables, before amazon.ion reads it.

A reader allocates the `max_id` of an imported table, which a few bytes can make 2 to the 62. Text is scanned only if it
may hold a symbol table at all; the scan takes linear time.
"""

import re
from collections.abc import Iterator

from strandline.journal.ion.framing import MANY_APPENDS, MOST_APPENDS, SHARED_TABLE, RefusedError

_TOKEN = re.compile(
    rb"""
      (?P<space> [\s]++ | //[^\n\r]*+ | /\*(?:[^*]|\*(?!/))*+\*/ )
    | (?P<name> [A-Za-z_$][A-Za-z0-9_$]*+ | '''(?:[^'\\]++|\\.|'(?!''))*+'''
              | "(?:[^"\\]++|\\.)*+" | '(?:[^'\\]++|\\.)*+' )
    | (?P<blob> \{\{[A-Za-z0-9+/=\s]*+\}\} )
    | (?P<open> [\[({] )
    | (?P<close> [\])}] )
    | (?P<annotates> :: )
    | (?P<other> . )
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8}))")
_TABLE = ("$ion_symbol_table", "$3")
_IMPORTS = ("imports", "$6")
_SYMBOLS = ("symbols", "$7")
_NO_IMPORTS = (*_TABLE, "null")  # append to the table before, or set a new one

_Token = tuple[str | None, bytes]


def check_tables(data: bytes) -> None:
    """Raise RefusedError if a symbol table of Ion text imports a shared one; damaged text passes."""
    if b"::" not in data or not any(part in data for part in (b"symbol_table", b"$3", b"\\")):
        return
    tokens = ((m.lastgroup, m[0]) for m in _TOKEN.finditer(data) if m.lastgroup != "space")
    depth, first, name, appends = 0, "", "", 0
    for kind, token in tokens:
        if kind == "open":
            if not depth and token == b"{" and first in _TABLE:
                appends = appends + 1 if _check_table(tokens) else 0
                if appends > MOST_APPENDS:
                    raise RefusedError(MANY_APPENDS)
            else:
                depth += 1
        elif kind == "close":
            depth -= 1
        elif depth:
            continue
        elif kind == "name":
            name = _text(token)
            continue
        elif kind == "annotates":
            first = first or name
            continue
        first = ""


def _check_table(tokens: Iterator[_Token]) -> bool:
    """Read a symbol table up to its end, from behind its opening brace. Returns True if it appends."""
    depth, name, is_append = 1, "", False
    for kind, token in tokens:
        if kind == "open":
            depth += 1
        elif kind == "close":
            depth -= 1
            if not depth:
                break
        elif depth == 1 and kind == "name":
            name = _text(token)
        elif depth == 1 and kind == "annotates":
            raise RefusedError(SHARED_TABLE)  # no writer annotates a member
        elif depth == 1 and token == b":" and name in _IMPORTS:
            kind, token = next(tokens, (None, b""))
            if kind == "open" and next(tokens, (None, b""))[1] == b"]":
                continue
            if kind != "name" or _text(token) not in _NO_IMPORTS:
                raise RefusedError(SHARED_TABLE)
            is_append |= _text(token) in _TABLE
        elif depth == 1 and token == b":" and name not in _SYMBOLS:
            raise RefusedError("it has a symbol table with members other than imports and symbols")
    return is_append


def _text(token: bytes) -> str:
    """Return the text of a name, whatever its quotes and escapes."""
    text = token.decode(errors="replace")
    for quote in ("'''", '"', "'"):
        if text.startswith(quote):
            text = text[len(quote) : -len(quote)]
            break
    return _ESCAPE.sub(lambda match: chr(min(int(match[1] or match[2] or match[3], 16), 0x10FFFF)), text)
