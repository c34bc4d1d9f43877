"""A composed projection over a journal: the rows of its keys and their sources, wherever batches end."""

from contextlib import suppress
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.sql import SQL, Identifier
from psycopg.types.json import Jsonb

from strandline.consumer.projection.definition import (
    ComposedProjection,
    Lookup,
    Rows,
)
from strandline.consumer.projector import backfill
from strandline.consumer.projector import lease as leases
from strandline.consumer.projector import lookup as finding
from strandline.consumer.projector.feed import Limits
from strandline.consumer.projector.lookup import ensure_indexes, find
from strandline.consumer.projector.projector import Projector
from strandline.consumer.projector.revision_reader import reader_for
from strandline.consumer.sinks.postgresql import PostgresqlSink
from strandline.consumer.store.documents import change_texts
from tests.consumer.projector.sample_orders import DOCUMENTS, KINDS, ORDERS, WrittenOrders, keys, line, order, product
from tests.consumer.projector.sample_projections import Connection, undone
from tests.empty_generations import ensure_generation
from tests.strand_rows import StrandRows


def projector(
    connection: Connection, projection: ComposedProjection = ORDERS, limits: Limits | None = None
) -> Projector:
    generation = ensure_generation(connection, projection)
    assert generation is not None
    sink = PostgresqlSink(connection, projection, generation.relation)
    return Projector(connection, projection, generation.generation, sink, limits)


def run(connection: Connection, projection: ComposedProjection = ORDERS, limits: Limits | None = None) -> None:
    projector(connection, projection, limits).run_to_mark()


def read(connection: Connection, statement: str) -> list[tuple[Any, ...]]:
    with connection.transaction():
        return connection.execute(statement.encode()).fetchall()


def contents(connection: Connection) -> list[tuple[Any, ...]]:
    return read(connection, "SELECT source_key, label, names, source_block FROM read.orders ORDER BY 1, 2")


def labels(connection: Connection) -> list[str]:
    return [row[1] for row in contents(connection)]


def sources(connection: Connection) -> list[tuple[Any, ...]]:
    return read(connection, "SELECT key, document_id, version FROM projection.source ORDER BY 1, 2, 3")


def parked(connection: Connection) -> list[tuple[Any, ...]]:
    return read(connection, "SELECT key, version, sequence_no, reason FROM projection.parked ORDER BY 1, 2")


@pytest.mark.parametrize(("documents", "in_memory"), [(5, True), (20, False)])
def test_small_documents_count_too_when_memory_is_limited(
    connection: Connection, strand: StrandRows, database: str, documents: int, in_memory: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Too many of them, whose JSON alone is within the limit, are not held: the generation is filled block by block."""
    strand.block(*[order(f"o{number}", f"{number}") for number in range(documents)])
    generation = ensure_generation(connection, ORDERS)
    assert generation is not None
    connection.commit()
    monkeypatch.setattr(backfill, "MOST_BYTES", 10 * backfill.BYTES_OF_EACH)
    composed = backfill.ComposedBackfill(database, ORDERS)
    batches = list(composed.batches(PostgresqlSink(connection, ORDERS, generation.relation)))
    assert (composed.last >= 0, bool(batches)) == (in_memory, in_memory)


class TestComposition:
    def test_row_is_composed_of_all_its_documents(self, connection: Connection, strand: StrandRows) -> None:
        strand.block(order("o1", "A"), line("l1", "A", "x"), product("p1", "x"))
        run(connection)
        assert contents(connection) == [("A", "o1 l1 p1", ["n", "p"], 0)]
        assert sources(connection) == [("A", "l1", 0), ("A", "o1", 0), ("A", "p1", 0)]

    @pytest.mark.parametrize("first", range(3))
    def test_row_appears_with_the_last_of_its_documents(
        self, connection: Connection, strand: StrandRows, first: int
    ) -> None:
        changes = [order("o1", "A"), line("l1", "A", "x"), product("p1", "x")]
        for change in changes[first:] + changes[:first]:
            strand.block(change)
            run(connection)
        assert contents(connection) == [("A", "o1 l1 p1", ["n", "p"], 2)]

    def test_moved_document_leaves_its_old_key(self, connection: Connection, strand: StrandRows) -> None:
        strand.block(order("o1", "A"), order("o2", "B"), line("l1", "A", "x"), product("p1", "x"))
        run(connection)
        strand.block(line("l1", "B", "x", version=1))
        run(connection)
        assert contents(connection) == [("B", "o2 l1 p1", ["n", "p"], 1)]
        strand.block(product("p1", "y", version=1))
        run(connection)
        assert contents(connection) == []

    def test_two_documents_may_name_the_same_key(self, connection: Connection, strand: StrandRows) -> None:
        strand.block(order("o1", "A"), order("o2", "A"), line("l1", "A", "x"), product("p1", "x"), product("p2", "x"))
        run(connection)
        assert labels(connection) == ["o1 l1 p1", "o1 l1 p2", "o2 l1 p1", "o2 l1 p2"]

    def test_deletion_removes_the_document_from_every_row(self, connection: Connection, strand: StrandRows) -> None:
        strand.block(order("o1", "A"), order("o2", "B"), line("l1", "A", "x"), line("l2", "B", "x"), product("p1", "x"))
        run(connection)
        assert len(contents(connection)) == 2
        strand.block(("p1", 1, "Product", None))
        run(connection)
        assert contents(connection) == []
        assert "p1" not in {document for _, document, _ in sources(connection)}

    def test_lookup_finds_texts_only(self, connection: Connection, strand: StrandRows) -> None:
        strand.block(order("o1", "A"), line("l1", "A", "7"), ("p1", 0, "Product", {"code": 7}))
        run(connection)
        assert contents(connection) == []
        assert parked(connection) == [("p1", 0, 0, "code is missing or not text")]

    def test_long_keys_are_found_or_parked(self, connection: Connection, strand: StrandRows) -> None:
        long, too_long = "é" * 1000, "é" * 4000
        strand.block(order("o1", long), line("l1", long, too_long), product("p1", too_long), order("o2", too_long))
        run(connection)
        assert [row[:2] for row in contents(connection)] == [(long, "o1 l1 p1")]
        assert parked(connection) == [("o2", 0, 0, "a key is no text, or too long")]

    def test_documents_are_read_as_of_the_end_of_the_batch(self, connection: Connection, strand: StrandRows) -> None:
        """The mark is far ahead: what comes later is not in the row before the position passes it."""
        strand.block(order("o1", "A", name="first"), line("l1", "A", "x"), product("p1", "x"))
        strand.block(order("o1", "A", 1, name="second"), product("p2", "x"))
        strand.block(("l1", 1, "Line", None))
        projecting = projector(connection, limits=Limits(blocks=1))
        (number,) = read(connection, "SELECT generation FROM projection.generation")[0]
        lease = leases.take(connection, number)
        assert lease
        seen = []
        while projecting.step(lease):
            seen.append([(label, names[0]) for _, label, names, _ in contents(connection)])
        assert seen == [[("o1 l1 p1", "first")], [("o1 l1 p1", "second"), ("o1 l1 p2", "second")], []]

    def test_change_between_two_lookups_is_not_seen(
        self, connection: Connection, strand: StrandRows, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        strand.block(order("o1", "A"), line("l1", "A", "x"), product("p1", "x"))
        projecting = projector(connection)
        (number,) = read(connection, "SELECT generation FROM projection.generation")[0]
        lease = leases.take(connection, number)
        assert lease

        def moving(*parameters: Any) -> Any:
            with suppress(psycopg.errors.UniqueViolation):
                strand.block(product("p1", "other", version=strand.next_no))
            return find(*parameters)

        monkeypatch.setattr("strandline.consumer.projector.composed_filler.find", moving)
        projecting.step(lease)
        assert contents(connection) == [("A", "o1 l1 p1", ["n", "p"], 0)]


class TestRedaction:
    def test_redacted_document_leaves_every_row_composed_of_it(
        self, connection: Connection, strand: StrandRows
    ) -> None:
        strand.block(order("o1", "A"), order("o2", "B"), line("l1", "A", "x"), line("l2", "B", "x"), product("p1", "x"))
        run(connection)
        strand.block(product("p1", "x", 1, name="second"))
        strand.block(redact=("p1", 0))
        run(connection)
        assert [names for _, _, names, _ in contents(connection)] == [["n", "second"], ["n", "second"]]
        assert ("A", "p1", 0) not in sources(connection)

    def test_redacted_document_without_successor_leaves_its_rows(
        self, connection: Connection, strand: StrandRows
    ) -> None:
        """QLDB redacts inactive revisions only; a row that lease more would have to go all the same."""
        strand.block(order("o1", "A", name="Ada"), line("l1", "A", "x"), product("p1", "x"))
        run(connection)
        strand.block(redact=("o1", 0))
        run(connection)
        assert contents(connection) == []
        assert "Ada" not in str(read(connection, "SELECT g::text FROM read.orders g"))

    def test_late_projector_composes_no_redacted_data(self, connection: Connection, strand: StrandRows) -> None:
        strand.block(order("o1", "A", name="Ada"), line("l1", "A", "x"), product("p1", "x"))
        strand.block(order("o1", "A", 1, name="Eve"))
        strand.block(redact=("o1", 0))
        run(connection, limits=Limits(blocks=1))
        assert [names for _, _, names, _ in contents(connection)] == [["Eve", "p"]]


class TestParked:
    def test_key_parks_and_other_keys_are_written(self, connection: Connection, strand: StrandRows) -> None:
        strand.block(order("o1", "A"), order("o2", "B"), line("l1", "A", "x"), line("l2", "B", "y"))
        strand.block(product("p1", "x"), product("p2", "y"))
        run(connection)
        strand.block(product("p1", "x", 1, **{"raise": 1}))
        strand.block(order("o2", "B", 1, name="later"))
        run(connection)
        assert [(key, names[0]) for key, _, names, _ in contents(connection)] == [("B", "later")]
        assert parked(connection) == [("A", None, 2, "it says so")]
        # A document of it that changes lets it be composed again, without being asked.
        strand.block(product("p1", "x", 2))
        run(connection)
        assert len(contents(connection)) == 2
        assert parked(connection) == []

    def test_document_and_key_of_the_same_name_park_separately(
        self, connection: Connection, strand: StrandRows
    ) -> None:
        strand.block(order("o1", "A"), line("l1", "A", "x"), product("p1", "x", **{"raise": 1}))
        strand.block(("A", 0, "Product", {"code": 7}))
        run(connection)
        assert parked(connection) == [("A", 0, 1, "code is missing or not text"), ("A", None, 0, "it says so")]
        strand.block(("A", 1, "Product", {"code": "z"}))
        run(connection)
        assert parked(connection) == [("A", None, 0, "it says so")]

    def test_document_that_names_no_key_is_in_no_row(self, connection: Connection, strand: StrandRows) -> None:
        strand.block(order("o1", "A"), line("l1", "A", "x"), product("p1", "x"))
        run(connection)
        strand.block(("l1", 1, "Line", {"order": "A", "code": "x", "raise keys": 1}))
        run(connection)
        assert labels(connection) == []
        assert [row[0] for row in parked(connection)] == ["l1"]

    def test_redacted_document_is_unparked(self, connection: Connection, strand: StrandRows) -> None:
        strand.block(product("p1", 7))
        run(connection)
        assert [row[0] for row in parked(connection)] == ["p1"]
        strand.block(redact=("p1", 0))
        run(connection)
        assert parked(connection) == []

    def test_rows_without_documents_are_not_written(self, connection: Connection, strand: StrandRows) -> None:
        always = replace(ORDERS, compose=lambda key, lookup: [{"label": f"{len(lookup('Order', 'order', key))}"}])
        strand.block(order("o1", "A"))
        run(connection, always)
        assert labels(connection) == ["1"]
        strand.block(("o1", 1, "Order", None))
        run(connection, always)
        assert labels(connection) == []

    def test_text_of_a_foreign_error_is_not_stored(self, connection: Connection, strand: StrandRows) -> None:
        strand.block(("o1", 0, "Order", {"order": "A", "raise keys": "Ada"}))
        run(connection)
        assert parked(connection) == [
            ("o1", 0, 0, f"RuntimeError in line {keys.__code__.co_firstlineno + 7} of the projection")
        ]

    @pytest.mark.parametrize(
        ("asks", "fault"),
        [
            (("Order", "name", "n"), "it looks up a field that it does not declare"),
            (("Other", "order", "A"), "it looks up a field that it does not declare"),
        ],
    )
    def test_undeclared_lookup_parks(
        self, connection: Connection, strand: StrandRows, asks: tuple[str, str, str], fault: str
    ) -> None:
        def asking(key: str, lookup: Lookup) -> Rows:
            lookup("Order", "order", key)
            return [{"label": one.document_id} for one in lookup(*asks)]

        strand.block(order("o1", "A"))
        run(connection, replace(ORDERS, compose=asking))
        assert parked(connection) == [("A", None, 0, fault)]

    def test_endless_lookups_park(self, connection: Connection, strand: StrandRows) -> None:
        asked = iter(range(1_000_000))

        def restless(key: str, lookup: Lookup) -> Rows:
            lookup("Order", "order", key)
            lookup("Order", "order", f"{next(asked)}")
            return []

        strand.block(order("o1", "A"))
        run(connection, replace(ORDERS, compose=restless))
        assert parked(connection) == [("A", None, 0, "it looks up in more than 20 rounds")]

    def test_row_that_only_postgresql_refuses_parks_its_key(self, connection: Connection, strand: StrandRows) -> None:
        strand.block(order("o1", "A"), order("o2", "B"), line("l1", "A", "x"), line("l2", "B", "x"), product("p1", "x"))
        run(connection)
        generation = ensure_generation(connection, ORDERS)
        assert generation
        table = Identifier("generation", generation.relation)
        with connection.transaction():
            connection.execute(SQL("ALTER TABLE {} ADD CHECK (names->>1 <> 'odd' OR source_key = 'B')").format(table))
        strand.block(product("p1", "x", 1, name="odd"))
        run(connection)
        assert labels(connection) == ["o2 l2 p1"]
        assert parked(connection) == [("A", None, 1, "PostgreSQL refuses the row (SQLSTATE 23514)")]
        assert projector(connection).retry() == (1, 1)
        with connection.transaction():
            connection.execute(
                SQL("ALTER TABLE {} DROP CONSTRAINT {}").format(table, Identifier(f"{generation.relation}_check"))
            )
        assert projector(connection).retry() == (1, 0)
        assert labels(connection) == ["o1 l1 p1", "o2 l2 p1"]

    def test_retry_runs_keys_and_documents_as_of_the_position(self, connection: Connection, strand: StrandRows) -> None:
        strand.block(order("o1", "A"), line("l1", "A", "x"), product("p1", "x", **{"raise": 1}), product("p2", 7))
        run(connection)
        assert [row[0] for row in parked(connection)] == ["A", "p2"]
        assert projector(connection).retry() == (2, 2)
        # The data is what it takes now; blocks above the position are not for the retry.
        strand.block(line("l1", "A", "elsewhere", version=1))
        fixed = {"code": "x", "name": "fixed"}
        strand.connection.execute("UPDATE journal.revision SET data = %s WHERE table_name = 'Product'", [Jsonb(fixed)])
        change_texts(strand.connection, ["p1", "p2"])
        assert projector(connection).retry() == (2, 0)
        assert labels(connection) == ["o1 l1 p1", "o1 l1 p2"]
        run(connection)
        assert labels(connection) == []


class TestSpeed:
    def test_lookups_use_the_index_of_their_table_only(self, connection: Connection, strand: StrandRows) -> None:
        strand.block(*[order(f"o{n}", f"A{n}") for n in range(500)], ("z", 0, "Other", {"order": "A"}))
        with connection.transaction():
            ensure_indexes(connection, ORDERS)
            connection.execute("ANALYZE journal.found_text, journal.document_version")
            connection.execute(finding.BY_INDEX)
            named = {"table": "Order", "field": "order", "values": ["A1"], "position": 9}
            plan = connection.execute(SQL("EXPLAIN ") + finding._find(reader_for(ORDERS)), named).fetchall()
            text = "\n".join(line for (line,) in plan)
            assert "Seq Scan" not in text
            assert "found_text_pkey" in text
            assert "document_version_pkey" in text
            held = connection.execute("SELECT table_name, count(*) FROM journal.found_text GROUP BY 1").fetchall()
        assert held == [("Order", 500)]

    def test_statistics_keep_no_looked_up_value(self, connection: Connection, strand: StrandRows) -> None:
        with connection.transaction():
            ensure_indexes(connection, ORDERS)
        strand.block(*[order(f"o{n}", f"A{n}") for n in range(50)])
        run(connection)
        strand.connection.execute("ANALYZE journal.revision, journal.found_text, projection.source")
        kept = read(connection, "SELECT tablename, attname FROM pg_stats WHERE schemaname IN ('journal', 'projection')")
        assert kept
        assert not [row for row in kept if row[1] in ("key", "data", "text_hash")]

    def test_number_of_statements_is_independent_of_the_rows(
        self, connection: Connection, strand: StrandRows, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for n in range(200):
            strand.block(order(f"o{n}", f"A{n}"), line(f"l{n}", f"A{n}", f"x{n}"), product(f"p{n}", f"x{n}"))
        projecting = projector(connection)
        ran = []
        execute = psycopg.Cursor.execute
        monkeypatch.setattr(psycopg.Cursor, "execute", lambda *a, **k: (ran.append(a[1]), execute(*a, **k))[1])
        projecting.run_to_mark()
        assert len(contents(connection)) == 200
        assert len(ran) < 40


STEPS = st.lists(st.tuples(st.sampled_from(sorted(DOCUMENTS)), st.sampled_from(KINDS)), max_size=24)


def everything(connection: Connection, projection: ComposedProjection) -> tuple[list[Any], ...]:
    generation = ensure_generation(connection, projection)
    assert generation
    statements = (
        SQL("SELECT * FROM {} ORDER BY source_key, label").format(Identifier("generation", generation.relation)),
        SQL("SELECT key, document_id, version FROM projection.source WHERE generation = {} ORDER BY 1, 2, 3").format(
            generation.generation
        ),
        SQL("SELECT key, version, sequence_no, reason FROM projection.parked WHERE generation = {} ORDER BY 1, 2")
        .format(generation.generation),
    )  # fmt: skip
    return tuple(connection.execute(statement).fetchall() for statement in statements)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=STEPS,
    limits=st.builds(Limits, st.integers(1, 5), st.integers(1, 5)),
    stops=st.sets(st.integers(0, 23)),
    retries=st.sets(st.integers(0, 23)),
)
def test_live_rows_equal_rebuilt_rows_for_any_batches(
    connection: Connection, steps: list[tuple[str, str]], limits: Limits, stops: set[int], retries: set[int]
) -> None:
    """Projected as it came, in batches of any size, with retries, it equals what one batch makes of the journal at its
    end: rows, recorded sources and what waits."""
    with undone(connection):
        written = WrittenOrders(StrandRows(connection))
        written.strand.block(order("z", "A"), line("zl", "A", "x"), line("zm", "A", "y"))
        for number, (document, kind) in enumerate(steps):
            written.step(document, kind)
            if number in stops:
                run(connection, ORDERS, limits)
            if number in retries:
                projector(connection, ORDERS).retry()
        run(connection, ORDERS, limits)
        rebuilt = replace(ORDERS, name="rebuilt")
        run(connection, rebuilt)
        assert everything(connection, ORDERS) == everything(connection, rebuilt)
