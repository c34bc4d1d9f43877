"""The projection contract: one read model, declared by one module.

The module has one `PROJECTION`: a purpose, the source tables, the columns, who may read them, and one pure function
that makes rows from a revision, from a block, or from the documents that it looks up for a key. The projector and the
sink do the rest: positions, batches, retries and SQL. This module imports the standard library only.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar, Literal, NamedTuple, Protocol

Keeps = Literal["current", "history"]
Readers = Literal["analysts", "cleared"]
Store = Literal["postgresql", "opensearch"]
State = Literal["normal", "redacted", "deleted"]
Rows = Iterable[Mapping[str, object]]

SOURCE_COLUMNS = ("source_document", "source_version", "source_block")
COMPOSED_SOURCE_COLUMNS = ("source_key", "source_block")  # projection.source has the documents of the key
SYSTEM_COLUMNS = ("tableoid", "ctid", "xmin", "cmin", "xmax", "cmax")  # of every table in PostgreSQL
RESERVED = frozenset((*SOURCE_COLUMNS, *COMPOSED_SOURCE_COLUMNS, *SYSTEM_COLUMNS))
# 40 characters leave room for a generation's number and an index's suffix within PostgreSQL's 63 bytes.
# The view read.read_models lists the read models.
NAME = re.compile(r"(?!read_models\Z)[a-z][a-z0-9_]{0,39}")


class Unprojectable(Exception):
    """A projection raises it to park a revision. Its text is stored and shown: constant, without payload."""


class Revision(NamedTuple):
    """One revision of a document, as the journal has it now: `data` is None unless `state` is normal.

    Numbers in `data` are int or Decimal. (It is a tuple because one is made for every revision of the journal.)
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
        """Return the field's text; None if it is missing or of another type, or the revision has no data."""
        data = self.data
        value = data.get(field) if isinstance(data, dict) else None
        return value if isinstance(value, str) else None

    def required_text(self, field: str) -> str:
        """Return the field's text; raises `Unprojectable` if `text` returns None."""
        text = self.text(field)
        if text is None:
            raise Unprojectable(f"{field} is missing or not text")
        return text

    def field(self, name: str) -> Any:
        """Return the field's JSON value; None if it is missing, or the revision has no data."""
        return self.data.get(name) if isinstance(self.data, dict) else None

    def number(self, field: str) -> int | Decimal | None:
        """Return the field's number; None if it is missing or of another type, or the revision has no data."""
        value = self.field(field)
        return value if isinstance(value, int | Decimal) and not isinstance(value, bool) else None

    def boolean(self, field: str) -> bool | None:
        """Return the field's truth value; None if it is missing or of another type, or the revision has no data."""
        value = self.field(field)
        return value if isinstance(value, bool) else None

    def moment(self, field: str) -> datetime | None:
        """Return the field's moment; None if it is missing, or no full timestamp with an offset.

        In `data`, Ion's timestamps are texts.
        """
        text = self.text(field)
        try:
            found = datetime.fromisoformat(text) if text else None
        except ValueError:
            return None
        return found if found and found.tzinfo else None


class NarrowRevision(Revision):
    """A revision for a projection that names the fields it reads (`of`): `data` has no others.

    Raises `Unprojectable` if the projection reads another field.
    """

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
    """One block, without its contents. `revisions` counts those of documents, without the system's."""

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
    """A column of the read model; `type` is one of `consumer.projection.column_types.TYPES`.

    `mapping` is the field's mapping in OpenSearch, if it is not that of the type (`sinks.opensearch.index.FIELDS`).
    """

    name: str
    type: str
    description: str
    mapping: Mapping[str, object] | None = None


@dataclass(frozen=True)
class RowProjection:
    """Rows that each come from one revision.

    `keeps` current: a revision replaces all rows of its document, a deletion or redaction leaves none, and `rows` is
    called for normal revisions only. `keeps` history: `rows` is called for every revision; `data` is None if it is
    redacted or deleted. A row is identified by the document (history: and version) and the `key` columns, which are
    never empty. `fields` are the fields of documents that `rows` reads: if it names them it gets no others, which is
    faster. `subjects` are fields such as `Contact.email`, by which `find-subject` finds a person.
    """

    name: str
    purpose: str
    tables: tuple[str, ...]
    keeps: Keeps
    readers: Readers
    columns: tuple[Column, ...]
    rows: Callable[[Revision], Rows]
    key: tuple[str, ...] = ()
    indexes: tuple[tuple[str, ...], ...] = ()
    store: Store = "postgresql"
    analysis: Mapping[str, object] | None = None  # the index's analyzers in OpenSearch
    shards: int | None = None  # of the index in OpenSearch; None: OpenSearch's default
    subjects: tuple[str, ...] = ()
    fields: tuple[str, ...] | None = None
    code_hash: str = ""  # set by discovery


@dataclass(frozen=True)
class BlockProjection:
    """Rows that each come from one block; a row is identified by the block and the `key` columns."""

    name: str
    purpose: str
    readers: Readers
    columns: tuple[Column, ...]
    rows: Callable[[Block], Rows]
    key: tuple[str, ...] = ()
    indexes: tuple[tuple[str, ...], ...] = ()
    store: Store = "postgresql"
    analysis: Mapping[str, object] | None = None  # the index's analyzers in OpenSearch
    shards: int | None = None  # of the index in OpenSearch; None: OpenSearch's default
    code_hash: str = ""  # set by discovery


class KeyLookup(NamedTuple):
    """The keys of the documents of `table` whose `field` is the text `value`."""

    table: str
    field: str
    value: str


class Lookup(Protocol):
    """Finds the current documents of a table whose field has that text, in the order of their ids.

    It finds documents as of one position of the journal, by the fields that the projection declares in `lookups`. It
    finds no document without data, and none by a value that is no text. It may at first return nothing although there
    are documents: the result of that run is discarded, and the function runs again when they are fetched.
    """

    def __call__(self, table: str, field: str, value: object) -> Sequence[Revision]: ...


@dataclass(frozen=True)
class Computed:
    """A column that only the view has, for values that depend on the current time. `sql` uses the other columns."""

    name: str
    sql: str
    description: str


@dataclass(frozen=True)
class ComposedProjection:
    """Rows of a key, composed from several documents as of one position.

    `lookups` names the tables and, of each, the fields by which documents are found. `keys` yields the keys that a
    revision with data touches: all for which `compose` would find the document. A key that the document does not have
    itself is named by a `KeyLookup`. If `keys` raises, the document parks, and no look-up finds it. `compose` makes a
    key's rows from what it looks up; if it finds no document, there are none. A row is identified by the key and the
    `key` columns, which are never empty. `fields` are the fields that both functions read besides those of `lookups`,
    as in a `RowProjection`.
    """

    name: str
    purpose: str
    lookups: Mapping[str, tuple[str, ...]]
    readers: Readers
    columns: tuple[Column, ...]
    keys: Callable[[Revision], Iterable[str | KeyLookup]]
    compose: Callable[[str, Lookup], Rows]
    key: tuple[str, ...] = ()
    indexes: tuple[tuple[str, ...], ...] = ()
    computed: tuple[Computed, ...] = ()
    store: Store = "postgresql"
    analysis: Mapping[str, object] | None = None  # the index's analyzers in OpenSearch
    shards: int | None = None  # of the index in OpenSearch; None: OpenSearch's default
    fields: tuple[str, ...] | None = None
    code_hash: str = ""  # set by discovery

    @property
    def tables(self) -> tuple[str, ...]:
        return tuple(self.lookups)


Projection = RowProjection | BlockProjection | ComposedProjection


def computed(projection: Projection) -> tuple[Computed, ...]:
    """Return the columns that only the projection's view has."""
    return projection.computed if isinstance(projection, ComposedProjection) else ()


def fields_read(projection: Projection) -> frozenset[str] | None:
    """Return the fields of documents that the projection reads; None if it does not name them."""
    if isinstance(projection, BlockProjection) or projection.fields is None:
        return None
    lookups = projection.lookups.values() if isinstance(projection, ComposedProjection) else ()
    return frozenset(projection.fields).union(*lookups)


def function(projection: Projection) -> Callable[..., Any]:
    """Return the function that makes the projection's rows."""
    return projection.compose if isinstance(projection, ComposedProjection) else projection.rows
