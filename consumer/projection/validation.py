"""Validates a projection's declaration, field by field: a mistake is found at load, not when a rebuild cuts over."""

from collections.abc import Iterator, Mapping
from typing import Any, get_args

from strandline.consumer.projection.column_types import INDEXABLE, TYPES
from strandline.consumer.projection.definition import (
    NAME,
    RESERVED,
    BlockProjection,
    Column,
    ComposedProjection,
    Computed,
    Keeps,
    Projection,
    Readers,
    RowProjection,
    Store,
    computed,
)

MOST_SHARDS = 1_024  # OpenSearch's own limit


def find_fault(projection: Projection) -> str | None:
    """Return what is wrong with the declaration: the field, the problem and the values allowed; None if it is valid."""
    return next(_faults(projection), None)


def _faults(projection: Projection) -> Iterator[str]:
    """Later checks rely on earlier ones: only the first fault is meaningful."""
    if not _is_name(projection.name):
        yield f"name is {projection.name!r}; allowed are at most 40 small letters, digits and underscores."
    yield from _text("purpose", projection.purpose)
    yield from _choice("readers", projection.readers, Readers)
    yield from _choice("store", projection.store, Store)
    yield from _members("columns", projection.columns, Column)
    for column in projection.columns:
        yield from _column(column)
    yield from _tuple("key", projection.key)
    yield from _members("indexes", projection.indexes, tuple)
    for index in projection.indexes:
        yield from _tuple("indexes", index, empty=False)
    yield from _mapping("analysis", projection.analysis)
    if projection.shards is not None and projection.shards not in range(1, MOST_SHARDS + 1):
        yield f"shards is {projection.shards!r}; allowed are 1 to {MOST_SHARDS:,}."
    if isinstance(projection, ComposedProjection):
        yield from _composed(projection)
    else:
        yield from _function("rows", projection.rows)
    if isinstance(projection, RowProjection):
        yield from _choice("keeps", projection.keeps, Keeps)
        yield from _tuple("tables", projection.tables, empty=False)
        yield from _tuple("subjects", projection.subjects)
        if odd := [subject for subject in projection.subjects if not all(subject.partition("."))]:
            yield f"subjects has {odd[0]!r}; allowed is a table and a field: 'Contact.email'."
    if not isinstance(projection, BlockProjection) and projection.fields is not None:
        yield from _tuple("fields", projection.fields)
    yield from _names(projection)
    yield from _store(projection)


def _composed(projection: ComposedProjection) -> Iterator[str]:
    yield from _mapping("lookups", projection.lookups)
    if not projection.lookups:
        yield "lookups is empty; it names the tables and the fields by which their documents are found."
    for table, fields in projection.lookups.items():
        yield from _text("lookups", table)
        yield from _tuple(f"lookups of {table}", fields, empty=False)
    yield from _function("keys", projection.keys)
    yield from _function("compose", projection.compose)
    yield from _members("computed", projection.computed, Computed)
    for one in projection.computed:
        yield from _column_name(one.name, "computed")
        yield from _text(f"computed column {one.name}: sql", one.sql)
        yield from _text(f"computed column {one.name}: description", one.description, empty=True)


def _column(column: Column) -> Iterator[str]:
    yield from _column_name(column.name, "columns")
    if column.type not in TYPES:
        yield f"column {column.name}: type is {column.type!r}; allowed are {', '.join(TYPES)}."
    yield from _text(f"column {column.name}: description", column.description, empty=True)
    yield from _mapping(f"column {column.name}: mapping", column.mapping)


def _column_name(name: Any, field: str) -> Iterator[str]:
    if not _is_name(name):
        yield f"{field} has a column {name!r}; allowed are at most 40 small letters, digits and underscores."
    if name in RESERVED:
        yield f"{field} has a column {name!r}; every read model has one of this name: choose another."


def _names(projection: Projection) -> Iterator[str]:
    names = [column.name for column in projection.columns] + [one.name for one in computed(projection)]
    if repeated := [name for number, name in enumerate(names) if name in names[:number]]:
        yield f"columns has two columns {repeated[0]!r}."
    indexable = [column.name for column in projection.columns if column.type in INDEXABLE]
    for field, parts in (("key", [projection.key]), ("indexes", projection.indexes)):
        if odd := [name for part in parts for name in part if name not in indexable]:
            yield f"{field} has {odd[0]!r}; allowed are columns of {', '.join(INDEXABLE)}."


def _store(projection: Projection) -> Iterator[str]:
    if projection.store == "postgresql":
        if projection.analysis or projection.shards or any(column.mapping for column in projection.columns):
            yield "analysis, shards and mapping are for store='opensearch' only."
        return
    if projection.readers != "analysts":
        yield "readers is 'cleared'; a read model in OpenSearch may not be restricted."
    if projection.indexes or computed(projection):
        yield "indexes and computed are for store='postgresql' only."


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and NAME.fullmatch(value) is not None


def _text(field: str, value: Any, *, empty: bool = False) -> Iterator[str]:
    if not isinstance(value, str) or "\0" in value or not (value or empty):
        yield f"{field} is {value!r}; allowed is a text."


def _choice(field: str, value: Any, allowed: Any) -> Iterator[str]:
    if value not in get_args(allowed):
        yield f"{field} is {value!r}; allowed are {', '.join(get_args(allowed))}."


def _members(field: str, values: Any, kind: type) -> Iterator[str]:
    if not isinstance(values, tuple) or not all(isinstance(value, kind) for value in values):
        yield f"{field} is not a tuple of {kind.__name__}: write ({kind.__name__}(…),) for one."


def _tuple(field: str, values: Any, *, empty: bool = True) -> Iterator[str]:
    if not isinstance(values, tuple) or not all(isinstance(value, str) and value for value in values):
        yield f"{field} is {values!r}; allowed is a tuple of names: write ('name',) for one."
    if not values and not empty:
        yield f"{field} is empty; it needs at least one name."


def _mapping(field: str, value: Any) -> Iterator[str]:
    if value is not None and not isinstance(value, Mapping):
        yield f"{field} is {value!r}; allowed is a mapping."


def _function(field: str, value: Any) -> Iterator[str]:
    if not callable(value):
        yield f"{field} is {value!r}; allowed is a function."
