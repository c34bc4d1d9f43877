"""A composed projection, `licence_points`, and beside it a row projection, projected from a journal in the store.

The ratio is to one binary COPY, in one transaction, of the finished rows into a table with the same keys and indexes.
"""

from collections.abc import Iterator
from statistics import median

from psycopg.sql import SQL, Identifier

from benchmarks.journal import checkpoint, make_journal, project_one, replay
from benchmarks.measuring import Figure, Measured, Options, database, run, server
from benchmarks.rebuild import READ_RELATION, copy_rows
from strandline.consumer.database.connection import connect

PROJECTIONS = ("licence_points", "licence_register")
TIMES = 3

_REVISIONS_A_BLOCK = 1.65  # of the simulated licence ledger


def measure(options: Options) -> Iterator[Figure]:
    journal = str(options.folder / "journal")
    run(make_journal, journal, int(options.revisions / _REVISIONS_A_BLOCK), "ION_BINARY")
    with server(options.folder) as url, database(url, "composed") as store:
        run(replay, f"{journal}/full", store)
        for name in PROJECTIONS:
            checkpoint(store)
            yield from _of_one(store, name, run(project_one, store, name))


def _of_one(store: str, name: str, projected: Measured) -> Iterator[Figure]:
    copies = [run(copy_rows, store, "", name) for _ in range(TIMES)]
    rate = median(copy.rate for copy in copies)
    rows = Measured(_count(store, name), projected.seconds, projected.peak_mb)
    yield Figure(name, f"COPY of its rows, the median of {TIMES}", next(c for c in copies if c.rate == rate), 1.0)
    yield Figure(name, "project, rows written", rows, rows.rate / rate, "COPY")
    yield Figure(name, "project, revisions read", projected)


def _count(store: str, name: str) -> int:
    with connect(store) as connection:
        (relation,) = connection.execute(READ_RELATION, [name]).fetchone() or ("",)
        count = SQL("SELECT count(*) FROM {}").format(Identifier("generation", relation))
        (rows,) = connection.execute(count).fetchone() or (0,)
    return int(rows)
