"""The limits of what a store vouches for, as `status`, health and metrics show them."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from strandline.cli.app import run
from strandline.consumer.intake.writer import JournalWriter
from strandline.consumer.mark.mark import advance
from strandline.consumer.monitoring.claims import Claims, read_claims
from strandline.consumer.monitoring.exposition import Exposition
from strandline.consumer.settings import Settings
from strandline.consumer.store.restored import check_unverified
from strandline.consumer.verification.verify import verify_store
from strandline.consumer.worker.checks import check_store
from strandline.journal.decode.objects import decode
from strandline.ledger import Ledger
from tests.consumer.intake.replays import export, replay
from tests.journals import STRAND, ion_binary, json_lines, small_journal


def ingest(connection: psycopg.Connection[Any], data: bytes) -> None:
    rows = decode(data).rows
    assert rows is not None
    writer = JournalWriter(connection)
    writer.begin_strand(STRAND, 0)
    writer.intake([rows], source="export")
    advance(connection)


def claims(connection: psycopg.Connection[Any]) -> Claims:
    with connection.transaction():
        return read_claims(connection)


def test_blocks_from_json_are_not_verified_until_their_ion_comes(connection: psycopg.Connection[Any]) -> None:
    ingest(connection, ion_binary(small_journal()[:6]))
    assert claims(connection) == Claims(0, None)
    ingest(connection, json_lines(small_journal()[6:]))
    assert claims(connection) == Claims(3, None)
    assert not claims(connection).data_verified
    ingest(connection, ion_binary(small_journal()))
    assert claims(connection).data_verified


def test_candidates_above_the_mark_do_not_count(connection: psycopg.Connection[Any]) -> None:
    ingest(connection, json_lines(small_journal()[2:]))
    assert claims(connection) == Claims(0, None)


def test_claims_are_in_status_health_and_metrics(
    database: str,
    connection: psycopg.Connection[Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    ingest(connection, json_lines(small_journal()[:3]))
    ingest(connection, ion_binary(small_journal()))
    with Ledger(database) as ledger:
        ledger.execute(lambda txn: txn.create_table("Other"))
    connection.execute("UPDATE journal.block SET level = 'chain' WHERE sequence_no = 2")
    connection.commit()
    expected = {"data_verified": False, "unverified_blocks": 1, "graft": 9}
    assert check_store(database, Settings())[1] == expected
    monkeypatch.setenv("STRANDLINE_DATABASE_URL", database)
    assert run(["status", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert {name: shown[name] for name in expected} == expected
    assert run(["status"]) == 0
    said = capsys.readouterr().out
    assert "Data not verified: 1 block " in said
    assert "Blocks 9 and later were written by Strandline, not QLDB." in said
    text = Exposition(database, tmp_path, {}, timedelta(hours=1)).text().decode()
    samples = {one.name: one.value for family in text_string_to_metric_families(text) for one in family.samples}
    assert (samples["strandline_unverified_blocks"], samples["strandline_graft"]) == (1, 9)


def test_blocks_of_json_are_summed_up_by_a_replay(
    database: str, connection: psycopg.Connection[Any], tmp_path: Path
) -> None:
    """Status counts those above the sum alone; an Ion copy makes it count again, and `verify` compares the sum."""
    replay(database, export(tmp_path / "json", small_journal(), json_lines))
    assert claims(connection) == Claims(9, None)
    connection.execute("UPDATE journal.block SET level = 'full' WHERE sequence_no = 1")
    assert claims(connection) == Claims(9, None)  # not counted again
    assert [fault.fault for fault in check_unverified(connection)] == ["json_sum"]
    connection.rollback()
    assert list(check_unverified(connection)) == []
    connection.execute("UPDATE journal.json_sum SET unverified = 0")
    connection.commit()
    assert "json_sum" in {fault.fault for fault in verify_store(database, workers=1).faults}
    replay(database, export(tmp_path / "ion", small_journal()))
    assert claims(connection) == Claims(0, None)
    assert list(check_unverified(connection)) == []
