"""Everything that a database would show of itself: every table of every schema, every view, and the statistics."""

import psycopg
from psycopg.sql import SQL, Identifier

TABLES = """
    SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
      AND n.nspname NOT LIKE 'pg_toast%' AND n.nspname NOT LIKE 'pg_temp%'
    ORDER BY 1, 2"""
STATISTICS = "SELECT tablename, attname, s::text FROM pg_stats s"


def dump(url: str, *, analyze: bool = False) -> dict[str, str]:
    """The text of each relation, bytes as they are as far as they are characters, and that of pg_stats.

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
    """Which of the strings stand where."""
    shown = dump(url, analyze=analyze)
    found = {name: {string for string in strings if string in text} for name, text in shown.items()}
    return {name: held for name, held in found.items() if held}
