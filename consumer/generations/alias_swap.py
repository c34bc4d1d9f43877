"""Which generation readers see of a read model outside the database: its alias is moved in one call.

That call and the database have no transaction in common. So what is about to be done is recorded and committed first;
then the alias is moved; then the database says so, and the record is gone. Whoever comes to the projection next goes on
with what was cut off: to move the alias once more changes nothing.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import psycopg

from strandline.consumer.generations import generation, view_swap
from strandline.consumer.generations.generation import Generation
from strandline.consumer.generations.stores import Stores
from strandline.consumer.generations.view_swap import DELETE, GO_LIVE, RETIRE
from strandline.consumer.projection.definition import Projection
from strandline.consumer.projection.fingerprint import fingerprint
from strandline.consumer.projector import feed, lease
from strandline.consumer.projector.lease import Lease
from strandline.consumer.projector.projector import Projector
from strandline.consumer.sinks.contract import LeaseLost, StoreFailed

Connection = psycopg.Connection[tuple[Any, ...]]

TRY_LOCK = "SELECT pg_try_advisory_lock(hashtextextended('rebuild.' || %s, 0))"
UNLOCK = "SELECT pg_advisory_unlock(hashtextextended('rebuild.' || %s, 0))"
INTEND = """
    INSERT INTO projection.swap (projection, generation) VALUES (%s, %s)
    ON CONFLICT (projection) DO UPDATE SET generation = excluded.generation, begun_at = now()"""
READ_INTENT = "SELECT generation FROM projection.swap WHERE projection = %s"
FORGET = "DELETE FROM projection.swap WHERE projection = %s AND generation = %s"


@contextmanager
def alone(connection: Connection, name: str) -> Iterator[bool]:
    """Whether no other rebuild, rollback or reconciliation of the read model runs; none does meanwhile.

    The lock goes with the connection, which must not be in a transaction.
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
def leases(connection: Connection, generations: Sequence[Generation]) -> Iterator[dict[int, Lease]]:
    """The leases of several generations, so that their positions stay; waited for in the order of their numbers."""
    with ExitStack() as stack:
        numbers = sorted(one.generation for one in generations)
        yield {number: stack.enter_context(lease.taken(connection, number)) for number in numbers}


def serve(
    connection: Connection, projection: Projection, chosen: Generation, held: dict[int, Lease], stores: Stores
) -> None:
    """Let readers see this generation; the one they saw is kept, or frozen. The leases are those of both.

    Raises `StoreFailed`: then either nothing is changed, or, where it is `unanswered`, `reconcile` ends it.
    """
    sink = stores.sink(connection, projection, chosen.generation, chosen.relation)
    with connection.transaction():
        connection.execute(INTEND, [projection.name, chosen.generation])
    try:
        # Later the alias could be moved back to one that others have filled meanwhile.
        if min(lease.renew(connection, one) for one in held.values()) < time.monotonic():
            raise LeaseLost
        sink.serve()
    except StoreFailed as exc:
        if not exc.unanswered:
            _forget(connection, projection, chosen.generation)
        raise
    with connection.transaction():
        if connection.execute(FORGET, [projection.name, chosen.generation]).rowcount == 1:
            parameters = {"fingerprint": fingerprint(projection), "projection": projection.name}
            connection.execute(RETIRE, {**parameters, "query": None, "readers": None})
            connection.execute(GO_LIVE, [chosen.generation])


def reconcile(connection: Connection, projection: Projection, stores: Stores) -> None:
    """End a swap that was cut off; nothing where there is none, or where its process is still at it."""
    with connection.transaction():
        none = projection.store == "postgresql" or not connection.execute(READ_INTENT, [projection.name]).fetchone()
    if none:
        return
    with alone(connection, projection.name) as free:
        if free:
            go_on(connection, projection, stores)


def go_on(connection: Connection, projection: Projection, stores: Stores) -> None:
    """As `reconcile`, by whoever is alone.

    The chosen generation was compared before its swap began. It is brought to the mark again, for redactions may have
    reached the one served since. Where its definition is gone that cannot be done: the alias is set back.
    """
    with connection.transaction():
        row = connection.execute(READ_INTENT, [projection.name]).fetchone()
        chosen = generation.read(connection, row[0]) if row else None
        live = generation.live(connection, projection)
    if chosen is None or live is None:
        return
    with leases(connection, [live, chosen]) as held:
        if chosen.fingerprint == fingerprint(projection):
            sink = stores.sink(connection, projection, chosen.generation, chosen.relation)
            projector = Projector(connection, projection, chosen.generation, sink)
            projector.run_to(held[chosen.generation], _mark(connection))
            serve(connection, projection, chosen, held, stores)
        else:
            stores.sink(connection, projection, live.generation, live.relation).serve()
            _forget(connection, projection, chosen.generation)


def drop(
    connection: Connection,
    projection: Projection,
    gone: Generation,
    stores: Stores,
    patience: float = view_swap.PATIENCE_SECONDS,
) -> None:
    """Drop a generation, of either store, that nobody is shown.

    One outside when nothing can be sent to its index any more, for that would make it anew; and its row goes only when
    the index is gone, so that none is left without its row. Readers of what goes from the database are waited for, as
    long as `patience`.
    """
    if gone.store == "postgresql":
        view_swap.drop(connection, projection, gone, patience)
        return
    sink = stores.sink(connection, projection, gone.generation, gone.relation)
    with lease.taken(connection, gone.generation) as held, connection.transaction():
        lease.hold(connection, held)  # for longer than a lease, if need be
        sink.drop()
        view_swap.with_patience(
            connection,
            lambda: connection.execute(DELETE, [gone.generation]),
            f"What is recorded of generation {gone.generation}",
            patience,
        )


def _forget(connection: Connection, projection: Projection, number: int) -> None:
    with connection.transaction():
        connection.execute(FORGET, [projection.name, number])


def _mark(connection: Connection) -> int:
    with connection.transaction():
        return feed.read_mark(connection)


def _end(connection: Connection) -> None:
    """End the transaction that a statement has begun, where the connection does not by itself."""
    if not connection.autocommit:
        connection.commit()
