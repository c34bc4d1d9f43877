"""The write side: transactions appended a second, and the delay until a read model shows them."""

import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from statistics import median
from typing import Any

import psycopg

from benchmarks.measuring import Figure, Measured, Options, database, run, server, timed
from strandline.consumer.background import stop_all
from strandline.consumer.database.connection import connect
from strandline.consumer.projection.discovery import discover
from strandline.consumer.worker.projectors import ProjectorThreads
from strandline.journal.decode.copy_format import BLOCK_COLUMNS, REVISION_COLUMNS
from strandline.ledger import Ledger, Transaction
from strandline.ledger.row_params import Field, register

_LICENCE = {
    "licenceId": "",
    "contactId": "C0000001",
    "firstName": "Ada",
    "lastName": "Byron",
    "street": "12 Mill Lane",
    "county": "Kent",
    "postcode": "AB1 2CD",
    "status": "Valid",
    "userId": "u1",
    "events": [{"eventName": "LicenceIssued", "eventDate": "2024-01-01"}],
}


_TURNS, _TRANSACTIONS = 6, 512  # transactions a turn; with eight writers, 64 each
_VISIBLE = 200


def measure(options: Options) -> Iterator[Figure]:
    """Measure appends with one and eight writers against plain INSERTs, and the delay from commit to read model."""
    with server(options.folder) as url:
        for writers in (1, 8):
            with database(url, f"append_{writers}") as store:
                # In turns, so that other load affects both.
                turns = [
                    (run(append, store, writers, _TRANSACTIONS), run(plain_inserts, store, _TRANSACTIONS))
                    for _ in range(_TURNS)
                ]
            appended, plain = (_median(list(measured)) for measured in zip(*turns, strict=True))
            ratio = median(one.rate / other.rate for one, other in turns)
            yield Figure(f"{writers} at once", "append", appended, ratio, "plain INSERTs")
            yield Figure("one at a time", "plain INSERTs", plain, 1.0)
        with database(url, "visible") as store:
            yield Figure("one by one", "commit to visible", run(commit_to_visible, store, _VISIBLE))


def _median(measured: list[Measured]) -> Measured:
    return sorted(measured, key=lambda one: one.rate)[len(measured) // 2]


def append(url: str, writers: int, transactions: int) -> tuple[int, float]:
    """Insert one document a transaction, from `writers` threads, into a table with one index."""
    with Ledger(url) as ledger:
        _ensure_table(ledger)

        def write(writer: int) -> None:
            for number in range(transactions // writers):
                document = {**_LICENCE, "licenceId": f"{writer}/{number}"}
                ledger.execute(partial(_insert, document), retries=20)

        with timed() as seconds, ThreadPoolExecutor(writers) as pool:
            list(pool.map(write, range(writers)))
    return transactions // writers * writers, seconds[0]


def plain_inserts(url: str, transactions: int) -> tuple[int, float]:
    """Insert the last blocks and revisions again as rows: two INSERTs a transaction, into tables with the same keys."""
    with connect(url) as connection:
        connection.execute("CREATE SCHEMA IF NOT EXISTS baseline")
        for name, key in (("block", "sequence_no, block_hash"), ("revision", "sequence_no, hash")):
            connection.execute(f"DROP TABLE IF EXISTS baseline.{name}")
            connection.execute(f"CREATE TABLE baseline.{name} (LIKE journal.{name} INCLUDING CONSTRAINTS)")
            connection.execute(f"ALTER TABLE baseline.{name} ADD PRIMARY KEY ({key})")
        connection.execute("CREATE INDEX ON baseline.revision (document_id, version)")
        register(connection)
        connection.commit()
        blocks = _rows(connection, "block", BLOCK_COLUMNS, transactions)
        revisions = _rows(connection, "revision", REVISION_COLUMNS, transactions)
        connection.commit()  # otherwise each transaction below would be a savepoint of this one
        with timed() as seconds:
            for block, revision in zip(blocks, revisions, strict=True):
                with connection.transaction():
                    connection.execute(_insert_into("block", BLOCK_COLUMNS), block)
                    connection.execute(_insert_into("revision", REVISION_COLUMNS), revision)
        connection.execute("DROP SCHEMA baseline CASCADE")
    return len(blocks), seconds[0]


def commit_to_visible(url: str, times: int) -> tuple[int, float]:
    """Measure the time from commit until read.licence_register shows it, with a worker's projectors running."""
    name = "licence_register"
    projecting = ProjectorThreads(url, {name: discover(("strandline.projections",))[name]})
    projecting.start()
    waited = 0.0
    try:
        with Ledger(url) as ledger, connect(url, autocommit=True) as connection:
            _ensure_table(ledger)
            for number in range(times + 1):
                id_ = ledger.execute(partial(_insert, _LICENCE), retries=20)
                started = time.perf_counter()
                _wait_for(connection, name, id_)
                waited += time.perf_counter() - started if number else 0.0  # the first waits for the backfill
    finally:
        stop_all([projecting], 10.0)
    return times, waited


def _insert(document: Mapping[str, Any], txn: Transaction) -> str:
    return txn.insert("Licence", document)


def _wait_for(connection: psycopg.Connection[Any], name: str, document_id: str) -> None:
    query = f"SELECT FROM read.{name} WHERE source_document = %s"
    while True:
        try:
            if connection.execute(query, [document_id]).rowcount:
                return
        except psycopg.errors.UndefinedTable:  # its first generation is not there yet
            time.sleep(0.1)
        time.sleep(0.001)


def _ensure_table(ledger: Ledger) -> None:
    def create(txn: Transaction) -> None:
        if "Licence" not in {one.name for one in txn.user_tables()}:
            txn.create_table("Licence")
            txn.create_index("Licence", "licenceId")

    ledger.execute(create)


def _insert_into(name: str, columns: tuple[tuple[str, str], ...]) -> str:
    names, places = ", ".join(column for column, _ in columns), ", ".join(["%b"] * len(columns))
    return f"INSERT INTO baseline.{name} ({names}) VALUES ({places})"


def _rows(
    connection: psycopg.Connection[Any], name: str, columns: tuple[tuple[str, str], ...], count: int
) -> list[list[Field | None]]:
    """Return the newest rows with their values as stored, so that both ways send the same bytes."""
    names = ", ".join(column for column, _ in columns)
    query = f"SELECT {names} FROM journal.{name} ORDER BY sequence_no DESC LIMIT %s"
    with connection.cursor(binary=True) as cursor:
        cursor.execute(query, [count])
        result = cursor.pgresult
        assert result is not None
        values = [[result.get_value(row, column) for column in range(len(columns))] for row in range(result.ntuples)]
    return [[None if value is None else Field(value) for value in row] for row in reversed(values)]
