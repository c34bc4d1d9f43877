"""The promises of every sink, as tests: a sink's tests subclass `SinkContract`, which makes and reads it."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from strandline.consumer.projection.definition import (
    BlockProjection,
    Column,
    ComposedProjection,
    Projection,
    RowProjection,
    Unprojectable,
)
from strandline.consumer.sinks.contract import Replacement, Sink

COLUMNS = (
    Column("label", "text", "A text."),
    Column("amount", "bigint", "A number."),
    Column("at", "timestamptz", "A moment."),
)


def _no_rows(_: object) -> list[Mapping[str, object]]:
    return []


CURRENT = RowProjection("current", "Test.", ("T",), "current", "analysts", COLUMNS, _no_rows)
KEYED = RowProjection("keyed", "Test.", ("T",), "current", "analysts", COLUMNS, _no_rows, key=("label",))
HISTORY = RowProjection("history", "Test.", ("T",), "history", "analysts", COLUMNS, _no_rows)
BLOCKS = BlockProjection("blocks", "Test.", "analysts", COLUMNS, _no_rows)
COMPOSED = ComposedProjection(
    "composed", "Test.", {"T": ("f",)}, "analysts", COLUMNS, lambda _: [], lambda *_: [], key=("label",)
)

Row = dict[str, Any]


class SinkContract(ABC):
    @pytest.fixture(params=[CURRENT, KEYED, HISTORY, BLOCKS], ids=lambda projection: projection.name)
    def any_projection(self, request: pytest.FixtureRequest) -> Projection:
        return request.param  # type: ignore[no-any-return]

    @abstractmethod
    def make(self, projection: Projection, *, bare: bool = False) -> Sink:
        """A sink with its table or index created and served; a bare one is not served yet."""

    @abstractmethod
    def contents(self, sink: Sink, projection: Projection) -> list[Row]:
        """Return the rows that readers see, in any order."""

    def labels(self, sink: Sink, projection: Projection) -> list[tuple[Any, ...]]:
        rows = self.contents(sink, projection)
        return sorted(
            (row["source_document"], row["source_version"], row["source_block"], row["label"]) for row in rows
        )

    def replacement(
        self, sink: Sink, document: str | None, version: int | None, block: int, *labels: str
    ) -> Replacement:
        return Replacement(document, version, block, sink.prepare([{"label": label} for label in labels]))

    def test_every_row_knows_its_source(self, any_projection: Projection) -> None:
        sink = self.make(any_projection)
        document, version = (None, None) if any_projection is BLOCKS else ("d", 4)
        moment = datetime(2020, 2, 3, tzinfo=UTC)
        rows = sink.prepare([{"label": "a", "amount": 2**60, "at": moment}])
        assert sink.write([Replacement(document, version, 7, rows)]) == []
        assert self.contents(sink, any_projection) == [
            {
                "label": "a",
                "amount": 2**60,
                "at": moment,
                "source_document": document,
                "source_version": version,
                "source_block": 7,
            }
        ]

    def test_composed_row_knows_its_key_and_its_newest_block(self) -> None:
        sink = self.make(COMPOSED)
        assert sink.write([self.replacement(sink, "k", None, 7, "a")]) == []
        (row,) = self.contents(sink, COMPOSED)
        assert row == {"label": "a", "amount": None, "at": None, "source_key": "k", "source_block": 7}

    def test_composed_rows_replace_those_of_their_key(self) -> None:
        sink = self.make(COMPOSED)
        sink.write([self.replacement(sink, "k", None, 7, "a", "b"), self.replacement(sink, "l", None, 7, "a")])
        for _ in range(2):
            sink.write([self.replacement(sink, "k", None, 6, "b", "c"), self.replacement(sink, "m", None, 9)])
        assert sorted((row["source_key"], row["label"]) for row in self.contents(sink, COMPOSED)) == [
            ("k", "b"),
            ("k", "c"),
            ("l", "a"),
        ]
        sink.write([self.replacement(sink, "k", None, -1)])
        assert [row["source_key"] for row in self.contents(sink, COMPOSED)] == ["l"]

    def test_repeated_write_is_a_no_op(self, any_projection: Projection) -> None:
        sink = self.make(any_projection)
        document, version = (None, None) if any_projection is BLOCKS else ("d", 0)
        replacement = self.replacement(sink, document, version, 1, "a")
        sink.write([replacement])
        sink.write([replacement])
        assert self.labels(sink, any_projection) == [(document, version, 1, "a")]

    def test_current_replaces_all_rows_of_a_document(self) -> None:
        sink = self.make(KEYED)
        sink.write([self.replacement(sink, "d", 0, 1, "a", "b"), self.replacement(sink, "e", 0, 1, "a")])
        sink.write([self.replacement(sink, "d", 1, 2, "b", "c")])
        assert self.labels(sink, KEYED) == [("d", 1, 2, "b"), ("d", 1, 2, "c"), ("e", 0, 1, "a")]

    def test_replacement_without_rows_removes(self) -> None:
        sink = self.make(KEYED)
        sink.write([self.replacement(sink, "d", 0, 1, "a", "b")])
        sink.write([self.replacement(sink, "d", 1, 2)])
        assert self.labels(sink, KEYED) == []

    def test_history_keeps_other_versions(self) -> None:
        sink = self.make(HISTORY)
        sink.write([self.replacement(sink, "d", 0, 1, "a"), self.replacement(sink, "d", 1, 2, "b")])
        sink.write([self.replacement(sink, "d", 0, 1, "z")])
        assert self.labels(sink, HISTORY) == [("d", 0, 1, "z"), ("d", 1, 2, "b")]

    @pytest.mark.parametrize("projection", [KEYED, COMPOSED], ids=lambda projection: projection.name)
    def test_backfilled_rows_are_replaced_like_written_ones(self, projection: Projection) -> None:
        sink = self.make(projection, bare=True)
        version = None if projection is COMPOSED else 0
        first = [self.replacement(sink, f"d{n}", version, 1, "a", "b") for n in range(3)]
        assert sink.write_first(first) == []
        sink.complete()
        sink.show()
        sink.write([self.replacement(sink, "d1", version, 2, "b", "c"), self.replacement(sink, "d2", version, 2)])
        found = self.contents(sink, projection)
        source = "source_key" if projection is COMPOSED else "source_document"
        assert sorted((row[source], row["label"]) for row in found) == [
            ("d0", "a"), ("d0", "b"), ("d1", "b"), ("d1", "c"),
        ]  # fmt: skip

    def test_summary_does_not_depend_on_the_order_of_rows(self, any_projection: Projection) -> None:
        block = any_projection is BLOCKS
        sink = self.make(any_projection)
        empty = sink.summary()
        rows = [self.replacement(sink, None if block else f"d{n}", None if block else 0, n, "a") for n in range(4)]
        sink.write(rows)
        whole = sink.summary()
        assert (empty[0], whole[0]) == (0, 4)
        sink.write([rows[3]._replace(rows=())])
        assert sink.summary()[0] == 3
        sink.write([rows[3]._replace(rows=sink.prepare([{"label": "b"}]))])
        assert sink.summary()[0] == 4
        assert sink.summary()[1] != whole[1]
        for one in reversed(rows):
            sink.write([one])
        assert sink.summary() == whole

    def test_second_drop_is_a_no_op(self) -> None:
        sink = self.make(COMPOSED, bare=True)
        sink.drop()
        sink.drop()
        sink.create()
        sink.show()
        assert self.contents(sink, COMPOSED) == []

    def test_purge_removes_exactly_its_sources(self) -> None:
        sink = self.make(HISTORY)
        sink.write([self.replacement(sink, "d", version, 1, "a") for version in range(3)])
        sink.write([self.replacement(sink, "e", 1, 1, "a")])
        sink.purge([("d", 1), ("f", 0)])
        sink.purge([("d", 1)])
        assert self.labels(sink, HISTORY) == [("d", 0, 1, "a"), ("d", 2, 1, "a"), ("e", 1, 1, "a")]

    def test_rows_of_a_revision_are_found_with_their_fields(self) -> None:
        sink = self.make(HISTORY)
        moment = datetime(2020, 2, 3, tzinfo=UTC)
        rows = sink.prepare([{"label": "a", "amount": 7, "at": moment}])
        sink.write([Replacement("d", 1, 1, rows), self.replacement(sink, "d", 2, 2, "b")])
        assert list(sink.rows_of([("d", 1), ("d", 3), ("e", 1)])) == [(("d", 1), *sink.as_stored(rows))]

    def test_rows_of_an_older_version_are_not_found(self) -> None:
        sink = self.make(CURRENT)
        sink.write([self.replacement(sink, "d", 3, 9, "now")])
        assert list(sink.rows_of([("d", 2)])) == []

    def test_purge_by_source_takes_the_rows_of_those_revisions(self) -> None:
        sink = self.make(HISTORY)
        sink.write([self.replacement(sink, "d", version, 1, "a") for version in range(3)])
        for _ in range(2):
            sink.purge_sources([("d", 1), ("f", 0)])
        assert self.labels(sink, HISTORY) == [("d", 0, 1, "a"), ("d", 2, 1, "a")]

    def test_purge_of_an_older_version_leaves_the_current_one(self) -> None:
        sink = self.make(CURRENT)
        sink.write([self.replacement(sink, "d", 3, 9, "now")])
        sink.purge([("d", 2)])
        assert self.labels(sink, CURRENT) == [("d", 3, 9, "now")]

    @pytest.mark.parametrize(
        "row",
        [
            {"label": "nul \0"},
            {"label": "surrogate \ud800"},
            {"label": 7},
            {"label": b"bytes"},
            {"amount": 2**63},
            {"amount": "7"},
            {"amount": True},
            {"at": datetime(2020, 1, 1)},
            {"at": "2020-01-01"},
        ],
        ids=str,
    )
    def test_value_of_another_type_is_refused_by_the_name_of_its_column(self, row: Row) -> None:
        (name,) = row
        with pytest.raises(Unprojectable, match=f"^column {name} does not take the value as [a-z]+$"):
            self.make(CURRENT).prepare([row])

    def test_unknown_column_is_refused_without_its_name(self) -> None:
        with pytest.raises(Unprojectable, match=r"names a column that the projection does not have$"):
            self.make(CURRENT).prepare([{"secret": 1}])

    def test_empty_key_is_refused(self) -> None:
        with pytest.raises(Unprojectable, match=r"^key column label is empty$"):
            self.make(KEYED).prepare([{"amount": 1}])

    def test_two_rows_of_one_key_are_refused(self) -> None:
        with pytest.raises(Unprojectable, match=r"^two rows have the same key$"):
            self.make(KEYED).prepare([{"label": "a"}, {"label": "a"}])
        with pytest.raises(Unprojectable, match=r"^two rows have the same key$"):
            self.make(CURRENT).prepare([{"label": "a"}, {"label": "b"}])
