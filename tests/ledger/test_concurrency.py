"""Many writers: one chain, serial results, nothing lost or doubled."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Barrier, Event, Lock
from typing import Any

import psycopg
import pytest
from amazon.ion import simpleion

from strandline.consumer.database.connection import connect
from strandline.consumer.database.errors import DatabaseError, DatabaseUnreachable
from strandline.consumer.store.documents import check_documents, check_range
from strandline.consumer.verification.verify import verify_store
from strandline.journal.decode.copy_format import BLOCK_COLUMNS, REVISION_COLUMNS
from strandline.ledger import Ledger, Transaction, errors
from strandline.ledger import appender_sql as sql
from strandline.ledger import ledger as ledger_module
from strandline.ledger.appender import AppendResult
from strandline.ledger.changes import Changed, Changes, Reads, conflict
from strandline.ledger.group_commit import Group
from strandline.ledger.prepared import Prepared
from tests.consumer.worker.live import wait_for
from tests.tcp_proxy import proxy


def insert(ledger: Ledger, document: dict[str, Any] | None = None) -> str:
    return ledger.execute(lambda txn: txn.insert("Licence", document or {}))


def tail(url: str) -> tuple[Any, ...] | None:
    query = "SELECT sequence_no, block_hash, (SELECT max(sequence_no) FROM journal.revision) FROM journal.mark"
    with connect(url) as connection:
        return connection.execute(query).fetchone()


def run_together(*works: Callable[[], Any]) -> list[Any]:
    with ThreadPoolExecutor(len(works)) as pool:
        return [future.result() for future in [pool.submit(work) for work in works]]


FOUND_TEXTS = """
    SELECT text, document_id FROM unnest(ARRAY['L1', 'L2', 'L3', 'L9']) AS text
    JOIN journal.found_text ON text_hash = hashtextextended(text, 0) ORDER BY 1"""


class TestSerializable:
    def test_updates_are_not_lost(self, licences: Ledger, database: str) -> None:
        id_ = licences.execute(lambda txn: txn.insert("Licence", {"n": 0}))

        def increment(txn: Transaction) -> None:
            found = txn.get("Licence", id_)
            assert found is not None
            assert found.data is not None
            txn.update("Licence", id_, {"n": found.data["n"] + 1})

        def work(ledger: Ledger) -> None:
            for _ in range(10):
                ledger.execute(increment, retries=100)

        with Ledger(database) as other:  # another process would have its own, too
            run_together(*[lambda l=l: work(l) for l in (licences, licences, other, other)])  # noqa: E741
        found = licences.execute(lambda txn: txn.get("Licence", id_))
        assert found is not None
        assert found.data == {"n": 40}
        assert found.version == 40
        assert verify_store(database, workers=1).ok

    def test_phantoms_do_not_occur(self, licences: Ledger) -> None:
        """Each inserts if nobody has: one does."""

        def claim(txn: Transaction) -> bool:
            if txn.find("Licence", "licenceId", "A1"):
                return False
            txn.insert("Licence", {"licenceId": "A1"})
            return True

        claimed = run_together(*[lambda: licences.execute(claim, retries=50)] * 8)
        assert sum(claimed) == 1

    def test_conflict_is_raised_after_the_last_retry(self, licences: Ledger) -> None:
        id_ = licences.execute(lambda txn: txn.insert("Licence", {"n": 0}))

        def meddle(txn: Transaction) -> None:
            txn.get("Licence", id_)
            licences.execute(lambda other: other.update("Licence", id_, {"n": 1}))

        with pytest.raises(errors.Conflict, match=id_):
            licences.execute(meddle, retries=1)

    @pytest.mark.parametrize(
        "read",
        [
            lambda txn, id_: txn.get("Licence", id_),
            lambda txn, id_: txn.find("Licence", "licenceId", "A1"),
            lambda txn, id_: txn.find("Licence", "licenceId", "A2"),
            lambda txn, id_: txn.history("Licence", id_),
            lambda txn, id_: txn.history("Licence"),
        ],
    )
    @pytest.mark.parametrize("elsewhere", [False, True], ids=["same process", "another process"])
    def test_change_of_read_data_is_a_conflict(
        self, licences: Ledger, database: str, read: Any, elsewhere: bool
    ) -> None:
        id_ = licences.execute(lambda txn: txn.insert("Licence", {"licenceId": "A1"}))

        with Ledger(database) as another:
            meddler = another if elsewhere else licences

            def meddle(txn: Transaction) -> None:
                read(txn, id_)
                meddler.execute(lambda other: other.update("Licence", id_, {"licenceId": "A2"}))
                txn.insert("Licence", {"licenceId": "C1"})

            with pytest.raises(errors.Conflict):
                licences.execute(meddle, retries=0)
        assert licences.execute(lambda txn: txn.find("Licence", "licenceId", "C1")) == []

    def test_write_skew_does_not_occur(self, licences: Ledger) -> None:
        """A doctor may leave duty while another is on duty: of two that leave at once, one conflicts."""
        one, two = licences.execute(lambda txn: [txn.insert("Licence", {"on": True}) for _ in range(2)])
        met = Barrier(2, timeout=30)

        def leave(me: str, other: str, first: list[bool]) -> None:
            def work(txn: Transaction) -> None:
                colleague = txn.get("Licence", other)
                if not first:
                    first.append(True)
                    met.wait()  # both have read before either has written
                if colleague is not None and colleague.data is not None and colleague.data["on"]:
                    txn.update("Licence", me, {"on": False})

            licences.execute(work)

        run_together(lambda: leave(one, two, []), lambda: leave(two, one, []))
        on = [licences.execute(lambda txn, id_=id_: txn.get("Licence", id_)) for id_ in (one, two)]
        assert sorted(found.data["on"] for found in on if found and found.data) == [False, True]

    def test_change_of_unread_data_is_no_conflict(self, licences: Ledger) -> None:
        one, two = licences.execute(lambda txn: [txn.insert("Licence", {"licenceId": x}) for x in ("A1", "A2")])

        def work(txn: Transaction) -> None:
            txn.find("Licence", "licenceId", "A1")
            licences.execute(lambda other: other.update("Licence", two, {"licenceId": "A3"}))
            txn.update("Licence", one, {"x": 1})

        licences.execute(work, retries=0)


class TestAppender:
    def test_writes_of_one_ledger_are_found_by_it(self, licences: Ledger, database: str) -> None:
        ids = [insert(licences, {"licenceId": number}) for number in range(5)]
        licences.execute(lambda txn: [txn.update("Licence", id_, {"licenceId": "new"}) for id_ in ids])
        licences.execute(lambda txn: txn.delete("Licence", ids[0]))
        assert licences.execute(lambda txn: txn.find("Licence", "licenceId", 3)) == []
        found = licences.execute(lambda txn: txn.find("Licence", "licenceId", "new"))
        assert [one.document_id for one in found] == sorted(ids[1:])
        assert verify_store(database, workers=1).ok

    def test_two_ledgers_in_turns_write_one_chain(self, licences: Ledger, database: str) -> None:
        with Ledger(database) as other:
            for _ in range(3):
                insert(licences)
                insert(other)
        assert verify_store(database, workers=1).ok

    def test_request_made_by_another_meanwhile_happens_once(
        self, licences: Ledger, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def work(txn: Transaction) -> str:
            return txn.insert("Licence", {"licenceId": "A1"})

        first = licences.run(work, request_id="r")
        with monkeypatch.context() as patched:
            patched.setattr(licences, "_request", lambda _: None)
            again = licences.run(work, request_id="r")
        assert (again.repeated, again.result, again.sequence_no) == (True, first.result, first.sequence_no)

    def test_nothing_of_a_failed_append_is_written(
        self, licences: Ledger, database: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        insert(licences)
        before = tail(database)
        with monkeypatch.context() as failing:
            failing.setattr("strandline.ledger.appender_sql.APPEND", f"{sql.APPEND}, 1 / 0")
            with pytest.raises(DatabaseError):
                insert(licences)
        assert tail(database) == before
        insert(licences)
        assert verify_store(database, workers=1).ok

    def test_documents_and_look_ups_follow_by_either_way(self, licences: Ledger, database: str) -> None:
        """One statement for revisions of known tables; step by step for definitions and redactions."""

        def change(txn: Transaction) -> None:
            txn.update("Licence", first, {"licenceId": "L9"})
            txn.delete("Licence", second)

        def redact(txn: Transaction) -> None:
            address, table_id = found
            txn.redact_revision({"strandId": address[0], "sequenceNo": address[1]}, table_id, first)

        with psycopg.connect(database) as connection:
            connection.execute("SELECT journal.ensure_found_by('{Licence}', '{licenceId}')")
        first, second = (insert(licences, {"licenceId": f"L{number}"}) for number in (1, 2))
        licences.execute(change)
        licences.execute(lambda txn: txn.create_table("Other"))
        licences.execute(lambda txn: txn.insert("Other", {"n": 1}))
        with psycopg.connect(database, autocommit=True) as connection:
            row = connection.execute(
                "SELECT m.strand_id, v.sequence_no, d.table_id FROM journal.mark m, journal.document d"
                " JOIN journal.document_version v USING (document_id) WHERE d.document_id = %s AND v.version = 0",
                [first],
            ).fetchone()
            assert row is not None
            found = (row[0], row[1]), row[2]
            licences.execute(redact)
            third = insert(licences, {"licenceId": "L3"})
            assert [*check_range(connection, 0, 99), *check_documents(connection)] == []
            count = connection.execute("SELECT count(*), count(*) FILTER (WHERE deleted) FROM journal.document")
            held = count.fetchone()
            texts = connection.execute(FOUND_TEXTS).fetchall()
        assert texts == [("L2", second), ("L3", third), ("L9", first)]  # L1 is redacted
        assert held == (5, 1)  # the graft's document is one of them
        for value, documents in (("L1", 0), ("L2", 0), ("L3", 1), ("L9", 1)):
            assert len(licences.execute(lambda txn, value=value: txn.find("Licence", "licenceId", value))) == documents

    def test_rows_have_the_columns_of_the_table_in_order(self, database: str) -> None:
        with connect(database) as connection:
            for table, columns in (("block", BLOCK_COLUMNS), ("revision", REVISION_COLUMNS)):
                found = connection.execute(
                    "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute"
                    " WHERE attrelid = ('journal.' || %s)::regclass AND attnum > 0 AND NOT attisdropped"
                    " ORDER BY attnum",
                    [table],
                ).fetchall()
                assert [(name, kind.replace("timestamp with time zone", "timestamptz")) for name, kind in found] == [
                    *columns
                ]


class TestMembersOfOneGroup:
    """Transactions that wait together are one commit, and serial within it."""

    @pytest.fixture
    def prepare(self, licences: Ledger, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Prepared]:
        """The result of a transaction whose turn has not come yet."""

        def prepare(work: Callable[[Transaction], Any], request_id: str | None = None) -> Prepared:
            waiting: list[Prepared] = []

            def submit(one: Prepared) -> errors.Conflict:
                waiting.append(one)
                return errors.Conflict("not yet")

            with monkeypatch.context() as patched:
                patched.setattr(licences._group, "submit", submit)
                with pytest.raises(errors.Conflict, match="not yet"):
                    licences.execute(work, request_id=request_id, retries=0)
            return waiting[0]

        return prepare

    def test_one_that_read_what_another_changes_conflicts(
        self, licences: Ledger, database: str, prepare: Callable[..., Prepared]
    ) -> None:
        id_ = insert(licences, {"licenceId": "A1"})

        def claim(txn: Transaction) -> None:
            if not txn.find("Licence", "licenceId", "B1"):
                txn.insert("Licence", {"licenceId": "B1"})

        group = [
            prepare(lambda txn: txn.update("Licence", id_, {"n": 1})),
            prepare(lambda txn: txn.update("Licence", id_, {"n": 2})),
            prepare(claim),
            prepare(claim),
            prepare(lambda txn: txn.insert("Licence", {"licenceId": "C1"})),
        ]
        outcomes = licences._append(group)
        assert [isinstance(one, AppendResult) for one in outcomes] == [True, False, True, False, True]
        numbers = [one.sequence_no for one in outcomes if isinstance(one, AppendResult)]
        assert numbers == list(range(numbers[0], numbers[0] + 3))
        assert verify_store(database, workers=1).ok

    def test_one_that_searched_what_another_inserts_conflicts(
        self, licences: Ledger, prepare: Callable[..., Prepared]
    ) -> None:
        """Also if the other's document is no plain dict, as an annotated struct is."""
        annotated = next(iter(simpleion.loads('form::{licenceId: "B1"}', single_value=False)))
        assert type(annotated) is not dict

        def claim(txn: Transaction) -> None:
            assert not txn.find("Licence", "licenceId", "B1")
            txn.insert("Licence", {"claimed": "B1"})

        group = [prepare(lambda txn: txn.insert("Licence", annotated)), prepare(claim)]
        outcomes = licences._append(group)
        assert [type(one) for one in outcomes] == [AppendResult, errors.Conflict]

    def test_one_of_two_equal_requests_happens(self, licences: Ledger, prepare: Callable[..., Prepared]) -> None:
        group = [prepare(lambda txn: txn.insert("Licence", {}), "r") for _ in range(2)]
        first, again = licences._append(group)
        assert isinstance(first, AppendResult)
        assert again == AppendResult(first.transaction_id, first.sequence_no, repeated=True)


class TestConflict:
    def test_members_of_one_group_conflict(self) -> None:
        changes = Changes(revisions=[Changed(7, "T", "D", {"a": 1})], redactions=[(8, "T", "E")], defined=3)
        assert conflict(Reads(3, 6), changes) is None
        assert conflict(Reads(2, 6), changes) is not None
        assert conflict(Reads(3, 6, {"D"}), changes) is not None
        assert conflict(Reads(3, 7, {"D"}), changes) is None
        assert conflict(Reads(3, 7, {"E"}), changes) is not None
        assert conflict(Reads(3, 6, equalities={("T", "a"): [1]}), changes) is not None
        assert conflict(Reads(3, 6, equalities={("T", "a"): [True]}), changes) is None
        assert conflict(Reads(3, 6, equalities={("U", "a"): [1]}), changes) is None
        assert conflict(Reads(3, 8, tables={"T"}), changes) is None
        assert conflict(Reads(3, 7, tables={"T"}), changes) is not None


class TestGroup:
    def test_waiting_threads_are_served_together(self) -> None:
        sizes: list[int] = []

        def serve(items: Any) -> Any:
            while not sizes and len(group._waiting) + len(items) < 9:
                time.sleep(0.001)
            sizes.append(len(items))
            return [item * 2 for item in items]

        group: Group[int, int] = Group(serve)
        found = run_together(*[lambda n=n: group.submit(n) for n in range(1, 10)])
        assert found == [n * 2 for n in range(1, 10)]
        assert len(sizes) <= 2

    def test_error_reaches_every_member(self) -> None:
        def serve(_: Any) -> Any:
            raise ValueError("for all")

        group: Group[int, int] = Group(serve)
        for _ in range(2):
            with pytest.raises(ValueError, match="all"):
                group.submit(1)

    def test_group_is_one_commit(self, licences: Ledger, database: str) -> None:
        run_together(*[lambda: [licences.execute(lambda txn: txn.insert("Licence", {})) for _ in range(10)]] * 8)
        with connect(database) as connection:
            blocks, commits = connection.execute(
                "SELECT count(*), count(DISTINCT xmin::text) FROM journal.block WHERE 'INSERT' = ANY (statement_kinds)"
            ).fetchone() or (0, 0)
        assert blocks == 81  # the graft, too
        assert commits < blocks
        assert verify_store(database, workers=1).ok


class TestLostConnections:
    def kill(self, database: str) -> None:
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'strandline ledger' AND datname = current_database()"
            )

    def test_connection_lost_before_the_append_is_retried(self, licences: Ledger, database: str) -> None:
        kills = iter([self.kill])

        def work(txn: Transaction) -> str:
            for kill in kills:
                kill(database)
            return txn.insert("Licence", {"licenceId": "A1"})

        licences.execute(work)
        licences.execute(lambda txn: txn.insert("Licence", {}))
        assert verify_store(database, workers=1).ok

    def test_connection_lost_after_the_commit_writes_once(
        self, licences: Ledger, database: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The commit went through, its confirmation did not."""
        appender = licences._appender
        append = appender.append

        def lost(group: Any) -> Any:
            append(group)
            monkeypatch.undo()
            raise psycopg.OperationalError

        monkeypatch.setattr(appender, "append", lost)
        done = licences.run(lambda txn: txn.insert("Licence", {"licenceId": "A1"}))
        with connect(database) as connection:
            found = connection.execute(
                "SELECT sequence_no FROM journal.revision WHERE table_name = 'Licence'"
            ).fetchall()
        assert found == [(done.sequence_no,)]


class TestConnections:
    def test_more_threads_than_connections_take_turns(self, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(ledger_module, "MOST_READERS", 2)
        counting, active, counts = Lock(), [0], set()

        def work(txn: Transaction) -> None:
            txn.get("Licence", "none")  # takes a connection
            with counting:
                active[0] += 1
                counts.add(active[0])
            Event().wait(0.01)  # for others to come
            with counting:
                active[0] -= 1

        with Ledger(database) as ledger, ThreadPoolExecutor(8) as threads:
            ledger.execute(lambda txn: txn.create_table("Licence"))
            for done in [threads.submit(ledger.execute, work) for _ in range(40)]:
                done.result()
        assert max(counts) == 2

    def test_server_that_refuses_connections_is_reported_at_once(
        self, database: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The pool has waited for a connection already; a retry would only wait again."""
        monkeypatch.setattr(ledger_module, "CONNECT_SECONDS", 1)
        tried = []
        with proxy(database) as between, Ledger(between.url) as ledger:
            once = ledger._try
            monkeypatch.setattr(ledger, "_try", lambda *given: tried.append(given) or once(*given))
            between.mode = "refuse"
            with pytest.raises(DatabaseUnreachable, match="within 1 s"):
                ledger.execute(lambda txn: txn.user_tables(), retries=25)
            assert len(tried) == 1
            between.mode = "pass"
            monkeypatch.undo()
            wait_for(lambda: _works(ledger))


def _works(ledger: Ledger) -> bool:
    with suppress(DatabaseUnreachable):
        ledger.execute(lambda txn: txn.user_tables())
        return True
    return False
