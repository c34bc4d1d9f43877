"""A hold on generations: their positions stay while they are compared, and one takes the place of another."""

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager

from strandline.consumer.database.connection import DURABLE, Connection
from strandline.consumer.generations import generation
from strandline.consumer.generations.generation import Generation
from strandline.consumer.generations.stores import OPENSEARCH, Stores
from strandline.consumer.projection.definition import Projection
from strandline.consumer.projection.fingerprint import fingerprint
from strandline.consumer.projector import feed, lease
from strandline.consumer.projector.lease import Lease
from strandline.consumer.projector.projector import Projector
from strandline.consumer.sinks.contract import LeaseLost, Sink, StoreFailed, Summary

RENEW_SECONDS = lease.OUTSIDE_SECONDS / 6

INTEND = """
    INSERT INTO projection.swap (projection, generation) VALUES (%s, %s)
    ON CONFLICT (projection) DO UPDATE SET generation = excluded.generation, begun_at = now()"""
READ_INTENT = "SELECT generation FROM projection.swap WHERE projection = %s"
FORGET = "DELETE FROM projection.swap WHERE projection = %s AND generation = %s"


class Hold(ABC):
    """Generations of one projection whose positions only this hold moves, up to the `mark` of its beginning."""

    def __init__(self, connection: Connection, projection: Projection, stores: Stores, mark: int) -> None:
        self._connection = connection
        self._projection = projection
        self._stores = stores
        self.mark = mark

    @abstractmethod
    def fill(self, one: Generation) -> None:
        """Bring a generation that the current definition fills to the mark. Raises if it cannot go on."""

    @abstractmethod
    def summaries(self, generations: Sequence[Generation]) -> list[Summary]:
        """Return the summary of each generation."""

    @abstractmethod
    def show(self, chosen: Generation) -> None:
        """Show readers this generation, and retire the one they saw."""

    def check(self, one: Generation) -> None:
        """Raise `StoreLacks` if the generation's table or index is missing."""
        self._sink(one).check()

    def _sink(self, one: Generation) -> Sink:
        return self._stores.sink(self._connection, self._projection, one.generation, one.relation)

    def _show(self, chosen: Generation) -> None:
        if chosen.fingerprint == fingerprint(self._projection):
            self._sink(chosen).show()
        else:
            stored = self._stores.stored(self._connection, chosen.store, chosen.generation, chosen.relation)
            stored.show_as_before(self._projection.name)


class TransactionHold(Hold):
    """In the database: one transaction locks the generations' rows, and readers see the cut-over when it commits."""

    def fill(self, one: Generation) -> None:
        with self._connection.transaction():  # a failure is undone, and the hold continues
            Projector(self._connection, self._projection, one.generation, self._sink(one)).fill_up(self.mark)

    def summaries(self, generations: Sequence[Generation]) -> list[Summary]:
        return [self._sink(one).summary() for one in generations]

    def show(self, chosen: Generation) -> None:
        generation.retire(self._connection, self._projection)
        self._show(chosen)
        generation.go_live(self._connection, chosen.generation)


class LeaseHold(Hold):
    """Outside the database: the leases of all, since a request is in no transaction.

    The request that moves the alias and the database have no transaction in common. So the intent is recorded and
    committed; then the alias is moved; then one transaction records the result and deletes the intent. After a crash in
    between, `leftover.finish_cut_over` moves the alias again, which is a no-op if it was moved.
    """

    def __init__(
        self, connection: Connection, projection: Projection, stores: Stores, mark: int, leases: dict[int, Lease]
    ) -> None:
        super().__init__(connection, projection, stores, mark)
        self._leases = leases

    def fill(self, one: Generation) -> None:
        projector = Projector(self._connection, self._projection, one.generation, self._sink(one))
        projector.run_to(self._leases[one.generation], self.mark)

    def summaries(self, generations: Sequence[Generation]) -> list[Summary]:
        """Compute all at the same time, and renew the leases until they are done."""
        with ThreadPoolExecutor(len(generations), thread_name_prefix="summary") as pool:
            found: list[Future[Summary]] = [pool.submit(self._sink(one).summary) for one in generations]
            while wait(found, RENEW_SECONDS).not_done:
                self._renew()
        return [one.result() for one in found]

    def show(self, chosen: Generation) -> None:
        """Raises `StoreFailed`: then nothing has changed, or, if it is `unanswered`, the cut-over is to be finished."""
        name = self._projection.name
        with self._connection.transaction():
            self._connection.execute(INTEND, [name, chosen.generation])
        try:
            # After the lease another process may fill them: the alias must not move then.
            if self._renew() < time.monotonic():
                raise LeaseLost
            self._show(chosen)
        except StoreFailed as exc:
            if not exc.unanswered:
                self._forget(chosen)
            raise
        with self._connection.transaction():
            if self._connection.execute(FORGET, [name, chosen.generation]).rowcount == 1:
                generation.retire(self._connection, self._projection)
                generation.go_live(self._connection, chosen.generation)

    def take_back(self, chosen: Generation, live: Generation) -> None:
        """Show readers the live generation again instead of the one that a cut-over was to show."""
        self._stores.stored(self._connection, live.store, live.generation, live.relation).show_as_before(
            self._projection.name
        )
        self._forget(chosen)

    def _renew(self) -> float:
        return min(lease.renew(self._connection, one) for one in self._leases.values())

    def _forget(self, chosen: Generation) -> None:
        with self._connection.transaction():
            self._connection.execute(FORGET, [self._projection.name, chosen.generation])


@contextmanager
def hold(
    connection: Connection, projection: Projection, stores: Stores, generations: Sequence[Generation]
) -> Iterator[Hold]:
    """Hold these generations of the projection, all in its store; waits for those who fill them."""
    numbers = sorted(one.generation for one in generations)
    if projection.store != OPENSEARCH:
        with connection.transaction():
            connection.execute(DURABLE)
            generation.lock(connection, numbers)
            yield TransactionHold(connection, projection, stores, feed.read_mark(connection))
        return
    with ExitStack() as stack:
        leases = {number: stack.enter_context(lease.acquire(connection, number)) for number in numbers}
        with connection.transaction():
            mark = feed.read_mark(connection)
        yield LeaseHold(connection, projection, stores, mark, leases)


def intended(connection: Connection, projection: Projection) -> int | None:
    """Return the generation that an interrupted cut-over outside the database was to show."""
    with connection.transaction():
        row = connection.execute(READ_INTENT, [projection.name]).fetchone()
    return int(row[0]) if row else None
