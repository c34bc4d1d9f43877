"""Makes deleted rows go from PostgreSQL's own storage: a table is vacuumed; or rewritten, for a vacuum leaves the bytes
in the pages.

A rewrite takes the table from readers and writers for as long as it lasts: after a short wait for its lock or not at
all, and not begun where it would take longer than the time that is left.
"""

import time

from psycopg import errors
from psycopg.sql import SQL, Identifier

from strandline.consumer.database.connection import Connection

ATTEMPTS = 5
PAUSE_SECONDS = 1.0
# What a rewrite does at least, indexes too: for telling whether there is time for one.
BYTES_A_SECOND = 10_000_000

GENTLY = "SET lock_timeout = '2s'; SET vacuum_cost_delay = '1ms'"
READ_DEAD = """
    SELECT pg_stat_get_dead_tuples(c.oid) + coalesce(pg_stat_get_dead_tuples(nullif(c.reltoastrelid, 0)), 0)
    FROM pg_class c WHERE c.oid = to_regclass(%s)"""
READ_SIZE = "SELECT coalesce(pg_total_relation_size(to_regclass(%s)), 0)"
VACUUM = "VACUUM (INDEX_CLEANUP ON) {}"
REWRITE = "VACUUM (FULL) {}"


class Busy(Exception):
    """The table cannot be cleaned now; the text says why."""


def clean(connection: Connection, table: tuple[str, str], *, physical: bool, ends: float | None = None) -> None:
    """Vacuum the table (schema, name), and rewrite it if `physical`; nothing where it is gone.

    Nothing is begun after `ends`, of the monotonic clock. The connection is in autocommit, and is set to work gently.
    Raises `Busy`.
    """
    left = None if ends is None else ends - time.monotonic()
    if left is not None and left <= 0:
        raise Busy("the time was over")
    name = SQL("{}").format(Identifier(*table)).as_string(connection)
    connection.execute(GENTLY)
    # First, so that no dead row is carried over into the new file.
    _vacuum(connection, table, name)
    if physical:
        (size,) = connection.execute(READ_SIZE, [name]).fetchone() or (0,)
        if left is not None and size / BYTES_A_SECOND > left:
            raise Busy(f"rewriting it may take {size / BYTES_A_SECOND:,.0f} s, and {left:,.0f} s are left")
        _run(connection, REWRITE, table)


def _vacuum(connection: Connection, table: tuple[str, str], name: str) -> None:
    """Vacuum until no dead row is left: what an old snapshot can see, or a page in use holds, stays at first."""
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(PAUSE_SECONDS)
        _run(connection, VACUUM, table)
        row = connection.execute(READ_DEAD, [name]).fetchone()
        if row is None or row[0] == 0:
            return
    raise Busy("deleted rows are in use still: a transaction that began before may see them, or writers are busy")


def _run(connection: Connection, statement: str, table: tuple[str, str]) -> None:
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(PAUSE_SECONDS)
        try:
            connection.execute(SQL(statement).format(Identifier(*table)))
        except errors.UndefinedTable:  # a generation that was dropped meanwhile
            return
        except (errors.LockNotAvailable, errors.DeadlockDetected):
            continue
        except errors.DiskFull:
            raise Busy("the disk has no room for it") from None
        else:
            return
    raise Busy("its lock was not free in time")
