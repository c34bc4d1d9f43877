"""Checks of the record tables of generations, and a change below the mark."""

from typing import Any

import psycopg

LIFT = """UPDATE journal.revision SET data = '{"label": "upgraded"}' WHERE document_id = 'a' AND version = 1"""


def check_records(connection: psycopg.Connection[Any]) -> None:
    """Each record table is of some generation, and is indexed unless that is building."""
    statement = """
        SELECT split_part(relname, '_', -1)::bigint FROM pg_class
        WHERE relnamespace = 'projection'::regnamespace AND relname ~ '^(source|outside_row)_[0-9]+$'"""
    bare = " AND NOT EXISTS (SELECT FROM pg_index WHERE indrelid = pg_class.oid AND indisprimary)"
    known = connection.execute("SELECT generation, state FROM projection.generation").fetchall()
    assert set(connection.execute(statement.encode())) <= {(number,) for number, _ in known}
    assert set(connection.execute((statement + bare).encode())) <= {
        (number,) for number, state in known if state == "building"
    }
