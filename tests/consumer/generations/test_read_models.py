"""The view `read.read_models`: the read models and how fresh they are, for analysts."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from strandline.consumer.database.connection import connect
from strandline.consumer.database.migrate import migrate
from strandline.consumer.generations.generation import record_failure
from strandline.consumer.generations.lifecycle import project
from strandline.consumer.projection.definition import NAME, Column, RowProjection, Unprojectable
from tests.strand_rows import StrandRows


def rows(revision: Any) -> list[dict[str, object]]:
    if revision.field("bad"):
        raise Unprojectable("it says so")
    return [{"label": revision.text("label")}]


OPEN = RowProjection("open", "For all.", ("T",), "current", "analysts", (Column("label", "text", ""),), rows)
CLOSED = replace(OPEN, name="closed", purpose="For a few.", readers="cleared")


@pytest.fixture
def connection(database: str) -> Iterator[psycopg.Connection[Any]]:
    with connect(database, autocommit=True) as connection:
        strand = StrandRows(connection)
        strand.block(("a", 0, "T", {"label": "a"}), ("b", 0, "T", {"label": "b"}), ("c", 0, "T", {"bad": True}))
        project(database, {"open": OPEN, "closed": CLOSED})
        strand.block()
        yield connection


def read_models(database: str, role: str) -> dict[str, dict[str, Any]]:
    with (
        connect(database, role=role, autocommit=True) as reading,
        reading.cursor(row_factory=psycopg.rows.dict_row) as cursor,
    ):
        return {row["name"]: row for row in cursor.execute("SELECT * FROM read.read_models")}


def test_analyst_sees_what_read_models_are_for_and_how_fresh_they_are(
    connection: psycopg.Connection[Any], database: str
) -> None:
    found = read_models(database, "strandline_analyst")["open"]
    (time,) = connection.execute("SELECT block_time FROM journal.block WHERE sequence_no = 0").fetchone() or (None,)
    (counted,) = connection.execute(
        "SELECT pg_stat_get_live_tuples(to_regclass('generation.' || relation)) FROM projection.generation "
        "WHERE projection = 'open'"
    ).fetchone() or (None,)
    assert counted in (0, 2)  # the statistics of a finished transaction may come a moment later
    assert found == {
        "name": "open", "purpose": "For all.", "readers": "analysts", "store": "postgresql", "state": "live",
        "as_of_block": 0, "as_of_time": time, "blocks_behind": 1, "rows": found["rows"], "parked": 1,
    }  # fmt: skip
    assert found["rows"] in (0, 2)


def test_size_of_a_restricted_read_model_is_shown_only_to_the_cleared(
    connection: psycopg.Connection[Any], database: str
) -> None:
    hidden = read_models(database, "strandline_analyst")["closed"]
    assert (hidden["readers"], hidden["rows"], hidden["parked"]) == ("cleared", None, None)
    seen = read_models(database, "strandline_cleared")
    assert {name: row["parked"] for name, row in seen.items()} == {"open": 1, "closed": 1}


def test_state_is_failing_or_needs_rebuild(connection: psycopg.Connection[Any], database: str) -> None:
    (number,) = connection.execute(
        "SELECT generation FROM projection.generation WHERE projection = 'open'"
    ).fetchone() or (0,)
    connection.execute("INSERT INTO journal.change (sequence_no, kind) VALUES (0, 'upgraded')")
    assert {row["state"] for row in read_models(database, "strandline_analyst").values()} == {"needs_rebuild"}
    record_failure(connection, number, "It is down.")
    assert read_models(database, "strandline_analyst")["open"]["state"] == "failing"


def test_projection_cannot_take_the_name_of_the_view() -> None:
    assert NAME.fullmatch("read_models") is None
    assert NAME.fullmatch("read_models_2")


def test_reader_roles_find_read_models_without_a_schema(empty_database: str) -> None:
    migrate(empty_database)
    with connect(empty_database) as connection:
        settings = connection.execute(
            "SELECT rolname, setconfig FROM pg_db_role_setting JOIN pg_roles ON pg_roles.oid = setrole "
            "WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database()) ORDER BY 1"
        ).fetchall()
    assert settings == [("strandline_analyst", ["search_path=read"]), ("strandline_cleared", ["search_path=read"])]
