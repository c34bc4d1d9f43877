"""A redaction erases data when the mark passes it, and no older copy restores it."""

from collections.abc import Callable
from typing import Any

import pytest

from strandline.consumer.database.connection import connect
from strandline.consumer.erasure import purge
from strandline.consumer.erasure.receipt_check import check_receipts
from strandline.consumer.generations.stores import DATABASE_ONLY
from strandline.consumer.monitoring.status import read_status
from strandline.consumer.settings import Settings
from strandline.consumer.verification.verify import verify_store
from strandline.consumer.worker.checks import check_store
from strandline.journal.make.block import BlockMaker, NewRedaction, NewRevision, Statement, timestamp
from strandline.journal.make.format import Format
from tests.consumer.erasure.canaries import WITHHELD, canaries
from tests.consumer.erasure.conftest import PROJECTIONS, Replayed
from tests.consumer.erasure.dump import relations_with
from tests.journals import STRAND, TABLE, Block

FORMATS = [Format.ION_BINARY, Format.JSON]


@pytest.mark.parametrize("format", FORMATS)
def test_redacted_data_is_in_no_relation_and_no_statistics(store: Replayed, format: Format) -> None:
    made = canaries()
    # Positive controls: the probe finds them in the journal, its statements, read models, views, and statistics.
    store.replay(made.blocks[:3], format)
    store.rows("CREATE TABLE journal.control AS SELECT data::text FROM journal.revision", returns=False)
    found = relations_with(store.url, made.strings[:2], analyze=True)
    places = "journal.revision journal.block read.licence_register ledger.Licence journal.revision_period pg_stats"
    assert [name for name in places.split() if name not in found] == []
    store.rows("DROP TABLE journal.control", returns=False)
    store.replay(made.blocks[: made.first_redaction], format)
    before = relations_with(store.url, made.strings, analyze=True)
    assert before["journal.revision"] == set(made.strings)
    assert len(before["journal.block"]) == 4
    store.replay(made.blocks, format)
    assert relations_with(store.url, made.strings) == {}
    assert WITHHELD in "".join(map(str, store.rows("SELECT data FROM journal.revision")))
    assert verify_store(store.url, workers=1).faults == []
    found = verify_store(store.url, workers=1)
    assert (found.unexplained_redactions, found.erased_statements) == (0, 4)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("again", FORMATS)
def test_replay_of_an_older_export_restores_nothing(store: Replayed, format: Format, again: Format) -> None:
    made = canaries()
    store.replay(made.blocks, format)
    store.replay(made.blocks[: made.first_redaction], again)
    store.replay(made.blocks, again)
    store.replay(made.as_exported(), again)
    assert relations_with(store.url, made.strings) == {}
    assert verify_store(store.url, workers=1).faults == []


def test_revision_that_arrives_redacted_counts_and_its_statements_are_erased(store: Replayed) -> None:
    made = canaries()
    store.replay(made.as_exported())
    assert relations_with(store.url, made.strings) == {}
    assert store.rows("SELECT found, count(*) FROM journal.redaction GROUP BY 1") == [("redacted", 12)]
    with connect(store.url) as connection:
        assert read_status(connection, PROJECTIONS.values()).redactions.done == 12


def test_redaction_is_pending_then_open_then_done(store: Replayed) -> None:
    made = canaries()

    def counts() -> tuple[int, int, int]:
        with connect(store.url) as connection:
            found = read_status(connection, PROJECTIONS.values()).redactions
        return found.pending, found.open, found.done

    store.replay(made.blocks[: made.first_redaction])
    store.take(made.blocks[made.first_redaction + 1 :])
    assert counts() == (11, 0, 0)
    store.take(made.blocks[made.first_redaction : made.first_redaction + 1])
    assert counts() == (0, 12, 0)
    store.replay(made.blocks)
    assert counts() == (0, 0, 12)


def interrupted(monkeypatch: pytest.MonkeyPatch, then: Callable[[], object]) -> None:
    """Call `then` after the first projection, before receipts are issued."""
    project, happened = purge.project, []

    def project_then(*args: Any, **options: Any) -> None:
        project(*args, **options)
        if not happened:
            happened.append(then())

    monkeypatch.setattr(purge, "project", project_then)


def counted(store: Replayed) -> tuple[int, int]:
    with connect(store.url) as connection:
        counts = read_status(connection, PROJECTIONS.values()).redactions
    return counts.open, counts.done


def test_hide_repeats_while_others_raise_the_mark(store: Replayed, monkeypatch: pytest.MonkeyPatch) -> None:
    made = canaries()
    store.replay(made.blocks[: made.first_redaction + 1])
    interrupted(monkeypatch, lambda: store.take(made.blocks))
    assert purge.hide(store.url, PROJECTIONS, DATABASE_ONLY) == []
    assert counted(store) == (0, 12)


def test_residue_gets_no_receipt(store: Replayed, monkeypatch: pytest.MonkeyPatch) -> None:
    made = canaries()
    store.replay(made.blocks[: made.first_redaction])
    store.take(made.blocks)
    planted = "UPDATE journal.revision SET data = {} WHERE sequence_no = 1"
    interrupted(monkeypatch, lambda: store.rows(planted.format("'{}'"), returns=False))
    found = purge.hide(store.url, PROJECTIONS, DATABASE_ONLY)
    assert [(one.where, one.version) for one in found] == [("the journal", 0)]
    assert counted(store) == (1, 11)
    store.rows(planted.format("NULL"), returns=False)
    assert purge.hide(store.url, PROJECTIONS, DATABASE_ONLY) == []
    assert counted(store) == (0, 12)


def test_health_is_degraded_while_a_redaction_is_open_for_too_long(store: Replayed) -> None:
    made = canaries()
    store.replay(made.blocks[: made.first_redaction])
    assert check_store(store.url, Settings())[0] == {"store": None, "redactions": None}
    store.take(made.blocks)
    assert check_store(store.url, Settings(redaction_seconds=3600))[0] == {"store": None, "redactions": None}
    store.rows("UPDATE journal.redaction SET registered_at = now() - interval '2 h' WHERE version = 0", returns=False)
    fault = check_store(store.url, Settings(redaction_seconds=3600))[0]["redactions"]
    assert fault is not None
    assert fault.startswith("one is open for 72")
    store.replay(made.blocks)
    assert check_store(store.url, Settings(redaction_seconds=1))[0] == {"store": None, "redactions": None}


def misnaming(named: NewRedaction) -> list[Block]:
    """Make a document with two versions, and a redaction."""
    maker = BlockMaker(STRAND)
    blocks = []
    for version in range(3):
        at = timestamp(1_600_000_000_000 + version * 1_000)
        revision = NewRevision("Document00000000000000", TABLE, "Licence", version, {"n": version})
        blocks.append(
            maker.make(
                transaction_id=f"T{version}", tx_time=at, block_time=at, statements=[Statement("UPDATE", at)],
                **({"redactions": [named]} if version == 2 else {"revisions": [revision]}),
            )
        )  # fmt: skip
    return blocks


@pytest.mark.parametrize(
    ("named", "reason"),
    [
        (NewRedaction(1, TABLE, "Document00000000000000", 1), "which is active"),
        (NewRedaction(0, TABLE, "Document00000000000000", 1), "which is not there"),
        (NewRedaction(0, TABLE, "DocumentOfNobody000000", 0), "which is not there"),
        (NewRedaction(2, TABLE, "Document00000000000000", 0), "which is not there"),
    ],
)
def test_mark_stops_before_an_invalid_redaction(store: Replayed, named: NewRedaction, reason: str) -> None:
    result = store.replay(misnaming(named))
    assert result.mark == 1
    ((number, fault, detail),) = store.rows("SELECT sequence_no, fault, detail FROM journal.rejected")
    assert (number, fault) == (2, "redactionInfo")
    assert reason in detail
    assert store.rows("SELECT count(*) FROM journal.revision WHERE state = 'normal'") == [(2,)]


def test_redaction_below_the_origin_closes_as_not_held(store: Replayed, monkeypatch: pytest.MonkeyPatch) -> None:
    made = canaries(documents=2)
    monkeypatch.setenv("STRANDLINE_ORIGIN", "3")
    store.replay(made.blocks[3:])
    assert store.rows("SELECT sequence_no, found FROM journal.redaction ORDER BY 1") == [
        (1, "not held"), (2, "not held"), (4, "data"), (5, "data"),
    ]  # fmt: skip
    told = store.rows("SELECT body::json ->> 'found' FROM projection.receipt ORDER BY number")
    assert sorted(told) == [("data",), ("data",), ("not held",), ("not held",)]


def test_check_of_receipts_finds_data_that_is_back(store: Replayed) -> None:
    made = canaries()
    store.replay(made.blocks)
    with connect(store.url) as connection:
        checked = check_receipts(connection, PROJECTIONS, DATABASE_ONLY)
        assert (checked.receipts, checked.holds) == (12, True)
        connection.execute("UPDATE journal.revision SET data = '{}' WHERE sequence_no = 1")
        checked = check_receipts(connection, PROJECTIONS, DATABASE_ONLY)
        assert [one.where for one in checked.residue] == ["the journal"]
        connection.rollback()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE projection.receipt SET body = replace(body, '\"version\":0', '\"version\":1') WHERE number = 5",
        "DELETE FROM projection.receipt WHERE number = 5",
        "UPDATE projection.receipt SET hash = sha256('other') WHERE number = 5",
        # Changed with its hash, as somebody who knows the format would.
        "WITH forged AS (SELECT replace(body, '\"version\":0', '\"version\":1') AS body FROM projection.receipt "
        "WHERE number = 5) UPDATE projection.receipt r SET body = forged.body, "
        "hash = sha256(convert_to(forged.body, 'UTF8')) FROM forged WHERE number = 5",
    ],
)
def test_changed_or_missing_receipt_breaks_the_chain(store: Replayed, change: str) -> None:
    store.replay(canaries().blocks)
    store.rows(change, returns=False)
    with connect(store.url) as connection:
        assert check_receipts(connection, PROJECTIONS, DATABASE_ONLY).broken_at in (5, 6)


def test_receipts_are_issued_once_and_hold_no_data(store: Replayed, new_store: Callable[[str], Replayed]) -> None:
    made = canaries()
    store.replay(made.blocks)
    first = store.rows("SELECT number, hash FROM projection.receipt ORDER BY number")
    store.replay(made.as_exported())
    assert store.rows("SELECT number, hash FROM projection.receipt ORDER BY number") == first
    bodies = "".join(body for (body,) in store.rows("SELECT body FROM projection.receipt"))
    assert not [string for string in made.strings if string in bodies]
    assert "licence_register" in bodies
