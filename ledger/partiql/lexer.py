"""The lexer: a statement's text to tokens, in linear time."""

import re
from typing import Literal, NamedTuple

from strandline.ledger.partiql.errors import StatementSyntaxError, at

MOST_CHARACTERS = 100_000  # QLDB's API, ExecuteStatement

Kind = Literal["keyword", "name", "quoted", "string", "number", "ion", "operator", "end"]

# Words with a meaning in the grammar; any other word is a name (of which the parser refuses the reserved ones).
KEYWORDS = frozenset(
    "ALL AND AS AT BETWEEN BY CASE CREATE CROSS DELETE DISTINCT DROP ELSE END ESCAPE EXEC EXISTS FALSE FROM FULL GROUP "
    "HAVING IN INDEX INNER INSERT INTO IS JOIN LEFT LIKE LIMIT MISSING NOT NULL ON OR ORDER OUTER REMOVE RIGHT SELECT "
    "SET TABLE THEN TRUE UNDROP UNION UNPIVOT UPDATE VALUE WHEN WHERE WITH".split()
)

# Possessive throughout: no input makes it go back.
_TOKEN = re.compile(
    r"""
    (?P<space>   \s++ | --[^\n]*+ | /\*(?:[^*]++|\*(?!/))*+\*/ )
  | (?P<string>  '(?:[^']++|'')*+' )
  | (?P<quoted>  "(?:[^"]++|"")*+" )
  | (?P<ion>     `(?:[^`'"]++ | '''(?:[^'\\]++|\\.|'(?!''))*+''' | '(?:[^'\\]++|\\.)*+' | "(?:[^"\\]++|\\.)*+")*+` )
  | (?P<number>  (?:\d++(?:\.\d*+)?+|\.\d++)(?:[eE][+-]?+\d++)?+ )
  | (?P<word>    [^\W\d][\w$]*+ | \$[\w$]*+ )
  | (?P<operator> <<|>>|<=|>=|<>|!=|\|\||/(?!\*)|[-+*%=<>().,\[\]{}:?@;] )
    """,
    re.VERBOSE | re.DOTALL,
)
_UNENDED = {"'": "a string", '"': "a quoted name", "`": "an Ion literal", "/": "a comment"}


class Token(NamedTuple):
    """A token; `value` is a keyword in upper case, a name, a string without its quotes, or the text."""

    kind: Kind
    value: str
    position: int


def tokens(text: str) -> list[Token]:
    """Return the tokens of a statement, the last of kind "end". Raises StatementSyntaxError."""
    if len(text) > MOST_CHARACTERS:
        raise StatementSyntaxError(f"Lexer Error: a statement has at most {MOST_CHARACTERS:,} characters")
    found: list[Token] = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise _error(text, position)
        if match.lastgroup != "space":
            found.append(_token(match))
        position = match.end()
    found.append(Token("end", "", len(text)))
    return found


def _token(match: re.Match[str]) -> Token:
    kind, text, position = match.lastgroup, match[0], match.start()
    if kind == "word":
        upper = text.upper()
        return Token("keyword", upper, position) if upper in KEYWORDS else Token("name", text, position)
    if kind == "string":
        return Token("string", text[1:-1].replace("''", "'"), position)
    if kind == "quoted":
        return Token("quoted", text[1:-1].replace('""', '"'), position)
    if kind == "ion":
        return Token("ion", text[1:-1], position)
    return Token("number" if kind == "number" else "operator", text, position)


def _error(text: str, position: int) -> StatementSyntaxError:
    character = text[position]
    if character in _UNENDED and (character != "/" or text[position : position + 2] == "/*"):
        return StatementSyntaxError(f"Lexer Error: {at(text, position)}: {_UNENDED[character]} does not end")
    return StatementSyntaxError(f"Lexer Error: {at(text, position)}: U+{ord(character):04X} is no part of a statement")
