"""Exclusive work on read models: one rebuild or rollback at a time, and changes of a generation that nobody fills."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg

from strandline.consumer.database.connection import Connection, connect
from strandline.consumer.generations import generation
from strandline.consumer.generations.generation import Generation
from strandline.consumer.generations.stores import Stores
from strandline.consumer.projector import feed, lease
from strandline.consumer.sinks.contract import StoredRows, Turn
from strandline.consumer.sinks.patience import with_patience
from strandline.journal.errors import StrandlineError

TRY_LOCK = "SELECT pg_try_advisory_lock(hashtextextended('rebuild.' || %s, 0))"
UNLOCK = "SELECT pg_advisory_unlock(hashtextextended('rebuild.' || %s, 0))"


@contextmanager
def alone(url: str, name: str, *, durable: bool = True) -> Iterator[Connection]:
    """A connection during which no other rebuild or rollback of the read model runs. Raises `StrandlineError` if one
    does."""
    with connect(url, durable=durable) as connection, try_alone(connection, name) as free:
        if not free:
            raise StrandlineError(f"{name} is being built or rolled back already: wait until that has ended.")
        yield connection


@contextmanager
def try_alone(connection: Connection, name: str) -> Iterator[bool]:
    """Lock out every other rebuild, rollback or finishing of a cut-over of the read model; yields False if one runs.

    The lock ends with the connection, which must not be in a transaction.
    """
    free = connection.execute(TRY_LOCK, [name]).fetchone() == (True,)
    _end(connection)
    try:
        yield free
    finally:
        # The server may notice the end of a connection only later.
        if free:
            with suppress(psycopg.Error):
                connection.execute(UNLOCK, [name])
                _end(connection)


@contextmanager
def unfilled(connection: Connection, one: Generation, stored: StoredRows) -> Iterator[Turn]:
    """A transaction during which nobody fills the generation, however long it takes; its turn ends at the mark.

    Outside the database that needs the lease, since requests are in no transaction.
    """
    if not stored.outside:
        with connection.transaction():
            generation.lock(connection, [one.generation])
            mark = feed.read_mark(connection)
            yield Turn(0, lambda: mark, time.monotonic())
        return
    with lease.acquire(connection, one.generation) as held:
        deadline = lease.renew(connection, held)
        with connection.transaction():
            lease.hold(connection, held)
            mark = feed.read_mark(connection)
            yield Turn(held.token, lambda: mark, deadline)


def drop(connection: Connection, one: Generation, stores: Stores, patience: float | None = None) -> None:
    """Drop a generation that no reader is shown.

    A request to a missing index would create it again, so nobody may fill it during the drop. Its row is deleted last,
    so that no table or index is left without one. Waits `patience` seconds for readers of the table or of the records.
    Raises `ReadersInTheWay` or `StoreFailed`.
    """
    stored = stores.stored(connection, one.store, one.generation, one.relation)

    def act() -> None:
        stored.drop()
        generation.delete(connection, one.generation)

    with unfilled(connection, one, stored):
        with_patience(connection, act, f"Generation {one.generation} of {one.projection}", patience)


def _end(connection: Connection) -> None:
    """End the transaction that a statement has begun, if the connection does not do so by itself."""
    if not connection.autocommit:
        connection.commit()
