"""A projection that names the fields it reads is given those alone, by whichever way a revision is read."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from strandline.consumer.database.connection import connect
from strandline.consumer.generations.lifecycle import project, retry
from strandline.consumer.generations.rebuild import rebuild
from strandline.consumer.generations.state import parked
from strandline.consumer.projection.definition import Column, ComposedProjection, Projection, Revision, RowProjection
from tests.definitions import redefine
from tests.strand_rows import StrandRows

NAMES = ("a", "b", "a%", "it's", 'said "so"')
# What the projection reads of each.
DOCUMENTS: list[tuple[Any, dict[str, Any]]] = [
    ({"a": 1, "b": "x", "unread": "secret"}, {"a": 1, "b": "x"}),
    ({"a": None, "unread": 1}, {"a": None}),
    ({"b": {"unread": [1.5, "%s", "é", 10**30]}}, {"b": {"unread": [1.5, "%s", "é", 10**30]}}),
    ({"a%": 1, "it's": True, 'said "so"': "{}"}, {"a%": 1, "it's": True, 'said "so"': "{}"}),
    ({"a": 1, "b": 2, "a%": 3, "it's": 4, 'said "so"': 5}, {"a": 1, "b": 2, "a%": 3, "it's": 4, 'said "so"': 5}),
    ({"unread": 1}, {}),
    ([{"a": 1}], {}),
    ("a", {}),
]
COLUMNS = (Column("data", "jsonb", ""),)


def rows(revision: Revision) -> Iterator[Mapping[str, object]]:
    yield {"data": revision.data}


CURRENT = RowProjection("now", "Test.", ("T",), "current", "analysts", COLUMNS, rows, fields=NAMES)
HISTORY = replace(CURRENT, name="past", keeps="history")
COMPOSED = ComposedProjection(
    "composed", "Test.", {"T": ("name",)}, "analysts", COLUMNS,
    keys=lambda revision: [revision.text("name") or ""],
    compose=lambda key, lookup: ({"data": one.data} for one in lookup("T", "name", key)),
    fields=("a",),
)  # fmt: skip


@pytest.fixture
def connection(database: str) -> Iterator[psycopg.Connection[Any]]:
    with connect(database, autocommit=True) as connection:
        yield connection


@pytest.fixture
def strand(connection: psycopg.Connection[Any]) -> StrandRows:
    return StrandRows(connection)


def read(connection: psycopg.Connection[Any], projection: Projection) -> list[Any]:
    statement = f"SELECT data FROM read.{projection.name} ORDER BY source_block, data::text"
    return [data for (data,) in connection.execute(statement.encode())]


@pytest.mark.parametrize("projection", [CURRENT, HISTORY])
def test_named_fields_are_read_unchanged(
    connection: psycopg.Connection[Any], strand: StrandRows, database: str, projection: RowProjection
) -> None:
    for number, (document, _) in enumerate(DOCUMENTS):
        strand.block((f"d{number}", 0, "T", document))
    strand.block(("d0", 1, "T", None))
    named = {projection.name: projection}
    expected: list[Any] = [meant for _, meant in DOCUMENTS]
    expected = [*expected, None] if projection is HISTORY else expected[1:]
    project(database, named)
    assert read(connection, projection) == expected
    assert rebuild(database, named, projection.name).difference is None
    assert read(connection, projection) == expected


def test_lookup_fields_are_read(connection: psycopg.Connection[Any], strand: StrandRows, database: str) -> None:
    strand.block(("d0", 0, "T", {"name": "A", "a": 1, "unread": 1}), ("d1", 0, "T", {"name": "B", "unread": 1}))
    project(database, {"composed": COMPOSED})
    assert read(connection, COMPOSED) == [{"name": "A", "a": 1}, {"name": "B"}]
    assert rebuild(database, {"composed": COMPOSED}, "composed").difference is None
    assert read(connection, COMPOSED) == [{"name": "A", "a": 1}, {"name": "B"}]


@pytest.mark.parametrize("ask", ["text", "field", "number", "boolean", "moment"])
@pytest.mark.parametrize("document", [{"a": 1, "unread": 1}, {"a": 1}])
def test_reading_an_unnamed_field_parks(
    connection: psycopg.Connection[Any], strand: StrandRows, database: str, ask: str, document: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    redefine(monkeypatch, lambda _: "one definition, so that it may be run again")
    strand.block(("d0", 0, "T", document))
    asking = replace(
        CURRENT, rows=lambda revision: [{"data": [revision.number("a"), getattr(revision, ask)("unread")]}]
    )
    project(database, {"now": asking})
    assert [one.reason for one in parked(connection)] == ["it reads a field that it does not name"]
    retry(database, {"now": CURRENT}, "now")
    assert read(connection, CURRENT) == [{"a": 1}]


def test_revision_without_data_refuses_unnamed_fields(
    connection: psycopg.Connection[Any], strand: StrandRows, database: str
) -> None:
    strand.block(("d0", 0, "T", None))
    project(database, {"past": replace(HISTORY, rows=lambda revision: [{"data": revision.text("a")}])})
    assert read(connection, HISTORY) == [None]
