"""INSERT, UPDATE, FROM and DELETE, definitions, redaction: what they do and what is recorded of them."""

from typing import Any

import pytest

from strandline.consumer.database.connection import connect
from strandline.consumer.verification.verify import verify_store
from strandline.journal.check.merkle import dot
from strandline.journal.ion import values as ion
from strandline.journal.ion.hash import ion_hash
from strandline.ledger import Ledger, errors
from strandline.ledger.execution.assignments import assigned, inserted, removed
from strandline.ledger.partiql.errors import SemanticError
from tests.ledger.execution.statements import run
from tests.ledger.partiql.evaluation import ion as value


def vehicle(ledger: Ledger) -> Any:
    (found,) = run(ledger, "SELECT * FROM Vehicle WHERE VIN = 'V1'")
    return found


def info(url: str) -> Any:
    """The transactionInfo of the last block."""
    query = "SELECT transaction_info FROM journal.block ORDER BY sequence_no DESC LIMIT 1"
    with connect(url) as connection:
        row = connection.execute(query).fetchone()
    assert row is not None
    return ion.read_one(row[0])


CHANGES: list[tuple[str, dict[str, Any]]] = [
    ("UPDATE Vehicle SET make = 'New' WHERE VIN = 'V1'", {"make": "New"}),
    ("UPDATE Vehicle AS v SET v.make = 'New', v.year = v.year + 1 WHERE v.VIN = 'V1'", {"make": "New", "year": 2002}),
    ("UPDATE Vehicle AS v SET v.more.deep = 1 WHERE v.VIN = 'V1'", {"more": {"deep": 1}}),
    ("UPDATE Vehicle AS v SET v.owners[0].id = 'G9' WHERE v.VIN = 'V1'", {"owners": [{"id": "G9"}, {"id": "G2"}]}),
    ("UPDATE Vehicle AS v REMOVE v.make WHERE v.VIN = 'V1'", {"make": None}),
    ("UPDATE Vehicle AS v REMOVE v.owners[0] WHERE v.VIN = 'V1'", {"owners": [{"id": "G2"}]}),
    ("UPDATE Vehicle AS v INSERT INTO v.owners VALUE {'id': 'G3'} WHERE v.VIN = 'V1'",
     {"owners": [{"id": "G1"}, {"id": "G2"}, {"id": "G3"}]}),
    ("FROM Vehicle AS v WHERE v.VIN = 'V1'INSERT INTO v.owners VALUE {'id': 'G3'} AT 0",
     {"owners": [{"id": "G3"}, {"id": "G1"}, {"id": "G2"}]}),
    ("FROM Vehicle AS v WHERE v.VIN = 'V1' INSERT INTO v VALUE 26 AT 'mileage'", {"mileage": 26}),
    ("FROM Vehicle AS v, v.owners AS o WHERE v.VIN = 'V1' AND o.id = 'G2' SET o.x = v.make",
     {"owners": [{"id": "G1"}, {"id": "G2", "x": "Ada"}]}),
    ("FROM Vehicle AS v, v.owners AS o WHERE v.VIN = 'V1' SET o.x = 1",
     {"owners": [{"id": "G1", "x": 1}, {"id": "G2", "x": 1}]}),
    ("FROM Vehicle AS v WHERE v.VIN = 'V1' REMOVE v.make", {"make": None}),
    ("UPDATE Vehicle SET a = 1, b = a WHERE VIN = 'V1'", {"a": 1, "b": 1}),
]  # fmt: skip


def test_changes(vehicles: Ledger) -> None:
    before = vehicle(vehicles)
    others = run(vehicles, "SELECT * FROM Vehicle WHERE VIN <> 'V1'")
    for text, expected in CHANGES:
        with vehicles.begin() as transaction:
            list(transaction.execute(text))
            changed = {name: member for name, member in {**before, **expected}.items() if member is not None}
            assert list(transaction.execute("SELECT * FROM Vehicle WHERE VIN = 'V1'")) == [changed], text
            assert list(transaction.execute("SELECT * FROM Vehicle WHERE VIN <> 'V1'")) == others, text


def test_whole_document_is_set(vehicles: Ledger) -> None:
    (id_,) = run(vehicles, "SELECT VALUE id FROM Vehicle BY id WHERE VIN = 'V1'")
    assert run(vehicles, "UPDATE Vehicle AS v BY id SET v = ? WHERE id = ?", {"VIN": "V1", "n": 1}, id_) == [
        {"documentId": id_}
    ]
    assert vehicle(vehicles) == {"VIN": "V1", "n": 1}


def test_rows_of_changes_are_document_ids(vehicles: Ledger) -> None:
    """One for each document that is inserted or deleted, one for each assignment."""
    ids = dict(run_pairs(vehicles))
    assert run(vehicles, "UPDATE Vehicle SET a = 1, b = 2 WHERE VIN = 'V1'") == [{"documentId": ids["V1"]}] * 2
    assert run(vehicles, "DELETE FROM Vehicle AS v BY id WHERE id = ?", ids["V1"]) == [{"documentId": ids["V1"]}]
    assert run(vehicles, "UPDATE Vehicle SET a = 1 WHERE VIN = 'V1'") == []
    assert len(run(vehicles, "INSERT INTO Vehicle ?", [{"VIN": "V5"}, {"VIN": "V6"}])) == 2
    assert len(run(vehicles, "FROM Vehicle AS v WHERE v.VIN IN ('V5', 'V6') REMOVE v")) == 2
    assert len(run(vehicles, "DELETE FROM Vehicle")) == 2


def run_pairs(ledger: Ledger) -> list[tuple[str, str]]:
    return [(row["VIN"], row["id"]) for row in run(ledger, "SELECT id, VIN FROM Vehicle BY id WHERE make IS NOT NULL")]


ERRORS: list[tuple[str, type[Exception]]] = [
    ("INSERT INTO Vehicle 1", errors.WrongDocument),
    ("INSERT INTO Vehicle << {'a': 1}, null >>", errors.WrongDocument),
    ("INSERT INTO Nope {'a': 1}", SemanticError),
    ("UPDATE Vehicle AS v SET v = 1 WHERE v.VIN = 'V1'", errors.WrongDocument),
    ("UPDATE Vehicle AS v SET v.make.x = 1 WHERE v.VIN = 'V1'", SemanticError),
    ("UPDATE Vehicle AS v SET v.owners[7] = 1 WHERE v.VIN = 'V1'", SemanticError),
    ("UPDATE Vehicle AS v BY id SET id = 'x' WHERE v.VIN = 'V1'", SemanticError),
    ("UPDATE Vehicle AS v INSERT INTO v.owners VALUE 1 AT 9 WHERE v.VIN = 'V1'", SemanticError),
    ("UPDATE Vehicle AS v INSERT INTO v.make VALUE 1 WHERE v.VIN = 'V1'", SemanticError),
    ("UPDATE Vehicle AS v INSERT INTO v VALUE 1 AT 'make' WHERE v.VIN = 'V1'", SemanticError),
    ("UPDATE _ql_committed_Vehicle SET a = 1", SemanticError),
    ("UPDATE history(Vehicle) AS h SET a = 1", SemanticError),
    ("FROM Vehicle AS v, Owner AS o SET o.x = 1", SemanticError),
    ("DELETE FROM information_schema.user_tables", SemanticError),
    ("INSERT INTO StrandlineGraft {'a': 1}", errors.ReservedTable),
    ("DELETE FROM StrandlineGraft", errors.ReservedTable),
    ("EXEC redact_revision 1, 2, 3", SemanticError),
    ("EXEC nothing", SemanticError),
    ("CREATE TABLE Vehicle", errors.TableExists),
    ('CREATE TABLE "odd name"', errors.WrongDocument),
    ("CREATE INDEX ON Vehicle (VIN)", errors.IndexExists),
    ("CREATE INDEX ON Nope (VIN)", SemanticError),
    ("DROP TABLE Nope", SemanticError),
    ('DROP INDEX "x" ON Vehicle WITH (purge = true)', errors.NoSuchIndex),
    ('UNDROP TABLE "x"', errors.NoSuchTable),
]


def test_error_ends_the_transaction(vehicles: Ledger) -> None:
    """And leaves nothing of it: not even what it did before."""
    for text, error in ERRORS:
        with vehicles.begin() as transaction:
            list(transaction.execute("INSERT INTO Owner {'GovId': 'before'}"))
            with pytest.raises(error):
                list(transaction.execute(text))
            with pytest.raises(errors.TransactionEnded):
                transaction.commit()
    assert run(vehicles, "SELECT * FROM Owner WHERE GovId = 'before'") == []


class TestRecord:
    """The statements that a block has of a transaction, as QLDB's did."""

    def test_statements_are_recorded_as_sent(self, vehicles: Ledger, database: str) -> None:
        text, parameters = "UPDATE Vehicle  SET price = ? -- raise\nWHERE VIN=?", (value("12.00"), "V1")
        with vehicles.begin() as transaction:
            list(transaction.execute(text, *parameters))
            list(transaction.execute("SELECT 1 FROM << ? >>", None))
            digest = transaction.digest
            number = transaction.commit()
        recorded = info(database)
        assert [one["statement"] for one in recorded["statements"]] == [text, "SELECT 1 FROM << ? >>"]
        digests = [one["statementDigest"] for one in recorded["statements"]]
        assert digests[0] == dot(dot(ion_hash(text), ion_hash(parameters[0])), ion_hash("V1"))
        assert digest == dot(dot(ion_hash(transaction.transaction_id), digests[0]), digests[1])
        assert vehicles.find_transaction(transaction.transaction_id) == number
        assert verify_store(database, workers=1).ok

    def test_statement_index_is_repeated_for_each_assignment(self, vehicles: Ledger, database: str) -> None:
        with vehicles.begin() as transaction:
            list(transaction.execute("SELECT 1 FROM << 0 >>"))
            list(transaction.execute("UPDATE Vehicle SET a = 1, b = 2 WHERE VIN = 'V1'"))
            list(transaction.execute("UPDATE Vehicle SET c = 3 WHERE VIN = 'V1'"))
            transaction.commit()
        (document,) = info(database)["documents"].values()
        assert document["statements"] == [1, 1, 2]
        (version,) = run(vehicles, "SELECT VALUE metadata.version FROM _ql_committed_Vehicle WHERE data.VIN = 'V1'")
        assert version == 1

    def test_committed_view_and_history_are_qldbs(self, vehicles: Ledger, database: str) -> None:
        run(vehicles, "UPDATE Vehicle SET make = 'New' WHERE VIN = 'V1'")
        (committed,) = run(vehicles, "SELECT * FROM _ql_committed_Vehicle WHERE data.VIN = 'V1'")
        assert list(committed) == ["blockAddress", "hash", "data", "metadata"]
        assert list(committed["metadata"]) == ["id", "version", "txTime", "txId"]
        assert committed["hash"] == dot(ion_hash(committed["metadata"]), ion_hash(committed["data"]))
        id_, address = committed["metadata"]["id"], committed["blockAddress"]
        run(vehicles, "DELETE FROM Vehicle WHERE VIN = 'V1'")
        text = "SELECT * FROM history(Vehicle) AS h WHERE h.metadata.id = ?"
        history = run(vehicles, text, id_)
        assert [one["metadata"]["version"] for one in history] == [0, 1, 2]
        assert ["data" in one for one in history] == [True, True, False]
        (table,) = run(vehicles, "SELECT VALUE tableId FROM information_schema.user_tables WHERE name = 'Vehicle'")
        done = run(vehicles, "EXEC redact_revision ?, ?, ?", address, table, id_)
        assert done == [{"blockAddress": address, "tableId": table, "documentId": id_, "version": 1}]
        history = run(vehicles, text, id_)
        assert ["data" in one for one in history] == [True, False, False]
        assert history[1]["dataHash"] == ion_hash(committed["data"])
        assert verify_store(database, workers=1).ok

    def test_history_of_a_period(self, vehicles: Ledger) -> None:
        ((time, id_),) = [
            (one["txTime"], one["id"])
            for one in run(
                vehicles, "SELECT metadata.txTime, metadata.id FROM _ql_committed_Vehicle WHERE data.VIN='V1'"
            )
        ]
        run(vehicles, "UPDATE Vehicle SET make = 'New' WHERE VIN = 'V1'")
        text = "SELECT VALUE h.metadata.version FROM history(Vehicle, `2020T`, ?) AS h WHERE h.metadata.id = ?"
        assert run(vehicles, text, time, id_) == [0]
        assert run(vehicles, "SELECT * FROM history(Vehicle, `2020T`, `2021T`)") == []


class TestDefinitions:
    def tables(self, ledger: Ledger) -> dict[str, Any]:
        return {one["name"]: one for one in run(ledger, "SELECT * FROM information_schema.user_tables")}

    def test_user_tables_are_qldbs(self, vehicles: Ledger) -> None:
        tables = self.tables(vehicles)
        assert tables.keys() == {"Vehicle", "Owner"}
        assert list(tables["Vehicle"]) == ["tableId", "name", "indexes", "status"]
        (index,) = tables["Vehicle"]["indexes"]
        assert (index["expr"], index["status"], len(index["indexId"])) == ("[VIN]", "ONLINE", 22)
        assert tables["Vehicle"]["status"] == "ACTIVE"

    def test_index_is_dropped_by_its_id(self, vehicles: Ledger, database: str) -> None:
        (index,) = self.tables(vehicles)["Vehicle"]["indexes"]
        run(vehicles, f'DROP INDEX "{index["indexId"]}" ON Vehicle WITH (purge = true)')
        assert self.tables(vehicles)["Vehicle"]["indexes"] == []
        assert vehicle(vehicles)["make"] == "Ada"
        with Ledger(database) as other:
            run(other, "/* again */ CREATE /* it */ INDEX ON Vehicle (VIN)")
            (again,) = self.tables(other)["Vehicle"]["indexes"]
            assert again["indexId"] != index["indexId"]
            run(other, "UPDATE Vehicle SET make = 'New' WHERE VIN = 'V1'")
        assert vehicle(vehicles)["make"] == "New"

    def test_table_is_dropped_and_undropped(self, vehicles: Ledger, database: str) -> None:
        (dropped,) = run(vehicles, "DROP TABLE Vehicle")
        assert self.tables(vehicles)["Vehicle"]["status"] == "INACTIVE"
        with pytest.raises(SemanticError, match="No such variable"):
            run(vehicles, "SELECT * FROM Vehicle")
        text = f"SELECT VALUE h.data.VIN FROM history(\"{dropped['tableId']}\") AS h WHERE h.data.make = 'Ada'"
        assert run(vehicles, text) == ["V1"]
        with Ledger(database) as other:
            assert run(other, f'UNDROP TABLE "{dropped["tableId"]}"') == [dropped]
        assert vehicle(vehicles)["make"] == "Ada"
        assert self.tables(vehicles)["Vehicle"]["indexes"] != []

    def test_undrop_needs_a_free_name(self, vehicles: Ledger) -> None:
        (dropped,) = run(vehicles, "DROP TABLE Vehicle")
        run(vehicles, "CREATE TABLE Vehicle")
        with pytest.raises(errors.TableExists):
            run(vehicles, f'UNDROP TABLE "{dropped["tableId"]}"')

    def test_five_indexes_a_table(self, vehicles: Ledger) -> None:
        with vehicles.begin() as transaction:
            for name in "abcd":
                list(transaction.execute(f"CREATE INDEX ON Vehicle ({name})"))
            with pytest.raises(errors.TooManyIndexes, match="5 indexes"):
                list(transaction.execute("CREATE INDEX ON Vehicle (e)"))

    def test_forty_tables_in_all(self, vehicles: Ledger) -> None:
        with vehicles.begin() as transaction:
            for number in range(38):
                list(transaction.execute(f"CREATE TABLE T{number}"))
                list(transaction.execute(f"DROP TABLE T{number}"))
            with pytest.raises(errors.TooManyTables, match="40 tables"):
                list(transaction.execute("CREATE TABLE One"))

    def test_table_and_its_documents_in_one_transaction(self, vehicles: Ledger) -> None:
        with vehicles.begin() as transaction:
            list(transaction.execute("CREATE TABLE Fresh"))
            list(transaction.execute("CREATE INDEX ON Fresh (a)"))
            tables = list(
                transaction.execute("SELECT VALUE indexes FROM information_schema.user_tables WHERE name='Fresh'")
            )
            list(transaction.execute("INSERT INTO Fresh {'a': 1}"))
            assert list(transaction.execute("SELECT * FROM Fresh WHERE a = 1")) == [{"a": 1}]
            transaction.commit()
        assert run(vehicles, "SELECT * FROM Fresh WHERE a = 1") == [{"a": 1}]
        (index,) = self.tables(vehicles)["Fresh"]["indexes"]
        assert tables == [[{**index, "status": "BUILDING"}]]


def test_assignments_keep_types_and_annotations() -> None:
    data = value("{a: k::{b: l::(1 2)}}")
    for changed, expected in (
        (assigned(data, ["a", "b", 1], 9), "{a: k::{b: l::(1 9)}}"),
        (removed(data, ["a", "b", 0]), "{a: k::{b: l::(2)}}"),
        (removed(data, ["a", "x", "y"]), "{a: k::{b: l::(1 2)}}"),
        (inserted(data, ["a", "b"], 3, None), "{a: k::{b: l::(1 2 3)}}"),
        (inserted(data, ["a"], 3, "c"), "{a: k::{b: l::(1 2), c: 3}}"),
    ):
        assert ion_hash(changed) == ion_hash(value(expected))
    assert ion_hash(data) == ion_hash(value("{a: k::{b: l::(1 2)}}"))
