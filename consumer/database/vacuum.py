"""Removes deleted rows from PostgreSQL's files: vacuums a table, or rewrites it, since a vacuum leaves the bytes in the
pages.

A rewrite locks the table against readers and writers until it ends. It waits for its lock only briefly, and is not
begun if it would take longer than the time left.
"""

import time

from psycopg import errors
from psycopg.sql import SQL, Identifier

from strandline.consumer.database.connection import Connection

ATTEMPTS = 5
PAUSE_SECONDS = 1.0
# The least that a rewrite manages, with indexes: tells whether there is time for one.
BYTES_A_SECOND = 10_000_000

LOW_PRIORITY = "SET lock_timeout = '2s'; SET vacuum_cost_delay = '1ms'"
READ_DEAD = """
    SELECT pg_stat_get_dead_tuples(c.oid) + coalesce(pg_stat_get_dead_tuples(nullif(c.reltoastrelid, 0)), 0)
    FROM pg_class c WHERE c.oid = to_regclass(%s)"""
READ_SIZE = "SELECT coalesce(pg_total_relation_size(to_regclass(%s)), 0)"
VACUUM = "VACUUM (INDEX_CLEANUP ON) {}"
REWRITE = "VACUUM (FULL) {}"


class Busy(Exception):
    """The table cannot be cleaned now; the message gives the reason."""


def clean_table(
    connection: Connection, table: tuple[str, str], *, physical: bool, deadline: float | None = None
) -> None:
    """Vacuum the table (schema, name), and rewrite it if `physical`. A no-op if it does not exist.

    Begins nothing after `deadline`, of the monotonic clock. The connection is in autocommit; short timeouts and a low
    vacuum priority are set on it. Raises `Busy`.
    """
    left = None if deadline is None else deadline - time.monotonic()
    if left is not None and left <= 0:
        raise Busy("the time was up")
    name = SQL("{}").format(Identifier(*table)).as_string(connection)
    connection.execute(LOW_PRIORITY)
    # First, so that no dead row is copied into the new file.
    _vacuum(connection, table, name)
    if physical:
        (size,) = connection.execute(READ_SIZE, [name]).fetchone() or (0,)
        if left is not None and size / BYTES_A_SECOND > left:
            raise Busy(f"rewriting it may take {size / BYTES_A_SECOND:,.0f} s, and {left:,.0f} s are left")
        _run(connection, REWRITE, table)


def _vacuum(connection: Connection, table: tuple[str, str], name: str) -> None:
    """Vacuum until no dead row is left: one that an old snapshot sees, or that is in a page in use, stays at first."""
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(PAUSE_SECONDS)
        _run(connection, VACUUM, table)
        row = connection.execute(READ_DEAD, [name]).fetchone()
        if row is None or row[0] == 0:
            return
    raise Busy("deleted rows are still in use: an older transaction may see them, or writers are busy")


def _run(connection: Connection, statement: str, table: tuple[str, str]) -> None:
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(PAUSE_SECONDS)
        try:
            connection.execute(SQL(statement).format(Identifier(*table)))
        except errors.UndefinedTable:  # a generation that was dropped in between
            return
        except (errors.LockNotAvailable, errors.DeadlockDetected):
            continue
        except errors.DiskFull:
            raise Busy("the disk has no room for it") from None
        else:
            return
    raise Busy("its lock was not free in time")
