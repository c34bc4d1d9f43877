"""Rebuilds and rollbacks: what readers see meanwhile, what is kept, what is left by a rebuild that was killed."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.sql import SQL, Identifier

from strandline.consumer.database.connection import connect
from strandline.consumer.generations import exclusion, generation, stages
from strandline.consumer.generations.rebuild import Served
from strandline.consumer.generations.rebuild import rebuild as rebuild_one
from strandline.consumer.generations.rollback import rollback as roll_back
from strandline.consumer.generations.state import statuses
from strandline.consumer.projection.definition import BlockProjection, Column, Projection, Unprojectable
from strandline.consumer.projector import backfill, lease
from strandline.consumer.projector.filler import BackfillBatch, Filler
from strandline.consumer.sinks import patience
from strandline.consumer.sinks.patience import ReadersInTheWay
from strandline.consumer.sinks.read_view import ViewInUse
from strandline.journal.errors import StrandlineError, UsageError
from tests.consumer.generations.records import LIFT, check_records
from tests.consumer.projector import sample_orders, sample_projections
from tests.consumer.projector.sample_orders import ORDERS, line, order, product
from tests.consumer.projector.sample_projections import BAD, CURRENT, HISTORY, good
from tests.definitions import redefine
from tests.empty_generations import follow
from tests.strand_rows import StrandRows

BLOCKS = BlockProjection(
    "blocks", "Test.", "analysts", (Column("label", "text", ""),), lambda block: [{"label": str(block.sequence_no)}]
)
# As discovery does, with the hash of their code: it is not to be made each time.
ALL: dict[str, Projection] = {
    one.name: replace(one, code_hash="of the tests") for one in (CURRENT, HISTORY, BLOCKS, ORDERS)
}


def named(*projections: Projection) -> dict[str, Projection]:
    return {projection.name: projection for projection in projections}


def all_rows(connection: psycopg.Connection[Any], name: str) -> list[Any]:
    rows = connection.execute(SQL("SELECT * FROM read.{}").format(Identifier(name))).fetchall()
    return sorted(rows, key=repr)


def labels(connection: psycopg.Connection[Any], name: str = "now") -> list[str]:
    rows = connection.execute(SQL("SELECT label FROM read.{} ORDER BY 1").format(Identifier(name)))
    return [label for (label,) in rows]


def states(connection: psycopg.Connection[Any], name: str = "now") -> list[tuple[Any, ...]]:
    statement = "SELECT generation, state, position FROM projection.generation WHERE projection = %s ORDER BY 1"
    return connection.execute(statement, [name]).fetchall()


def check_no_orphans(connection: psycopg.Connection[Any]) -> None:
    tables = connection.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = 'generation'::regnamespace AND relkind = 'r'"
    )
    known = connection.execute("SELECT relation FROM projection.generation WHERE store = 'postgresql'")
    assert sorted(tables.fetchall()) == sorted(known.fetchall())
    check_records(connection)


def history(strand: StrandRows) -> None:
    strand.block(("a", 0, "T", good("a0")), ("b", 0, "T", good("b0")), ("c", 0, "T", BAD))
    strand.block(("a", 1, "T", good("a1")), ("c", 1, "T", good("c1")), ("d", 0, "T", good("d0")))
    strand.block(("d", 1, "T", BAD))
    strand.block(("b", 1, "T", None))
    strand.block(redact=("a", 0))
    strand.block(order("o1", "A"), line("l1", "A", "x"), product("p1", "x"))


@pytest.fixture
def redefined(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Says that the code at hand is another definition than the one before."""

    return lambda text: redefine(monkeypatch, lambda _: text)


class TestRebuild:
    @pytest.mark.parametrize("name", ALL)
    def test_rebuilt_generation_equals_the_served_one(
        self, connection: psycopg.Connection[Any], strand: StrandRows, database: str, name: str
    ) -> None:
        history(strand)
        follow(database, ALL)
        before = all_rows(connection, name)
        strand.block(("e", 0, "T", good("e0")))  # neither of them has this yet
        told: list[tuple[str, int, int | None]] = []
        done = rebuild_one(database, ALL, name, progress=lambda *step: told.append(step))
        follow(database, ALL)
        after = all_rows(connection, name)
        assert (done.name, done.swapped, done.difference, done.rows) == (name, True, None, len(after))
        assert set(map(repr, before)) <= set(map(repr, after))
        assert [state for _, state, _ in states(connection, name)] == ["kept", "live"]
        assert told
        check_no_orphans(connection)

    def test_composed_generation_without_keys_continues(
        self, connection: psycopg.Connection[Any], strand: StrandRows, database: str
    ) -> None:
        strand.block(order("o1", "A"))
        strand.block(("o1", 1, "Order", None))
        follow(database, named(ORDERS))
        assert rebuild_one(database, named(ORDERS), "orders").difference is None
        check_no_orphans(connection)
        strand.block(order("o2", "B"), line("l1", "B", "x"), product("p1", "x"))
        follow(database, named(ORDERS))
        assert labels(connection, "orders") == ["o2 l1 p1"]

    def test_backfill_reads_only_the_last_revisions(self, strand: StrandRows, database: str, redefined: Any) -> None:
        redefined("the same")
        history(strand)
        follow(database, named(CURRENT))
        seen = []

        def watched(revision: Any) -> Any:
            seen.append((revision.document_id, revision.version))
            return sample_projections.rows(revision)

        done = rebuild_one(database, named(replace(CURRENT, rows=watched)), "now")
        assert done.difference is None
        # a only as it is now, b is deleted; c waits in what is served, and d's last revision cannot be taken.
        assert sorted(set(seen)) == [("a", 1), ("c", 0), ("d", 0), ("d", 1)]

    def test_difference_refuses_the_cut_over(
        self, connection: psycopg.Connection[Any], strand: StrandRows, database: str
    ) -> None:
        history(strand)
        follow(database, named(CURRENT))
        (generation, _, position), *_ = states(connection)
        table = Identifier("generation", f"now_{generation}")
        connection.execute(SQL("UPDATE {} SET label = 'tampered' WHERE source_document = 'a'").format(table))
        done = rebuild_one(database, named(CURRENT), "now")
        assert (done.swapped, done.difference) == (False, "2 rows in both, but with other contents")
        connection.execute(SQL("DELETE FROM {}").format(table))
        connection.execute("DELETE FROM projection.parked WHERE key = 'c'")
        done = rebuild_one(database, named(CURRENT), "now")
        assert done.difference == "0 rows served, 3 rebuilt"
        assert states(connection) == [(generation, "live", position)]
        check_no_orphans(connection)

    def test_difference_is_accepted_after_a_change_below_the_mark(
        self, connection: psycopg.Connection[Any], strand: StrandRows, database: str
    ) -> None:
        history(strand)
        follow(database, named(CURRENT))
        connection.execute(LIFT)
        connection.execute("INSERT INTO journal.change (sequence_no, kind, differs) VALUES (1, 'upgraded', true)")
        (found,) = statuses(connection, [CURRENT])
        assert found.needs_rebuild
        done = rebuild_one(database, named(CURRENT), "now")
        assert (done.swapped, done.difference) == (True, "2 rows in both, but with other contents")
        assert labels(connection)[-1] == "upgraded"
        (found,) = statuses(connection, [CURRENT])
        assert not found.needs_rebuild

    def test_change_during_a_rebuild_is_not_missed(
        self, connection: psycopg.Connection[Any], strand: StrandRows, database: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        history(strand)
        follow(database, named(CURRENT))
        once = []
        batches = backfill.RowBackfill.batches

        def changing(*parameters: Any) -> Iterator[BackfillBatch]:
            yield from batches(*parameters)
            if not once:
                once.append(1)
                connection.execute(LIFT)
                connection.execute("INSERT INTO journal.change (sequence_no, kind) VALUES (1, 'upgraded')")

        monkeypatch.setattr(backfill.RowBackfill, "batches", changing)
        assert rebuild_one(database, named(CURRENT), "now").swapped
        assert "upgraded" in labels(connection)
        check_no_orphans(connection)

    def test_another_definition_may_differ(
        self, connection: psycopg.Connection[Any], strand: StrandRows, database: str, redefined: Any
    ) -> None:
        history(strand)
        follow(database, named(CURRENT))
        redefined("second")
        (found,) = statuses(connection, [CURRENT])
        assert found.state == "needs_rebuild"
        new = replace(CURRENT, rows=lambda revision: [{"label": "new", "amount": revision.version}])
        done = rebuild_one(database, named(new), "now")
        assert (done.swapped, done.difference) == (True, None)
        assert labels(connection) == ["new"] * 3
        assert [state for _, state, _ in states(connection)] == ["frozen", "live"]

    def test_document_parked_by_another_definition_runs_from_its_first_revision(
        self, connection: psycopg.Connection[Any], strand: StrandRows, database: str, redefined: Any
    ) -> None:
        strand.block(("x", 0, "T", good("x0")), ("y", 0, "T", good("y0")))
        strand.block(("x", 1, "T", good("x1")))
        strand.block(("x", 2, "T", good("x2")))
        follow(database, named(CURRENT))
        redefined("second")

        def picky(revision: Any) -> Any:
            if revision.version:
                raise Unprojectable("only the first")
            return sample_projections.rows(revision)

        assert rebuild_one(database, named(replace(CURRENT, rows=picky)), "now", accept=True).swapped
        assert labels(connection) == ["x0", "y0"]
        (parked,) = connection.execute(
            "SELECT key, version FROM projection.parked JOIN projection.generation USING (generation) "
            "WHERE state = 'live'"
        ).fetchall()
        assert parked == ("x", 1)

    def test_writes_to_the_served_generation_during_a_rebuild_are_compared(
        self, connection: psycopg.Connection[Any], strand: StrandRows, database: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        history(strand)
        follow(database, named(CURRENT))
        batches = backfill.RowBackfill.batches

        def changing(*parameters: Any) -> Iterator[BackfillBatch]:
            yield from batches(*parameters)
            strand.block(("a", 2, "T", good("a2")))
            follow(database, named(CURRENT))

        monkeypatch.setattr(backfill.RowBackfill, "batches", changing)
        done = rebuild_one(database, named(CURRENT), "now")
        assert (done.swapped, done.difference) == (True, None)
        assert "a2" in labels(connection)

    def test_backfill_does_not_read_what_is_redacted_before_the_generation_exists(
        self, connection: psycopg.Connection[Any], strand: StrandRows, database: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """No receipt waits for a generation that was not there: it must not hold the data for a moment."""
        history(strand)
        follow(database, named(CURRENT))
        prepare, complete = stages.Prepare.run, Filler.complete
        filled: list[str] = []

        def redact(*parameters: Any) -> None:
            strand.block(("a", 2, "T", good("a2")))
            strand.block(redact=("a", 1))
            follow(database, named(CURRENT))
            prepare(*parameters)

        def read(filler: Filler) -> None:
            complete(filler)
            (relation,) = filler._connection.execute(
                "SELECT relation FROM projection.generation WHERE state = 'building'"
            ).fetchone() or ("",)
            rows = filler._connection.execute(SQL("SELECT label FROM {}").format(Identifier("generation", relation)))
            filled.extend(label for (label,) in rows)

        monkeypatch.setattr(stages.Prepare, "run", redact)
        monkeypatch.setattr(Filler, "complete", read)
        done = rebuild_one(database, named(CURRENT), "now")
        assert (done.swapped, done.difference) == (True, None)
        assert "a2" in filled
        assert "a1" not in filled

    @pytest.mark.parametrize("projection", [CURRENT, ORDERS], ids=lambda projection: projection.name)
    def test_snapshot_has_ended_when_a_backfill_is_completed(
        self,
        connection: psycopg.Connection[Any],
        strand: StrandRows,
        database: str,
        monkeypatch: pytest.MonkeyPatch,
        projection: Projection,
    ) -> None:
        """The server ends an idle transaction, and the indexes may take longer."""
        history(strand)
        follow(database, named(projection))
        complete, found = Filler.complete, []

        def check(filler: Filler) -> None:
            locks = connection.execute("SELECT pid FROM pg_locks WHERE relation = 'journal.revision'::regclass")
            found.append(locks.fetchall())
            assert found == [[]]  # before the key is added, which would wait for them
            complete(filler)

        monkeypatch.setattr(Filler, "complete", check)
        assert rebuild_one(database, named(projection), projection.name).swapped
        assert found == [[]]

    def test_only_the_cut_over_is_durable(
        self, strand: StrandRows, database: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        history(strand)
        follow(database, named(CURRENT))
        found = []

        def watch(module: Any, name: str) -> None:
            function = getattr(module, name)

            def watched(connection: Any, *rest: Any) -> None:
                found.append((name, *connection.execute("SHOW synchronous_commit").fetchone()))
                function(connection, *rest)

            monkeypatch.setattr(module, name, watched)

        watch(lease, "move")
        watch(generation, "retire")
        rebuild_one(database, named(CURRENT), "now")
        assert set(found) == {("move", "off"), ("retire", "on")}

    @pytest.mark.parametrize("at", ["Backfill", "CatchUp", "Compare", "CutOver", "killed in the first fill"])
    def test_rebuild_after_a_killed_one_succeeds(
        self,
        connection: psycopg.Connection[Any],
        strand: StrandRows,
        database: str,
        monkeypatch: pytest.MonkeyPatch,
        at: str,
    ) -> None:
        history(strand)
        follow(database, ALL)
        for name in ALL:
            with monkeypatch.context() as patch:
                target = (backfill, "NOTE_CHANGES") if at.startswith("killed") else (getattr(stages, at), "run")
                patch.setattr(*target, None)
                with pytest.raises((TypeError, AttributeError)):
                    rebuild_one(database, ALL, name)
            assert [state for _, state, _ in states(connection, name)] == ["live", "building"]
            check_no_orphans(connection)
            follow(database, ALL)  # what is served goes on
            done = rebuild_one(database, ALL, name)
            assert (done.swapped, done.difference) == (True, None)
            assert [state for _, state, _ in states(connection, name)] == ["kept", "live"]
            check_no_orphans(connection)

    def test_concurrent_rebuild_is_refused(
        self, connection: psycopg.Connection[Any], strand: StrandRows, database: str
    ) -> None:
        history(strand)
        follow(database, named(CURRENT))
        with exclusion.alone(database, "now"):
            for again in (rebuild_one, roll_back):
                with pytest.raises(StrandlineError, match="now is being built or rolled back already"):
                    again(database, named(CURRENT), "now")
        assert rebuild_one(database, named(CURRENT), "now").swapped

    def test_only_the_last_generation_is_kept(
        self, connection: psycopg.Connection[Any], strand: StrandRows, database: str
    ) -> None:
        history(strand)
        follow(database, ALL)
        for _ in range(3):
            for name in ALL:
                assert rebuild_one(database, ALL, name).swapped
        assert [state for _, state, _ in states(connection)] == ["kept", "live"]
        check_no_orphans(connection)

    def test_failing_generation_is_replaced(
        self, connection: psycopg.Connection[Any], strand: StrandRows, database: str
    ) -> None:
        history(strand)
        follow(database, named(HISTORY))
        connection.execute("ALTER TABLE generation.past_1 DROP COLUMN label CASCADE")
        strand.block(("e", 0, "T", good("e0")))
        follow(database, named(HISTORY))
        (found,) = statuses(connection, [HISTORY])
        assert found.state == "failing"
        done = rebuild_one(database, named(HISTORY), "past")
        assert done.swapped
        (found,) = statuses(connection, [HISTORY])
        assert (found.state, found.lag_blocks) == ("live", 0)
        check_no_orphans(connection)

    def test_unknown_or_idle_read_model_cannot_be_rebuilt(self, strand: StrandRows, database: str) -> None:
        with pytest.raises(UsageError, match="no projection 'nope'"):
            rebuild_one(database, ALL, "nope")
        with pytest.raises(StrandlineError, match="nothing to rebuild"):
            rebuild_one(database, ALL, "now")
        strand.block(("a", 0, "T", good("a0")))
        follow(database, named(CURRENT))
        with pytest.raises(StrandlineError, match="only a rebuild leaves one"):
            roll_back(database, ALL, "now")


def broken(revision: Any) -> Any:
    return [{"label": revision.data["nope"]}] if revision.data else []


class TestWorse:
    """A projection with a mistake does not take the place of what is served."""

    @pytest.mark.parametrize("name", ["now", "past"])
    def test_generation_with_newly_parked_documents_is_refused(
        self, connection: psycopg.Connection[Any], strand: StrandRows, database: str, redefined: Any, name: str
    ) -> None:
        history(strand)
        follow(database, named(ALL[name]))
        before = all_rows(connection, name)
        redefined("second")
        done = rebuild_one(database, named(replace(ALL[name], rows=broken)), name)
        assert (done.swapped, done.worse, done.rows_before) == (False, True, len(before))
        # c and d are parked in the one served, too; a is new. b is deleted, and parks in a history alone.
        assert done.newly_parked == {"now": 1, "past": 2}[name]
        assert [reason.split(" in line")[0] for reason, _ in done.reasons] == ["KeyError"]
        assert all_rows(connection, name) == before
        assert [state for _, state, _ in states(connection, name)] == ["live"]
        check_no_orphans(connection)

    def test_generation_with_fewer_rows_is_refused(
        self, connection: psycopg.Connection[Any], strand: StrandRows, database: str, redefined: Any
    ) -> None:
        history(strand)
        follow(database, named(CURRENT))
        redefined("second")
        silent = replace(CURRENT, rows=lambda revision: [] if revision.document_id in "ac" else [{"label": "x"}])
        done = rebuild_one(database, named(silent), "now")
        assert (done.swapped, done.worse, done.rows_before, done.rows) == (False, True, 2, 1)
        assert done.newly_parked == 0
        assert rebuild_one(database, named(silent), "now", accept=True).swapped

    def test_composed_generation_with_newly_parked_keys_is_refused(
        self, connection: psycopg.Connection[Any], strand: StrandRows, database: str, redefined: Any
    ) -> None:
        history(strand)
        follow(database, named(ORDERS))
        redefined("second")

        def fail(key: str, look_up: Any) -> Any:
            look_up("Order", "order", key)
            return 1 / 0

        done = rebuild_one(database, named(replace(ORDERS, compose=fail)), "orders")
        assert (done.swapped, done.rows, done.rows_before, done.newly_parked) == (False, 0, 1, 1)

    def test_difference_of_one_definition_may_be_accepted(
        self, connection: psycopg.Connection[Any], strand: StrandRows, database: str
    ) -> None:
        history(strand)
        follow(database, named(CURRENT))
        connection.execute("UPDATE generation.now_1 SET label = 'tampered' WHERE source_document = 'a'")
        assert not rebuild_one(database, named(CURRENT), "now").swapped
        done = rebuild_one(database, named(CURRENT), "now", accept=True)
        assert (done.swapped, done.worse) == (True, False)
        assert "tampered" not in labels(connection)

    def test_last_generation_that_served_well_is_kept(
        self, connection: psycopg.Connection[Any], strand: StrandRows, database: str, redefined: Any
    ) -> None:
        history(strand)
        follow(database, named(CURRENT))
        before = labels(connection)
        mistaken = named(replace(CURRENT, rows=broken))
        for text in ("second", "third"):
            redefined(text)
            assert rebuild_one(database, mistaken, "now", accept=True).swapped
        assert labels(connection) == []
        assert [state for _, state, _ in states(connection)] == ["frozen", "frozen", "live"]
        assert roll_back(database, mistaken, "now", stale=True).swapped
        assert labels(connection) == before
        # Once a good one has served, what was kept for its sake goes.
        redefined("fourth")
        for _ in range(2):
            assert rebuild_one(database, named(CURRENT), "now").swapped
        assert [state for _, state, _ in states(connection)] == ["kept", "live"]
        check_no_orphans(connection)

    def test_new_columns_and_rows_are_not_worse(
        self, connection: psycopg.Connection[Any], strand: StrandRows, database: str, redefined: Any
    ) -> None:
        history(strand)
        follow(database, named(CURRENT))
        redefined("second")
        mended = replace(CURRENT, rows=lambda _: [{"label": "x"}])
        done = rebuild_one(database, named(mended), "now")
        assert (done.swapped, done.worse, done.rows_before, done.rows) == (True, False, 2, 3)


class TestView:
    def projected(self, strand: StrandRows, database: str) -> None:
        history(strand)
        follow(database, named(CURRENT))

    def test_new_columns_are_added_to_the_view_in_place(
        self, connection: psycopg.Connection[Any], strand: StrandRows, database: str, redefined: Any
    ) -> None:
        self.projected(strand, database)
        connection.execute("CREATE VIEW read.built_on AS SELECT label FROM read.now")
        redefined("second")
        wider = replace(
            CURRENT,
            columns=(Column("extra", "text", ""), *CURRENT.columns),
            rows=lambda revision: [{"label": "x", "extra": "new"}],
        )
        rebuild_one(database, named(wider), "now")
        with connection.cursor() as cursor:
            cursor.execute("SELECT * FROM read.now")
            assert [column.name for column in cursor.description or ()] == [
                "label", "amount", "source_document", "source_version", "source_block", "extra",
            ]  # fmt: skip
        assert connection.execute("SELECT DISTINCT label FROM read.built_on").fetchall() == [("x",)]
        connection.execute("DROP VIEW read.built_on")

    def test_other_column_changes_are_refused_if_objects_depend_on_the_view(
        self, connection: psycopg.Connection[Any], strand: StrandRows, database: str, redefined: Any
    ) -> None:
        self.projected(strand, database)
        connection.execute("CREATE VIEW read.built_on AS SELECT label FROM read.now")
        redefined("second")
        narrower = replace(CURRENT, columns=CURRENT.columns[:1], rows=lambda _: [{"label": "x"}])
        before = labels(connection)
        with pytest.raises(ViewInUse, match=r"depend on it: read\.built_on"):
            rebuild_one(database, named(narrower), "now")
        assert labels(connection) == before
        check_no_orphans(connection)
        connection.execute("DROP VIEW read.built_on")
        assert rebuild_one(database, named(narrower), "now").swapped
        assert labels(connection) == ["x"] * 3

    def test_readers_follow_the_definition(
        self, connection: psycopg.Connection[Any], strand: StrandRows, database: str, redefined: Any
    ) -> None:
        self.projected(strand, database)
        redefined("second")
        rebuild_one(database, named(replace(CURRENT, readers="cleared")), "now")
        with connect(database, role="strandline_analyst", autocommit=True) as analyst:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                analyst.execute("SELECT FROM read.now")
            roll_back(database, named(replace(CURRENT, readers="cleared")), "now", stale=True)
            assert analyst.execute("SELECT count(*) FROM read.now").fetchone() == (2,)

    def test_idle_reader_stops_the_cut_over_and_no_other_reader(
        self, connection: psycopg.Connection[Any], strand: StrandRows, database: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.projected(strand, database)
        monkeypatch.setattr(patience, "PATIENCE_SECONDS", 1.0)
        with connect(database) as reader:
            reader.execute("SELECT FROM read.now")
            with pytest.raises(ReadersInTheWay, match=r"read\.now was in use"):
                rebuild_one(database, named(CURRENT), "now")
        assert [state for _, state, _ in states(connection)] == ["live"]
        check_no_orphans(connection)
        assert rebuild_one(database, named(CURRENT), "now").swapped

    def test_readers_never_fail_and_never_see_a_part(self, strand: StrandRows, database: str) -> None:
        for number in range(300):
            strand.block((f"d{number}", 0, "T", good("x")), order(f"o{number}", f"A{number}"))
        strand.block(*[line(f"l{number}", f"A{number}", "x") for number in range(300)], product("p", "x"))
        follow(database, named(CURRENT, ORDERS))
        stop = threading.Event()
        seen: set[tuple[int, int]] = set()
        failures: list[BaseException] = []

        def read() -> None:
            try:
                with connect(database, role="strandline_analyst", autocommit=True) as reader:
                    while not stop.is_set():
                        query = "SELECT (SELECT count(*) FROM read.now), (SELECT count(*) FROM read.orders)"
                        seen.add(reader.execute(query).fetchone() or (0, 0))
            except BaseException as exc:
                failures.append(exc)

        readers = [threading.Thread(target=read) for _ in range(2)]
        for reader in readers:
            reader.start()
        try:
            for _ in range(3):
                for name in ("now", "orders"):
                    assert rebuild_one(database, named(CURRENT, ORDERS), name).swapped
                    assert roll_back(database, named(CURRENT, ORDERS), name).swapped
        finally:
            stop.set()
            for reader in readers:
                reader.join()
        assert failures == []
        assert seen == {(300, 300)}


class TestRollback:
    def test_kept_generation_catches_up_and_serves_again(
        self, connection: psycopg.Connection[Any], strand: StrandRows, database: str
    ) -> None:
        history(strand)
        follow(database, ALL)
        for name in ALL:
            rebuild_one(database, ALL, name)
        strand.block(("e", 0, "T", good("e0")), order("o2", "A"))
        follow(database, ALL)
        for name in ALL:
            (kept, _, at), (live, _, _) = states(connection, name)
            assert at == strand.next_no - 1
            before = all_rows(connection, name)
            strand.block()
            done = roll_back(database, ALL, name)
            assert (done.generation, done.swapped) == (kept, True)
            follow(database, ALL)
            assert [state for _, state, _ in states(connection, name)] == ["live", "kept"]
            assert set(map(repr, before)) <= set(map(repr, all_rows(connection, name)))
            assert roll_back(database, ALL, name).generation == live
        check_no_orphans(connection)

    def test_failing_kept_generation_stops_nothing(
        self, connection: psycopg.Connection[Any], strand: StrandRows, database: str
    ) -> None:
        history(strand)
        follow(database, named(CURRENT))
        rebuild_one(database, named(CURRENT), "now")
        connection.execute("ALTER TABLE generation.now_1 DROP COLUMN label CASCADE")
        strand.block(("e", 0, "T", good("e0")))
        follow(database, named(CURRENT))
        (found,) = statuses(connection, [CURRENT])
        assert (found.state, found.lag_blocks) == ("live", 0)
        failures = connection.execute("SELECT failure FROM projection.generation ORDER BY generation").fetchall()
        assert failures == [("UndefinedColumn (SQLSTATE 42703)",), (None,)]

    @pytest.mark.parametrize("name", ["now", "past", "orders"])
    def test_frozen_generation_is_purged_and_served_only_if_stale(
        self, connection: psycopg.Connection[Any], strand: StrandRows, database: str, redefined: Any, name: str
    ) -> None:
        history(strand)
        follow(database, ALL)
        table = connection.execute(
            "SELECT relation FROM projection.generation WHERE projection = %s", [name]
        ).fetchone()
        assert table
        redefined("second")
        rebuild_one(database, ALL, name)
        strand.block(("a", 2, "T", good("a2")), product("p1", "x", 1))
        strand.block(redact=("a", 1))
        strand.block(redact=("p1", 0))
        follow(database, ALL)
        frozen = SQL("SELECT * FROM {}").format(Identifier("generation", table[0]))
        kept = connection.execute(frozen).fetchall()
        assert "a1" not in str(kept)
        assert "p1" not in str(kept)
        (position, clean) = connection.execute(
            "SELECT position, clean_no FROM projection.generation WHERE state = 'frozen'"
        ).fetchone() or (0, 0)
        assert (position, clean) == (5, 8)
        with pytest.raises(
            StrandlineError, match=rf"block 5\.\nTo serve it nevertheless: `strandline rollback {name} --stale`"
        ):
            roll_back(database, ALL, name)
        done = roll_back(database, ALL, name, stale=True)
        assert (done.swapped, done.rows) == (True, len(kept))
        assert len(all_rows(connection, name)) == len(kept)
        (found,) = statuses(connection, [ALL[name]])
        assert found.state == "needs_rebuild"
        # What was served before the rollback is of the definition at hand, goes on, and is the way back.
        strand.block(("f", 0, "T", good("f0")))
        follow(database, ALL)
        assert {state: at for _, state, at in states(connection, name)} == {"live": 5, "kept": 9}
        assert roll_back(database, ALL, name).swapped

    def test_served_generation_of_another_definition_is_purged(
        self, connection: psycopg.Connection[Any], strand: StrandRows, database: str, redefined: Any
    ) -> None:
        strand.block(("a", 0, "T", good("secret")))
        follow(database, named(CURRENT))
        redefined("second")
        strand.block(("a", 1, "T", good("a1")))
        strand.block(redact=("a", 0))
        follow(database, named(CURRENT))
        assert labels(connection) == []


KINDS = ["good", "good", "bad", "raise", "big", "delete", "redact"]


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(KINDS)), max_size=12),
    stops=st.sets(st.integers(0, 11), max_size=3),
    composed=st.lists(
        st.tuples(st.sampled_from(sorted(sample_orders.DOCUMENTS)), st.sampled_from(sample_orders.KINDS)),
        max_size=8,
    ),
    at_once=st.integers(1, 5),
    most_bytes=st.sampled_from([0, 600, backfill.MOST_BYTES]),
)
def test_live_equals_rebuilt_at_any_time(
    database: str,
    connection: psycopg.Connection[Any],
    steps: Any,
    stops: set[int],
    composed: Any,
    at_once: int,
    most_bytes: int,
) -> None:
    connection.execute(
        "TRUNCATE journal.block, journal.revision, journal.document, journal.document_version, journal.redaction,"
        " projection.generation CASCADE"
    )
    for (relation,) in connection.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = 'generation'::regnamespace AND relkind = 'r'"
    ).fetchall():
        connection.execute(SQL("DROP TABLE generation.{} CASCADE").format(Identifier(relation)))
    strand = StrandRows(connection)
    strand.block(("z", 0, "T", good("z")), order("z1", "A"), line("zl", "A", "x"))
    rows, keys = sample_projections.Written(strand), sample_orders.WrittenOrders(strand)
    for number in range(max(len(steps), len(composed))):
        if number < len(steps):
            rows.step(*steps[number])
        if number < len(composed):
            keys.step(*composed[number])
        if number in stops:
            follow(database, ALL)
    with pytest.MonkeyPatch.context() as patch:
        for limit in ("DOCUMENTS", "DECODED", "KEYS", "KEYS_AT_ONCE"):
            patch.setattr(backfill, limit, at_once)
        patch.setattr(backfill, "MOST_BYTES", most_bytes)
        for name in ALL:
            done = rebuild_one(database, ALL, name)
            assert isinstance(done, Served)
            assert (done.swapped, done.difference) == (True, None)
