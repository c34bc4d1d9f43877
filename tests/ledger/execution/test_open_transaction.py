"""Open transactions: conflicts, time, and their end."""

import threading
import time
from contextlib import suppress
from typing import Any

import psycopg
import pytest

from strandline.consumer.database.connection import connect
from strandline.ledger import Ledger, errors
from strandline.ledger.execution import sql
from strandline.ledger.open_transaction import OpenTransaction
from tests.ledger.execution.statements import VEHICLES, run


def mark(url: str) -> int:
    with connect(url) as connection:
        row = connection.execute("SELECT sequence_no FROM journal.mark").fetchone()
    assert row is not None
    return int(row[0])


READS = [
    ("SELECT * FROM Vehicle WHERE VIN = 'V1'", "UPDATE Vehicle SET make = 'x' WHERE VIN = 'V1'"),
    ("SELECT * FROM Vehicle WHERE VIN = 'V9'", "INSERT INTO Vehicle {'VIN': 'V9'}"),
    ("SELECT * FROM Vehicle WHERE VIN IN ('V8', 'V9')", "INSERT INTO Vehicle {'VIN': 'V9'}"),
    ("SELECT * FROM Vehicle WHERE make = 'x'", "UPDATE Vehicle SET make = 'x' WHERE VIN = 'V1'"),
    ("SELECT * FROM Vehicle WHERE make = 'Ada'", "UPDATE Vehicle SET make = 'x' WHERE VIN = 'V1'"),
    ("SELECT * FROM Vehicle AS v WHERE v.year > 5000", "INSERT INTO Vehicle {'VIN': 'V9'}"),
    ("SELECT COUNT(*) FROM Vehicle", "DELETE FROM Vehicle WHERE VIN = 'V1'"),
    ("SELECT * FROM _ql_committed_Vehicle WHERE data.VIN = 'V1'", "UPDATE Vehicle SET make = 'x' WHERE VIN = 'V1'"),
    ("SELECT * FROM history(Vehicle)", "INSERT INTO Vehicle {'VIN': 'V9'}"),
    ("SELECT * FROM information_schema.user_tables", "CREATE TABLE T"),
    ("SELECT * FROM Owner AS o, Vehicle AS v", "INSERT INTO Vehicle {'VIN': 'V9'}"),
    ("SELECT * FROM Owner WHERE EXISTS(SELECT * FROM Vehicle)", "INSERT INTO Vehicle {'VIN': 'V9'}"),
]


def test_read_that_changed_since_is_a_conflict(vehicles: Ledger) -> None:
    """Also in a transaction that only reads, as in QLDB."""
    for read, change in READS:
        with vehicles.begin() as transaction:
            list(transaction.execute(read))
            run(vehicles, change)
            with pytest.raises(errors.Conflict):
                pytest.fail(f"{read}: {transaction.commit()}")
        run(vehicles, "DELETE FROM Vehicle")
        run(vehicles, VEHICLES)


INDEPENDENT = [
    ("SELECT * FROM Vehicle WHERE VIN = 'V2'", "UPDATE Vehicle SET make = 'x' WHERE VIN = 'V1'"),
    ("SELECT * FROM Vehicle WHERE make = 'Bee'", "UPDATE Vehicle SET make = 'x' WHERE VIN = 'V1'"),
    ("SELECT * FROM Owner", "DELETE FROM Vehicle WHERE VIN = 'V1'"),
    ("INSERT INTO Vehicle {'VIN': 'V8'}", "INSERT INTO Vehicle {'VIN': 'V9'}"),
]


def test_other_changes_are_no_conflict(vehicles: Ledger) -> None:
    for read, change in INDEPENDENT:
        with vehicles.begin() as transaction:
            list(transaction.execute(read))
            run(vehicles, change)
            assert transaction.commit() is not None


def test_snapshot_does_not_move(vehicles: Ledger) -> None:
    with vehicles.begin() as transaction:
        list(transaction.execute("SELECT * FROM Owner WHERE GovId = 'G1'"))
        run(vehicles, "UPDATE Vehicle SET make = 'x' WHERE VIN = 'V1'")
        assert list(transaction.execute("SELECT VALUE make FROM Vehicle WHERE VIN = 'V1'")) == ["Ada"]


def test_aborted_and_left_transactions_leave_nothing(vehicles: Ledger, database: str) -> None:
    before = mark(database)
    transaction = vehicles.begin()
    list(transaction.execute("INSERT INTO Vehicle {'VIN': 'V9'}"))
    transaction.abort()
    transaction.abort()
    with vehicles.begin() as left:
        list(left.execute("INSERT INTO Vehicle {'VIN': 'V9'}"))
    for ended in (transaction, left):
        with pytest.raises(errors.TransactionEnded):
            ended.execute("SELECT * FROM Vehicle")
    assert mark(database) == before
    assert vehicles.find_transaction(transaction.transaction_id) is None


def test_outcome_of_a_commit_is_found_after_the_block_that_it_read(vehicles: Ledger, database: str) -> None:
    before = mark(database)
    with vehicles.begin() as transaction:
        list(transaction.execute("SELECT * FROM Owner"))
        since = transaction.since
        number = transaction.commit()
    assert number is not None
    assert since <= before < number
    assert vehicles.find_transaction(transaction.transaction_id) == number
    assert vehicles.find_transaction(transaction.transaction_id, since) == number
    assert vehicles.find_transaction(transaction.transaction_id, number) is None


def test_redaction_during_a_transaction(vehicles: Ledger) -> None:
    """A transaction sees the ledger as of its first read, also data that is redacted meanwhile; it conflicts then."""
    run(vehicles, "UPDATE Owner SET name = 'Anna' WHERE GovId = 'G1'")
    (first,) = run(vehicles, "SELECT * FROM history(Owner) AS h WHERE h.data.name = 'Ann'")
    (table,) = (
        one["tableId"]
        for one in run(vehicles, "SELECT * FROM information_schema.user_tables")
        if one["name"] == "Owner"
    )
    history = "SELECT VALUE h.data.name FROM history(Owner) AS h WHERE h.metadata.id = ?"
    id_ = first["metadata"]["id"]
    with vehicles.begin() as reader, vehicles.begin() as other:
        assert list(reader.execute(history, id_)) == ["Ann", "Anna"]
        list(other.execute("SELECT * FROM Vehicle"))
        run(vehicles, "EXEC redact_revision ?, ?, ?", first["blockAddress"], table, id_)
        assert list(reader.execute(history, id_)) == ["Ann", "Anna"]
        with pytest.raises(errors.Conflict, match="redacted"):
            reader.commit()
        list(other.execute("INSERT INTO Vehicle {'VIN': 'V9'}"))
        other.commit()  # what it read did not change
    assert run(vehicles, history, id_) == ["Anna"]


def test_transaction_that_did_nothing_is_no_block(vehicles: Ledger, database: str) -> None:
    before = mark(database)
    with vehicles.begin() as transaction:
        assert transaction.commit() is None
    assert mark(database) == before


def test_transaction_expires(vehicles: Ledger) -> None:
    transaction = vehicles.begin(seconds=0.05)
    rows = transaction.execute("SELECT * FROM Vehicle")
    next(rows)
    time.sleep(0.06)
    for use in (lambda: next(rows), lambda: transaction.execute("SELECT * FROM Owner"), transaction.commit):
        with pytest.raises((errors.TransactionExpired, errors.TransactionEnded), match="expired"):
            use()  # type: ignore[no-untyped-call]


def test_long_evaluation_is_given_up(vehicles: Ledger) -> None:
    """A cross join of a thousand million rows ends with the transaction's time."""
    bag = list(range(1000))
    with vehicles.begin(seconds=0.3) as transaction:
        begun = time.monotonic()
        with pytest.raises(errors.TransactionExpired):
            list(transaction.execute("SELECT COUNT(*) FROM << 0 >> AS z, ? AS a, ? AS b, ? AS c", bag, bag, bag))
        assert time.monotonic() - begun < 5


def test_long_read_is_given_up(vehicles: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql, "SCAN", sql.SCAN + " AND pg_sleep(10) IS NULL")
    with vehicles.begin(seconds=0.3) as transaction:
        begun = time.monotonic()
        with pytest.raises(errors.TransactionExpired):
            list(transaction.execute("SELECT * FROM Vehicle"))
        assert time.monotonic() - begun < 5


def test_connection_is_given_back(database: str) -> None:
    """More transactions than connections, one after the other, whichever way they end."""
    with Ledger(database, readers=2) as ledger:
        run(ledger, "CREATE TABLE T")
        for number in range(8):
            transaction = ledger.begin()
            list(transaction.execute("SELECT * FROM T"))
            if number % 3 == 0:
                transaction.commit()
            elif number % 3 == 1:
                transaction.abort()
            else:
                with pytest.raises(errors.LedgerError):
                    list(transaction.execute("SELECT * FROM Nope"))


def test_tables_of_another_process_are_a_conflict_first(vehicles: Ledger, database: str) -> None:
    """A table that another process made is unknown here: the statement conflicts, and a retry knows it."""
    with Ledger(database) as other:
        run(other, "CREATE TABLE Fresh")
    with vehicles.begin() as transaction, pytest.raises(errors.Conflict):
        list(transaction.execute("SELECT * FROM Fresh"))
    assert run(vehicles, "SELECT * FROM Fresh") == []


def test_money_moves_by_many_clients(ledger: Ledger) -> None:
    """Each reads two accounts and writes both: the sum never changes."""
    run(ledger, "CREATE TABLE Account")
    run(ledger, "CREATE INDEX ON Account (name)")
    run(ledger, "INSERT INTO Account ?", [{"name": f"a{n}", "balance": 100} for n in range(4)])

    def move(transaction: OpenTransaction, source: str, target: str) -> None:
        for name, amount in ((source, -1), (target, 1)):
            (balance,) = transaction.execute("SELECT VALUE balance FROM Account WHERE name = ?", name)
            list(transaction.execute("UPDATE Account SET balance = ? WHERE name = ?", balance + amount, name))

    def work(number: int) -> None:
        done = 0
        while done < 5:
            with ledger.begin() as transaction:
                try:
                    move(transaction, f"a{number % 4}", f"a{(number + 1) % 4}")
                    transaction.commit()
                    done += 1
                except errors.Conflict:
                    continue

    threads = [threading.Thread(target=work, args=[number]) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert run(ledger, "SELECT SUM(balance) AS n FROM Account") == [{"n": 400}]
    assert sum(run(ledger, "SELECT VALUE metadata.version FROM _ql_committed_Account")) == 60


def test_lost_connection_is_an_error_of_the_database(vehicles: Ledger, database: str) -> None:
    from strandline.consumer.database.errors import DatabaseError

    with vehicles.begin() as transaction:
        list(transaction.execute("SELECT * FROM Owner"))
        with psycopg.connect(database, autocommit=True) as killer:
            killer.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        with pytest.raises(DatabaseError):
            list(transaction.execute("SELECT * FROM Vehicle"))
    with suppress(errors.Conflict):  # the appender's connection was lost, too
        run(vehicles, "SELECT * FROM Owner")
    rows: list[Any] = run(vehicles, "SELECT VALUE VIN FROM Vehicle WHERE VIN = 'V1'")
    assert rows == ["V1"]
