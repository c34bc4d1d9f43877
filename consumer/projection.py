"""The projection contract: what one read model is for, as one file in `projections/` says it.

A projection's module has one `PROJECTION`: a purpose, the source tables, the columns, who may read them, and one pure
function to rows, from a revision, a block, or what is looked up for a key. Positions, batches, retries and SQL are the
projector's and the sink's.
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
from decimal import Decimal
from functools import cache
from types import ModuleType
from typing import Any, ClassVar, Literal, NamedTuple, Protocol

from consumer.sinks.sql_types import INDEXABLE, TYPES
from journal.errors import UsageError

Store = Literal["postgresql", "opensearch"]
State = Literal["normal", "redacted", "deleted"]
Rows = Iterable[Mapping[str, object]]

SOURCE_COLUMNS = ("source_document", "source_version", "source_block")
COMPOSED_SOURCE_COLUMNS = ("source_key", "source_block")  # projection.source holds the documents of the key
RESERVED = frozenset((*SOURCE_COLUMNS, *COMPOSED_SOURCE_COLUMNS))
# Leaves room for a generation's number and an index's suffix within PostgreSQL's 63 bytes.
NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")

_INDENTATION = {"INDENT": "\1", "DEDENT": "\2"}  # what no token's text is


class Unprojectable(Exception):
    """Raised by a projection for a revision that it cannot take; the text is stored and shown: constant, no payload."""


class Revision(NamedTuple):
    """One revision of a document, as the journal holds it now: `data` is None unless `state` is normal.

    Numbers in `data` are int or Decimal. (A tuple, since one is made for every revision of the journal.)
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
        data = self.data
        value = data.get(field) if isinstance(data, dict) else None
        return value if isinstance(value, str) else None

    def field(self, name: str) -> Any:
        """The field's JSON value; None where it is missing, or the revision has no data."""
        return self.data.get(name) if isinstance(self.data, dict) else None

    def number(self, field: str) -> int | Decimal | None:
        """The field's number; None where the field is missing or of another type, or the revision has no data."""
        value = self.field(field)
        return value if isinstance(value, int | Decimal) and not isinstance(value, bool) else None

    def boolean(self, field: str) -> bool | None:
        """The field's truth value; None where the field is missing or of another type, or the revision has no data."""
        value = self.field(field)
        return value if isinstance(value, bool) else None

    def moment(self, field: str) -> datetime | None:
        """The field's moment; None where it is missing, or no full timestamp with an offset.

        Ion's timestamps come as text.
        """
        text = self.text(field)
        try:
            found = datetime.fromisoformat(text) if text else None
        except ValueError:
            return None
        return found if found and found.tzinfo else None


class NarrowRevision(Revision):
    """A revision for a projection that names the fields it reads (`of`): `data` has no others, and to ask for one that
    is not named raises `Unprojectable`."""

    __slots__ = ()
    of: ClassVar[frozenset[str]] = frozenset()

    def text(self, field: str) -> str | None:
        data = self.data
        value = data.get(field) if data else None
        return value if isinstance(value, str) else self._none(field)

    def field(self, name: str) -> Any:
        value = self.data.get(name) if self.data else None
        return self._none(name) if value is None else value

    def _none(self, field: str) -> None:
        if field not in self.of:
            raise Unprojectable("it reads a field that it does not name")


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
    """A column of the read model; `type` is one of `consumer.sinks.sql_types.TYPES`.

    `mapping` is the field's in OpenSearch, where it is not what the type says (`consumer.sinks.search_index.FIELDS`).
    """

    name: str
    type: str
    description: str
    mapping: Mapping[str, object] | None = None


@dataclass(frozen=True)
class RowProjection:
    """A revision means some rows.

    `keeps` current: a revision replaces all rows of its document, a deletion or redaction leaves none, and `rows` is
    called for normal revisions only. `keeps` history: `rows` is called for every revision, `data` None where redacted
    or deleted. Rows are told apart by the document (history: and version) and the `key` columns, which are never empty.
    `fields` are those of the documents that `rows` reads: where it names them it is given no others, which is faster.
    `subjects` are the fields of the ledger's documents, as `Contact.email`, by which `find-subject` finds a person.
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
    store: Store = "postgresql"
    analysis: Mapping[str, object] | None = None  # the index's analyzers in OpenSearch
    subjects: tuple[str, ...] = ()
    fields: tuple[str, ...] | None = None


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
    store: Store = "postgresql"
    analysis: Mapping[str, object] | None = None  # the index's analyzers in OpenSearch


class Through(NamedTuple):
    """The keys of the documents of `table` whose `field` is the text `value`."""

    table: str
    field: str
    value: str


class Lookup(Protocol):
    """Finds the current documents of a table whose field is that text, in the order of their ids.

    As of one position of the journal. Only what the projection declares in `lookups` is found; a document without data
    is not, and a value that is no text finds nothing. It may at first find nothing of what is there: then all that was
    made of that is thrown away, and made again once the documents are fetched.
    """

    def __call__(self, table: str, field: str, value: object) -> Sequence[Revision]: ...


@dataclass(frozen=True)
class Computed:
    """A column that only the view has: what depends on the time of asking. `sql` is over the projection's columns."""

    name: str
    sql: str
    description: str


@dataclass(frozen=True)
class ComposedProjection:
    """A revision touches some keys; the rows of a key are composed from documents as they are at one position.

    `lookups` names the tables and, of each, the fields that documents are found by. `keys` says which keys a revision
    that has data touches: all for which `compose` would find the document. What the document itself does not tell it
    names by others (`Through`). A document for which `keys` raises parks, and is found nowhere. `compose` makes a key's
    rows from what it looks up; where it finds nothing, there are none. Rows are told apart by the key and the `key`
    columns, which are never empty. `fields` are those that both read besides the ones of `lookups`, as in a
    `RowProjection`.
    """

    name: str
    purpose: str
    lookups: Mapping[str, tuple[str, ...]]
    readers: Literal["analysts", "cleared"]
    columns: tuple[Column, ...]
    keys: Callable[[Revision], Iterable[str | Through]]
    compose: Callable[[str, Lookup], Rows]
    key: tuple[str, ...] = ()
    indexes: tuple[tuple[str, ...], ...] = ()
    computed: tuple[Computed, ...] = ()
    store: Store = "postgresql"
    analysis: Mapping[str, object] | None = None  # the index's analyzers in OpenSearch
    fields: tuple[str, ...] | None = None

    @property
    def tables(self) -> tuple[str, ...]:
        return tuple(self.lookups)


Projection = RowProjection | BlockProjection | ComposedProjection


def computed(projection: Projection) -> tuple[Computed, ...]:
    """The columns that only the projection's view has."""
    return projection.computed if isinstance(projection, ComposedProjection) else ()


def fields_read(projection: Projection) -> frozenset[str] | None:
    """The fields of documents that the projection reads; None where it does not name them."""
    if isinstance(projection, BlockProjection) or projection.fields is None:
        return None
    lookups = projection.lookups.values() if isinstance(projection, ComposedProjection) else ()
    return frozenset(projection.fields).union(*lookups)


def function(projection: Projection) -> Callable[..., Any]:
    """The function that says what the projection means; its module is the definition."""
    return projection.compose if isinstance(projection, ComposedProjection) else projection.rows


def discover(packages: Sequence[str]) -> dict[str, Projection]:
    """Every projection in the packages (or single modules) and what is below them, by name.

    Raises `UsageError` where a module cannot be imported, or a projection contradicts itself or another.
    """
    found: dict[str, Projection] = {}
    for module in {module.__name__: module for name in packages for module in _modules(name)}.values():
        projection = getattr(module, "PROJECTION", None)
        if projection is None:
            continue
        if not isinstance(projection, Projection):
            raise UsageError(f"{module.__name__}: PROJECTION is not a Row-, Block- or ComposedProjection.")
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
    names = [*(column.name for column in projection.columns), *(column.name for column in computed(projection))]
    if not NAME.fullmatch(projection.name):
        return "a projection's name has at most 40 small letters, digits and underscores."
    if odd := [name for name in names if not NAME.fullmatch(name) or name in RESERVED]:
        return f"{odd[0]!r} cannot be a column's name."
    if len(set(names)) < len(names):
        return "two columns have one name."
    if odd := [column.type for column in projection.columns if column.type not in TYPES]:
        return f"{odd[0]!r} is not a column type; there are {', '.join(TYPES)}."
    indexable = [column.name for column in projection.columns if column.type in INDEXABLE]
    if odd := [name for part in (projection.key, *projection.indexes) for name in part if name not in indexable]:
        return f"key or index names {odd[0]!r}, which is no column, or not of {', '.join(INDEXABLE)}."
    if not isinstance(projection, BlockProjection) and not projection.tables:
        return "it names no source tables."
    return _store_fault(projection)


def _store_fault(projection: Projection) -> str | None:
    if projection.store == "postgresql":
        told = projection.analysis or any(column.mapping for column in projection.columns)
        return "analyzers and mappings are for OpenSearch only." if told else None
    if projection.readers != "analysts":
        return "a restricted read model may not be in OpenSearch."
    if projection.indexes or (isinstance(projection, ComposedProjection) and projection.computed):
        return "indexes and computed columns are for PostgreSQL only."
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
