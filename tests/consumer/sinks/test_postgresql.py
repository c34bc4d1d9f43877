import secrets
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from psycopg.sql import SQL, Identifier

from strandline.consumer.database.connection import connect
from strandline.consumer.projection.definition import Column, Projection, RowProjection, Unprojectable
from strandline.consumer.sinks.contract import Replacement, Sink
from strandline.consumer.sinks.postgresql import ADD_KEY, PostgresqlSink
from tests.consumer.sinks.contract import CURRENT, HISTORY, Row, SinkContract

VALUES = RowProjection(
    "typed",
    "Test.",
    ("T",),
    "current",
    "cleared",
    tuple(Column(f"c{n}", type_, "") for n, type_ in enumerate(
        ("text", "boolean", "integer", "bigint", "numeric", "date", "jsonb", "text[]", "bigint[]")
    )),
    lambda _: [],
)  # fmt: skip


class TestPostgresqlSink(SinkContract):
    @pytest.fixture(autouse=True)
    def _connect(self, database: str) -> Iterator[None]:
        with connect(database) as self.connection:
            yield

    def make(self, projection: Projection, *, bare: bool = False) -> Sink:
        sink = PostgresqlSink(self.connection, projection, f"{projection.name}_1")
        sink.create(bare=bare)
        if not bare:
            sink.show()
        return sink

    def contents(self, sink: Sink, projection: Projection) -> list[Row]:
        with self.connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(SQL("SELECT * FROM {}").format(Identifier("read", projection.name))).fetchall()

    def test_every_type_is_stored_exactly(self) -> None:
        import datetime as dt

        sink = self.make(VALUES)
        values: list[Any] = [
            "\ufdd00000 é", True, -(2**31), 2**63 - 1, Decimal("1.10"), dt.date(2020, 1, 2),
            {"a": [Decimal("1.50"), 2, None, "\ufdd00000", "\ufdd0fdd0"]}, ["a", "ü"], [1, 2],
        ]  # fmt: skip
        row = {f"c{n}": value for n, value in enumerate(values)}
        sink.write([Replacement("d", 0, 0, sink.prepare([row]))])
        (found,) = self.contents(sink, VALUES)
        assert [found[name] for name in row] == values
        assert str(found["c4"]) == "1.10"

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ({"c4": Decimal("1.1")}, {"c4": Decimal("1.10")}),
            ({"c6": [Decimal("1.0")]}, {"c6": [Decimal("1.00")]}),
            ({"c0": ""}, {"c0": None}),
            ({"c2": 1}, {"c3": 1}),
            ({"c7": ["a", "b"]}, {"c7": ["b", "a"]}),
        ],
    )
    def test_summary_differs_for_values_that_print_differently(self, one: Row, other: Row) -> None:
        sink = self.make(VALUES)
        found = []
        for row in (one, other, one):
            sink.write([Replacement("d", 0, 0, sink.prepare([row]))])
            found.append(sink.summary())
        assert found[0] == found[2] != found[1]

    def test_summary_differs_if_rows_exchange_a_value(self) -> None:
        """Rows that have exchanged a value are others."""
        sink = self.make(VALUES)
        found = []
        for rows in ([{"c0": "a", "c2": 1}, {"c0": "b", "c2": 2}], [{"c0": "a", "c2": 2}, {"c0": "b", "c2": 1}]):
            sink.write([Replacement(f"d{row['c0']}", 0, 0, sink.prepare([row])) for row in rows])
            found.append(sink.summary())
        assert found[0] != found[1]

    def test_only_the_faulty_document_is_refused(self) -> None:
        sink = self.make(CURRENT)
        sink.write([self.replacement(sink, "d5", 0, 1, "before")])
        rows: list[Replacement] = [self.replacement(sink, f"d{n}", 1, 2, "after") for n in range(9)]
        # Past `prepare`, which would have refused it: what only PostgreSQL knows to refuse.
        rows[5] = Replacement("d5", 1, 2, (("nul \0", None, None),))
        (refusal,) = sink.write(rows)
        assert refusal.replacement == rows[5]
        assert refusal.reason == "PostgreSQL refuses the row (SQLSTATE 22021)"
        assert len(self.labels(sink, CURRENT)) == 9
        assert ("d5", 0, 1, "before") in self.labels(sink, CURRENT)

    @pytest.mark.parametrize("at", [0, 2_999], ids=["at first", "at last"])
    @pytest.mark.parametrize("by", ["PostgreSQL", "psycopg"])
    def test_backfill_leaves_out_only_the_refused_document(self, at: int, by: str) -> None:
        class Unwritable(tuple[Any, ...]):
            def __iter__(self) -> Iterator[Any]:
                raise psycopg.DataError

        sink = self.make(CURRENT, bare=True)
        rows = [self.replacement(sink, f"d{n}", 0, 1, "x" * 200) for n in range(3_000)]
        rows[at] = Replacement(f"d{at}", 0, 1, (("nul \0", None, None),) if by == "PostgreSQL" else Unwritable())
        (refusal,) = sink.write_first(rows)
        assert refusal.replacement == rows[at]
        sink.complete()
        sink.show()
        assert len(self.labels(sink, CURRENT)) == 2_999

    def test_backfilled_table_can_be_read_while_it_is_indexed(self, database: str) -> None:
        sink = self.make(CURRENT, bare=True)
        sink.write_first([self.replacement(sink, f"d{n}", 0, 1, "a") for n in range(3)])
        self.connection.commit()
        with connect(database) as other:
            expected = PostgresqlSink(other, CURRENT, "current_1").summary()
            other.commit()
            with pytest.MonkeyPatch.context() as patch:
                execute = sink._execute  # type: ignore[attr-defined]
                read = []

                def executing(statement: Any, **parts: Any) -> None:
                    if statement == ADD_KEY:
                        read.append(PostgresqlSink(other, CURRENT, "current_1").summary())
                        other.commit()
                    execute(statement, **parts)

                patch.setattr(sink, "_execute", executing)
                other.execute("SET lock_timeout = '2s'")
                sink.complete()
                assert read == [expected]

    def test_later_versions_queue_behind_a_refused_one(self) -> None:
        sink = self.make(HISTORY)
        rows = [self.replacement(sink, "d", version, version, "good") for version in range(4)]
        rows[1] = Replacement("d", 1, 1, (("nul \0", None, None),))
        (refusal,) = sink.write([*rows, self.replacement(sink, "e", 0, 5, "good")])
        assert refusal.replacement.version == 1
        assert self.labels(sink, HISTORY) == [("d", 0, 0, "good"), ("e", 0, 5, "good")]

    def test_error_that_blames_no_document_is_raised(self) -> None:
        sink = self.make(CURRENT)
        self.connection.execute("DROP VIEW read.current; DROP TABLE generation.current_1")
        with pytest.raises(psycopg.errors.UndefinedTable):
            sink.write([self.replacement(sink, "d", 0, 1, "a")])

    def test_text_too_long_for_its_index_is_refused_before_the_write(self) -> None:
        projection = RowProjection(
            "wide", "", ("T",), "current", "analysts", CURRENT.columns, lambda _: [], ("label",), (("label", "amount"),)
        )
        sink = self.make(projection)
        longest = secrets.token_hex(600)
        assert sink.write([self.replacement(sink, "d" * 22, 0, 0, longest)]) == []
        with pytest.raises(Unprojectable, match=r"^column label has an index"):
            sink.prepare([{"label": longest + "a"}])

    def test_payload_columns_have_no_statistics(self) -> None:
        sink = self.make(CURRENT)
        sink.write([self.replacement(sink, f"d{n}", 0, 0, "payload") for n in range(100)])
        self.connection.execute("ANALYZE generation.current_1")
        columns = self.connection.execute("SELECT attname FROM pg_stats WHERE tablename = 'current_1' ORDER BY 1")
        assert columns.fetchall() == [("source_block",), ("source_document",), ("source_version",)]
