"""A run that directly continues the chain is stored and passed by the mark in one transaction, with all effects."""

from pathlib import Path
from typing import Any

import psycopg
import pytest

from strandline.consumer.intake import fast_path, replay
from strandline.consumer.intake.writer import JournalWriter
from strandline.journal.check import merkle
from strandline.journal.decode import stream
from strandline.journal.decode.archives import decode_records
from strandline.journal.ion.hash import sha256
from strandline.journal.make.format import Format
from strandline.journal.simulation.simulate import simulate
from tests.consumer.intake import replays
from tests.consumer.intake.replays import STORE, export, query
from tests.databases import migrated_database
from tests.faults.machine import UNKNOWN_SHAPES
from tests.journals import small_journal

FOLLOWS = (
    *STORE,
    "SELECT * FROM journal.table_shape ORDER BY 1, 2",
    "SELECT * FROM journal.shape ORDER BY 1",
    "SELECT table_id, field, type, revisions FROM ledger.user_table_fields ORDER BY 1, 2, 3",
    "SELECT document_id, version, found FROM journal.redaction ORDER BY 1, 2",
    "SELECT first_no, last_no, blocks, revisions FROM journal.object ORDER BY 1, 2",
)


def store(url: str) -> list[list[tuple[Any, ...]]]:
    return [query(url, statement) for statement in FOLLOWS]


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("journal")
    simulate(folder, 3_000, seed=12, format=Format.ION_BINARY)
    return folder


@pytest.fixture
def passed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int] | None]:
    """The result of each run."""
    seen: list[tuple[int, int] | None] = []
    store_run = fast_path.store_run

    def seeing(*arguments: Any) -> tuple[int, int] | None:
        seen.append(store_run(*arguments))
        return seen[-1]

    monkeypatch.setattr("strandline.consumer.intake.writer.store_run", seeing)
    return seen


@pytest.mark.parametrize("parts", [["full"], ["early", "late"]])
def test_store_is_the_same_as_by_the_general_path(
    database: str,
    postgres_url: str,
    migrated_template: str,
    journal: Path,
    parts: list[str],
    passed: list[tuple[int, int] | None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(replay, "_BATCH_BLOCKS", 500)
    replays.replay(database, *(journal / part for part in parts))
    assert any(passed)
    assert query(database, "SELECT p.sequence_no = m.sequence_no FROM journal.shape_position p, journal.mark m") == [
        (True,)
    ]
    with migrated_database(postgres_url, migrated_template) as other:
        monkeypatch.setattr(replay, "run_of", lambda _: None)
        replays.replay(other, *(journal / part for part in parts))
        assert store(database) == store(other)


@pytest.mark.parametrize("form", list(Format))
def test_blocks_that_are_held_are_not_written_again(
    database: str, tmp_path: Path, passed: list[tuple[int, int] | None], form: Format
) -> None:
    """Exports overlap. A copy from JSON brings nothing that Ion did not."""
    simulate(tmp_path / "ion", 300, seed=12, format=Format.ION_BINARY)
    replays.replay(database, tmp_path / "ion" / "full")
    simulate(tmp_path / "again", 300, seed=12, format=form)
    before = store(database)
    read = replays.replay(database, tmp_path / "again" / "late")
    assert (read.new_blocks, read.rejected, passed[-1]) == (0, 0, (0, 0))
    assert store(database)[:-1] == before[:-1]
    assert len(store(database)[-1]) > len(before[-1])  # and the object need not be decoded again
    skipped = replays.replay(database, tmp_path / "again" / "late")
    assert skipped.objects_skipped > 0
    assert skipped.blocks == 0


HELD_IN_PART = {
    "JSON that Ion can upgrade": "UPDATE journal.block SET level = 'chain' WHERE sequence_no = 7",
    "a revision of JSON": """
        UPDATE journal.revision SET level = 'chain' WHERE sequence_no = (
            SELECT max(sequence_no) FROM journal.revision)""",
    "a block that a stream brought": "UPDATE journal.block SET complete = false WHERE sequence_no = 7",
    "an imported redaction": """
        UPDATE journal.redaction SET imported = true WHERE sequence_no = (
            SELECT max(sequence_no) FROM journal.redaction)""",
    "a gap": "DELETE FROM journal.block WHERE sequence_no = 7",
}


@pytest.mark.parametrize("change", HELD_IN_PART.values(), ids=HELD_IN_PART)
def test_blocks_that_are_held_in_part_are_left_to_the_intake(
    database: str, tmp_path: Path, passed: list[tuple[int, int] | None], change: str
) -> None:
    simulate(tmp_path, 100, seed=12, format=Format.ION_BINARY)
    replays.replay(database, tmp_path / "full")
    with psycopg.connect(database) as connection:
        assert connection.execute(change.encode()).rowcount >= 1
    passed.clear()
    replays.replay(database, *(tmp_path / part for part in ("early", "late")))
    assert passed == []


def test_another_block_of_a_held_number_is_refused(
    database: str, tmp_path: Path, passed: list[tuple[int, int] | None]
) -> None:
    blocks = small_journal()
    replays.replay(database, export(tmp_path / "held", blocks))
    passed.clear()
    blocks[0]["previousBlockHash"] = sha256(b"another ledger's end")
    for before, block in zip([None, *blocks], blocks, strict=False):
        block["previousBlockHash"] = before["blockHash"] if before else block["previousBlockHash"]
        block["blockHash"] = merkle.dot(block["entriesHash"], block["previousBlockHash"])
    result = replays.replay(database, export(tmp_path / "other", blocks))
    assert {refusal.fault for refusal in result.refusals} == {"conflict"}
    assert passed == []


def test_run_that_begins_elsewhere_is_left_to_the_chain(database: str, tmp_path: Path) -> None:
    blocks = small_journal()
    replays.replay(database, export(tmp_path / "below", blocks[:5]))
    blocks[5]["previousBlockHash"] = sha256(b"another block 4")
    blocks[5]["blockHash"] = merkle.dot(blocks[5]["entriesHash"], blocks[5]["previousBlockHash"])
    result = replays.replay(database, export(tmp_path / "above", blocks[5:6]))
    assert (result.mark, [refusal.fault for refusal in result.refusals]) == (4, ["link"])


def test_stream_records_are_no_run() -> None:
    records = [
        record.data for block in small_journal() for record in stream.block_records("arn:aws:qldb:::stream/x/y", block)
    ]
    decoded = decode_records([(str(number), data) for number, data in enumerate(records)])
    assert [link.sequence_no for link in decoded.links] == list(range(9))
    assert fast_path.run_of([decoded]) is None


def test_nothing_of_a_failed_run_is_stored(
    database: str, postgres_url: str, migrated_template: str, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as failing:
        failing.setattr("strandline.consumer.intake.fast_path.raise_mark", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            replays.replay(database, journal / "full")
    in_store = "EXISTS (SELECT FROM journal.block), EXISTS (SELECT FROM journal.revision)"
    assert query(database, f"SELECT sequence_no, {in_store} FROM journal.mark") == [(-1, False, False)]
    assert query(database, UNKNOWN_SHAPES) == [(0,)]
    replays.replay(database, journal / "full")
    with migrated_database(postgres_url, migrated_template) as other:
        replays.replay(other, journal / "full")
        assert store(database) == store(other)


def test_replay_is_durable_at_its_end(database: str, journal: Path, passed: list[tuple[int, int] | None]) -> None:
    """The commits of runs are not waited for; the last step of the mark writes the log past them all."""
    with psycopg.connect(database, autocommit=True) as connection:
        written = "SELECT pg_current_wal_flush_lsn() >= %s::pg_lsn"
        inserted = []
        write = JournalWriter.intake_run

        def seeing(*arguments: Any) -> Any:
            try:
                return write(*arguments)
            finally:
                inserted.append(connection.execute("SELECT pg_current_wal_insert_lsn()").fetchone())

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(JournalWriter, "intake_run", seeing)
            replays.replay(database, journal / "full")
        assert passed[-1] is not None
        assert connection.execute(written, inserted[-1]).fetchone() == (True,)
