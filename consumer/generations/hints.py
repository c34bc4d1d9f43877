"""Points out source tables and fields that a projection names and the ledger lacks: they may be misspelt."""

from collections.abc import Iterable, Iterator
from difflib import get_close_matches

from strandline.consumer.database.connection import Connection
from strandline.consumer.projection.definition import ComposedProjection, Projection, RowProjection
from strandline.consumer.projection.discovery import is_sample

READ_TABLES = "SELECT DISTINCT name FROM journal.user_table"
READ_FIELDS = "SELECT DISTINCT name, path[1] FROM ledger.user_table_fields WHERE name = ANY(%s)"


def find_hints(connection: Connection, projections: Iterable[Projection]) -> list[str]:
    """Return a line for each table that the ledger lacks, and for each field that resembles one of its documents.

    A field without a similar one is not pointed out: documents may get it later. Returns none if the ledger has no
    tables yet.
    """
    own = [one for one in projections if isinstance(one, RowProjection | ComposedProjection) and not is_sample(one)]
    tables = {name for (name,) in connection.execute(READ_TABLES)} if own else set()
    if not tables:
        return []
    fields: dict[str, set[str]] = {}
    for table, field in connection.execute(READ_FIELDS, [[table for one in own for table in one.tables]]):
        fields.setdefault(table, set()).add(field)
    return [hint for one in own for hint in _hints(one, tables, fields)]


def _hints(
    projection: RowProjection | ComposedProjection, tables: set[str], fields: dict[str, set[str]]
) -> Iterator[str]:
    for table in projection.tables:
        if table not in tables:
            nearest = _nearest(table, tables)
            rest = f"the nearest name is {nearest!r}" if nearest else f"it has {', '.join(sorted(tables))}"
            yield f"{projection.name}: the ledger has no table {table!r}; {rest}."
    for field, among in _fields(projection):
        known = set[str]().union(*[fields.get(table, set()) for table in among])
        if field not in known and (nearest := _nearest(field, known)):
            yield (
                f"{projection.name}: no document of {', '.join(among)} has a field {field!r}; "
                f"the nearest name is {nearest!r}."
            )


def _fields(projection: RowProjection | ComposedProjection) -> Iterator[tuple[str, list[str]]]:
    """Yield each field that the projection names, with the tables that may have it."""
    yield from ((field, list(projection.tables)) for field in projection.fields or ())
    if isinstance(projection, ComposedProjection):
        yield from ((field, [table]) for table, some in projection.lookups.items() for field in some)
    else:
        for subject in projection.subjects:
            table, _, field = subject.partition(".")
            yield field.partition(".")[0], [table]


def _nearest(name: str, known: set[str]) -> str | None:
    by_lower = {one.lower(): one for one in known}
    found = get_close_matches(name.lower(), by_lower, 1)
    return by_lower[found[0]] if found else None
