"""The strand's lock: shared by intake, exclusive for a step of the mark.

A lock on a table that only the worker's role may lock: anyone who may connect could take an advisory lock, and stop all
intake with it.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import IsolationLevel
from psycopg.pq import TransactionStatus

from strandline.consumer.database.connection import Connection

LOCK_SHARED = "LOCK TABLE journal.strand_lock IN ROW EXCLUSIVE MODE"
LOCK_ALONE = "LOCK TABLE journal.strand_lock IN EXCLUSIVE MODE"


@contextmanager
def strand_lock(connection: Connection, *, alone: bool) -> Iterator[None]:
    """Run a transaction that holds the strand's lock; each statement in it sees what was committed before it.

    Raise `psycopg.Rollback` inside to end the transaction without an effect. Raises `psycopg.ProgrammingError` if the
    connection is inside a transaction.
    """
    if connection.info.transaction_status != TransactionStatus.IDLE:
        raise psycopg.ProgrammingError("the strand is locked outside a transaction: commit or roll back before")
    # At a stricter level every statement would see what was there before the wait for the lock.
    connection.isolation_level = IsolationLevel.READ_COMMITTED
    with connection.transaction():
        connection.execute(LOCK_ALONE if alone else LOCK_SHARED)
        yield
