"""Cost of look-ups and writes beside the number of partitions, and the disk that a revision takes.

Each store holds the same small ledger in its last partition of 100,000 blocks; the partitions below are empty. Each
step is measured on all stores in turns, and its best turn counts. The ratio is to the store with one partition.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

import psycopg

from benchmarks.disk import measure_disk
from benchmarks.measuring import Figure, Measured, Options, database, run, server, timed
from strandline import RowProjection
from strandline.consumer.database.connection import connect
from strandline.consumer.erasure.subjects import find_subject
from strandline.consumer.generations.lifecycle import project
from strandline.consumer.monitoring.status import read_status
from strandline.consumer.projection.discovery import discover
from strandline.consumer.verification.digest import store_digest
from strandline.ledger import Ledger, Transaction
from strandline.ledger.redaction import redact_revision

PARTITIONS = (1, 50, 200, 1_000)
BLOCKS = 100_000  # a partition (migrations/0002_journal.sql)
DOCUMENTS, VERSIONS = 400, 3
TREES = (10_000, 300_000)  # blocks
ADD_BLOCKS = """
    INSERT INTO journal.block (sequence_no, block_hash, previous_hash, level, complete, entries_hashes, revision_hashes,
        revision_documents, statement_kinds, definitions, tables)
    SELECT n, sha256(n::text::bytea), CASE n WHEN 0 THEN '' ELSE sha256((n - 1)::text::bytea) END, 'full', true,
        '{}', '{}', '{}', '{}', '{}', '{}'
    FROM generate_series(0, %s - 1) AS n"""
_TOGETHER = 50  # partitions that one transaction creates
_TIMES = 15
_TURNS = 3
_PROJECTION = "licence_register"


@dataclass(frozen=True)
class Store:
    """A store with the ledger: some of its documents, which have `VERSIONS` versions, and the first one's value."""

    url: str
    documents: list[str]
    value: str

    @property
    def document_id(self) -> str:
        return self.documents[0]


def measure(options: Options) -> Iterator[Figure]:
    """Measure each step with each number of partitions."""
    with server(options.folder) as url:
        with ExitStack() as stack:
            stores: dict[int, Store] = {}
            for partitions in PARTITIONS:
                fresh = stack.enter_context(database(url, f"scale_{partitions}"))
                made = run(make_partitions, fresh, partitions)
                yield Figure(f"{partitions} partitions", "create them", made)
                stores[partitions] = Store(fresh, *write_ledger(fresh, (partitions - 1) * BLOCKS))
            for name, step in STEPS.items():
                yield from _measure_step(name, step, stores)
        yield from _measure_tree(url)
        yield from measure_disk(url, options)


def _measure_step(
    name: str, step: Callable[["Store"], tuple[int, float]], stores: Mapping[int, "Store"]
) -> Iterator[Figure]:  # fmt: skip
    best: dict[int, Measured] = {}
    for _ in range(_TURNS):
        for partitions, store in stores.items():
            measured = run(step, store)
            if partitions not in best or measured.rate > best[partitions].rate:
                best[partitions] = measured
    for partitions, measured in best.items():
        ratio = best[PARTITIONS[0]].rate / measured.rate
        yield Figure(f"{partitions} partitions", name, measured, ratio, "1 partition")


def _measure_tree(url: str) -> Iterator[Figure]:
    for blocks in TREES:
        with database(url, f"tree_{blocks}") as fresh:
            make_blocks(fresh, blocks)
            first = run(digest, fresh, 1)
            yield Figure(f"{blocks:,} blocks", "digest, the first", first, 1.0)
            again = run(digest, fresh, _TIMES)
            ratio = again.seconds / again.rows / first.seconds
            yield Figure(f"{blocks:,} blocks", "digest, the next", again, ratio, "the first")


def make_blocks(url: str, count: int) -> None:
    """Write blocks that hold nothing, and only link."""
    with connect(url) as connection:
        connection.execute(ADD_BLOCKS, [count])
        connection.execute("UPDATE journal.mark SET strand_id = 's', sequence_no = %s", [count - 1])


def digest(url: str, times: int) -> tuple[int, float]:
    with timed() as seconds:
        for _ in range(times):
            store_digest(url)
    return times, seconds[0]


def make_partitions(url: str, count: int) -> tuple[int, float]:
    started = time.perf_counter()
    with connect(url, autocommit=True) as connection:
        for first in range(0, count, _TOGETHER):
            last = min(first + _TOGETHER, count) - 1
            connection.execute("SELECT journal.ensure_partitions(%s, %s)", [first * BLOCKS, last * BLOCKS])
    return count, time.perf_counter() - started


def write_ledger(url: str, origin: int) -> tuple[list[str], str]:
    """Write the ledger from block `origin` on. Returns the ids of its last documents, and the first one's value."""

    def begin(txn: Transaction) -> None:
        txn.create_table("Licence")
        txn.create_index("Licence", "licenceId")

    def insert(first: int, txn: Transaction) -> list[str]:
        return [txn.insert("Licence", _licence(first + number)) for number in range(40)]

    def update(documents: list[str], txn: Transaction) -> None:
        for document in documents:
            txn.update("Licence", document, {"status": "Renewed"})

    with Ledger(url, origin=origin) as ledger:
        ledger.execute(begin)
        for first in range(0, DOCUMENTS, 40):
            documents = ledger.execute(partial(insert, first))
            for _ in range(VERSIONS - 1):
                ledger.execute(partial(update, documents))
    projection = discover(("strandline.projections",))[_PROJECTION]
    project(url, {_PROJECTION: projection})
    return documents, f"L{first:07d}"


def _licence(number: int) -> dict[str, Any]:
    return {"licenceId": f"L{number:07d}", "firstName": "Ada", "lastName": "Byron", "status": "Valid"}


def _times(function: Callable[[], Any]) -> tuple[int, float]:
    """Run the function some times. Returns how often, and the seconds as if each had been the fastest."""
    function()
    taken = []
    for _ in range(_TIMES):
        started = time.perf_counter()
        function()
        taken.append(time.perf_counter() - started)
    return _TIMES, min(taken) * _TIMES


def _query(statement: str, store: Store) -> tuple[int, float]:
    """Run a query as a reader of schema `ledger`, on one connection."""
    with connect(store.url, autocommit=True, role="strandline_cleared") as connection:
        named = {"id": store.document_id, "value": store.value}

        def ask() -> list[Any]:
            return psycopg.ClientCursor(connection).execute(statement.encode(), named).fetchall()

        assert ask()
        return _times(ask)


def first_statement(store: Store) -> tuple[int, float]:
    """Connect, and read one document as the first statement."""

    def ask() -> None:
        with connect(store.url, autocommit=True, role="strandline_cleared") as connection:
            connection.execute('SELECT data FROM ledger."Licence" WHERE document_id = %s', [store.document_id])

    return _times(ask)


def status(store: Store) -> tuple[int, float]:
    projections = list(discover(("strandline.projections",)).values())

    def ask() -> None:
        with connect(store.url) as connection:
            read_status(connection, projections)

    return _times(ask)


def append(store: Store) -> tuple[int, float]:
    with Ledger(store.url) as ledger:
        return _times(lambda: ledger.execute(lambda txn: txn.insert("Licence", _licence(0))))


def update(store: Store) -> tuple[int, float]:
    """Read a document by id, write its next version."""
    with Ledger(store.url) as ledger:
        values = {"status": "Renewed"}
        return _times(lambda: ledger.execute(lambda txn: txn.update("Licence", store.document_id, values)))


def find(store: Store) -> tuple[int, float]:
    with Ledger(store.url) as ledger:
        return _times(lambda: ledger.execute(lambda txn: list(txn.find("Licence", "licenceId", store.value))))


def batch(store: Store) -> tuple[int, float]:
    """Append one block, and project it: a step of the mark and a batch."""
    projection = discover(("strandline.projections",))[_PROJECTION]
    assert isinstance(projection, RowProjection)
    taken = []
    with Ledger(store.url) as ledger:
        for _ in range(_TIMES):
            ledger.execute(lambda txn: txn.insert("Licence", _licence(0)))
            started = time.perf_counter()
            project(store.url, {_PROJECTION: projection})
            taken.append(time.perf_counter() - started)
    return _TIMES, min(taken) * _TIMES


def find_person(store: Store) -> tuple[int, float]:
    name = "Licence.licenceId"
    with connect(store.url, autocommit=True) as connection:
        connection.execute(
            "SELECT journal.ensure_found_by('{Licence}', '{licenceId}')"
        )  # as a composed projection does

        def ask() -> list[Any]:
            return find_subject(connection, {name: ("Licence", "licenceId")}, name, store.value)

        assert len(ask()) == VERSIONS
        return _times(ask)


def redact(store: Store) -> tuple[int, float]:
    """Redact the first version of one document after the other."""

    def insert(txn: Transaction) -> list[str]:
        return [txn.insert("Licence", _licence(0)) for _ in range(_TIMES + 1)]

    def update(txn: Transaction) -> None:
        for document in written:
            txn.update("Licence", document, {"status": "Renewed"})

    with Ledger(store.url) as ledger:
        written = ledger.execute(insert)
        ledger.execute(update)
        documents = iter(written)
        return _times(lambda: redact_revision(ledger, next(documents), 0))


_LICENCE, _HISTORY = 'ledger."Licence"', "ledger.history('Licence')"
STEPS: dict[str, Callable[[Store], tuple[int, float]]] = {
    "connect, first statement": first_statement,
    "current document by id": partial(_query, f"SELECT data FROM {_LICENCE} WHERE document_id = %(id)s"),
    "committed document by id": partial(
        _query, 'SELECT hash, metadata FROM ledger."_ql_committed_Licence" WHERE document_id = %(id)s'
    ),
    "current documents by a field, read all": partial(
        _query, f"SELECT data FROM {_LICENCE} WHERE data ->> 'licenceId' = %(value)s"
    ),
    "count of current documents": partial(_query, f"SELECT count(*) FROM {_LICENCE}"),
    "history of a document": partial(_query, f"SELECT data FROM {_HISTORY} WHERE document_id = %(id)s"),
    "ledger: find by indexed field": find,
    "ledger: append": append,
    "find-subject": find_person,
    "ledger: update": update,
    "ledger: redact": redact,
    "project one block": batch,
    "status": status,
}
