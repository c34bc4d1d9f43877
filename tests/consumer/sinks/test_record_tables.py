"""Record tables: each generation has its own, created and dropped independently of the others."""

import psycopg
import pytest
from psycopg import errors
from psycopg.sql import SQL

from strandline.consumer.database.connection import connect
from strandline.consumer.database.planner import BY_INDEX
from strandline.consumer.sinks import record_tables
from strandline.consumer.sinks.record_tables import OUTSIDE_ROW, SOURCE
from tests.consumer.sinks.contract import COMPOSED

INSERT_GENERATION = """
    INSERT INTO projection.generation (projection, store, state, fingerprint, relation, position)
    VALUES ('composed', 'postgresql', %s, '', 'none', -1) RETURNING generation"""
INSERT_SOURCE = "INSERT INTO {} VALUES (%s, 'key', 'document', 0)"
DELETE_GENERATION = "DELETE FROM projection.generation WHERE generation = %s"
READ_ROWS = "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relid = to_regclass(%s)"
READ_ALL = "SELECT generation FROM projection.source"


def made(connection: psycopg.Connection[tuple[int]], state: str, *, bare: bool = False) -> int:
    row = connection.execute(INSERT_GENERATION, [state]).fetchone()
    assert row
    record_tables.create(connection, COMPOSED, row[0], bare=bare)
    return row[0]


def test_record_table_takes_only_rows_of_its_generation(database: str) -> None:
    with connect(database, autocommit=True) as connection:
        first, second = made(connection, "kept"), made(connection, "live", bare=True)
        into_first = SQL(INSERT_SOURCE).format(record_tables.table(SOURCE, first))
        into_second = SQL(INSERT_SOURCE).format(record_tables.table(SOURCE, second))
        connection.execute(into_first, [first])
        with pytest.raises(errors.UniqueViolation):
            connection.execute(into_first, [first])
        with pytest.raises(errors.CheckViolation):
            connection.execute(into_second, [first])
        connection.execute(into_second, [second])
        record_tables.index(connection, SOURCE, second)
        with pytest.raises(errors.UniqueViolation):
            connection.execute(into_second, [second])
        assert connection.execute(READ_ALL).fetchall() == [(first,), (second,)]
        connection.execute(DELETE_GENERATION, [first])
        assert connection.execute(READ_ALL).fetchall() == [(second,)]
        gone = record_tables.table(SOURCE, first).as_string(connection)
        assert connection.execute("SELECT to_regclass(%s)", [gone]).fetchone() == (None,)
        none = record_tables.table(OUTSIDE_ROW, second).as_string(connection)
        assert connection.execute("SELECT to_regclass(%s)", [none]).fetchone() == (None,)


def test_record_table_is_created_and_dropped_while_others_are_in_use(database: str) -> None:
    with connect(database, autocommit=True) as connection, connect(database) as busy, connect(database) as reading:
        first, second = made(connection, "kept"), made(connection, "live")
        busy.execute(SQL(INSERT_SOURCE).format(record_tables.table(SOURCE, first)), [first])
        connection.execute("SET lock_timeout = '1s'")
        connection.execute(DELETE_GENERATION, [second])
        reading.execute(READ_ALL)
        made(connection, "live")


def test_sources_are_looked_up_one_by_one(database: str) -> None:
    """Nobody has statistics of a new table: a join with it would read all of it, or all of it for each source."""
    wanted = [(f"document{number}", 0) for number in range(500)]
    with connect(database) as connection:
        generation = made(connection, "live")  # type: ignore[arg-type]
        table = record_tables.table(SOURCE, generation)
        connection.execute(
            SQL("INSERT INTO {} SELECT %s, n::text, 'document' || n, 0 FROM generate_series(0, 4999) n").format(table),
            [generation],
        )
        connection.execute(BY_INDEX)
        assert sorted(record_tables.recorded_keys(connection, generation, wanted)) == sorted(wanted)
        read = connection.execute(READ_ROWS, [table.as_string(connection)]).fetchone()
        assert read is not None
        assert read[0] <= 2 * len(wanted)
