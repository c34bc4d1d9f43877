"""Changes made directly in the database are found and named, by block and column."""

from pathlib import Path
from typing import Any

import psycopg
import pytest

from strandline.consumer.database.connection import connect
from strandline.consumer.intake.replay import replay_sources
from strandline.consumer.settings import Settings
from strandline.consumer.verification.verify import Verification, verify_store
from strandline.journal.check import merkle
from strandline.journal.ion.hash import ion_hash
from strandline.journal.sources.source import local_sources
from tests.journals import ADA, BOB, ion_binary, json_lines, small_journal

DIGEST = merkle.root([block["blockHash"] for block in small_journal()])


@pytest.fixture
def stored(database: str, tmp_path: Path) -> str:
    """URL of a store that holds the small journal."""
    (tmp_path / "journal.ion").write_bytes(ion_binary(small_journal()))
    replay_sources(database, local_sources(str(tmp_path / "journal.ion")), Settings(origin=0, workers=1))
    return database


def verify(url: str) -> Verification:
    return verify_store(url, workers=1)


def change(url: str, statement: str, *values: Any) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        assert connection.execute(statement, values).rowcount == 1


def test_an_untouched_store_verifies(stored: str) -> None:
    found = verify(stored)
    assert found.ok
    assert (found.blocks, found.revisions, found.level, found.digest) == (9, 6, "full", DIGEST)
    assert found.unexplained_redactions == 0


ADA_1 = f"WHERE document_id = '{ADA}' AND version = 1"
CHANGES = [
    (f"UPDATE journal.revision SET data = jsonb_set(data, '{{status}}', '\"Valid\"') {ADA_1}", (3, "data")),
    (f"UPDATE journal.revision SET data_ion = '\\xe00100ea20' {ADA_1}", (3, "revision-hash")),
    (f"UPDATE journal.revision SET data_ion = 'no ion {{' {ADA_1}", (3, "unreadable")),
    (f"UPDATE journal.revision SET data_hash = sha256('x') {ADA_1}", (3, "data_hash")),
    (f"UPDATE journal.revision SET document_id = 'Other' {ADA_1}", (3, "revision-hash")),
    (f"UPDATE journal.revision SET version = 7 {ADA_1}", (3, "revision-hash")),
    (f"UPDATE journal.revision SET tx_id = 'Other' {ADA_1}", (3, "revision-hash")),
    (f"UPDATE journal.revision SET tx_time = tx_time + '1 ms' {ADA_1}", (3, "revision-hash")),
    (f"UPDATE journal.revision SET table_name = 'Contact' {ADA_1}", (3, "table")),
    (f"UPDATE journal.revision SET table_id = 'Contact' {ADA_1}", (3, "table")),
    (f"UPDATE journal.revision SET state = 'deleted', data = NULL, data_ion = NULL {ADA_1}", (3, "deletion-hash")),
    (f"UPDATE journal.revision SET state = 'redacted', data = NULL, data_ion = NULL, data_hash = sha256('x') {ADA_1}",
     (3, "revision-hash")),
    (f"UPDATE journal.revision SET state = 'redacted' {ADA_1}", (3, "data")),
    (f"UPDATE journal.revision SET hash = sha256('x') {ADA_1}", (3, "stray")),
    (f"DELETE FROM journal.revision {ADA_1}", (3, "revisions")),
    (f"UPDATE journal.revision SET data = '{{\"firstName\": \"Eve\"}}' WHERE document_id = '{BOB}' AND version = 0",
     (2, "data")),
    ("UPDATE journal.block SET block_hash = sha256('x') WHERE sequence_no = 3", (3, "blockHash")),
    ("UPDATE journal.block SET previous_hash = sha256('x') WHERE sequence_no = 3", (3, "blockHash")),
    ("UPDATE journal.block SET entries_hashes = entries_hashes[2:] WHERE sequence_no = 3", (3, "blockHash")),
    ("UPDATE journal.block SET transaction_id = 'Other' WHERE sequence_no = 3", (3, "transactionId")),
    ("UPDATE journal.block SET transaction_info = NULL WHERE sequence_no = 3", (3, "documents")),
    ("UPDATE journal.block SET redaction_info = NULL WHERE sequence_no = 7", (7, "redactions")),
    ("UPDATE journal.block SET redactions = NULL WHERE sequence_no = 7", (7, "redactions")),
    ("UPDATE journal.block SET redactions = '[]' WHERE sequence_no = 7", (7, "redactions")),
    ("UPDATE journal.block SET statement_kinds = '{DELETE}' WHERE sequence_no = 3", (3, "statement_kinds")),
    ("UPDATE journal.block SET definitions = '{}' WHERE sequence_no = 1", (1, "definitions")),
    ("UPDATE journal.block SET tables = '{}' WHERE sequence_no = 3", (3, "tables")),
    ("UPDATE journal.block SET revision_hashes = '{}', revision_documents = '{}' WHERE sequence_no = 3",
     (3, "documents")),
    ("DELETE FROM journal.block WHERE sequence_no = 4", (4, "missing")),
    ("DELETE FROM journal.block WHERE sequence_no = 8", (8, "missing")),
]  # fmt: skip


@pytest.mark.parametrize(("statement", "expected"), CHANGES)
def test_a_change_behind_its_back_is_found(stored: str, statement: str, expected: tuple[int, str]) -> None:
    change(stored, statement)
    found = verify(stored)
    assert not found.ok
    assert expected in [(fault.sequence_no, fault.fault) for fault in found.faults]
    assert all(word not in fault.detail for fault in found.faults for word in ("Eve", "Revoked"))


def test_data_replaced_by_its_own_hash_is_an_unexplained_redaction(stored: str) -> None:
    change(
        stored,
        f"UPDATE journal.revision SET state = 'redacted', data = NULL, data_ion = NULL, data_hash = %s {ADA_1}",
        ion_hash(small_journal()[3]["revisions"][0]["data"]),
    )
    found = verify(stored)
    assert found.ok
    assert found.unexplained_redactions == 1


def test_metadata_that_is_not_as_usual_is_kept_and_checked(database: str, tmp_path: Path) -> None:
    from strandline.journal.make.block import BlockMaker, NewRevision, Statement, timestamp

    block = BlockMaker("Strand0000000000000000").make(
        transaction_id="Transaction00000000000", tx_time=timestamp(1), block_time=timestamp(2),
        statements=[Statement("INSERT INTO T ?", timestamp(0))],
        revisions=[NewRevision(ADA, "TableT0000000000000000", "T", 0, {"n": 1})],
    )  # fmt: skip
    revision = block["revisions"][0]
    revision["metadata"]["more"] = 7
    revision["hash"] = merkle.dot(ion_hash(revision["metadata"]), ion_hash(revision["data"]))
    block["entriesHashList"] = [merkle.root([revision["hash"]]), ion_hash(block["transactionInfo"])]
    block["entriesHash"] = merkle.root(block["entriesHashList"])
    block["blockHash"] = merkle.dot(block["entriesHash"], block["previousBlockHash"])
    (tmp_path / "journal.ion").write_bytes(ion_binary([block]))
    replay_sources(database, local_sources(str(tmp_path / "journal.ion")), Settings(origin=0, workers=1))
    assert verify(database).ok
    change(database, "UPDATE journal.revision SET version = 9")
    assert [(fault.sequence_no, fault.fault) for fault in verify(database).faults] == [(0, "metadata"), (0, "document")]


def test_a_store_from_json_verifies_at_level_chain(database: str, tmp_path: Path) -> None:
    (tmp_path / "journal.json").write_bytes(json_lines(small_journal()))
    replay_sources(database, local_sources(str(tmp_path / "journal.json")), Settings(origin=0, workers=1))
    found = verify(database)
    assert (found.ok, found.level, found.digest) == (True, "chain", DIGEST)
    with connect(database) as connection:
        assert connection.execute("SELECT DISTINCT level FROM journal.revision").fetchall() == [("chain",)]
