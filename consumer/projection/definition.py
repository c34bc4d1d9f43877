"""The projection contract: what one read model is for, as one file in `projections/` says it.

A projection's module has one `PROJECTION`: a purpose, the source tables, the columns, who may read them, and one pure
function to rows, from a revision, a block, or what is looked up for a key. Positions, batches, retries and SQL are the
projector's and the sink's.
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
COMPOSED_SOURCE_COLUMNS = ("source_key", "source_block")  # projection.source holds the documents of the key
SYSTEM_COLUMNS = ("tableoid", "ctid", "xmin", "cmin", "xmax", "cmax")  # of every table in PostgreSQL
RESERVED = frozenset((*SOURCE_COLUMNS, *COMPOSED_SOURCE_COLUMNS, *SYSTEM_COLUMNS))
# Leaves room for a generation's number and an index's suffix within PostgreSQL's 63 bytes.
NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")


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

    def required_text(self, field: str) -> str:
        """Return the field's text; raises `Unprojectable` if `text` returns None."""
        text = self.text(field)
        if text is None:
            raise Unprojectable(f"{field} is missing or not text")
        return text

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
    """A column of the read model; `type` is one of `consumer.projection.column_types.TYPES`.

    `mapping` is the field's in OpenSearch, where it is not what the type says (`sinks.opensearch.index.FIELDS`).
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
    keeps: Keeps
    readers: Readers
    columns: tuple[Column, ...]
    rows: Callable[[Revision], Rows]
    key: tuple[str, ...] = ()
    indexes: tuple[tuple[str, ...], ...] = ()
    store: Store = "postgresql"
    analysis: Mapping[str, object] | None = None  # the index's analyzers in OpenSearch
    subjects: tuple[str, ...] = ()
    fields: tuple[str, ...] | None = None
    code_hash: str = ""  # set by discovery


@dataclass(frozen=True)
class BlockProjection:
    """A block means some rows, told apart by the block and the `key` columns."""

    name: str
    purpose: str
    readers: Readers
    columns: tuple[Column, ...]
    rows: Callable[[Block], Rows]
    key: tuple[str, ...] = ()
    indexes: tuple[tuple[str, ...], ...] = ()
    store: Store = "postgresql"
    analysis: Mapping[str, object] | None = None  # the index's analyzers in OpenSearch
    code_hash: str = ""  # set by discovery


class KeyLookup(NamedTuple):
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
    names by others (`KeyLookup`). A document for which `keys` raises parks, and is found nowhere. `compose` makes a
    key's rows from what it looks up; where it finds nothing, there are none. Rows are told apart by the key and the
    `key` columns, which are never empty. `fields` are those that both read besides the ones of `lookups`, as in a
    `RowProjection`.
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
    fields: tuple[str, ...] | None = None
    code_hash: str = ""  # set by discovery

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
