"""A projector over a journal: the rows of the read model, and parked documents."""

import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.rows import dict_row
from psycopg.sql import SQL, Identifier

from strandline.consumer.database.connection import connect
from strandline.consumer.generations.generation import Generation
from strandline.consumer.projection.definition import (
    BlockProjection,
    Column,
    Projection,
    Revision,
    RowProjection,
    Unprojectable,
)
from strandline.consumer.projector import lease as leases
from strandline.consumer.projector.feed import Limits
from strandline.consumer.projector.projector import Projector
from strandline.consumer.sinks.contract import LeaseLost
from strandline.consumer.sinks.postgresql import PostgresqlSink
from tests.consumer.projector.sample_projections import (
    BAD,
    CURRENT,
    HISTORY,
    Connection,
    Written,
    good,
    rows,
    undone,
)
from tests.empty_generations import ensure_generation
from tests.strand_rows import StrandRows

Parked = set[tuple[str, int | None, int, str]]


def squeamish_rows(revision: Revision) -> Iterator[Mapping[str, object]]:
    """As `rows`, but it cannot take a revision that has no data."""
    if revision.data is None:
        raise Unprojectable("no data")
    return rows(revision)


SQUEAMISH = replace(HISTORY, name="squeamish", rows=squeamish_rows)


def projector(
    connection: Connection, projection: Projection, limits: Limits | None = None
) -> tuple[Projector, Generation]:
    generation = ensure_generation(connection, projection)
    assert generation is not None
    sink = PostgresqlSink(connection, projection, generation.relation)
    return Projector(connection, projection, generation.generation, sink, limits), generation


def run(connection: Connection, projection: Projection, limits: Limits | None = None) -> None:
    projector(connection, projection, limits)[0].run_to_mark()


def contents(connection: Connection, projection: Projection) -> list[tuple[Any, ...]]:
    with connection.transaction():
        statement = SQL("SELECT source_document, source_version, label FROM {} ORDER BY 1, 2")
        return connection.execute(statement.format(Identifier("read", projection.name))).fetchall()


def parked(connection: Connection) -> Parked:
    with connection.transaction():
        return set(connection.execute("SELECT key, version, sequence_no, reason FROM projection.parked").fetchall())


def position(connection: Connection) -> int:
    with connection.transaction():
        (found,) = connection.execute("SELECT position FROM projection.generation").fetchone() or (None,)
    return int(found)


class TestCurrent:
    def test_last_revision_of_a_document_is_shown(self, connection: Connection, strand: StrandRows) -> None:
        strand.block(("a", 0, "T", good("a0")), ("b", 0, "T", good("b0")), ("x", 0, "Other", good("x0")))
        strand.block(("a", 1, "T", good("a1")))
        run(connection, CURRENT)
        assert contents(connection, CURRENT) == [("a", 1, "a1"), ("b", 0, "b0")]
        strand.block(("b", 1, "T", good("b1")))
        run(connection, CURRENT)
        assert contents(connection, CURRENT) == [("a", 1, "a1"), ("b", 1, "b1")]

    def test_deletion_removes_rows_without_calling_the_function(
        self, connection: Connection, strand: StrandRows
    ) -> None:
        strand.block(("a", 0, "T", good("a0")), ("b", 0, "T", good("b0")))
        run(connection, CURRENT)
        strand.block(("a", 1, "T", None))
        run(connection, CURRENT)
        assert contents(connection, CURRENT) == [("b", 0, "b0")]

    def test_blocks_above_the_mark_are_not_projected(self, connection: Connection, strand: StrandRows) -> None:
        strand.block(("a", 0, "T", good("a0")))
        strand.block(("a", 1, "T", good("a1")))
        strand.connection.execute("UPDATE journal.mark SET sequence_no = 0")
        run(connection, CURRENT)
        assert contents(connection, CURRENT) == [("a", 0, "a0")]
        assert position(connection) == 0

    def test_position_moves_past_blocks_without_revisions(self, connection: Connection, strand: StrandRows) -> None:
        strand.block(("a", 0, "T", good("a0")))
        for _ in range(5):
            strand.block(("x", 0, "Other", good("x0")))
        run(connection, CURRENT, Limits(blocks=2))
        assert position(connection) == 5

    def test_journal_with_a_later_origin_is_projected(self, connection: Connection, database: str) -> None:
        with connect(database, autocommit=True) as writing:
            StrandRows(writing, origin=150_000).block(("a", 7, "T", good("a7")))
        run(connection, CURRENT)
        assert contents(connection, CURRENT) == [("a", 7, "a7")]


class TestHistory:
    def test_history_has_every_revision(self, connection: Connection, strand: StrandRows) -> None:
        strand.block(("a", 0, "T", good("a0")))
        strand.block(("a", 1, "T", good("a1")))
        strand.block(("a", 2, "T", None))
        run(connection, HISTORY)
        assert contents(connection, HISTORY) == [("a", 0, "a0"), ("a", 1, "a1"), ("a", 2, "deleted")]


class TestRedaction:
    def history(self, strand: StrandRows) -> None:
        strand.block(("a", 0, "T", good("a0")))
        strand.block(("a", 1, "T", good("a1")))

    def test_redacted_row_is_purged(self, connection: Connection, strand: StrandRows) -> None:
        self.history(strand)
        run(connection, HISTORY)
        strand.block(redact=("a", 0))
        run(connection, HISTORY)
        assert contents(connection, HISTORY) == [("a", 0, "redacted"), ("a", 1, "a1")]

    def test_revision_read_after_its_redaction_is_never_shown(self, connection: Connection, strand: StrandRows) -> None:
        self.history(strand)
        strand.block(redact=("a", 0))
        run(connection, HISTORY, Limits(blocks=1))
        assert contents(connection, HISTORY) == [("a", 0, "redacted"), ("a", 1, "a1")]

    def test_late_projector_purges_its_rows(self, connection: Connection, strand: StrandRows) -> None:
        """Projected while it was current; the next revision comes after the redaction has passed the mark."""
        strand.block(("a", 0, "T", good("a0")))
        run(connection, CURRENT)
        strand.block(("a", 1, "T", good("a1")))
        strand.block(redact=("a", 0))
        projecting, generation = projector(connection, CURRENT, Limits(blocks=1))
        lease = leases.take(connection, generation.generation)
        assert lease
        projecting.step(lease)
        assert contents(connection, CURRENT) == [("a", 1, "a1")]
        leases.release(connection, lease)
        run(connection, CURRENT)
        assert contents(connection, CURRENT) == [("a", 1, "a1")]

    def test_rows_of_a_parked_document_are_purged(self, connection: Connection, strand: StrandRows) -> None:
        for projection in (CURRENT, HISTORY):
            strand_document = f"d-{projection.name}"
            strand.block((strand_document, 0, "T", good("old")))
            run(connection, projection)
            strand.block((strand_document, 1, "T", BAD))
            run(connection, projection)
            strand.block(redact=(strand_document, 0))
            run(connection, projection)
            labels = [row[2] for row in contents(connection, projection) if row[0] == strand_document]
            assert labels == ([] if projection is CURRENT else ["redacted"])
            assert strand_document in {row[0] for row in parked(connection)}

    def test_document_parked_by_the_redacted_revision_is_unparked(
        self, connection: Connection, strand: StrandRows
    ) -> None:
        """A rebuilt generation would not park it: it meets the revision erased."""
        strand.block(("a", 0, "T", BAD))
        strand.block(("a", 1, "T", good("a1")))
        run(connection, CURRENT)
        assert parked(connection)
        strand.block(redact=("a", 0))
        run(connection, CURRENT)
        assert contents(connection, CURRENT) == [("a", 1, "a1")]
        assert not parked(connection)

    def test_refused_redacted_revision_parks_as_in_a_rebuild(self, connection: Connection, strand: StrandRows) -> None:
        self.history(strand)
        run(connection, SQUEAMISH)
        strand.block(redact=("a", 0))
        run(connection, SQUEAMISH)
        assert contents(connection, SQUEAMISH) == []
        assert parked(connection) == {("a", 0, 0, "no data")}


class TestParked:
    def test_document_parks_and_other_documents_are_written(self, connection: Connection, strand: StrandRows) -> None:
        strand.block(("a", 0, "T", good("a0")), ("b", 0, "T", good("b0")))
        strand.block(("a", 1, "T", BAD), ("b", 1, "T", good("b1")))
        strand.block(("a", 2, "T", good("a2")))
        run(connection, CURRENT)
        assert contents(connection, CURRENT) == [("a", 0, "a0"), ("b", 1, "b1")]
        assert parked(connection) == {("a", 1, 1, "it says so")}
        strand.block(("a", 3, "T", good("a3")))
        run(connection, CURRENT)
        assert contents(connection, CURRENT) == [("a", 0, "a0"), ("b", 1, "b1")]

    def test_text_of_a_foreign_error_is_not_stored(self, connection: Connection, strand: StrandRows) -> None:
        strand.block(("a", 0, "T", {"raise": "with payload", "secret": "Ada"}))
        run(connection, CURRENT)
        line = rows.__code__.co_firstlineno + 5
        assert parked(connection) == {("a", 0, 0, f"RuntimeError in line {line} of the projection")}

    @pytest.mark.parametrize("amount", [2**31, "1", [1], 1.5])
    def test_value_of_another_type_parks(self, connection: Connection, strand: StrandRows, amount: object) -> None:
        strand.block(("a", 0, "T", {"amount": amount}), ("b", 0, "T", good("b0")))
        run(connection, CURRENT)
        assert contents(connection, CURRENT) == [("b", 0, "b0")]
        assert parked(connection) == {("a", 0, 0, "column amount does not take the value as integer")}

    def test_row_that_only_postgresql_refuses_parks(self, connection: Connection, strand: StrandRows) -> None:
        strand.block(("a", 0, "T", good("a0")), ("b", 0, "T", good("b0")))
        run(connection, CURRENT)
        table = SQL("ALTER TABLE generation.{} ADD CHECK (label <> 'a1')")
        _, generation = projector(connection, CURRENT)
        with connection.transaction():
            connection.execute(table.format(Identifier(generation.relation)))
        strand.block(("a", 1, "T", good("a1")), ("b", 1, "T", good("b1")))
        run(connection, CURRENT)
        assert contents(connection, CURRENT) == [("a", 0, "a0"), ("b", 1, "b1")]
        assert parked(connection) == {("a", 1, 1, "PostgreSQL refuses the row (SQLSTATE 23514)")}
        with connection.transaction():
            connection.execute(
                SQL("ALTER TABLE generation.{0} DROP CONSTRAINT {1}").format(
                    Identifier(generation.relation), Identifier(f"{generation.relation}_label_check")
                )
            )
        assert projector(connection, CURRENT)[0].retry() == (1, 0)
        assert contents(connection, CURRENT) == [("a", 1, "a1"), ("b", 1, "b1")]

    @pytest.mark.parametrize("projection", [CURRENT, HISTORY], ids=["current", "history"])
    def test_retry_runs_parked_documents_in_order(
        self, connection: Connection, strand: StrandRows, projection: RowProjection
    ) -> None:
        strand.block(("a", 0, "T", good("a0")), ("b", 0, "T", BAD))
        strand.block(("a", 1, "T", BAD))
        strand.block(("a", 2, "T", good("a2")))
        run(connection, projection)
        # Blocks above the position are not for the retry.
        strand.block(("a", 3, "T", good("a3")))
        mended = replace(projection, rows=lambda revision: [{"label": f"mended {revision.version}"}])
        assert projector(connection, mended)[0].retry() == (2, 0)
        labels = {row[1]: row[2] for row in contents(connection, projection) if row[0] == "a"}
        assert labels == ({2: "mended 2"} if projection is CURRENT else {0: "a0", 1: "mended 1", 2: "mended 2"})
        assert not parked(connection)

    def test_retry_of_one_document_leaves_the_others(self, connection: Connection, strand: StrandRows) -> None:
        strand.block(("a", 0, "T", BAD), ("b", 0, "T", BAD))
        run(connection, CURRENT)
        mended = replace(CURRENT, rows=lambda revision: [{"label": f"mended {revision.version}"}])
        assert projector(connection, mended)[0].retry("b") == (1, 0)
        assert projector(connection, mended)[0].retry("none") == (0, 0)
        assert contents(connection, CURRENT) == [("b", 0, "mended 0")]
        assert {key for key, *_ in parked(connection)} == {"a"}

    def test_document_refused_again_stays_parked(self, connection: Connection, strand: StrandRows) -> None:
        for number in range(250):
            strand.block((f"d{number}", 0, "T", BAD))
        run(connection, CURRENT)
        before = parked(connection)
        assert projector(connection, CURRENT)[0].retry() == (250, 250)
        assert parked(connection) == before

    def test_block_parks_alone(self, connection: Connection, strand: StrandRows) -> None:
        def odd_rows(block: Any) -> list[Mapping[str, object]]:
            if block.sequence_no == 1:
                raise Unprojectable("not this one")
            return [{"label": str(block.sequence_no)}]

        projection = BlockProjection("blocks", "Test.", "analysts", (Column("label", "text", ""),), odd_rows)
        for _ in range(3):
            strand.block()
        run(connection, projection)
        assert [row[2] for row in contents(connection, projection)] == ["0", "2"]
        assert parked(connection) == {("1", None, 1, "not this one")}
        mended = replace(projection, rows=lambda block: [{"label": str(block.sequence_no)}])
        assert projector(connection, mended)[0].retry() == (1, 0)
        assert sorted(row[2] for row in contents(connection, projection)) == ["0", "1", "2"]


class TestBatches:
    def test_batch_is_bounded_and_has_complete_blocks(self, connection: Connection, strand: StrandRows) -> None:
        for number in range(6):
            strand.block(*[(f"{number}/{n}", 0, "T", good("x")) for n in range(3)])
        projecting, generation = projector(connection, CURRENT, Limits(revisions=4))
        lease = leases.take(connection, generation.generation)
        assert lease
        moved = []
        while projecting.step(lease):
            moved.append((position(connection), len(contents(connection, CURRENT))))
        assert moved[0] == (1, 6)
        assert all(rows == 3 * (at + 1) for at, rows in moved)
        assert moved[-1] == (5, 18)

    def test_batch_is_bounded_in_bytes(self, connection: Connection, strand: StrandRows) -> None:
        for number in range(2_000):
            strand.block((str(number), 0, "T", good("x" * 500)))
        projecting, generation = projector(connection, CURRENT, Limits(size=100_000))
        lease = leases.take(connection, generation.generation)
        assert lease
        projecting.step(lease)
        assert 100 < position(connection) < 500

    def test_rows_and_position_are_committed_together(
        self, connection: Connection, strand: StrandRows, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        strand.block(("a", 0, "T", good("a0")), ("b", 0, "T", BAD))
        with monkeypatch.context() as patch:
            patch.setattr(leases, "move", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                run(connection, CURRENT)
        assert (contents(connection, CURRENT), parked(connection), position(connection)) == ([], set(), -1)
        run(connection, CURRENT)
        assert contents(connection, CURRENT) == [("a", 0, "a0")]

    def test_stolen_lease_cannot_write(self, connection: Connection, strand: StrandRows, database: str) -> None:
        strand.block(("a", 0, "T", good("a0")))
        projecting, generation = projector(connection, CURRENT)
        lease = leases.take(connection, generation.generation)
        assert lease
        with connect(database) as thief:
            assert leases.take(thief, generation.generation) is None
            with thief.transaction():
                thief.execute("UPDATE projection.generation SET expires_at = now() - interval '1 s'")
            assert leases.take(thief, generation.generation) is not None
        with pytest.raises(LeaseLost):
            projecting.step(lease)
        with pytest.raises(LeaseLost), connection.transaction():
            leases.move(connection, lease, 0)
        assert (contents(connection, CURRENT), position(connection)) == ([], -1)

    def test_lease_of_a_dead_process_expires(
        self, connection: Connection, strand: StrandRows, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        strand.block(("a", 0, "T", good("a0")))
        projecting, generation = projector(connection, CURRENT)
        monkeypatch.setattr(leases, "SECONDS", 0.5)
        assert leases.take(connection, generation.generation)
        started = time.monotonic()
        projecting.run_to_mark()
        assert time.monotonic() - started > 0.3
        assert contents(connection, CURRENT) == [("a", 0, "a0")]

    def test_two_concurrent_projectors_write_once(
        self, connection: Connection, strand: StrandRows, database: str
    ) -> None:
        for number in range(40):
            strand.block((f"d{number % 7}", number // 7, "T", good(f"v{number}")))

        def project() -> None:
            with connect(database) as own:
                run(own, HISTORY, Limits(blocks=1))

        threads = [threading.Thread(target=project) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(contents(connection, HISTORY)) == 40
        assert position(connection) == 39
        with connection.transaction():
            assert connection.execute("SELECT count(*) FROM projection.generation").fetchone() == (1,)


# Any history: each step changes, breaks, deletes or redacts one of a few documents.
STEPS = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from(["good", "good", "bad", "raise", "big", "delete", "redact"])),
    max_size=14,
)
PROJECTIONS = (CURRENT, HISTORY, SQUEAMISH)


def everything(connection: Connection, projection: Projection) -> tuple[list[Any], list[Any]]:
    generation = ensure_generation(connection, projection)
    assert generation
    with connection.cursor(row_factory=dict_row) as cursor:
        statement = SQL("SELECT * FROM {} ORDER BY source_document, source_version")
        table = cursor.execute(statement.format(Identifier("generation", generation.relation))).fetchall()
        statement = SQL(
            "SELECT key, version, sequence_no, reason FROM projection.parked WHERE generation = %s ORDER BY 1"
        )
        return table, cursor.execute(statement, [generation.generation]).fetchall()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, limits=st.builds(Limits, st.integers(1, 5), st.integers(1, 5)), stops=st.sets(st.integers(0, 13)))
def test_live_rows_equal_rebuilt_rows_for_any_batches(
    connection: Connection, steps: list[tuple[str, str]], limits: Limits, stops: set[int]
) -> None:
    """Projected as it came, in batches of any size, it equals what one batch makes of the journal at its end: rows and
    parked set, also where redactions erased what was projected, or what had parked."""
    with undone(connection):
        written = Written(StrandRows(connection))
        written.strand.block(("z", 0, "T", good("z")))
        for number, (document, kind) in enumerate(steps):
            written.step(document, kind)
            if number in stops:
                for projection in PROJECTIONS:
                    run(connection, projection, limits)
        for projection in PROJECTIONS:
            run(connection, projection, limits)
            rebuilt = replace(projection, name=f"rebuilt_{projection.name}")
            run(connection, rebuilt)
            assert everything(connection, projection) == everything(connection, rebuilt)
