"""What goes straight on from the mark is taken in and passed in one transaction, with all that follows from it."""

import threading
from pathlib import Path
from typing import Any

import psycopg
import pytest

from strandline.consumer.database.connection import connect
from strandline.consumer.intake import fast_path, replay
from strandline.consumer.mark.lock import lock_beside
from strandline.consumer.mark.mark import advance
from strandline.journal.check import merkle
from strandline.journal.decode import stream
from strandline.journal.decode.archives import decode_records
from strandline.journal.ion.hash import sha256
from strandline.journal.make.export import Format
from strandline.journal.simulation.simulate import simulate
from tests.consumer.intake.test_replay import STORE, query
from tests.consumer.intake.test_replay import replay as take_in
from tests.consumer.verification.test_verify import ARN, write_export
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
    """What came of each batch that was one way."""
    seen: list[tuple[int, int] | None] = []
    take_onward = fast_path.take_onward

    def seeing(*arguments: Any) -> tuple[int, int] | None:
        seen.append(take_onward(*arguments))
        return seen[-1]

    monkeypatch.setattr("strandline.consumer.intake.writer.take_onward", seeing)
    return seen


@pytest.mark.parametrize("parts", [["full"], ["early", "late"]])
def test_the_store_is_as_if_the_mark_had_read_it(
    database: str,
    postgres_url: str,
    migrated_template: str,
    journal: Path,
    parts: list[str],
    passed: list[tuple[int, int] | None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(replay, "_BATCH_BLOCKS", 500)
    take_in(database, *(journal / part for part in parts))
    assert any(passed)
    assert query(database, "SELECT p.sequence_no = m.sequence_no FROM journal.shape_position p, journal.mark m") == [
        (True,)
    ]
    with migrated_database(postgres_url, migrated_template) as other:
        monkeypatch.setattr(replay, "way_of", lambda _: None)
        take_in(other, *(journal / part for part in parts))
        assert store(database) == store(other)


def test_a_way_that_begins_elsewhere_is_left_to_the_chain(database: str, tmp_path: Path) -> None:
    blocks = small_journal()
    take_in(database, write_export(tmp_path / "below", blocks[:5]))
    blocks[5]["previousBlockHash"] = sha256(b"another block 4")
    blocks[5]["blockHash"] = merkle.dot(blocks[5]["entriesHash"], blocks[5]["previousBlockHash"])
    result = take_in(database, write_export(tmp_path / "above", blocks[5:6]))
    assert (result.mark, [refusal.fault for refusal in result.refusals]) == (4, ["link"])


def test_records_are_no_way_since_their_blocks_may_lack_revisions() -> None:
    records = [record.data for block in small_journal() for record in stream.block_records(ARN, block)]
    decoded = decode_records([(str(number), data) for number, data in enumerate(records)])
    assert [link.sequence_no for link in decoded.links] == list(range(9))
    assert fast_path.way_of([decoded]) is None


def test_what_fails_before_the_mark_is_taken_in_again(
    database: str, postgres_url: str, migrated_template: str, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Later revisions of the batch are in, then, and no block is."""
    with monkeypatch.context() as failing:
        failing.setattr("strandline.consumer.intake.fast_path.raise_to", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            take_in(database, journal / "full")
    in_store = "EXISTS (SELECT FROM journal.block), EXISTS (SELECT FROM journal.revision)"
    assert query(database, f"SELECT sequence_no, {in_store} FROM journal.mark") == [(-1, False, True)]
    assert query(database, UNKNOWN_SHAPES) == [(0,)]
    take_in(database, journal / "full")
    with migrated_database(postgres_url, migrated_template) as other:
        take_in(other, journal / "full")
        assert store(database) == store(other)


def test_whoever_locks_the_strand_alone_waits_for_the_one_beside(database: str, tmp_path: Path) -> None:
    take_in(database, write_export(tmp_path, small_journal()))
    with connect(database) as first, connect(database) as beside:
        with lock_beside(beside):
            waiting = threading.Thread(target=advance, args=(first,))
            waiting.start()
            waiting.join(0.3)
            assert waiting.is_alive()
        waiting.join(10)
        assert not waiting.is_alive()


def test_the_end_of_a_replay_is_on_disk(database: str, journal: Path, passed: list[tuple[int, int] | None]) -> None:
    """Also what was not waited for: the log is written up to where it was when the last batch was in."""
    with psycopg.connect(database, autocommit=True) as connection:
        written = "SELECT pg_current_wal_flush_lsn() >= %s::pg_lsn"
        inserted = []
        take = replay._Taker.take

        def seeing(*arguments: Any) -> Any:
            try:
                return take(*arguments)
            finally:
                inserted.append(connection.execute("SELECT pg_current_wal_insert_lsn()").fetchone())

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(replay._Taker, "take", seeing)
            take_in(database, journal / "full")
        assert passed[-1] is not None
        assert connection.execute(written, inserted[-1]).fetchone() == (True,)
