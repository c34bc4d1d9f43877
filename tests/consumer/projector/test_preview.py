"""Previews of projections: on documents of a test, and on the newest ones of a store."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from strandline import BlockProjection, Column, ComposedProjection, KeyLookup, Revision, RowProjection, Unprojectable
from strandline.consumer.database.connection import connect
from strandline.consumer.projector.preview import preview_store
from strandline.testing import preview
from tests.empty_generations import ensure_generation
from tests.strand_rows import StrandRows

COLUMNS = (Column("name", "text", ""), Column("points", "integer", ""), Column("extra", "jsonb", ""))


def rows(revision: Revision) -> list[dict[str, object]]:
    if revision.field("secret") == "raise":
        raise RuntimeError("a secret")
    return [{"name": revision.text("name"), "points": revision.number("points"), "extra": revision.field("extra")}]


LICENCES = RowProjection("licences", "Test.", ("Licence",), "current", "analysts", COLUMNS, rows)
BLOCKS = BlockProjection("blocks", "Test.", "analysts", COLUMNS[:1], lambda block: [{"name": str(block.sequence_no)}])


def keys(revision: Revision) -> Iterator[str | KeyLookup]:
    if revision.table == "Points":
        yield revision.text("licence") or ""
    elif name := revision.text("name"):
        yield name
    else:
        raise Unprojectable("a licence has no name")


def compose(key: str, look_up: Any) -> Iterator[dict[str, object]]:
    for licence in look_up("Licence", "name", key):
        yield {"name": key, "points": len(look_up("Points", "licence", key)), "extra": licence.field("extra")}


COMPOSED = ComposedProjection(
    "points", "Test.", {"Licence": ("name",), "Points": ("licence",)}, "analysts", COLUMNS, keys, compose
)


class TestDocuments:
    def test_rows_are_those_that_would_be_stored(self) -> None:
        found = preview(
            LICENCES, {"Licence": [{"name": "Ada", "points": 3, "extra": {"a": [1, None]}}, {"name": "Ed"}]}
        )
        assert found.rows == [
            {"name": "Ada", "points": 3, "extra": {"a": [1, None]}},
            {"name": "Ed", "points": None, "extra": None},
        ]
        assert found.parked == {}

    def test_document_that_would_park_has_a_reason_without_payload(self) -> None:
        found = preview(LICENCES, {"Licence": [{"points": 2**40}, {"secret": "raise"}, {"name": "Ed"}]})
        line = rows.__code__.co_firstlineno + 2
        assert found.parked == {
            "Licence/0 version 0": "column points does not take the value as integer",
            "Licence/1 version 0": f"RuntimeError in line {line} of the projection",
        }
        assert [row["name"] for row in found.rows] == ["Ed"]

    def test_only_the_last_version_of_a_document_has_rows(self) -> None:
        versions = [
            Revision(
                "d", version, "Licence", version, "", datetime(2020, 1, 1, tzinfo=UTC), "normal", {"name": name}, b""
            )
            for version, name in enumerate(("Ada", "Ed"))
        ]
        assert [row["name"] for row in preview(LICENCES, {"Licence": versions}).rows] == ["Ed"]
        history = replace(LICENCES, keeps="history")
        assert [row["name"] for row in preview(history, {"Licence": versions}).rows] == ["Ada", "Ed"]
        deleted = versions[1]._replace(state="deleted", data=None)
        assert preview(LICENCES, {"Licence": [versions[0], deleted]}).rows == []

    def test_field_that_is_not_named_parks(self) -> None:
        narrow = replace(LICENCES, fields=("name", "points", "secret"))
        found = preview(narrow, {"Licence": [{"name": "Ada", "extra": 1}]})
        assert list(found.parked.values()) == ["it reads a field that it does not name"]

    def test_composed_keys_look_documents_up(self) -> None:
        documents = {"Licence": [{"name": "Ada"}, {"name": 7}], "Points": [{"licence": "Ada"}, {"licence": "Ada"}]}
        found = preview(COMPOSED, documents)
        assert found.rows == [{"name": "Ada", "points": 2, "extra": None}]
        assert found.parked == {"Licence/1": "a licence has no name"}

    def test_blocks_have_no_documents(self) -> None:
        with pytest.raises(TypeError, match="has no documents"):
            preview(BLOCKS, {})


class TestStore:
    @pytest.fixture
    def connection(self, database: str) -> Iterator[psycopg.Connection[Any]]:
        with connect(database, autocommit=True) as connection:
            strand = StrandRows(connection)
            strand.block(("a", 0, "Licence", {"name": "Ada"}), ("b", 0, "Licence", {"name": "Ed"}))
            strand.block(("a", 1, "Licence", {"name": "Ada L."}), ("p", 0, "Points", {"licence": "Ed"}))
            strand.block(("c", 0, "Licence", {"points": "7"}))
            strand.block(("b", 1, "Licence", None))
            yield connection

    def test_newest_documents_are_shown_without_a_generation(self, connection: psycopg.Connection[Any]) -> None:
        found = preview_store(connection, LICENCES, 10)
        assert [(one.key, [row["name"] for row in one.rows]) for one in found.entries] == [
            ("c version 0", [None]),
            ("a version 1", ["Ada L."]),
        ]
        assert [one.key for one in preview_store(connection, LICENCES, 1).entries] == ["c version 0"]
        assert connection.execute("SELECT count(*) FROM projection.generation").fetchone() == (0,)

    def test_history_has_every_version(self, connection: psycopg.Connection[Any]) -> None:
        found = preview_store(connection, replace(LICENCES, keeps="history"), 2)
        assert [one.key for one in found.entries] == ["b version 1", "c version 0"]

    def test_composed_keys_are_found_in_the_store(self, connection: psycopg.Connection[Any]) -> None:
        ensure_generation(connection, COMPOSED)
        found = preview_store(connection, COMPOSED, 10)
        assert found.rows == [{"name": "Ada L.", "points": 0, "extra": None}]
        assert found.parked == {"c": "a licence has no name"}

    def test_newest_blocks_are_shown(self, connection: psycopg.Connection[Any]) -> None:
        assert [row["name"] for row in preview_store(connection, BLOCKS, 2).rows] == ["2", "3"]
