"""The fingerprint of a projection's definition: a generation is rebuilt when it changes."""

import hashlib
import inspect
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache

from strandline.consumer.projection.definition import Projection, function
from strandline.journal.errors import UsageError

_INDENTATION = {"INDENT": "\1", "DEDENT": "\2"}  # what no token's text is


def fingerprint(projection: Projection) -> str:
    """Hash of the definition: of the tokens of its module, but for comments, docstrings and layout.

    The same in every Python version. Raises `UsageError` where the module has no source.
    """
    module = inspect.getmodule(function(projection))
    try:
        source = inspect.getsource(module) if module else ""
    except OSError:
        source = ""
    if not source:
        raise UsageError(f"The projection {projection.name} has no source file to take its fingerprint from.")
    return _fingerprint(source)


@cache
def _fingerprint(source: str) -> str:
    return hashlib.sha256("\n".join("\0".join(tokens) for tokens in _statements(source)).encode()).hexdigest()


def _statements(source: str) -> Iterator[list[str]]:
    """The tokens of each logical line, without docstrings; a change of indentation is a token."""
    lines = source.splitlines(keepends=True)
    tokens: list[str] = []
    f_string: list[tokenize.TokenInfo] = []  # Python 3.12 and later: those open here, one in another
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        kind = tokenize.tok_name[token.type]
        if kind == "FSTRING_START":
            f_string.append(token)
        elif kind == "FSTRING_END":
            start = f_string.pop()
            if not f_string:  # as Python 3.11 has it: one token, the text between
                tokens.append(_between(lines, start.start, token.end))
        elif f_string or kind in ("COMMENT", "NL", "ENCODING", "ENDMARKER"):
            continue
        elif kind == "NEWLINE":
            code = [part for part in tokens if part not in _INDENTATION.values()]
            yield [part for part in tokens if part not in code] if all(map(_is_plain_string, code)) else tokens
            tokens = []
        else:
            tokens.append(_INDENTATION.get(kind, token.string))


def _between(lines: list[str], start: tuple[int, int], end: tuple[int, int]) -> str:
    part = lines[start[0] - 1 : end[0]]
    part[-1] = part[-1][: end[1]]
    part[0] = part[0][start[1] :]
    return "".join(part)


def _is_plain_string(token: str) -> bool:
    """Whether the token is a string without code in it: a statement of such, like a docstring, does nothing."""
    prefix = re.match(r"""([A-Za-z]*)["']""", token)
    return prefix is not None and "f" not in prefix[1].lower()
