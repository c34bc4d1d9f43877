"""The fingerprint of a projection's definition: a generation is rebuilt when it changes."""

import ast
import hashlib
import importlib.util
import io
import re
import tokenize
from collections.abc import Iterator, Sequence
from dataclasses import fields
from functools import cache
from pathlib import Path
from threading import Lock

from strandline.consumer.projection.definition import Projection, function
from strandline.journal.errors import UsageError

# Python 3.11's parser counts its recursion for all threads together, and fails if two of them parse at a time.
_PARSING = Lock()
_INDENTATION = {"INDENT": "\1", "DEDENT": "\2"}  # no token has this text


def fingerprint(projection: Projection) -> str:
    """Return a hash of the declaration and of the code that it runs; the same in every Python version.

    Raises `UsageError` if the code has no source file.
    """
    code = projection.code_hash or hash_code(function(projection).__module__)
    declaration = [
        f"{field.name}={_text(getattr(projection, field.name))}"
        for field in fields(projection)
        if field.name != "code_hash" and (field.name != "shards" or projection.shards is not None)
    ]
    return hashlib.sha256("\n".join([type(projection).__name__, code, *declaration]).encode()).hexdigest()


def hash_code(module: str, packages: Sequence[str] = ()) -> str:
    """Hash a module and all that it imports, directly or not, from the packages or from its own folder.

    Comments, docstrings, layout and the names of modules do not count. Raises `UsageError` if one has no source file.
    """
    hashes = sorted(_hash_tokens(_source(name)) for name in imported_modules(module, packages))
    return hashlib.sha256("\n".join(hashes).encode()).hexdigest()


def imported_modules(module: str, packages: Sequence[str] = ()) -> set[str]:
    """Return the module and all that it imports, directly or not, from the packages or from its own folder."""
    roots = {*packages, module.rpartition(".")[0]} - {""}
    found: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        found.add(name)
        within = {one for one in _imports(name) if any(one == root or one.startswith(f"{root}.") for root in roots)}
        waiting += sorted(one for one in within - found if _spec(one))
    return found


def _imports(module: str) -> Iterator[str]:
    """The names of modules that its import statements may mean, wherever in the code they are."""
    spec = _spec(module)
    package = "" if spec is None else module if spec.submodule_search_locations is not None else spec.parent or ""
    with _PARSING:
        tree = ast.parse(_source(module))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _spec(module: str) -> importlib.machinery.ModuleSpec | None:
    try:
        return importlib.util.find_spec(module)
    except (ImportError, ValueError):  # its parent is a module, no package; or it runs as a script
        return None


def _source(module: str) -> str:
    spec = _spec(module)
    if spec is not None and spec.origin is None and spec.submodule_search_locations is not None:
        return ""  # a folder without __init__.py
    try:
        return importlib.util.decode_source(Path(spec.origin if spec and spec.origin else "").read_bytes())
    except (OSError, SyntaxError, UnicodeDecodeError):
        raise UsageError(f"The module {module} has no source file to take a projection's fingerprint from.") from None


def _text(value: object) -> str:
    return value.__qualname__ if callable(value) and hasattr(value, "__qualname__") else repr(value)


@cache
def _hash_tokens(source: str) -> str:
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
    """Return whether the token is a string without code in it: a statement of such, like a docstring, does nothing."""
    prefix = re.match(r"""([A-Za-z]*)["']""", token)
    return prefix is not None and "f" not in prefix[1].lower()
