"""Intake: any order, any repetition, and what it refuses."""

import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from strandline.consumer.database.connection import connect
from strandline.consumer.intake import writer_sql
from strandline.consumer.intake.writer import ForeignStrand, IntakeResult, JournalWriter, OtherOrigin, StoredObject
from strandline.consumer.mark.mark import advance, read_mark
from strandline.consumer.store.rejected import Refusal
from strandline.journal.decode.copy_format import Rows
from tests.copy_rows import STRAND, Block, Revision, as_json, chain, pack, redacted, strand

SNAPSHOT = (
    "SELECT sequence_no, block_hash, level, complete, tables FROM journal.block ORDER BY 1, 2",
    "SELECT sequence_no, hash, state, level, data, data_ion, data_hash FROM journal.revision ORDER BY 1, 2",
    "SELECT document_id, version, sequence_no, redacted_by, data_hash FROM journal.redaction ORDER BY 1, 2",
    "SELECT strand_id, sequence_no, block_hash FROM journal.mark",
    "SELECT * FROM journal.user_table ORDER BY 1",
)


def query(connection: psycopg.Connection[Any], statement: str) -> list[tuple[Any, ...]]:
    with connection.transaction():
        return connection.execute(statement).fetchall()


def snapshot(connection: psycopg.Connection[Any]) -> list[list[tuple[Any, ...]]]:
    return [query(connection, statement) for statement in SNAPSHOT]


def take(store: JournalWriter, *blocks: Block, **options: Any) -> IntakeResult:
    return store.intake([pack(list(blocks))], source="test", **options)


def forged(block: Block, before: bytes, after: bytes) -> Rows:
    """The rows of a block, under the same hashes, with other text of the same length."""
    rows = pack([block])
    return rows._replace(blocks=rows.blocks.replace(before, after), revisions=rows.revisions.replace(before, after))


def register(connection: psycopg.Connection[Any], document_id: str, revision_hash: bytes | None) -> None:
    """As an imported register: version 0 of the document, in block 0, redacted by block 9."""
    connection.execute(
        "INSERT INTO journal.redaction"
        " (document_id, version, table_id, sequence_no, redacted_by, revision_hash, imported)"
        " VALUES (%s, 0, 'T1', 0, 9, %s, true)",
        [document_id, revision_hash],
    )
    connection.commit()


class TestStrand:
    def test_other_strand_is_refused_by_both_ids(self, store: JournalWriter) -> None:
        with pytest.raises(ForeignStrand, match=rf"strand Other0.*holds strand {STRAND}"):
            store.begin_strand("Other0", 0)

    def test_same_strand_again_is_a_no_op(self, store: JournalWriter, connection: psycopg.Connection[Any]) -> None:
        take(store, *strand(3))
        advance(connection)
        store.begin_strand(STRAND, 0)
        assert read_mark(connection).sequence_no == 2

    def test_other_origin_is_refused(self, store: JournalWriter) -> None:
        with pytest.raises(OtherOrigin, match="begins at block 0, not at 7"):
            store.begin_strand(STRAND, 7)

    def test_blocks_below_the_origin_are_refused(self, connection: psycopg.Connection[Any]) -> None:
        store = JournalWriter(connection)
        store.begin_strand(STRAND, 5)
        assert take(store, *strand(10)) == IntakeResult(new_blocks=5, new_revisions=5, refused=5)
        assert advance(connection).mark.sequence_no == 9
        assert query(connection, "SELECT DISTINCT fault FROM journal.rejected") == [("below-origin",)]


class TestIdempotence:
    def test_repetition_brings_nothing(self, store: JournalWriter, connection: psycopg.Connection[Any]) -> None:
        blocks = strand(30, redact_every=5)
        assert take(store, *blocks) == IntakeResult(new_blocks=30, new_revisions=30, refused=0)
        assert take(store, *blocks) == IntakeResult(0, 0, 0)
        advance(connection)
        before = snapshot(connection)
        assert take(store, *blocks, *blocks) == IntakeResult(0, 0, 0)
        advance(connection)
        assert snapshot(connection) == before

    @pytest.mark.parametrize("seed", range(4))
    def test_any_order_and_any_repetition_give_the_same_store(
        self, store: JournalWriter, connection: psycopg.Connection[Any], seed: int
    ) -> None:
        blocks = strand(60, per_block=2, redact_every=7)
        chance = random.Random(seed)
        parts = [pack(blocks[at : at + 6]) for at in range(0, 60, 6)]
        streamed = [replace(block, complete=False) for block in blocks]
        parts += [pack([block], with_revisions=False) for block in streamed]
        parts += [pack([block], with_blocks=False) for block in streamed]
        chance.shuffle(parts)
        while parts:
            store.intake([parts.pop() for _ in range(min(len(parts), chance.randint(1, 9)))], source="test")
            if chance.random() < 0.5:
                advance(connection)
        advance(connection)
        assert read_mark(connection).sequence_no == 59
        states = query(
            connection, "SELECT state, count(*), count(data), count(data_ion) FROM journal.revision GROUP BY 1"
        )
        assert sorted(states) == [("normal", 112, 112, 112), ("redacted", 8, 0, 0)]
        levels = query(connection, "SELECT complete, level, count(*) FROM journal.block GROUP BY 1, 2")
        assert levels == [(True, "full", 60)]
        assert query(connection, "SELECT count(*) FROM journal.rejected") == [(0,)]

    def test_repetition_in_one_intake_is_stored_once(self, store: JournalWriter) -> None:
        blocks = strand(5)
        rows = [pack(blocks), pack(blocks)]
        assert store.intake(rows, source="test") == IntakeResult(new_blocks=5, new_revisions=5, refused=0)

    def test_new_rows_in_order_need_no_stage(self, store: JournalWriter, connection: psycopg.Connection[Any]) -> None:
        stage = "SELECT to_regclass('pg_temp.staged_block') IS NOT NULL"
        blocks = strand(12)
        assert store.intake([pack(blocks[:3]), pack(blocks[3:6])], source="test") == IntakeResult(6, 6, 0)
        assert query(connection, stage) == [(False,)]
        assert store.intake([pack(blocks[8:]), pack(blocks[6:8])], source="test") == IntakeResult(6, 6, 0)
        assert query(connection, stage) == [(True,)]
        assert advance(connection).mark.sequence_no == 11

    def test_rows_that_another_intake_stores_at_the_same_time(
        self, store: JournalWriter, connection: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        blocks = strand(6)
        take(store, *blocks[2:4])
        monkeypatch.setattr(writer_sql, "HOLDS_SOME", "SELECT false AND %(first)s < %(last)s")  # as if not there yet
        assert take(store, *blocks) == IntakeResult(new_blocks=4, new_revisions=4, refused=0)
        assert advance(connection).mark.sequence_no == 5

    def test_concurrent_intakes_store_rows_once(self, store: JournalWriter, database: str) -> None:
        blocks = strand(400, per_block=3)

        def bring(_: int) -> IntakeResult:
            with connect(database) as connection:
                return JournalWriter(connection).intake([pack(blocks)], source="test")

        with ThreadPoolExecutor(4) as threads:
            intakes = list(threads.map(bring, range(4)))
        assert sum(intake.new_blocks for intake in intakes) == 400
        assert sum(intake.new_revisions for intake in intakes) == 1_200

    def test_partitions_are_created(self, store: JournalWriter, connection: psycopg.Connection[Any]) -> None:
        block = Block(123_456_789, b"before", (Revision("D1"),))
        take(store, block, replace(block, sequence_no=3))
        names = query(connection, "SELECT inhrelid::regclass::text FROM pg_inherits ORDER BY 1")
        assert [n for (n,) in names if "pkey" not in n and "idx" not in n] == [
            "journal.revision_0",
            "journal.revision_1234",
        ]
        options = query(
            connection,
            "SELECT DISTINCT attstattarget FROM pg_attribute a JOIN pg_inherits i ON i.inhrelid = a.attrelid"
            " WHERE attname IN ('data', 'data_ion')",
        )
        assert options == [(0,)]

    def test_object_is_stored_with_its_rows(self, store: JournalWriter) -> None:
        taken = StoredObject(b"digest", "name", 0, 4, 5, 5)
        assert store.taken([b"digest"]) == set()
        take(store, *strand(5), objects=[taken])
        assert store.taken([b"digest", b"other"]) == {b"digest"}

    def test_object_is_not_stored_if_a_row_is_refused(
        self, store: JournalWriter, connection: psycopg.Connection[Any]
    ) -> None:
        passed = strand(5)
        take(store, *passed)
        advance(connection)
        forged = replace(passed[3], revisions=(Revision("D3-0", salt="forged"),))
        refused = take(store, forged, objects=[StoredObject(b"digest", "name", 0, 4, 5, 5)]).refused
        assert refused
        assert store.taken([b"digest"]) == set()

    def test_refusal_is_recorded_once(self, store: JournalWriter, connection: psycopg.Connection[Any]) -> None:
        refusal = Refusal(None, None, "shard-1", "42", "unreadable", "not Ion", b"\0bytes")
        for _ in range(2):
            assert store.intake([], source="shard-1", refusals=[refusal]).refused == 1
        assert query(connection, "SELECT position, record FROM journal.rejected") == [("42", b"\0bytes")]

    def test_failed_intake_stores_nothing(self, store: JournalWriter, connection: psycopg.Connection[Any]) -> None:
        rows = pack(strand(5))
        with pytest.raises(psycopg.Error):
            store.intake([rows, rows._replace(revisions=b"\0\1garbage")], source="test")
        assert query(connection, "SELECT count(*) FROM journal.block") == [(0,)]
        assert store.intake([rows], source="test").new_blocks == 5


class TestBelowTheMark:
    @pytest.fixture
    def passed(self, store: JournalWriter, connection: psycopg.Connection[Any]) -> list[Block]:
        blocks = strand(6)
        take(store, *blocks)
        advance(connection)
        return blocks

    def test_other_block_is_refused_with_its_revisions(
        self, store: JournalWriter, connection: psycopg.Connection[Any], passed: list[Block]
    ) -> None:
        other = replace(passed[3], revisions=(Revision("D3-0", salt="forged"),))
        before = snapshot(connection)
        assert take(store, other) == IntakeResult(0, 0, 1)
        assert take(store, other) == IntakeResult(0, 0, 1)
        assert snapshot(connection) == before
        [(number, block_hash, fault, detail)] = query(
            connection, "SELECT sequence_no, block_hash, fault, detail FROM journal.rejected"
        )
        assert (number, block_hash, fault) == (3, other.block_hash, "conflict")
        assert passed[3].block_hash.hex() in detail

    def test_unnamed_revision_is_refused(
        self, store: JournalWriter, connection: psycopg.Connection[Any], passed: list[Block]
    ) -> None:
        stray = replace(passed[3], revisions=(Revision("D9", salt="stray"),))
        assert store.intake([pack([stray], with_blocks=False)], source="test") == IntakeResult(0, 0, 1)
        assert query(connection, "SELECT fault FROM journal.rejected") == [("conflict",)]

    def test_block_without_its_revisions_is_no_conflict(self, store: JournalWriter, passed: list[Block]) -> None:
        again = [replace(block, complete=False) for block in passed]
        assert store.intake([pack(again, with_revisions=False)], source="test") == IntakeResult(0, 0, 0)


class TestUpgrade:
    def test_ion_replaces_json(self, store: JournalWriter, connection: psycopg.Connection[Any]) -> None:
        blocks = strand(4)
        take(store, *map(as_json, blocks))
        take(store, *blocks)
        assert query(connection, "SELECT DISTINCT level, data_ion IS NULL FROM journal.revision") == [("full", False)]
        assert query(connection, "SELECT DISTINCT level FROM journal.block") == [("full",)]
        assert query(connection, "SELECT count(*) FROM journal.change") == [(0,)]

    def test_json_does_not_replace_ion(self, store: JournalWriter, connection: psycopg.Connection[Any]) -> None:
        blocks = strand(4)
        take(store, *blocks)
        before = snapshot(connection)
        take(store, *map(as_json, blocks))
        assert snapshot(connection) == before

    def test_upgrade_below_mark_is_a_change(self, store: JournalWriter, connection: psycopg.Connection[Any]) -> None:
        blocks = strand(4)
        told = [as_json(block) for block in blocks]
        told[2] = replace(told[2], revisions=(replace(told[2].revisions[0], data={"n": "two"}),))
        take(store, *told)
        advance(connection)
        take(store, *blocks[1:])
        take(store, *blocks[1:])
        changes = query(
            connection, "SELECT sequence_no, kind, bool_or(differs) FROM journal.change GROUP BY 1, 2 ORDER BY 1"
        )
        assert changes == [(1, "upgraded", False), (2, "upgraded", True), (3, "upgraded", False)]
        assert query(connection, "SELECT data FROM journal.revision WHERE sequence_no = 2") == [({"n": 2},)]

    def test_state_redacted_of_json_does_not_win_over_ion(
        self, store: JournalWriter, connection: psycopg.Connection[Any]
    ) -> None:
        [block] = strand(1)
        take(store, redacted(as_json(block)))
        take(store, block)
        assert query(connection, "SELECT state, level, data FROM journal.revision") == [("normal", "full", {"n": 0})]

    def test_registered_revision_stays_without_data(
        self, store: JournalWriter, connection: psycopg.Connection[Any]
    ) -> None:
        [block] = strand(1)
        take(store, redacted(as_json(block)))
        register(connection, "D0-0", None)
        take(store, block)
        [row] = query(connection, "SELECT state, level, data, data_ion, data_hash FROM journal.revision")
        assert row == ("redacted", "full", None, None, block.revisions[0].data_hash)

    def test_ion_replaces_names_that_json_forged(
        self, store: JournalWriter, connection: psycopg.Connection[Any]
    ) -> None:
        blocks = strand(3)
        store.intake([forged(as_json(block), b"D1-0", b"X1-0") for block in blocks], source="test")
        store.intake([forged(as_json(blocks[2]), b"Licence", b"Forgery")], source="test")
        advance(connection)
        assert query(connection, "SELECT document_id FROM journal.revision WHERE sequence_no = 1") == [("X1-0",)]
        take(store, *blocks)
        columns = "document_id, version, table_id, table_name, tx_id, tx_time, state, level, data"
        rows = query(connection, f"SELECT {columns} FROM journal.revision ORDER BY sequence_no")
        assert rows == [
            (f"D{n}-0", 0, "T1", "Licence", f"tx{n}", blocks[n].time, "normal", "full", {"n": n}) for n in range(3)
        ]
        assert query(connection, "SELECT revision_documents FROM journal.block ORDER BY 1") == [
            ([f"D{n}-0"],) for n in range(3)
        ]
        assert (1, True) in query(connection, "SELECT sequence_no, bool_or(differs) FROM journal.change GROUP BY 1")

    def test_ion_removes_a_table_that_json_forged(
        self, store: JournalWriter, connection: psycopg.Connection[Any]
    ) -> None:
        blocks = strand(2)
        store.intake([pack([blocks[0]]), forged(as_json(blocks[1]), b"T1", b"T9")], source="test")
        advance(connection)
        assert query(connection, "SELECT table_id FROM journal.user_table ORDER BY 1") == [("T1",), ("T9",)]
        take(store, blocks[1])
        assert query(connection, "SELECT table_id, view_name FROM journal.user_table") == [("T1", "Licence")]
        views = "SELECT count(*) FROM pg_views WHERE schemaname = 'ledger' AND viewname LIKE 'Licence%'"
        assert query(connection, views) == [(1,)]
        counted = "SELECT table_id, sum(revisions)::int FROM journal.table_shape GROUP BY 1"
        assert query(connection, counted) == [("T1", 2)]

    def test_register_finds_a_revision_by_its_hash(
        self, store: JournalWriter, connection: psycopg.Connection[Any]
    ) -> None:
        """A copy from JSON may give it another id."""
        [block] = strand(1)
        register(connection, "D0-0", block.revisions[0].hash(0))
        store.intake([forged(as_json(block), b"D0-0", b"X0-0")], source="test")
        assert query(connection, "SELECT state, data FROM journal.revision") == [("redacted", None)]
        take(store, block)
        assert query(connection, "SELECT document_id, state, data FROM journal.revision") == [
            ("D0-0", "redacted", None)
        ]

    def test_copy_without_data_does_not_replace_data(
        self, store: JournalWriter, connection: psycopg.Connection[Any]
    ) -> None:
        [block] = strand(1)
        take(store, as_json(block))
        take(store, redacted(block))
        assert query(connection, "SELECT state, level, data FROM journal.revision") == [("normal", "chain", {"n": 0})]

    def test_redaction_hidden_by_json_takes_effect(
        self, store: JournalWriter, connection: psycopg.Connection[Any]
    ) -> None:
        blocks = chain({"revisions": (Revision("D1"),)}, {"redactions": ((0, "D1", 0),)})
        take(store, blocks[0], replace(as_json(blocks[1]), redactions=()))
        assert advance(connection).mark.sequence_no == 1
        assert query(connection, "SELECT state FROM journal.revision") == [("normal",)]
        take(store, blocks[1])
        assert query(connection, "SELECT state, data FROM journal.revision") == [("redacted", None)]
        assert query(connection, "SELECT sequence_no, redacted_by FROM journal.redaction") == [(0, 1)]

    def test_complete_copy_completes_a_streamed_block(
        self, store: JournalWriter, connection: psycopg.Connection[Any]
    ) -> None:
        [block] = strand(1)
        store.intake([pack([replace(block, complete=False)], with_revisions=False)], source="test")
        assert advance(connection).mark.sequence_no == -1
        take(store, block)
        assert advance(connection).mark.sequence_no == 0
        assert query(connection, "SELECT complete FROM journal.block") == [(True,)]
