"""The read models that a login may read, as their views and comments describe them."""

from dataclasses import dataclass

from strandline.consumer.database.connection import connect
from strandline.journal.errors import StrandlineError

READ = """
    SELECT m.name, coalesce(obj_description(c.oid, 'pg_class'), m.purpose), m.readers,
           a.attname, format_type(a.atttypid, NULL), col_description(c.oid, a.attnum)
    FROM read.read_models m
    JOIN pg_class c ON c.relname = m.name AND c.relnamespace = 'read'::regnamespace
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE m.store = 'postgresql' AND has_table_privilege(c.oid, 'SELECT')
    ORDER BY m.name, a.attnum"""
MAY_READ = "SELECT has_schema_privilege('read', 'USAGE') FROM pg_namespace WHERE nspname = 'read'"


@dataclass(frozen=True)
class ViewColumn:
    """A column of a view, with PostgreSQL's name of its type."""

    name: str
    type: str
    description: str | None


@dataclass(frozen=True)
class ReadModel:
    """A read model in PostgreSQL."""

    name: str
    purpose: str
    readers: str
    columns: list[ViewColumn]


def read_models(url: str) -> list[ReadModel]:
    """Return the read models in PostgreSQL that the login of the URL may read, by name.

    Raises `StrandlineError` if it has no reader's role.
    """
    found: dict[str, ReadModel] = {}
    with connect(url, role=None, application_name="strandline dbt-sources") as connection:
        if connection.execute(MAY_READ).fetchone() != (True,):
            raise StrandlineError("This login may not read the read models: it needs a reader's role.")
        for name, purpose, readers, column, type_, description in connection.execute(READ):
            model = found.setdefault(name, ReadModel(name, purpose, readers, []))
            model.columns.append(ViewColumn(column, type_, description))
    return list(found.values())
