"""A journal from QLDB, replayed, goes on: the same chain, its digests, its redactions; and what is not appended to."""

import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import boto3
import psycopg
import pytest
from moto import mock_aws

from consumer.database import connect
from consumer.digest import store_digest
from consumer.graft import read_graft, written_by
from consumer.mark import advance, read_mark
from consumer.migrations import migrate
from consumer.proving import prove
from consumer.replay import take_in
from consumer.settings import Settings
from consumer.status import read_status
from consumer.store import Store
from consumer.verification import verify_sources, verify_store
from journal.export_writer import Format
from journal.maker import BlockMaker, Statement, timestamp
from journal.rows import decode
from journal.simulate import simulate
from journal.source import local_sources
from ledger import Ledger, errors
from ledger.export import Exporter
from ledger.place import FolderTarget
from ledger.proofs import get_block, get_digest, get_revision
from ledger.stream import Streamer
from tests.journals import ADA, BOB, STRAND, TABLE, Block, ion_binary, small_journal

WRITERS, REQUESTS, KILLS = 8, 120, 6
STORE = (
    "SELECT sequence_no, block_hash, level, transaction_info, redaction_info, tables FROM journal.block ORDER BY 1, 2",
    "SELECT sequence_no, hash, document_id, version, table_id, table_name, state, data, data_hash FROM journal.revision"
    " ORDER BY 1, 2",
    "SELECT document_id, version, sequence_no, redacted_by, data_hash FROM journal.redaction ORDER BY 1, 2",
    "SELECT strand_id, origin, sequence_no, block_hash FROM journal.mark",
    "SELECT * FROM journal.user_table ORDER BY 1",
)


def query(url: str, statement: str) -> list[tuple[Any, ...]]:
    with connect(url) as connection:
        return connection.execute(statement.encode()).fetchall()


def contents(url: str) -> list[list[tuple[Any, ...]]]:
    return [query(url, statement) for statement in STORE]


def intake(url: str, blocks: list[Block]) -> None:
    decoded = decode(ion_binary(blocks))
    assert decoded.rows is not None
    with connect(url) as connection:
        store = Store(connection)
        store.begin_strand(blocks[0]["blockAddress"]["strandId"], 0)
        store.intake([decoded.rows], source="test")
        advance(connection)


def replay(url: str, folder: Path) -> None:
    take_in(url, local_sources(str(folder)), Settings(workers=1))


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
    def test_is_an_ordinary_block_that_tells_where_qldb_ended(self, grafted: str) -> None:
        last = small_journal()[-1]
        ((number, data),) = query(
            grafted, "SELECT sequence_no, data FROM journal.revision WHERE table_name = 'StrandlineGraft'"
        )
        assert number == 9
        assert data["lastBlockAddress"] == {"strandId": STRAND, "sequenceNo": 8}
        assert last["blockAddress"] == data["lastBlockAddress"]
        with connect(grafted) as connection:
            assert read_status(connection, []).graft == 9
            graft = read_graft(connection)
            connection.commit()
            assert read_mark(connection).sequence_no == 10
        assert [prove(grafted, ADA, version).written_by for version in (2, 3)] == ["qldb", "strandline"]
        assert [written_by(number, graft) for number in (8, 9, 10)] == ["qldb", "strandline", "strandline"]
        assert verify_store(grafted, workers=1).ok

    def test_is_written_once(self, grafted: str) -> None:
        with Ledger(grafted) as ledger:
            ledger.execute(lambda txn: txn.insert("Licence", {}))
        assert query(grafted, "SELECT count(*) FROM journal.revision WHERE table_name = 'StrandlineGraft'") == [(1,)]

    def test_qldbs_documents_and_tables_are_at_hand(self, grafted: str) -> None:
        with Ledger(grafted) as ledger:
            history = ledger.execute(lambda txn: txn.history("Licence", BOB))
            assert [one.state for one in history] == ["redacted", "normal", "deleted"]
            (table,) = [one for one in ledger.execute(lambda txn: txn.user_tables()) if one.name == "Licence"]
            assert table.table_id == TABLE
            ledger.execute(lambda txn: txn.create_index("Licence", "licenceId"))
            found = ledger.execute(lambda txn: txn.find("Licence", "licenceId", "A1"))
            assert [(one.document_id, one.version) for one in found] == [(ADA, 3)]

    def test_a_revision_of_qldbs_is_redacted(self, grafted: str) -> None:
        with Ledger(grafted) as ledger:
            ledger.execute(lambda txn: txn.redact_revision({"strandId": STRAND, "sequenceNo": 2}, TABLE, ADA))
        assert query(
            grafted, f"SELECT state, data FROM journal.revision WHERE document_id = '{ADA}' AND version = 0"
        ) == [("redacted", None)]
        assert verify_store(grafted, workers=1).ok

    def test_a_digest_saved_before_checks_still(self, database: str) -> None:
        intake(database, small_journal())
        saved = store_digest(database)
        with Ledger(database) as ledger:
            ledger.execute(lambda txn: txn.delete("Licence", ADA))
        assert store_digest(database, saved.tip).digest == saved.digest

    def test_qldbs_blocks_beyond_it_are_refused(self, grafted: str) -> None:
        before = contents(grafted)
        intake(grafted, longer_than(small_journal(), 6))  # 9 to 14: two contend with what is held, four are above
        with Ledger(grafted) as ledger:
            ledger.execute(lambda txn: txn.insert("Licence", {"licenceId": "new"}))
        refused = query(grafted, "SELECT DISTINCT sequence_no FROM journal.rejected ORDER BY 1")
        assert refused == [(number,) for number in range(9, 15)]
        assert contents(grafted)[0][: len(before[0])] == before[0]
        assert verify_store(grafted, workers=1).ok


class TestNotAppended:
    def test_while_candidates_wait(self, database: str) -> None:
        journal = longer_than(small_journal(), 5)
        intake(database, journal[:9] + journal[11:])
        with Ledger(database) as ledger, pytest.raises(errors.CannotAppend, match="block 8"):
            ledger.execute(lambda txn: txn.insert("Licence", {}))
        intake(database, journal[9:11])
        with Ledger(database) as ledger:
            done = ledger.run(lambda txn: txn.insert("Licence", {}))
        assert done.sequence_no == 15

    def test_while_candidates_wait_that_came_since_it_wrote(self, grafted: str) -> None:
        journal = longer_than(small_journal(), 9)
        with Ledger(grafted) as ledger:
            for _ in range(3):
                number = ledger.run(lambda txn: txn.insert("Licence", {})).sequence_no
            assert number == 13
            intake(grafted, journal[15:])  # whether they follow some other 14 the chain cannot tell yet
            with pytest.raises(errors.CannotAppend, match="block 13"):
                ledger.execute(lambda txn: txn.insert("Licence", {}))
        assert query(grafted, "SELECT sequence_no FROM journal.mark") == [(13,)]

    def test_what_waits_only_for_the_mark_is_taken_in_first(self, database: str) -> None:
        journal = longer_than(small_journal(), 2)
        intake(database, journal[:9])
        decoded = decode(ion_binary(journal[9:]))
        with Ledger(database) as ledger, connect(database) as connection:
            assert decoded.rows is not None
            Store(connection).intake([decoded.rows], source="test")
            assert ledger.run(lambda txn: txn.insert("Licence", {})).sequence_no == 12

    def test_where_the_end_does_not_verify(self, database: str) -> None:
        intake(database, small_journal())
        with psycopg.connect(database) as connection:
            connection.execute("UPDATE journal.revision SET data = '{}', data_ion = NULL WHERE sequence_no = 8")
        with Ledger(database) as ledger, pytest.raises(errors.CannotAppend, match="block 8"):
            ledger.execute(lambda txn: txn.insert("Licence", {}))


class TestProofs:
    def test_in_qldbs_shapes(self, grafted: str) -> None:
        from base64 import b64decode

        from journal import ion, merkle

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


def start(url: str, name: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "tests.ledger.writer", url, name, str(REQUESTS)]
    return subprocess.Popen(command, stderr=subprocess.PIPE)


def write_with_kills(url: str) -> None:
    """Eight writers; some are killed and start again, with the same requests."""
    ((first,),) = query(url, "SELECT sequence_no FROM journal.mark")
    writers = {f"w{n}": start(url, f"w{n}") for n in range(WRITERS)}
    try:
        kill_some(url, writers, first)
        for writer in writers.values():
            _, said = writer.communicate(timeout=300)
            assert writer.returncode == 0, said.decode()[-2000:]
    finally:
        for writer in writers.values():
            writer.kill()
            writer.communicate()


def kill_some(url: str, writers: "dict[str, subprocess.Popen[bytes]]", first: int) -> None:
    for number, name in enumerate(random.Random(7).choices(list(writers), k=KILLS), 1):
        while query(url, "SELECT sequence_no FROM journal.mark") < [(first + number * WRITERS * REQUESTS // 10,)]:
            time.sleep(0.05)
        writers[name].kill()
        writers[name].communicate()
        writers[name] = start(url, name)


def test_grafting(database: str, empty_database: str, tmp_path: Path) -> None:
    """A thousand transactions after QLDB's, from eight writers, some killed; exported, and taken in anew."""
    made = simulate(tmp_path / "qldb", 200, 3, Format.ION_BINARY)
    replay(database, tmp_path / "qldb" / "full")
    write_with_kills(database)
    wanted = WRITERS * REQUESTS
    once = query(
        database, "SELECT count(*) FROM journal.revision WHERE version = 0 AND data ->> 'licenceId' ~ '^w\\d/'"
    )
    erased = query(database, f"SELECT count(*) FROM journal.redaction WHERE redacted_by > {made.tip}")
    assert once[0][0] + erased[0][0] == wanted
    assert erased[0][0] >= WRITERS * (REQUESTS // 10) - KILLS
    assert store_digest(database, made.tip).digest == made.digest

    exporter = Exporter(database, FolderTarget(tmp_path / "export"))
    exporter.run()
    verified = verify_sources(local_sources(str(tmp_path / "export")), workers=1)
    assert verified.ok
    assert verified.unexplained_redactions == 0
    assert verified.digest == store_digest(database).digest

    migrate(empty_database)
    replay(empty_database, tmp_path / "export")
    assert contents(empty_database) == contents(database)


@mock_aws
def test_a_store_fed_by_the_stream_equals_this_one(
    grafted: str, empty_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = boto3.client("kinesis", region_name="eu-west-1")
    client.create_stream(StreamName="ledger", ShardCount=2)
    done = Streamer(grafted, client, "ledger").run()
    assert (done.blocks, done.last_no) == (11, 10)
    with Ledger(grafted) as ledger:
        ledger.execute(lambda txn: txn.insert("Licence", {"licenceId": "C1"}))
    again = Streamer(grafted, client, "ledger").run()
    assert (again.blocks, again.last_no) == (1, 11)
    for number, raw in enumerate(read_stream(client, "ledger")):
        (tmp_path / f"{number}").write_bytes(raw)
    migrate(empty_database)
    replay(empty_database, tmp_path)
    assert contents(empty_database) == contents(grafted)


def read_stream(client: Any, name: str) -> list[bytes]:
    raw = []
    for shard in client.list_shards(StreamName=name)["Shards"]:
        iterator = client.get_shard_iterator(
            StreamName=name, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        raw += [one["Data"] for one in client.get_records(ShardIterator=iterator)["Records"]]
    return raw
