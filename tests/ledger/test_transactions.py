"""Transactions: their reads, writes, limits and requests."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import reduce
from typing import Any

import pytest

from strandline.consumer.database.connection import connect
from strandline.consumer.verification.verify import verify_store
from strandline.journal.check.merkle import dot
from strandline.journal.ion import values as ion
from strandline.journal.ion.hash import ion_hash
from strandline.journal.ion.json import to_json
from strandline.journal.make.block import timestamp
from strandline.ledger import Ledger, Transaction, errors

ADA = {"licenceId": "A1", "status": "Valid", "firstName": "Ada"}


def rows(database: str, query: str) -> list[tuple[Any, ...]]:
    with connect(database) as connection:
        return connection.execute(query).fetchall()


def insert_ada(ledger: Ledger) -> str:
    return ledger.execute(lambda txn: txn.insert("Licence", ADA))


class TestDocuments:
    def test_documents_are_inserted_updated_and_deleted(self, licences: Ledger) -> None:
        ada = insert_ada(licences)
        licences.execute(lambda txn: txn.update("Licence", ada, {"status": "Revoked", "points": 3}))
        licences.execute(lambda txn: txn.remove("Licence", ada, "firstName"))
        found = licences.execute(lambda txn: txn.get("Licence", ada))
        assert found is not None
        assert (found.version, found.data) == (2, {"licenceId": "A1", "status": "Revoked", "points": 3})
        licences.execute(lambda txn: txn.delete("Licence", ada))
        assert licences.execute(lambda txn: txn.get("Licence", ada)) is None
        history = licences.execute(lambda txn: txn.history("Licence", ada))
        assert [(one.version, one.state) for one in history] == [
            (0, "normal"), (1, "normal"), (2, "normal"), (3, "deleted")
        ]  # fmt: skip
        assert history[0].data == ADA

    def test_transaction_sees_its_own_writes(self, licences: Ledger) -> None:
        def work(txn: Transaction) -> None:
            ada = txn.insert("Licence", ADA)
            assert [one.document_id for one in txn.find("Licence", "licenceId", "A1")] == [ada]
            txn.update("Licence", ada, {"licenceId": "A2"})
            assert txn.find("Licence", "licenceId", "A1") == []
            assert [one.data for one in txn.find("Licence", "licenceId", "A2")] == [{**ADA, "licenceId": "A2"}]
            deleted = txn.insert("Licence", ADA)
            txn.delete("Licence", deleted)
            assert txn.get("Licence", deleted) is None

        licences.execute(work)

    def test_transaction_writes_one_revision_for_each_document(self, licences: Ledger, database: str) -> None:
        def work(txn: Transaction) -> None:
            ada = txn.insert("Licence", ADA)
            txn.update("Licence", ada, {"status": "Revoked"})
            txn.delete("Licence", txn.insert("Licence", ADA))

        done = licences.run(work)
        written = rows(database, f"SELECT version, data FROM journal.revision WHERE sequence_no = {done.sequence_no}")
        assert written == [(0, {**ADA, "status": "Revoked"})]

    def test_ion_types_are_kept(self, licences: Ledger) -> None:
        document = {
            "price": Decimal("1.00"),
            "at": timestamp(1_600_000_000_123),
            "blob": b"\0\1",
            "none": None,
            "f": 1.5,
        }
        id_ = licences.execute(lambda txn: txn.insert("Licence", document))
        found = licences.execute(lambda txn: txn.get("Licence", id_))
        assert found is not None
        assert found.data is not None
        assert str(found.data["price"]) == "1.00"
        assert to_json(found.data) == to_json(document)

    def test_error_in_work_writes_no_block(self, licences: Ledger, database: str) -> None:
        before = rows(database, "SELECT sequence_no FROM journal.mark")

        def work(txn: Transaction) -> None:
            txn.insert("Licence", ADA)
            raise RuntimeError

        with pytest.raises(RuntimeError):
            licences.execute(work)
        assert rows(database, "SELECT sequence_no FROM journal.mark") == before

    def test_empty_transaction_writes_no_block(self, licences: Ledger) -> None:
        assert licences.run(lambda txn: 7).sequence_no is None

    def test_statements_are_recorded_with_placeholders_and_digests(self, licences: Ledger, database: str) -> None:
        ada, at = insert_ada(licences), datetime(2024, 1, 1, tzinfo=UTC)
        table = next(one.table_id for one in licences.execute(lambda txn: txn.user_tables()) if one.name == "Licence")
        inserted = rows(database, f"SELECT sequence_no FROM journal.revision WHERE document_id = '{ada}'")[0][0]
        ((strand,),) = rows(database, "SELECT strand_id FROM journal.mark")
        address = {"strandId": strand, "sequenceNo": inserted}
        steps: dict[str, tuple[Any, tuple[Any, ...]]] = {
            "INSERT INTO Licence ?": (lambda txn: txn.insert("Licence", ADA), (ADA,)),
            "SELECT d.* FROM Licence AS d BY id WHERE id = ?": (lambda txn: txn.get("Licence", ada), (ada,)),
            "SELECT id, d.* FROM Licence AS d BY id WHERE d.licenceId = ?": (
                lambda txn: txn.find("Licence", "licenceId", "Canary"), ("Canary",),
            ),
            "UPDATE Licence AS d BY id SET d.status = ?, d.\"from\" = ? WHERE id = ?": (
                lambda txn: txn.update("Licence", ada, {"status": "Canary", "from": 1}), ("Canary", 1, ada),
            ),
            "FROM Licence AS d BY id WHERE id = ? REMOVE d.status": (
                lambda txn: txn.remove("Licence", ada, "status"), (ada,),
            ),
            "SELECT * FROM history(Licence, ?, ?) AS h WHERE h.metadata.id = ?": (
                lambda txn: txn.history("Licence", ada, from_time=at, to_time=at),
                (timestamp(round(at.timestamp() * 1000)), timestamp(round(at.timestamp() * 1000)), ada),
            ),
            "EXEC redact_revision ?, ?, ?": (
                lambda txn: txn.redact_revision(address, table, ada), (address, table, ada),
            ),
            "DELETE FROM Licence AS d BY id WHERE id = ?": (lambda txn: txn.delete("Licence", ada), (ada,)),
            "SELECT * FROM information_schema.user_tables": (lambda txn: txn.user_tables(), ()),
            "CREATE TABLE Contact": (lambda txn: txn.create_table("Contact"), ()),
            "CREATE INDEX ON Contact (email)": (lambda txn: txn.create_index("Contact", "email"), ()),
            "DROP TABLE Contact": (lambda txn: txn.drop_table("Contact"), ()),
        }  # fmt: skip
        for text, (work, parameters) in steps.items():
            number = licences.run(work).sequence_no
            ((info,),) = rows(database, f"SELECT transaction_info FROM journal.block WHERE sequence_no = {number}")
            (statement,) = ion.read_one(info)["statements"]
            assert statement["statement"] == text
            digest = reduce(dot, map(ion_hash, parameters), ion_hash(text))  # QLDB's formula, tests/vectors
            assert statement["statementDigest"] == digest
            assert b"Canary" not in info


class TestFind:
    def test_documents_are_found_by_an_indexed_field(self, licences: Ledger) -> None:
        ids = [licences.execute(lambda txn, n=n: txn.insert("Licence", {"licenceId": n % 3})) for n in range(6)]
        found = licences.execute(lambda txn: txn.find("Licence", "licenceId", Decimal("1.0")))
        assert {one.document_id for one in found} == {ids[1], ids[4]}  # 1.0 equals 1, as in PartiQL
        assert licences.execute(lambda txn: txn.find("Licence", "licenceId", True)) == []

    def test_index_follows_changes_and_deletions(self, licences: Ledger) -> None:
        ada = insert_ada(licences)
        licences.execute(lambda txn: txn.update("Licence", ada, {"licenceId": "A2"}))
        assert licences.execute(lambda txn: txn.find("Licence", "licenceId", "A1")) == []
        assert len(licences.execute(lambda txn: txn.find("Licence", "licenceId", "A2"))) == 1
        licences.execute(lambda txn: txn.delete("Licence", ada))
        assert licences.execute(lambda txn: txn.find("Licence", "licenceId", "A2")) == []

    def test_new_index_covers_existing_documents(self, licences: Ledger) -> None:
        ada = insert_ada(licences)
        with pytest.raises(errors.NotIndexed):
            licences.execute(lambda txn: txn.find("Licence", "status", "Valid"))
        licences.execute(lambda txn: txn.create_index("Licence", "status"))
        found = licences.execute(lambda txn: txn.find("Licence", "status", "Valid"))
        assert [one.document_id for one in found] == [ada]

    def test_find_uses_the_index(self, licences: Ledger, database: str) -> None:
        from strandline.ledger.reading import BY_VALUE

        for n in range(40):
            licences.execute(lambda txn, n=n: [txn.insert("Licence", {"licenceId": f"{n}/{i}"}) for i in range(40)])
        with connect(database) as connection:
            connection.execute("ANALYZE journal.lookup, journal.revision")
            named = {"table": "t", "field": "licenceId", "value": "1", "end": 50}
            literal = (
                BY_VALUE.replace("%(value)s", "'\"1/1\"'::jsonb").replace("%(table)s", "'t'").replace("%(end)s", "50")
            )
            plan = connection.execute("EXPLAIN " + literal.replace("%(field)s", "'licenceId'")).fetchall()
            del named
        text = "\n".join(line for (line,) in plan)
        assert "Seq Scan" not in text
        assert "lookup_pkey" in text


@pytest.mark.parametrize("function", ["journal.strand_end()", "journal.is_uncounted(1)"])
def test_end_of_a_full_partition_is_found_without_statistics(licences: Ledger, database: str, function: str) -> None:
    """An append asks for what is above the mark. Each would scan the partition until it is analysed."""
    for _ in range(20):
        licences.execute(lambda txn: [txn.insert("Licence", ADA) for _ in range(40)])
    read = "SELECT seq_tup_read FROM pg_stat_xact_user_tables WHERE relid = 'journal.revision_0'::regclass"
    with connect(database) as connection:
        connection.execute("SELECT journal.count_shapes(1)")
        before = connection.execute(read).fetchone()
        connection.execute(f"SELECT {function}".encode())
        assert connection.execute(read).fetchone() == before
        connection.rollback()


class TestTables:
    def test_new_table_is_usable_at_once(self, ledger: Ledger, database: str) -> None:
        table_id = ledger.execute(lambda txn: txn.create_table("Licence"))
        shown = rows(database, "SELECT table_id, status FROM ledger.user_tables WHERE name = 'Licence'")
        assert shown == [(table_id, "ACTIVE")]
        assert rows(database, 'SELECT * FROM ledger."Licence"') == []
        ledger.execute(lambda txn: txn.insert("Licence", ADA))
        assert rows(database, 'SELECT data FROM ledger."Licence"') == [(ADA,)]
        tables = ledger.execute(lambda txn: txn.user_tables())
        assert (table_id, "Licence") in [(one.table_id, one.name) for one in tables]

    def test_dropped_table_can_be_created_again(self, licences: Ledger) -> None:
        insert_ada(licences)
        licences.execute(lambda txn: txn.drop_table("Licence"))
        with pytest.raises(errors.NoSuchTable):
            insert_ada(licences)
        licences.execute(lambda txn: txn.create_table("Licence"))
        insert_ada(licences)
        assert len(licences.execute(lambda txn: txn.history("Licence"))) == 1

    def test_other_process_sees_new_tables(self, licences: Ledger, database: str) -> None:
        with Ledger(database) as other:
            insert_ada(other)
            licences.execute(lambda txn: txn.create_table("Contact"))
            other.execute(lambda txn: txn.insert("Contact", {"email": "ada@example.org"}))

    def test_table_limits_and_names_are_checked(self, ledger: Ledger) -> None:
        ledger.execute(lambda txn: [txn.create_table(f"T{n}") for n in range(20)])
        with pytest.raises(errors.TooManyTables):
            ledger.execute(lambda txn: txn.create_table("T20"))
        with pytest.raises(errors.TableExists):
            ledger.execute(lambda txn: txn.create_table("T1"))
        with pytest.raises(errors.ReservedTable):
            ledger.execute(lambda txn: txn.insert("StrandlineGraft", {}))
        with pytest.raises(errors.WrongDocument):
            ledger.execute(lambda txn: txn.create_table('x"; DROP'))


class TestLimits:
    def test_number_of_documents_is_limited(self, licences: Ledger) -> None:
        licences.execute(lambda txn: [txn.insert("Licence", {}) for _ in range(40)])
        with pytest.raises(errors.TooManyDocuments):
            licences.execute(lambda txn: [txn.insert("Licence", {}) for _ in range(41)])

    def test_size_of_documents_is_limited(self, licences: Ledger) -> None:
        with pytest.raises(errors.DocumentTooLarge):
            licences.execute(lambda txn: txn.insert("Licence", {"x": "x" * 128 * 1024}))
        large = {"x": "x" * 120 * 1024}
        with pytest.raises(errors.TransactionTooLarge):
            licences.execute(lambda txn: [txn.insert("Licence", large) for _ in range(35)])

    def test_values_that_ion_lacks_are_refused(self, licences: Ledger) -> None:
        with pytest.raises(errors.WrongDocument) as raised:
            licences.execute(lambda txn: txn.insert("Licence", {"x": object()}))
        assert "object at" not in str(raised.value)
        with pytest.raises(errors.NoSuchDocument):
            licences.execute(lambda txn: txn.update("Licence", "nobody", {"x": 1}))


class TestRedaction:
    def address(self, licences: Ledger, number: int | None) -> dict[str, Any]:
        with connect(licences.url) as connection:
            (strand,) = connection.execute("SELECT strand_id FROM journal.mark").fetchone() or ("",)
        return {"strandId": strand, "sequenceNo": number}

    def table_id(self, licences: Ledger) -> str:
        tables = licences.execute(lambda txn: txn.user_tables())
        return next(one.table_id for one in tables if one.name == "Licence") or ""

    def test_only_old_revisions_can_be_redacted_once_and_one_at_a_time(self, licences: Ledger, database: str) -> None:
        inserted = licences.run(lambda txn: [txn.insert("Licence", ADA), txn.insert("Licence", ADA)])
        ada, bob = inserted.result
        address, table = self.address(licences, inserted.sequence_no), self.table_id(licences)
        with pytest.raises(errors.ActiveRevision):
            licences.execute(lambda txn: txn.redact_revision(address, table, ada))
        licences.execute(lambda txn: [txn.update("Licence", one, {"status": "x"}) for one in (ada, bob)])
        with pytest.raises(errors.TooManyRedactions):
            licences.execute(lambda txn: [txn.redact_revision(address, table, one) for one in (ada, bob)])
        licences.execute(lambda txn: txn.redact_revision(address, table, ada))
        with pytest.raises(errors.NothingToRedact):
            licences.execute(lambda txn: txn.redact_revision(address, table, ada))
        with pytest.raises(errors.NoSuchRevision):
            licences.execute(lambda txn: txn.redact_revision({**address, "sequenceNo": 0}, table, ada))
        history = licences.execute(lambda txn: txn.history("Licence", ada))
        assert [(one.version, one.state, one.data is None) for one in history] == [
            (0, "redacted", True), (1, "normal", False)
        ]  # fmt: skip
        assert rows(database, "SELECT document_id, version, data_hash IS NULL FROM journal.redaction") == [
            (ada, 0, False)
        ]
        verified = verify_store(database, workers=1)
        assert verified.ok
        assert verified.unexplained_redactions == 0


class TestHistory:
    def test_history_covers_a_period(self, licences: Ledger) -> None:
        ada = insert_ada(licences)
        licences.execute(lambda txn: txn.update("Licence", ada, {"status": "x"}))
        first, second = licences.execute(lambda txn: txn.history("Licence"))
        assert first.tx_time is not None
        early = first.tx_time - timedelta(hours=1)
        assert licences.execute(lambda txn: txn.history("Licence", to_time=early)) == []
        now = datetime.now(UTC) + timedelta(seconds=1)
        assert licences.execute(lambda txn: txn.history("Licence", ada, from_time=now)) == [second]


class TestRequests:
    def test_requests_happen_once(self, licences: Ledger, database: str) -> None:
        def work(txn: Transaction) -> tuple[str, int]:
            known = len(txn.find("Licence", "licenceId", "A1"))
            return txn.insert("Licence", ADA), known

        first = licences.run(work, request_id="r")
        insert_ada(licences)
        again = licences.run(work, request_id="r")
        assert again.repeated
        assert (again.result, again.sequence_no) == (first.result, first.sequence_no)
        assert rows(database, "SELECT count(*) FROM journal.revision WHERE table_name = 'Licence'") == [(2,)]

    def test_result_from_redacted_data_is_not_derived_again(self, licences: Ledger, database: str) -> None:
        inserted = licences.run(lambda txn: txn.insert("Licence", ADA))
        ada = inserted.result
        licences.execute(lambda txn: txn.get("Licence", ada), request_id="r")
        licences.execute(lambda txn: txn.find("Licence", "licenceId", "A1"), request_id="f")
        licences.execute(lambda txn: txn.history("Licence", ada), request_id="h")
        updated = licences.run(lambda txn: txn.update("Licence", ada, {"firstName": "x"}), request_id="u")
        redaction = TestRedaction()
        address = redaction.address(licences, inserted.sequence_no)
        table_id = redaction.table_id(licences)
        redacted = licences.run(lambda txn: txn.redact_revision(address, table_id, ada), request_id="x")
        with pytest.raises(errors.RequestDone):
            licences.execute(lambda txn: txn.get("Licence", ada), request_id="r")
        with pytest.raises(errors.RequestDone):
            licences.execute(lambda txn: txn.find("Licence", "licenceId", "A1"), request_id="f")
        with pytest.raises(errors.RequestDone):
            licences.execute(lambda txn: txn.history("Licence", ada), request_id="h")
        again = licences.run(lambda txn: txn.update("Licence", ada, {"firstName": "x"}), request_id="u")
        assert (again.repeated, again.sequence_no) == (True, updated.sequence_no)
        again = licences.run(lambda txn: txn.redact_revision(address, table_id, ada), request_id="x")
        assert (again.repeated, again.result) == (True, redacted.result)


def test_first_block_of_an_empty_journal_is_the_graft(licences: Ledger, database: str) -> None:
    insert_ada(licences)
    assert rows(database, "SELECT sequence_no FROM journal.revision WHERE table_name = 'StrandlineGraft'") == [(0,)]
    assert verify_store(database, workers=1).ok
