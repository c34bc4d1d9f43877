"""A projector runs one generation of one projection: take the next batch up to the mark, project it, write rows and
position together."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from threading import Event

from strandline.consumer.database.connection import NOT_DURABLE, Connection
from strandline.consumer.projection.definition import ComposedProjection, Projection
from strandline.consumer.projector import feed, parking
from strandline.consumer.projector import lease as leases
from strandline.consumer.projector.backfill import Backfill
from strandline.consumer.projector.composed_filler import ComposedFiller
from strandline.consumer.projector.feed import Batch, Limits
from strandline.consumer.projector.filler import AGAIN, BackfillBatch, Filler
from strandline.consumer.projector.lease import READ_POSITION, Lease
from strandline.consumer.projector.prefetch import prefetch
from strandline.consumer.projector.row_filler import RowFiller
from strandline.consumer.sinks.contract import LeaseLost, Sink, Turn
from strandline.consumer.tracing import span

# Batches of a backfill that are made while one is written.
PREFETCHED = 2
Progress = Callable[[str, int, int], None]  # projection, position, mark

LOCK = "UPDATE projection.generation SET position = position WHERE generation = %s RETURNING position"
SET_POSITION = """
    UPDATE projection.generation SET position = %s, failed_at = NULL, failure = NULL WHERE generation = %s"""

SET_FILLED = "UPDATE projection.generation SET filled = %s, to_fill = %s WHERE generation = %s"


class Stopped(Exception):
    """The process is to end: what is begun is left for the next one."""


class Projector:
    """Fills one generation through its sink; `connection` is the sink's own, with no transaction open."""

    def __init__(
        self,
        connection: Connection,
        projection: Projection,
        generation: int,
        sink: Sink,
        limits: Limits | None = None,
    ) -> None:
        self._connection = connection
        self._projection = projection
        self._generation = generation
        self._sink = sink
        self._filler = _filler(connection, projection, generation, sink)
        self._limits = limits or Limits()

    def run_to_mark(self, progress: Progress | None = None, stop: Event | None = None) -> None:
        """Bring the generation to the mark, or wait until the projector that holds its lease has done so.

        Raises `StoreFailed` if the read model is in a store outside the database.
        """
        while not self._at_mark(progress) and not (stop and stop.is_set()):
            lease = leases.take(self._connection, self._generation)
            if lease is None:
                time.sleep(leases.BUSY_SECONDS)
                continue
            try:
                with leases.release_after(self._connection, lease):
                    while not (stop and stop.is_set()) and self.step(lease):
                        self._at_mark(progress)
            except LeaseLost:
                continue

    def run_to(self, lease: Lease, last: int) -> None:
        """Bring the generation to that block, which the mark has passed. Raises `LeaseLost`."""
        while self.step(lease, last):
            pass

    def step(self, lease: Lease, last: int | None = None) -> bool:
        """Write one batch, up to the mark or to `last`; returns False if there is none. Raises `LeaseLost`: then
        nothing is written."""
        with span("projection") as facts:
            written = self._step(lease, last)
            if written is not None:
                facts |= {"projection": self._projection.name, "generation": self._generation}
                facts |= {"first": written.after + 1, "last": written.last}
        return written is not None

    def _step(self, lease: Lease, last: int | None) -> Batch | None:
        deadline = self._renew(lease)
        with self._connection.transaction():
            position = leases.hold(self._connection, lease)
            mark = feed.read_mark(self._connection) if last is None else last
            if position >= mark:
                return None
            batch = Batch(self._connection, self._projection, position, mark, self._limits)
            with self._turn(lease, deadline, lambda: batch.last):
                self._filler.fill(batch)
            leases.move(self._connection, lease, batch.last)
        return batch

    def backfill(self, backfill: Backfill, progress: Progress | None = None, stop: Event | None = None) -> None:
        """Fill the generation, which is empty and bare; one outside the database is made here.

        The position moves when all is written; it stays if the backfill is too large. Raises `LeaseLost`, or `Stopped`
        soon after `stop` is set.
        """
        with span("projection") as facts:
            self._backfill(backfill, progress, stop)
            facts |= {"projection": self._projection.name, "generation": self._generation, "last": backfill.last}

    def _backfill(self, backfill: Backfill, progress: Progress | None, stop: Event | None) -> None:
        label, done, total = f"{self._projection.name}, {backfill.unit}", 0, 0

        def show_life() -> None:
            if stop and stop.is_set():
                raise Stopped
            if progress:
                progress(label, done, total)

        def wait_for_batch() -> None:
            show_life()
            leases.renew(self._connection, lease, outside=self._sink.outside)

        with leases.acquire(self._connection, self._generation) as lease:
            if self._sink.outside:
                # Under the lease: a request of a killed rebuild must not make the index after it was dropped.
                self._renew(lease)
                self._sink.create(bare=True)
            made = prefetch(backfill.batches(self._sink), PREFETCHED, wait_for_batch)
            with made as batches, backfill.cancelled_by_errors():
                for batch in batches:
                    self._write_backfill(lease, backfill, partial(self._write_first, batch))
                    done, total = batch.done, batch.total
                    show_life()
            self._write_backfill(lease, backfill, self._filler.complete)
            documents = sorted(self._filler.to_run_again.items())
            for start in range(0, len(documents), AGAIN):
                show_life()
                part = documents[start : start + AGAIN]
                self._write_backfill(lease, backfill, partial(self._filler.again, part, backfill.last))
            with self._connection.transaction():
                position = leases.hold(self._connection, lease)
                backfill.arrive(self._connection, self._generation)
                leases.move(self._connection, lease, max(position, backfill.last))

    def _write_first(self, batch: BackfillBatch) -> None:
        self._filler.write_first(batch)
        total = batch.total if batch.total > batch.done else None  # a total that nobody counted is what is done
        self._connection.execute(SET_FILLED, [batch.done, total, self._generation])

    def _write_backfill(self, lease: Lease, backfill: Backfill, write: Callable[[], None]) -> None:
        """Write in a transaction that is not durable: a backfill that is cut off starts again."""
        deadline = self._renew(lease)
        with self._connection.transaction():
            self._connection.execute(NOT_DURABLE)
            position = leases.hold(self._connection, lease)
            with self._turn(lease, deadline, lambda: backfill.last):
                write()
            leases.move(self._connection, lease, position)

    def fill_up(self, mark: int) -> None:
        """Bring the generation to the mark in the transaction of the caller, who has locked its row."""
        (position,) = self._connection.execute(READ_POSITION, [self._generation]).fetchone() or (mark,)
        while position < mark:
            batch = Batch(self._connection, self._projection, position, mark, self._limits)
            self._filler.fill(batch)
            position = batch.last
        self._connection.execute(SET_POSITION, [position, self._generation])

    def retry(self, key: str | None = None) -> tuple[int, int]:
        """Run every parked document again, or that of the key, as of the position.

        Returns how many were run, and how many of them park again.
        """
        # In the database the row's lock keeps batches out: a lease would wait for its holder.
        if not self._sink.outside:
            return self._retry(None, key)
        with leases.acquire(self._connection, self._generation) as lease:
            return self._retry(lease, key)

    def _retry(self, lease: Lease | None, key: str | None) -> tuple[int, int]:
        tried = again = 0
        last: str | None = None
        while True:
            deadline = self._renew(lease)
            with self._connection.transaction():
                locked = self._connection.execute(LOCK, [self._generation]).fetchone()
                if key is None:
                    parked = parking.page(self._connection, self._generation, last, AGAIN)
                else:
                    parked = parking.named(self._connection, self._generation, key) if last is None else []
                if not parked or locked is None:
                    return tried, again
                with self._turn(lease, deadline, partial(int, locked[0])):
                    self._filler.again(parked, locked[0])
                again += len(parking.waiting(self._connection, self._generation, {key for key, _ in parked}))
            tried += len({key for key, _ in parked})
            last = parked[-1][0]

    def _renew(self, lease: Lease | None) -> float:
        """Renew the lease if the sink writes outside the database; returns when its requests must have ended."""
        if lease is None or not self._sink.outside:
            return 0.0
        return leases.renew(self._connection, lease)

    @contextmanager
    def _turn(self, lease: Lease | None, deadline: float, position: Callable[[], int]) -> Iterator[None]:
        """A turn of the sink: its writes belong to this lease and position."""
        if lease is None or not self._sink.outside:
            yield
            return
        self._sink.begin(Turn(lease.token, position, deadline))
        yield
        self._sink.settle()

    def _at_mark(self, progress: Progress | None) -> bool:
        with self._connection.transaction():
            mark = feed.read_mark(self._connection)
            row = self._connection.execute(READ_POSITION, [self._generation]).fetchone()
        position = int(row[0]) if row else mark
        if progress:
            progress(self._projection.name, position + 1, mark + 1)  # blocks passed, of those up to the mark
        return position >= mark


def _filler(connection: Connection, projection: Projection, generation: int, sink: Sink) -> Filler:
    if isinstance(projection, ComposedProjection):
        return ComposedFiller(connection, projection, generation, sink)
    return RowFiller(connection, projection, generation, sink)
