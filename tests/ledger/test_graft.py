"""Appending to a replayed journal of QLDB: its chain, digests and redactions, and journals that refuse it."""

from pathlib import Path
from random import Random
from typing import Any

import psycopg
import pytest

from strandline.consumer.database.connection import connect
from strandline.consumer.intake.replay import replay_sources
from strandline.consumer.intake.writer import JournalWriter
from strandline.consumer.mark.mark import advance, read_mark
from strandline.consumer.monitoring.status import read_status
from strandline.consumer.settings import Settings
from strandline.consumer.store.graft import read_graft, written_by
from strandline.consumer.verification.digest import store_digest
from strandline.consumer.verification.prove import prove
from strandline.consumer.verification.verify import verify_store
from strandline.journal.decode.objects import decode
from strandline.journal.make.block import BlockMaker, Statement, timestamp
from strandline.journal.sources.source import local_sources
from strandline.ledger import Ledger, errors
from strandline.ledger.publish.qldb_api import get_block, get_digest, get_revision
from tests.databases import migrated_database
from tests.journals import ADA, BOB, STRAND, TABLE, Block, ion_binary, ion_text, small_journal
from tests.ledger.grafting import contents, graft


def query(url: str, statement: str) -> list[tuple[Any, ...]]:
    with connect(url) as connection:
        return connection.execute(statement.encode()).fetchall()


def intake(url: str, blocks: list[Block]) -> None:
    decoded = decode(ion_binary(blocks))
    assert decoded.rows is not None
    with connect(url) as connection:
        store = JournalWriter(connection)
        store.begin_strand(blocks[0]["blockAddress"]["strandId"], 0)
        store.intake([decoded.rows], source="test")
        advance(connection)


def longer_than(journal: list[Block], count: int) -> list[Block]:
    """QLDB's journal with more blocks."""
    maker = BlockMaker(STRAND, len(journal), journal[-1]["blockHash"])
    at = 1_600_000_900_000
    return journal + [
        maker.make(
            transaction_id=f"TransactionMore{n:07d}",
            tx_time=timestamp(at + n),
            block_time=timestamp(at + n),
            statements=[Statement("SELECT * FROM Licence", timestamp(at))],
        )
        for n in range(count)
    ]


@pytest.fixture
def grafted(database: str) -> str:
    """QLDB's nine blocks, the graft, and one of the ledger's."""
    intake(database, small_journal())
    with Ledger(database) as ledger:
        ledger.execute(lambda txn: txn.update("Licence", ADA, {"status": "Expired"}))
    return database


class TestGraft:
    def test_graft_is_an_ordinary_block_with_qldbs_last_address(self, grafted: str) -> None:
        last = small_journal()[-1]
        ((number, data),) = query(
            grafted, "SELECT sequence_no, data FROM journal.revision WHERE table_name = 'StrandlineGraft'"
        )
        assert number == 9
        assert data["lastBlockAddress"] == {"strandId": STRAND, "sequenceNo": 8}
        assert last["blockAddress"] == data["lastBlockAddress"]
        with connect(grafted) as connection:
            assert read_status(connection, []).claims.graft == 9
            graft = read_graft(connection)
            connection.commit()
            assert read_mark(connection).sequence_no == 10
        assert [prove(grafted, ADA, version).written_by for version in (2, 3)] == ["qldb", "strandline"]
        assert [written_by(number, graft) for number in (8, 9, 10)] == ["qldb", "strandline", "strandline"]
        assert verify_store(grafted, workers=1).ok

    def test_graft_is_written_once(self, grafted: str) -> None:
        with Ledger(grafted) as ledger:
            ledger.execute(lambda txn: txn.insert("Licence", {}))
        assert query(grafted, "SELECT count(*) FROM journal.revision WHERE table_name = 'StrandlineGraft'") == [(1,)]

    def test_documents_and_tables_of_qldb_are_readable(self, grafted: str) -> None:
        with Ledger(grafted) as ledger:
            history = ledger.execute(lambda txn: txn.history("Licence", BOB))
            assert [one.state for one in history] == ["redacted", "normal", "deleted"]
            (table,) = [one for one in ledger.execute(lambda txn: txn.user_tables()) if one.name == "Licence"]
            assert table.table_id == TABLE
            ledger.execute(lambda txn: txn.create_index("Licence", "licenceId"))
            found = ledger.execute(lambda txn: txn.find("Licence", "licenceId", "A1"))
            assert [(one.document_id, one.version) for one in found] == [(ADA, 3)]

    def test_revision_of_qldb_is_redacted(self, grafted: str) -> None:
        with Ledger(grafted) as ledger:
            ledger.execute(lambda txn: txn.redact_revision({"strandId": STRAND, "sequenceNo": 2}, TABLE, ADA))
        assert query(
            grafted, f"SELECT state, data FROM journal.revision WHERE document_id = '{ADA}' AND version = 0"
        ) == [("redacted", None)]
        assert verify_store(grafted, workers=1).ok

    def test_digest_saved_before_the_graft_holds(self, database: str) -> None:
        intake(database, small_journal())
        saved = store_digest(database)
        with Ledger(database) as ledger:
            ledger.execute(lambda txn: txn.delete("Licence", ADA))
        assert store_digest(database, saved.tip).digest == saved.digest

    def test_blocks_of_qldb_above_the_graft_are_rejected(self, grafted: str) -> None:
        before = contents(grafted)
        intake(grafted, longer_than(small_journal(), 6))  # 9 to 14: two conflict with stored blocks, four are above
        with Ledger(grafted) as ledger:
            ledger.execute(lambda txn: txn.insert("Licence", {"licenceId": "new"}))
        refused = query(grafted, "SELECT DISTINCT sequence_no FROM journal.rejected ORDER BY 1")
        assert refused == [(number,) for number in range(9, 15)]
        assert set(contents(grafted)["block"]) > set(before["block"])
        assert verify_store(grafted, workers=1).ok

    def test_replay_rejects_all_of_them(self, grafted: str, tmp_path: Path) -> None:
        before = contents(grafted)
        (tmp_path / f"{STRAND}.0-14.ion").write_bytes(ion_text(longer_than(small_journal(), 6)))
        for _ in range(2):
            done = replay_sources(grafted, local_sources(str(tmp_path)), Settings(workers=1))
            assert (done.mark, done.rejected) == (10, 6)
            assert contents(grafted) == before
        refused = query(grafted, "SELECT sequence_no FROM journal.rejected ORDER BY 1")
        assert refused == [(number,) for number in range(9, 15)]


class TestNotAppended:
    def test_candidates_prevent_appending(self, database: str) -> None:
        journal = longer_than(small_journal(), 5)
        intake(database, journal[:9] + journal[11:])
        with Ledger(database) as ledger, pytest.raises(errors.CannotAppend, match="block 8"):
            ledger.execute(lambda txn: txn.insert("Licence", {}))
        intake(database, journal[9:11])
        with Ledger(database) as ledger:
            done = ledger.run(lambda txn: txn.insert("Licence", {}))
        assert done.sequence_no == 15

    def test_candidates_since_the_last_append_prevent_appending(self, grafted: str) -> None:
        journal = longer_than(small_journal(), 9)
        with Ledger(grafted) as ledger:
            for _ in range(3):
                number = ledger.run(lambda txn: txn.insert("Licence", {})).sequence_no
            assert number == 13
            intake(grafted, journal[15:])  # whether they follow some other 14 the chain cannot tell yet
            with pytest.raises(errors.CannotAppend, match="block 13"):
                ledger.execute(lambda txn: txn.insert("Licence", {}))
        assert query(grafted, "SELECT sequence_no FROM journal.mark") == [(13,)]

    def test_candidates_that_only_need_the_mark_pass_it_first(self, database: str) -> None:
        journal = longer_than(small_journal(), 2)
        intake(database, journal[:9])
        decoded = decode(ion_binary(journal[9:]))
        with Ledger(database) as ledger, connect(database) as connection:
            assert decoded.rows is not None
            JournalWriter(connection).intake([decoded.rows], source="test")
            assert ledger.run(lambda txn: txn.insert("Licence", {})).sequence_no == 12

    def test_tail_that_does_not_verify_prevents_appending(self, database: str) -> None:
        intake(database, small_journal())
        with psycopg.connect(database) as connection:
            connection.execute("UPDATE journal.revision SET data = '{}', data_ion = NULL WHERE sequence_no = 8")
        with Ledger(database) as ledger, pytest.raises(errors.CannotAppend, match="block 8"):
            ledger.execute(lambda txn: txn.insert("Licence", {}))


class TestProofs:
    def test_api_answers_have_qldbs_shapes(self, grafted: str) -> None:
        from base64 import b64decode

        from strandline.journal.check import merkle
        from strandline.journal.ion import values as ion

        digest = get_digest(grafted)
        tip = ion.read_one(digest["DigestTipAddress"]["IonText"].encode())
        for number, document in ((2, ADA), (10, ADA), (6, BOB), (2, BOB)):
            address = {"strandId": STRAND, "sequenceNo": number}
            answer = get_revision(grafted, address, document, tip)
            revision = ion.read_one(answer["Revision"]["IonText"].encode())
            proof = ion.read_one(answer["Proof"]["IonText"].encode())
            assert merkle.fold(revision["hash"], proof) == b64decode(digest["Digest"])
            answer = get_block(grafted, address, tip)
            block = ion.read_one(answer["Block"]["IonText"].encode())
            proof = ion.read_one(answer["Proof"]["IonText"].encode())
            assert merkle.fold(block["blockHash"], proof) == b64decode(digest["Digest"])
        with pytest.raises(errors.NoSuchRevision):
            get_revision(grafted, {"strandId": STRAND, "sequenceNo": 4}, ADA)


def test_grafted_journal_survives_kills(
    database: str, postgres_url: str, migrated_template: str, tmp_path: Path
) -> None:
    """As `make soak` does it at full size."""
    with (
        migrated_database(postgres_url, migrated_template) as by_export,
        migrated_database(postgres_url, migrated_template) as by_stream,
    ):
        outcome = graft(database, by_export, by_stream, tmp_path, blocks=40, requests=12, kills=2, random=Random(7))
    assert outcome.good, outcome
    assert outcome.kills > 0
