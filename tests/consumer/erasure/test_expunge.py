"""Expunged leaves no dead row; physical leaves the bytes in none of PostgreSQL's files but the WAL."""

from pathlib import Path

import psycopg
import pytest

from strandline.consumer.erasure.expunge import Expunged, expunge
from strandline.journal.errors import StrandlineError
from tests.consumer.erasure.canaries import canaries, found_in
from tests.consumer.erasure.conftest import Replayed


def levels(store: Replayed) -> dict[str, int]:
    return dict(store.rows("SELECT level, count(*) FROM projection.receipt GROUP BY 1"))


def files_with(store: Replayed, strings: list[str]) -> set[str]:
    """Return the strings in any file of the server, after a checkpoint; the WAL is not searched."""
    ((data,),) = store.rows("SELECT current_setting('data_directory')")
    store.rows("CHECKPOINT", returns=False)
    return set().union(
        *(found_in(path, strings) for path in Path(data).iterdir() if path.is_dir() and path.name != "pg_wal")
    )


def test_vacuum_leaves_no_dead_row_and_issues_receipts(store: Replayed) -> None:
    store.replay(canaries().blocks)
    done = expunge(store.url, store.projections)
    assert (done.redactions, done.receipts, done.skipped, done.residue) == (12, 12, [], [])
    assert levels(store) == {"hidden": 12, "expunged": 12}
    again = expunge(store.url, store.projections)
    assert (again.redactions, again.receipts, again.cleaned) == (0, 0, [])


def test_rewritten_files_have_no_redacted_data(store: Replayed, tmp_path: Path) -> None:
    made = canaries(seed=tmp_path.name)
    store.replay(made.blocks[: made.first_redaction])
    # Positive control: the bytes are in these files, and a redaction alone leaves them there.
    assert files_with(store, made.strings) == set(made.strings)
    store.replay(made.blocks)
    assert files_with(store, made.strings)
    done = expunge(store.url, store.projections, physical=True)
    assert (done.skipped, done.residue) == ([], [])
    assert files_with(store, made.strings) == set()
    assert levels(store) == {"hidden": 12, "expunged": 12, "physical": 12}


def test_table_seen_by_a_snapshot_is_skipped_without_receipt(store: Replayed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("strandline.consumer.database.vacuum.PAUSE_SECONDS", 0.01)
    made = canaries()
    store.replay(made.blocks[: made.first_redaction])
    with psycopg.connect(store.url) as reader:
        reader.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        reader.execute("SELECT FROM journal.mark")
        store.replay(made.blocks)
        done: Expunged = expunge(store.url, store.projections, physical=True)
        assert {"journal.revision_0", "journal.block"} <= {one.table for one in done.skipped}
        assert done.receipts == 0
    assert expunge(store.url, store.projections, physical=True).skipped == []
    assert levels(store)["physical"] == 12


def test_table_is_skipped_when_the_time_is_up(store: Replayed) -> None:
    store.replay(canaries().blocks)
    done = expunge(store.url, store.projections, seconds=0)
    assert done.cleaned == []
    assert {one.reason for one in done.skipped} == {"the time was up"}


def test_rewrite_longer_than_the_time_left_is_skipped(store: Replayed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("strandline.consumer.database.vacuum.BYTES_A_SECOND", 1)
    store.replay(canaries().blocks)
    done = expunge(store.url, store.projections, physical=True, seconds=600)
    assert {"journal.revision_0", "journal.block"} <= {one.table for one in done.skipped}
    assert all(one.reason.startswith("rewriting it may take") for one in done.skipped)
    assert (done.receipts, levels(store)) == (0, {"hidden": 12})


def test_table_locked_by_a_reader_is_skipped_and_stays_readable(
    store: Replayed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("strandline.consumer.database.vacuum.ATTEMPTS", 1)
    monkeypatch.setattr("strandline.consumer.database.vacuum.LOW_PRIORITY", "SET lock_timeout = '50ms'")
    store.replay(canaries().blocks)
    with psycopg.connect(store.url) as reader:
        reader.execute("LOCK TABLE journal.revision_0 IN ACCESS SHARE MODE")
        done = expunge(store.url, store.projections, physical=True)
        assert [(one.table, one.reason) for one in done.skipped if one.table.startswith("journal.rev")] == [
            ("journal.revision_0", "its lock was not free in time")
        ]
        assert len(store.rows("SELECT FROM journal.revision")) > 0
    assert "physical" not in levels(store)


def test_second_expunge_is_refused(store: Replayed) -> None:
    with psycopg.connect(store.url) as other:
        other.execute("SELECT pg_advisory_lock(hashtextextended('expunge', 0))")
        with pytest.raises(StrandlineError, match="is running"):
            expunge(store.url, store.projections)
    assert expunge(store.url, store.projections).skipped == []


def test_bytes_of_rejected_records_are_purged_after_their_time(store: Replayed, tmp_path: Path) -> None:
    secret = canaries(seed=tmp_path.name).strings[0]
    statement = """
        INSERT INTO journal.rejected (source, fault, detail, record, digest, rejected_at)
        VALUES ('s', 'f', '', %s, %s, %s)"""
    with psycopg.connect(store.url) as connection:
        connection.execute(statement, [secret.encode(), b"old", "2020-01-01"])
        connection.execute(statement, [b"new", b"new", "2999-01-01"])
    assert files_with(store, [secret]) == {secret}
    done = expunge(store.url, store.projections, physical=True, rejected_days=30)
    assert (done.rejected_purged, [one.table for one in done.cleaned]) == (1, ["journal.rejected"])
    assert store.rows("SELECT record, purged_at IS NULL FROM journal.rejected ORDER BY rejected_at") == [
        (None, False), (b"new", True),
    ]  # fmt: skip
    assert files_with(store, [secret]) == set()
