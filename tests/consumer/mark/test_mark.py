"""The mark: one total order without gaps, however records came in."""

import random
import threading
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from strandline.consumer.database.connection import Connection, connect
from strandline.consumer.intake.writer import JournalWriter
from strandline.consumer.mark import effects
from strandline.consumer.mark import mark as mark_module
from strandline.consumer.mark.chain import Candidate, walk
from strandline.consumer.mark.gaps import gaps, head
from strandline.consumer.mark.lock import LOCK_SHARED, strand_lock
from strandline.consumer.mark.mark import advance, read_mark
from tests.copy_rows import STRAND, Block, Revision, chain, pack, redacted, strand


def query(connection: Connection, statement: str) -> list[tuple[Any, ...]]:
    with connection.transaction():
        return connection.execute(statement).fetchall()


def take(store: JournalWriter, *blocks: Block) -> None:
    store.intake([pack(list(blocks))], source="test")


def accept_gap(connection: Connection, first: int, last: int) -> None:
    with connection.transaction():
        connection.execute("INSERT INTO journal.accepted_gap VALUES (%s, %s, 'lost')", [first, last])


def rejected(connection: Connection) -> list[tuple[Any, ...]]:
    return query(connection, "SELECT sequence_no, block_hash, fault FROM journal.rejected ORDER BY 1, 2")


class TestRise:
    def test_it_stands_before_the_origin_at_first(self, connection: Connection) -> None:
        JournalWriter(connection).begin_strand(STRAND, 7)
        assert advance(connection).mark == read_mark(connection)
        assert read_mark(connection).sequence_no == 6
        assert (head(connection), gaps(connection)) == (None, [])

    def test_it_stops_at_what_is_missing(self, store: JournalWriter, connection: Connection) -> None:
        blocks = strand(20)
        take(store, *blocks[:3], *blocks[5:9], *blocks[12:20])
        assert advance(connection).mark.sequence_no == 2
        assert (head(connection), gaps(connection)) == (19, [(3, 4), (9, 11)])
        take(store, *blocks[3:5])
        assert advance(connection).mark.sequence_no == 8
        assert gaps(connection, limit=1) == [(9, 11)]
        take(store, *blocks[9:12])
        assert advance(connection).mark == read_mark(connection)
        assert (read_mark(connection).sequence_no, read_mark(connection).block_hash) == (19, blocks[19].block_hash)
        assert gaps(connection) == []

    def test_it_rises_over_more_than_a_window(
        self, store: JournalWriter, connection: Connection, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(mark_module, "FIRST_WINDOW", 2)
        monkeypatch.setattr(mark_module, "LARGEST_WINDOW", 10)
        take(store, *strand(57))
        assert advance(connection).mark.sequence_no == 56

    def test_a_streamed_block_waits_for_all_its_revisions(self, store: JournalWriter, connection: Connection) -> None:
        revisions = (Revision("A"), Revision("B"))
        [block] = chain({"revisions": revisions, "complete": False, "system_revisions": 2})
        parts = [pack([replace(block, revisions=(one,))], with_blocks=False) for one in revisions]
        store.intake([parts[1]], source="test")
        assert (advance(connection).mark.sequence_no, head(connection), gaps(connection)) == (-1, 0, [(0, 0)])
        store.intake([pack([block], with_revisions=False)], source="test")
        assert (advance(connection).mark.sequence_no, gaps(connection)) == (-1, [])
        store.intake([parts[0]], source="test")
        assert advance(connection).mark.sequence_no == 0

    def test_a_revision_that_no_block_names_never_passes(self, store: JournalWriter, connection: Connection) -> None:
        [block] = strand(1)
        stray = replace(block, revisions=(Revision("Z", salt="stray"),))
        store.intake([pack([stray], with_blocks=False)], source="test")
        take(store, block)
        assert advance(connection).mark.sequence_no == 0
        assert query(connection, "SELECT document_id FROM journal.revision") == [("D0-0",)]
        assert rejected(connection) == [(0, None, "stray")]

    def test_it_tells_those_who_listen(self, store: JournalWriter, connection: Connection, database: str) -> None:
        with connect(database, autocommit=True) as listener:
            listener.execute("LISTEN strandline_mark")
            take(store, *strand(3))
            advance(connection)
            assert [notice.channel for notice in listener.notifies(timeout=5, stop_after=1)] == ["strandline_mark"]

    def test_it_is_not_raised_inside_another_transaction(self, connection: Connection) -> None:
        connection.execute("SELECT 1")
        with pytest.raises(psycopg.ProgrammingError, match="outside a transaction"):
            advance(connection)


class TestForks:
    def fork(self, first: int = 1) -> tuple[list[Block], list[Block]]:
        """Two strands that share block 0 and one of block 1's revisions."""
        shared = {"revisions": (Revision("D0"),)}
        true = chain(shared, {"revisions": (Revision("D1"), Revision("E"))}, {}, {})
        false = chain(shared, {"revisions": (Revision("D1"), Revision("F")), "salt": "false"}, {}, {})
        return true, false

    def test_two_that_link_wait_for_the_next(self, store: JournalWriter, connection: Connection) -> None:
        true, false = self.fork()
        take(store, true[0], true[1])
        take(store, false[1])
        assert (advance(connection).mark.sequence_no, gaps(connection)) == (0, [])
        take(store, true[2])
        assert advance(connection).mark.block_hash == true[2].block_hash
        assert rejected(connection) == [(1, false[1].block_hash, "fork")]
        documents = query(connection, "SELECT document_id FROM journal.revision WHERE sequence_no = 1 ORDER BY 1")
        assert documents == [("D1",), ("E",)]

    def test_two_with_successors_wait(self, store: JournalWriter, connection: Connection) -> None:
        true, false = self.fork()
        take(store, *true[:3], *false[1:3])
        assert advance(connection).mark.sequence_no == 0
        assert rejected(connection) == []

    def test_one_that_does_not_link_is_rejected_also_alone(self, store: JournalWriter, connection: Connection) -> None:
        true, _ = self.fork()
        unlinked = replace(true[1], previous_hash=b"elsewhere")
        waiting = pack([replace(true[1], revisions=(Revision("E"),))], with_blocks=False)
        take(store, true[0], unlinked, true[2])
        store.intake([waiting], source="test")
        assert advance(connection).mark.sequence_no == 0
        assert rejected(connection) == [(1, unlinked.block_hash, "link")]
        assert gaps(connection) == [(1, 1)]
        take(store, true[1])
        assert advance(connection).mark.sequence_no == 2

    def test_the_end_of_a_window_decides_nothing(self) -> None:
        one, other, next_one = (
            Candidate(1, b"a", b"", True, False, 0),
            Candidate(1, b"b", b"", True, False, 0),
            Candidate(2, b"c", b"b", True, False, 0),
        )
        cut = walk(0, b"", [one], more=True)
        assert (cut.sequence_no, cut.cut) == (0, True)
        cut = walk(0, b"", [one, other, next_one], more=True)
        assert (cut.sequence_no, cut.cut) == (0, True)
        whole = walk(0, b"", [one, other, next_one])
        assert (whole.block_hash, [loser.candidate for loser in whole.losers]) == (b"c", [one])


class TestRedactions:
    def journal(self) -> list[Block]:
        return chain(
            {"revisions": (Revision("D"),)}, {"revisions": (Revision("D", 1),)}, {"redactions": ((0, "D", 0),)}
        )

    def states(self, connection: Connection) -> list[tuple[Any, ...]]:
        return query(connection, "SELECT version, state, data IS NULL FROM journal.revision ORDER BY 1")

    def test_above_the_mark_it_is_pending(self, store: JournalWriter, connection: Connection) -> None:
        blocks = self.journal()
        take(store, blocks[0], blocks[2])
        advance(connection)
        assert self.states(connection) == [(0, "normal", False)]
        assert query(connection, "SELECT * FROM journal.redaction") == []
        take(store, blocks[1])
        advance(connection)
        assert self.states(connection) == [(0, "redacted", True), (1, "normal", False)]
        [register] = query(
            connection,
            "SELECT document_id, version, table_id, sequence_no, redacted_by, data_hash FROM journal.redaction",
        )
        assert register == ("D", 0, "T1", 0, 2, blocks[0].revisions[0].data_hash)

    def test_mark_register_and_erasure_are_one(
        self, store: JournalWriter, connection: Connection, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        take(store, *self.journal())

        def crash(*_: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr(effects.catalog, "apply", crash)
            with pytest.raises(KeyboardInterrupt):
                advance(connection)
        assert read_mark(connection).sequence_no == -1
        assert self.states(connection) == [(0, "normal", False), (1, "normal", False)]
        assert query(connection, "SELECT * FROM journal.redaction") == []
        advance(connection)
        assert self.states(connection) == [(0, "redacted", True), (1, "normal", False)]

    def test_an_early_copy_stays_erased(self, store: JournalWriter, connection: Connection) -> None:
        blocks = self.journal()
        take(store, *blocks)
        advance(connection)
        take(store, blocks[0])
        advance(connection)
        assert self.states(connection)[0] == (0, "redacted", True)

    def test_what_came_redacted_stays_so_when_the_early_copy_comes(
        self, store: JournalWriter, connection: Connection
    ) -> None:
        blocks = self.journal()
        take(store, redacted(blocks[0]))
        take(store, *blocks)
        advance(connection)
        assert self.states(connection)[0] == (0, "redacted", True)

    def test_a_register_from_elsewhere_strips_at_intake(self, store: JournalWriter, connection: Connection) -> None:
        with connection.transaction():
            connection.execute("INSERT INTO journal.redaction VALUES ('D', 0, 'T1', 0, 2, NULL)")
        [block, *_] = self.journal()
        take(store, block)
        [held] = query(connection, "SELECT state, data, data_ion, data_hash FROM journal.revision")
        assert held == ("redacted", None, None, block.revisions[0].data_hash)

    def test_the_erasure_goes_by_the_index(self, store: JournalWriter, connection: Connection) -> None:
        from strandline.consumer.store import redactions

        blocks = strand(3000, per_block=2, redact_every=100)
        take(store, *blocks)
        with connection.transaction():
            connection.execute("ANALYZE journal.revision, journal.block")
            connection.execute(redactions.BY_INDEX)
            between = {"first": 0, "last": 2999}
            numbers = [number for number, _ in connection.execute(redactions.NAMED, between)]
            assert numbers
            named = {**between, "numbers": numbers}
            plan = connection.execute("EXPLAIN " + redactions.TAKE_REDACTIONS, named).fetchall()
        assert "Seq Scan on revision" not in "\n".join(line for (line,) in plan)


class TestVersions:
    """Below the mark the versions of a document are 0, 1, 2, …, one a block, in one table."""

    def check(self, store: JournalWriter, connection: Connection, *blocks: dict[str, Any], at: int) -> None:
        """The mark stops at block `at` - 1, for a fault `version` in block `at`; each batch taken alone, or all."""
        made = chain(*blocks)
        for block in made:
            take(store, block)
            done = advance(connection)
        assert done.mark.sequence_no == at - 1
        assert [(refusal.sequence_no, refusal.fault) for refusal in done.refused] == [(at, "version")]

    def test_versions_that_follow_pass(self, store: JournalWriter, connection: Connection) -> None:
        history = [Revision("D"), Revision("D", 1), Revision("D", 2, None, state="deleted")]
        take(store, *chain(*[{"revisions": (revision,)} for revision in history]))
        assert advance(connection).mark.sequence_no == 2

    def test_first_version_is_zero(self, store: JournalWriter, connection: Connection) -> None:
        self.check(store, connection, {}, {"revisions": (Revision("D", 900),)}, {}, at=1)

    def test_version_is_not_skipped(self, store: JournalWriter, connection: Connection) -> None:
        blocks = [{"revisions": (Revision("D", version),)} for version in (0, 2)]
        self.check(store, connection, *blocks, at=1)

    def test_version_does_not_begin_again_after_a_deletion(self, store: JournalWriter, connection: Connection) -> None:
        history = [Revision("D"), Revision("D", 1, None, state="deleted"), Revision("D", 0, {"n": 1}, salt="again")]
        self.check(store, connection, *[{"revisions": (revision,)} for revision in history], at=2)

    def test_block_has_one_revision_of_a_document(self, store: JournalWriter, connection: Connection) -> None:
        self.check(store, connection, {"revisions": (Revision("D"), Revision("D", 1))}, at=0)

    def test_document_stays_in_its_table(self, store: JournalWriter, connection: Connection) -> None:
        history = [Revision("D"), Revision("D", 1, table_id="T2", table="Contact")]
        self.check(store, connection, *[{"revisions": (revision,)} for revision in history], at=1)

    def test_fault_inside_one_batch_is_found(self, store: JournalWriter, connection: Connection) -> None:
        take(store, *chain(*[{"revisions": (Revision("D", version),)} for version in (0, 1, 3)], {}))
        done = advance(connection, many=True)
        assert done.mark.sequence_no == 1
        assert [refusal.detail for refusal in done.refused] == [
            "version 3 of document D: version 1 comes before it, in block 1"
        ]

    def test_origin_hides_earlier_versions(self, connection: Connection) -> None:
        store = JournalWriter(connection)
        connection.execute("UPDATE journal.mark SET strand_id = NULL")
        connection.commit()
        store.begin_strand(STRAND, 5)
        take(
            store,
            *chain({"revisions": (Revision("D", 3),)}, {"revisions": (Revision("D", 4),)}, first=5, previous=b"p"),
        )
        assert advance(connection).mark.sequence_no == 6

    @pytest.mark.parametrize(("version", "mark"), [(3, 3), (1, 3), (0, 2)])
    def test_accepted_gap_hides_versions_between(
        self, store: JournalWriter, connection: Connection, version: int, mark: int
    ) -> None:
        blocks = chain({"revisions": (Revision("D"),)}, {}, {}, {"revisions": (Revision("D", version, salt="x"),)})
        take(store, blocks[0], *blocks[3:])
        accept_gap(connection, 1, 2)
        assert advance(connection).mark.sequence_no == mark


class TestAcceptedGaps:
    def test_it_passes_over_one(self, store: JournalWriter, connection: Connection) -> None:
        blocks = strand(10)
        take(store, *blocks[:3], *blocks[6:])
        accept_gap(connection, 3, 5)
        assert gaps(connection) == []
        assert advance(connection).mark.sequence_no == 9

    def test_one_at_the_head(self, store: JournalWriter, connection: Connection) -> None:
        blocks = strand(10)
        take(store, *blocks[:3])
        accept_gap(connection, 3, 5)
        assert advance(connection).mark.sequence_no == 5
        assert advance(connection).mark.block_hash is None
        take(store, *blocks[6:])
        assert advance(connection).mark.sequence_no == 9

    def test_what_waits_inside_is_rejected(self, store: JournalWriter, connection: Connection) -> None:
        blocks = strand(10)
        take(store, *blocks[:3], blocks[4], *blocks[6:])
        accept_gap(connection, 3, 5)
        assert advance(connection).mark.sequence_no == 9
        assert rejected(connection) == [(4, blocks[4].block_hash, "gap")]
        assert query(connection, "SELECT * FROM journal.revision WHERE sequence_no = 4") == []

    def test_what_is_found_later_is_taken_if_the_chain_leads_to_it(
        self, store: JournalWriter, connection: Connection
    ) -> None:
        revisions = [{"revisions": (Revision(f"D{n}", table_id="T2", table="Late"),)} for n in range(4)]
        blocks = chain({}, *revisions, {"redactions": ((1, "D0", 0),)}, {}, {})
        take(store, blocks[0], *blocks[6:])
        accept_gap(connection, 1, 5)
        advance(connection)
        forged = replace(blocks[4], salt="forged")
        take(store, blocks[2], forged)
        assert rejected(connection) == sorted([(2, blocks[2].block_hash, "gap"), (4, forged.block_hash, "gap")])
        take(store, *blocks[1:6])
        changes = query(connection, "SELECT sequence_no, kind FROM journal.change ORDER BY 1")
        assert changes == [(number, "found") for number in range(1, 6)]
        assert query(connection, "SELECT state, data FROM journal.revision WHERE sequence_no = 1") == [
            ("redacted", None)
        ]
        assert query(connection, "SELECT name FROM journal.user_table") == [("Late",)]
        assert read_mark(connection).sequence_no == 7


class TestConcurrency:
    def test_two_writers_neither_lose_nor_stall(
        self, store: JournalWriter, connection: Connection, database: str
    ) -> None:
        blocks = strand(400, per_block=2, redact_every=9)
        streamed = [replace(block, complete=False) for block in blocks]
        parts = [pack([block], with_revisions=False) for block in streamed]
        parts += [pack([block], with_blocks=False) for block in streamed]
        seen: list[list[int]] = [[], []]
        errors: list[BaseException] = []

        def write(writer: int) -> None:
            chance = random.Random(writer)
            mine = [part for index, part in enumerate(parts) if index % 2 == writer or chance.random() < 0.3]
            chance.shuffle(mine)
            try:
                with connect(database) as own:
                    target = JournalWriter(own)
                    while mine:
                        target.intake([mine.pop() for _ in range(min(len(mine), 5))], source="test")
                        seen[writer].append(advance(own).mark.sequence_no)
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=write, args=(writer,)) for writer in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert not errors
        assert not any(thread.is_alive() for thread in threads)
        assert read_mark(connection).sequence_no == 399
        assert all(marks == sorted(marks) for marks in seen)
        held = query(connection, "SELECT state, count(*), count(data) FROM journal.revision GROUP BY 1 ORDER BY 1")
        assert held == [("normal", 756, 756), ("redacted", 44, 0)]

    def test_the_mark_sees_what_committed_while_it_waited(
        self, store: JournalWriter, connection: Connection, database: str
    ) -> None:
        """One statement for both would write back what it saw before it waited."""
        blocks = strand(4)
        take(store, *blocks[:2])
        with connect(database) as other:
            with strand_lock(other, alone=False):
                waiting = threading.Thread(target=advance, args=(connection,))
                waiting.start()
                waiting.join(0.3)
                assert waiting.is_alive()
                with connect(database) as third, third.transaction():
                    third.execute("SET LOCAL lock_timeout = '200ms'")
                    with pytest.raises(psycopg.errors.LockNotAvailable), third.transaction():
                        third.execute(LOCK_SHARED)
            waiting.join(10)
        assert read_mark(connection).sequence_no == 1
