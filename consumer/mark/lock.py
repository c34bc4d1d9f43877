"""The strand's advisory lock: shared by intake, held alone by a step of the mark."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import IsolationLevel
from psycopg.pq import TransactionStatus

STRAND_LOCK = int.from_bytes(b"strand", "big")
BESIDE_LOCK = STRAND_LOCK + 1

LOCK_SHARED = "SELECT pg_advisory_xact_lock_shared(%s)"
LOCK_ALONE = "SELECT pg_advisory_xact_lock(%s)"
LOCK_BOTH = "SELECT pg_advisory_xact_lock(%s), pg_advisory_xact_lock(%s)"


@contextmanager
def strand_lock(connection: psycopg.Connection[Any], *, alone: bool, for_two: bool = False) -> Iterator[None]:
    """A transaction of its own that holds the strand's lock; statements in it see what was committed before each.

    Alone `for_two`, a transaction of another connection may write beside it, in `lock_beside`.
    """
    with _transaction(connection):
        if alone and not for_two:
            connection.execute(LOCK_BOTH, [STRAND_LOCK, BESIDE_LOCK])
        else:
            connection.execute(LOCK_ALONE if alone else LOCK_SHARED, [STRAND_LOCK])
        yield


@contextmanager
def lock_beside(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """A transaction beside one that holds the strand's lock for two, to be ended before that one.

    Should that one be lost, whoever locks the strand alone next still waits for this one.
    """
    with _transaction(connection):
        connection.execute(LOCK_ALONE, [BESIDE_LOCK])
        yield


@contextmanager
def _transaction(connection: psycopg.Connection[Any]) -> Iterator[None]:
    if connection.info.transaction_status != TransactionStatus.IDLE:
        raise psycopg.ProgrammingError("the strand is locked outside a transaction: commit or roll back before")
    # At a stricter level every statement would see what was there before the wait for the lock.
    connection.isolation_level = IsolationLevel.READ_COMMITTED
    with connection.transaction():
        yield
