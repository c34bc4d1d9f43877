"""The projection contract: what one read model is for, as one file in `projections/` says it.

A projection's module has one `PROJECTION`: a purpose, the source tables, the columns, who may read them, and one pure
function from a revision (or a block) to rows. Positions, batches, retries and SQL are the projector's and the sink's.
"""

import hashlib
import importlib
import inspect
import io
import pkgutil
import re
import tokenize
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import ModuleType
from typing import Any, Literal

from consumer.sinks.sql_types import INDEXABLE, TYPES
from journal.errors import UsageError

State = Literal["normal", "redacted", "deleted"]
Rows = Iterable[Mapping[str, object]]

SOURCE_COLUMNS = ("source_document", "source_version", "source_block")
# Leaves room for a generation's number and an index's suffix within PostgreSQL's 63 bytes.
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")

_INDENTATION = {"INDENT": "\1", "DEDENT": "\2"}  # what no token's text is


class Unprojectable(Exception):
    """Raised by a projection for a revision that it cannot take; the text is stored and shown: constant, no payload."""


@dataclass(frozen=True, slots=True)
class Revision:
    """One revision of a document, as the journal holds it now: `data` is None unless `state` is normal.

    Numbers in `data` are int or Decimal.
    """

    document_id: str
    version: int
    table: str
    sequence_no: int
    tx_id: str
    tx_time: datetime
    state: State
    data: dict[str, Any] | None
    hash: bytes

    def text(self, field: str) -> str | None:
        """The field's text; None where the field is missing or of another type, or the revision has no data."""
        value = self.data.get(field) if isinstance(self.data, dict) else None
        return value if isinstance(value, str) else None

    def field(self, name: str) -> Any:
        """The field's JSON value; None where it is missing, or the revision has no data."""
        return self.data.get(name) if isinstance(self.data, dict) else None


@dataclass(frozen=True, slots=True)
class Block:
    """One block, without its contents: `revisions` counts those of documents, not the system's."""

    sequence_no: int
    block_time: datetime | None
    transaction_id: str | None
    level: str
    statement_kinds: list[str]
    tables: list[str]
    revisions: int
    redactions: int


@dataclass(frozen=True)
class Column:
    """A column of the read model; `type` is one of `consumer.sinks.sql_types.TYPES`."""

    name: str
    type: str
    description: str


@dataclass(frozen=True)
class RowProjection:
    """A revision means some rows.

    `keeps` current: a revision replaces all rows of its document, a deletion or redaction leaves none, and `rows` is
    called for normal revisions only. `keeps` history: `rows` is called for every revision, `data` None where redacted
    or deleted. Rows are told apart by the document (history: and version) and the `key` columns, which are never empty.
    """

    name: str
    purpose: str
    tables: tuple[str, ...]
    keeps: Literal["current", "history"]
    readers: Literal["analysts", "cleared"]
    columns: tuple[Column, ...]
    rows: Callable[[Revision], Rows]
    key: tuple[str, ...] = ()
    indexes: tuple[tuple[str, ...], ...] = ()
    store: Literal["postgresql"] = "postgresql"


@dataclass(frozen=True)
class BlockProjection:
    """A block means some rows, told apart by the block and the `key` columns."""

    name: str
    purpose: str
    readers: Literal["analysts", "cleared"]
    columns: tuple[Column, ...]
    rows: Callable[[Block], Rows]
    key: tuple[str, ...] = ()
    indexes: tuple[tuple[str, ...], ...] = ()
    store: Literal["postgresql"] = "postgresql"


Projection = RowProjection | BlockProjection


def discover(packages: Sequence[str]) -> dict[str, Projection]:
    """Every projection in the packages (or single modules) and what is below them, by name.

    Raises `UsageError` where a module cannot be imported, or a projection contradicts itself or another.
    """
    found: dict[str, Projection] = {}
    for module in {module.__name__: module for name in packages for module in _modules(name)}.values():
        projection = getattr(module, "PROJECTION", None)
        if projection is None:
            continue
        if not isinstance(projection, RowProjection | BlockProjection):
            raise UsageError(f"{module.__name__}: PROJECTION is not a RowProjection or BlockProjection.")
        if fault := _fault(projection):
            raise UsageError(f"{module.__name__}: {fault}")
        if projection.name in found:
            raise UsageError(f"{module.__name__}: another projection is named {projection.name!r} already.")
        found[projection.name] = projection
    return dict(sorted(found.items()))


def fingerprint(projection: Projection) -> str:
    """Hash of the definition: of the tokens of its module, but for comments, docstrings and layout.

    The same in every Python version. Raises `UsageError` where the module has no source.
    """
    module = inspect.getmodule(projection.rows)
    try:
        source = inspect.getsource(module) if module else ""
    except OSError:
        source = ""
    if not source:
        raise UsageError(f"The projection {projection.name} has no source file to take its fingerprint from.")
    return hashlib.sha256("\n".join("\0".join(tokens) for tokens in _statements(source)).encode()).hexdigest()


def _modules(name: str) -> Iterator[ModuleType]:
    module = _import(name)
    yield module
    if hasattr(module, "__path__"):
        for below in sorted(pkgutil.iter_modules(module.__path__), key=lambda info: info.name):
            yield from _modules(f"{name}.{below.name}")


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except Exception as exc:
        raise UsageError(
            f"The projections in {name} cannot be imported ({type(exc).__name__}: {exc}).\n"
            "Check the module, or STRANDLINE_PROJECTIONS."
        ) from exc


def _fault(projection: Projection) -> str | None:
    names = [column.name for column in projection.columns]
    if not _NAME.fullmatch(projection.name):
        return "a projection's name has at most 40 small letters, digits and underscores."
    if odd := [name for name in names if not _NAME.fullmatch(name) or name in SOURCE_COLUMNS]:
        return f"{odd[0]!r} cannot be a column's name."
    if len(set(names)) < len(names):
        return "two columns have one name."
    if odd := [column.type for column in projection.columns if column.type not in TYPES]:
        return f"{odd[0]!r} is not a column type; there are {', '.join(TYPES)}."
    indexable = [column.name for column in projection.columns if column.type in INDEXABLE]
    if odd := [name for part in (projection.key, *projection.indexes) for name in part if name not in indexable]:
        return f"key or index names {odd[0]!r}, which is no column, or not of {', '.join(INDEXABLE)}."
    if isinstance(projection, RowProjection) and not projection.tables:
        return "it names no source tables."
    return None


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
