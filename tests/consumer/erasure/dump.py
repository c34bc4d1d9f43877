"""Dumps all that a database shows: the tables and views of every schema, and the statistics."""

import psycopg
from psycopg.sql import SQL, Identifier

TABLES = """
    SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
      AND n.nspname NOT LIKE 'pg_toast%' AND n.nspname NOT LIKE 'pg_temp%'
    ORDER BY 1, 2"""
STATISTICS = "SELECT tablename, attname, s::text FROM pg_stats s"


def dump(url: str, *, analyze: bool = False) -> dict[str, str]:
    """Return the text of each relation and of pg_stats; bytes are shown as characters if they are such.

    Statistics tell of what is gone until they are gathered again: `analyze` has that done.
    """
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET bytea_output = 'escape'")
        if analyze:
            connection.execute("ANALYZE")
        shown = {
            f"{schema}.{name}": "\n".join(
                text for (text,) in connection.execute(
                    SQL("SELECT t::text FROM {} AS t").format(Identifier(schema, name))
                )
            )
            for schema, name in connection.execute(TABLES).fetchall()
        }  # fmt: skip
        shown["pg_stats"] = "\n".join(str(row) for row in connection.execute(STATISTICS))
    return shown


def relations_with(url: str, strings: list[str], *, analyze: bool = False) -> dict[str, set[str]]:
    """Return the strings found, by relation."""
    shown = dump(url, analyze=analyze)
    found = {name: {string for string in strings if string in text} for name, text in shown.items()}
    return {name: strings for name, strings in found.items() if strings}
