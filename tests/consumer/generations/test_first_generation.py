"""First generations: what they hold, and what is left by a fill that was stopped, killed, or overtaken."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from random import Random
from typing import Any

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from strandline.consumer.database.connection import connect
from strandline.consumer.erasure.purge import hide, purge_and_issue
from strandline.consumer.generations import exclusion, stages
from strandline.consumer.generations.first_generation import ensure_served
from strandline.consumer.generations.lifecycle import project
from strandline.consumer.generations.rebuild import rebuild
from strandline.consumer.generations.state import statuses
from strandline.consumer.generations.stores import DATABASE_ONLY
from strandline.consumer.projection.definition import BlockProjection, Column, Projection, Unprojectable
from strandline.consumer.projector import backfill
from strandline.consumer.sinks.postgresql import PostgresqlSink
from tests.consumer.generations.records import check_records
from tests.consumer.projector.sample_orders import ORDERS, line, order, product
from tests.consumer.projector.sample_projections import BAD, CURRENT, HISTORY, Written, good
from tests.definitions import redefine
from tests.empty_generations import follow
from tests.strand_rows import StrandRows

Connection = psycopg.Connection[Any]


def block_rows(block: Any) -> Any:
    if block.sequence_no % 7 == 3:
        raise Unprojectable("its number")
    return [{"label": ",".join(block.tables)}]


BLOCKS = BlockProjection("blocks", "Test.", "analysts", (Column("label", "text", ""),), block_rows)
ALL: dict[str, Projection] = {
    one.name: replace(one, code_hash="of the tests") for one in (CURRENT, HISTORY, BLOCKS, ORDERS)
}
READ_PARKED = """
    SELECT key, version, sequence_no, reason FROM projection.parked
    JOIN projection.generation USING (generation) WHERE projection = %s"""


@pytest.fixture
def connection(database: str) -> Iterator[Connection]:
    with connect(database, autocommit=True) as connection:
        yield connection


@pytest.fixture
def strand(connection: Connection) -> StrandRows:
    return StrandRows(connection)


@pytest.fixture
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DOCUMENTS", "DECODED", "FETCH", "KEYS", "KEYS_AT_ONCE"):
        monkeypatch.setattr(backfill, name, 3)


def rows(connection: Connection, name: str) -> list[Any]:
    found = connection.execute(SQL("SELECT * FROM read.{}").format(Identifier(name))).fetchall()
    return sorted(found, key=repr)


def parked(connection: Connection, name: str) -> set[Any]:
    return set(connection.execute(READ_PARKED, [name]).fetchall())


def states(connection: Connection, name: str) -> list[str]:
    statement = "SELECT state FROM projection.generation WHERE projection = %s ORDER BY generation"
    return [state for (state,) in connection.execute(statement, [name])]


def check_no_orphans(connection: Connection) -> None:
    tables = "SELECT relname FROM pg_class WHERE relnamespace = 'generation'::regnamespace AND relkind = 'r'"
    known = connection.execute("SELECT relation FROM projection.generation").fetchall()
    assert sorted(connection.execute(tables).fetchall()) == sorted(known)
    check_records(connection)


ODD = ["bad", "raise", "big"]


def write(written: Written, random: Random, steps: int = 60, odd: list[str] = ODD) -> None:
    strand = written.strand
    kinds = ["good"] * 6 + ["delete", "redact", "redact", *odd]
    for number in range(steps):
        written.step(random.choice("abcdef") + str(random.randrange(3)), random.choice(kinds))
        if number % 9 == 0:
            name = f"{number}-{strand.next_no}"
            strand.block(order(f"o{name}", name), line(f"l{name}", name, "x"))
    strand.block(product(f"p{strand.next_no}", "x"))


def redact(strand: StrandRows, *revisions: tuple[str, int]) -> None:
    for one in revisions:
        strand.block(redact=one)
    strand.connection.execute("UPDATE journal.redaction SET found = 'data'")


def check_like_followed(connection: Connection, followed: str, name: str) -> None:
    """Check a first fill beside a generation that was filled batch by batch.

    Of what is current the first fill reads the last revisions alone: a document that could once not be taken, and now
    can, has its rows there, and waits in the other.
    """
    before, after = parked(connection, followed), parked(connection, name)
    assert {key for key, *_ in after} <= {key for key, *_ in before}
    recovered = {key for key, *_ in before - after}
    assert name.endswith("now") or not recovered

    def others(of: str) -> list[Any]:
        return [row for row in rows(connection, of) if row[-3] not in recovered]

    assert others(name) == others(followed)


@pytest.mark.usefixtures("_small_batches")
@pytest.mark.parametrize("seed", range(3))
def test_first_generation_equals_a_generation_that_was_followed(
    connection: Connection, strand: StrandRows, database: str, seed: int
) -> None:
    random, written = Random(seed), Written(strand)
    write(written, random)
    follow(database, ALL)
    again: dict[str, Projection] = {f"again_{name}": replace(one, name=f"again_{name}") for name, one in ALL.items()}
    project(database, again)
    assert parked(connection, "past")
    assert parked(connection, "blocks")
    for name in ALL:
        check_like_followed(connection, name, f"again_{name}")
    write(written, random, 30)
    project(database, {**ALL, **again})
    for name in ALL:
        check_like_followed(connection, name, f"again_{name}")
    for name in again:
        done = rebuild(database, again, name)
        assert (done.swapped, done.difference) == (True, None)


def test_document_that_can_be_taken_now_is_not_parked(
    connection: Connection, strand: StrandRows, database: str
) -> None:
    strand.block(("a", 0, "T", BAD), ("b", 0, "T", good("b0")))
    strand.block(("a", 1, "T", good("a1")), ("b", 1, "T", BAD))
    project(database, ALL)
    assert [row[0] for row in rows(connection, "now")] == ["a1", "b0"]
    assert {row[:2] for row in parked(connection, "now")} == {("b", 1)}
    assert {row[:2] for row in parked(connection, "past")} == {("a", 0), ("b", 1)}


@pytest.mark.usefixtures("_small_batches")
def test_rows_that_the_store_refuses_park(
    connection: Connection, strand: StrandRows, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row's check lets a text pass that PostgreSQL refuses; later revisions of its document wait."""
    monkeypatch.setattr(PostgresqlSink, "prepare_all", lambda _, many: [tuple(map(_as_row, one)) for one in many])
    for number in range(6):
        strand.block(("a", number, "T", good("nul" if number == 3 else str(number))))
    strand.block(("b", 0, "T", good("b0")))
    project(database, {"past": HISTORY})
    assert [row[0] for row in rows(connection, "past")] == ["0", "1", "2", "b0"]
    assert {row[:2] for row in parked(connection, "past")} == {("a", 3)}


def _as_row(row: Any) -> tuple[Any, ...]:
    return (row["label"].replace("nul", "\0"), row["amount"])


@pytest.mark.parametrize("at", ["Prepare", "Backfill", "CatchUp", "CutOver", "the end of the backfill"])
def test_fill_after_a_killed_one_succeeds(
    connection: Connection, strand: StrandRows, database: str, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    written = Written(strand)
    write(written, Random(1), 20, [])
    for name, one in ALL.items():
        with monkeypatch.context() as patch:
            target = (backfill, "NOTE_CHANGES") if at.startswith("the end") else (getattr(stages, at), "run")
            patch.setattr(*target, None)
            with pytest.raises((TypeError, AttributeError)):
                project(database, {name: one})
        assert states(connection, name) == ([] if at == "Prepare" else ["building"])
        (found,) = statuses(connection, [one])
        assert found.state == ("idle" if at == "Prepare" else "building")
        check_no_orphans(connection)
    write(written, Random(2), 5, [])
    project(database, ALL)
    again: dict[str, Projection] = {f"again_{name}": replace(one, name=f"again_{name}") for name, one in ALL.items()}
    project(database, again)
    for name in ALL:
        assert states(connection, name) == ["live"]
        assert rows(connection, name) == rows(connection, f"again_{name}")
    check_no_orphans(connection)


def test_other_definition_begins_again(
    connection: Connection, strand: StrandRows, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    strand.block(("a", 0, "T", good("a0")))
    with monkeypatch.context() as patch:
        patch.setattr(stages.CutOver, "run", None)
        with pytest.raises(TypeError):
            project(database, {"now": CURRENT})
    redefine(monkeypatch, lambda _: "another")
    project(database, {"now": replace(CURRENT, rows=lambda _: [{"label": "other"}])})
    assert [row[0] for row in rows(connection, "now")] == ["other"]
    assert states(connection, "now") == ["live"]
    check_no_orphans(connection)


@pytest.mark.parametrize("name", ["now", "past", "orders"])
def test_redaction_during_a_fill_is_purged_before_it_is_served(
    connection: Connection, strand: StrandRows, database: str, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    strand.block(("a", 0, "T", good("secret")), order("o", "A", 0, "secret"), line("l", "A", "x"))
    strand.block(("a", 1, "T", good("a1")), order("o", "A", 1, "n"), product("p", "x"))
    run, shown = stages.Backfill.run, PostgresqlSink.show

    def redacting(stage: stages.Backfill, one: stages.Run) -> None:
        run(stage, one)
        redact(strand, ("a", 0), ("o", 0))
        purge_and_issue(connection, ALL, DATABASE_ONLY)
        assert connection.execute("SELECT count(*) FROM projection.receipt").fetchone() == (0,)

    def show(sink: PostgresqlSink) -> None:
        relation = sink._table.as_string(connection)
        found = sink._connection.execute(f"SELECT t::text FROM {relation} t".encode()).fetchall()
        assert found
        assert "secret" not in repr(found)
        shown(sink)

    monkeypatch.setattr(stages.Backfill, "run", redacting)
    monkeypatch.setattr(PostgresqlSink, "show", show)
    hide(database, {name: ALL[name]}, DATABASE_ONLY)
    assert states(connection, name) == ["live"]
    assert connection.execute("SELECT count(*) FROM projection.receipt").fetchone() == (2,)


def test_build_elsewhere_is_waited_for(connection: Connection, strand: StrandRows, database: str) -> None:
    strand.block(("a", 0, "T", good("a0")))
    waits = threading.Event()
    thread = threading.Thread(
        target=project, args=[database, {"now": CURRENT}], kwargs={"progress": lambda *_: waits.set()}
    )
    with exclusion.alone(database, "now"):
        thread.start()
        assert waits.wait(10)
        assert states(connection, "now") == []
    thread.join()
    assert states(connection, "now") == ["live"]


def test_fill_that_is_stopped_goes_on_later(connection: Connection, strand: StrandRows, database: str) -> None:
    stop = threading.Event()
    strand.block(("a", 0, "T", good("a0")))

    def fill() -> object:
        with connect(database) as own:
            return ensure_served(database, own, HISTORY, DATABASE_ONLY, lambda *_: stop.set(), stop)

    assert fill() is None
    assert states(connection, "past") == ["building"]
    assert fill() is None  # at once: it is to end
    stop.clear()
    project(database, {"past": HISTORY})
    assert [row[0] for row in rows(connection, "past")] == ["a0"]
    check_no_orphans(connection)


def test_change_below_during_a_fill_is_noted(
    connection: Connection, strand: StrandRows, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    strand.block(("a", 0, "T", good("a0")))
    run = stages.CatchUp.run

    def changing(stage: stages.CatchUp, one: stages.Run) -> None:
        connection.execute("INSERT INTO journal.change (sequence_no, kind, differs) VALUES (0, 'upgraded', true)")
        run(stage, one)

    monkeypatch.setattr(stages.CatchUp, "run", changing)
    project(database, {"past": HISTORY})
    (found,) = statuses(connection, [HISTORY])
    assert found.needs_rebuild


def test_leftover_of_an_unknown_projection_holds_up_no_receipt(
    connection: Connection, strand: StrandRows, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    strand.block(("a", 0, "T", good("a0")))
    strand.block(("a", 1, "T", good("a1")))
    with monkeypatch.context() as patch:
        patch.setattr(stages.CutOver, "run", None)
        with pytest.raises(TypeError):
            project(database, {"now": CURRENT})
    redact(strand, ("a", 0))
    hide(database, {"past": HISTORY}, DATABASE_ONLY)
    assert connection.execute("SELECT count(*) FROM projection.receipt").fetchone() == (0,)
    connection.execute("UPDATE journal.redaction SET registered_at = now() - interval '2 hours'")
    with exclusion.alone(database, "now"):
        hide(database, {"past": HISTORY}, DATABASE_ONLY)
        assert states(connection, "now") == ["building"]
    hide(database, {"past": HISTORY}, DATABASE_ONLY)
    assert connection.execute("SELECT count(*) FROM projection.receipt").fetchone() == (1,)
    assert states(connection, "now") == []
    check_no_orphans(connection)


def test_rebuild_without_a_generation_builds_the_first(
    connection: Connection, strand: StrandRows, database: str
) -> None:
    strand.block(("a", 0, "T", good("a0")))
    done = rebuild(database, {"now": CURRENT}, "now")
    assert (done.swapped, done.rows, done.difference, done.worse) == (True, 1, None, False)
    assert states(connection, "now") == ["live"]
