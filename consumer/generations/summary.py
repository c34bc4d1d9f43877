"""The summary of a generation, taken beforehand while another is filled; in the database by a connection of its own."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Event
from typing import Any

import psycopg
from psycopg import IsolationLevel

from strandline.consumer.database.connection import opening
from strandline.consumer.generations.generation import Generation
from strandline.consumer.projection.definition import Projection
from strandline.consumer.sinks.contract import ExternalSink, StoreFailed, Summary
from strandline.consumer.sinks.postgresql import PostgresqlSink
from strandline.journal.errors import StrandlineError

Connection = psycopg.Connection[tuple[Any, ...]]

SummedUp = tuple[str | None, Summary]  # of an index: its state, and the summary of what it held then

# Whoever writes rows of a generation writes its row, too: so that is another one then.
READ_ROW = "SELECT xmin::text FROM projection.generation WHERE generation = %s"


@dataclass(frozen=True)
class ServedSummary:
    """What a generation's summary was while its row was that of this transaction."""

    generation: int
    taken: Future[tuple[str, Summary]]

    def summary(self, connection: Connection) -> Summary | None:
        """The summary, if it is that of now still; asked by whoever holds the generation's row."""
        row, found = self.taken.result()
        return found if _row(connection, self.generation) == row else None


@contextmanager
def beforehand(url: str, projection: Projection, one: Generation) -> Iterator[ServedSummary]:
    """Take it meanwhile; where nobody has waited for it in the end, it is broken off."""
    with opening(url) as own, ThreadPoolExecutor(1, thread_name_prefix="beforehand") as pool:
        taken = pool.submit(_taken, own, projection, one)
        try:
            yield ServedSummary(one.generation, taken)
        finally:
            if not taken.done():
                with suppress(psycopg.Error, StrandlineError):
                    own().cancel_safe()


def _taken(opened: Callable[[], Connection], projection: Projection, one: Generation) -> tuple[str, Summary]:
    """The generation's row and its summary, of one snapshot."""
    own = opened()
    own.isolation_level = IsolationLevel.REPEATABLE_READ
    with own.transaction():
        return _row(own, one.generation), PostgresqlSink(own, projection, one.relation).summary()


def _row(connection: Connection, generation: int) -> str:
    (found,) = connection.execute(READ_ROW, [generation]).fetchone() or ("",)
    return str(found)


def summed_up(sink: ExternalSink, known: SummedUp | None = None, stop: Event | None = None) -> SummedUp:
    """The summary of what is in the index, and its state before that; what is `known`, if that is its state still."""
    state = sink.state()
    return known if known and state is not None and state == known[0] else (state, sink.summary(stop))


@contextmanager
def beforehand_outside(sink: ExternalSink, known: SummedUp | None) -> Iterator[Callable[[], SummedUp]]:
    """Gives what `summed_up` does: what is taken meanwhile, unless the index was written to since."""
    stop = Event()
    with ThreadPoolExecutor(1, thread_name_prefix="beforehand") as pool:
        taken = pool.submit(summed_up, sink, known, stop)

        def now() -> SummedUp:
            found = None
            with suppress(StoreFailed):
                found = taken.result()
            return summed_up(sink, found)

        try:
            yield now
        finally:
            stop.set()


COUNT_ONLY_PARKED = """
    SELECT count(*) FROM (
        SELECT key, version, sequence_no, reason FROM projection.parked WHERE generation = %s
        EXCEPT SELECT key, version, sequence_no, reason FROM projection.parked WHERE generation = %s) AS found"""


def difference(connection: Connection, served: tuple[int, Summary], rebuilt: tuple[int, Summary]) -> str | None:
    """What is not the same, in counts; None where rows and parked sets are equal. Each is a number with its summary."""
    before, after = served[1], rebuilt[1]
    found = []
    if before[0] != after[0]:
        found.append(f"{before[0]:,} rows served, {after[0]:,} rebuilt")
    elif before != after:
        found.append(f"{after[0]:,} rows in both, but with other contents")
    gone = _count(connection, served[0], rebuilt[0])
    new = _count(connection, rebuilt[0], served[0])
    if gone or new:
        found.append(f"parked: {gone:,} only in the one served, {new:,} only in the rebuilt one")
    return "; ".join(found) or None


def _count(connection: Connection, one: int, other: int) -> int:
    (count,) = connection.execute(COUNT_ONLY_PARKED, [one, other]).fetchone() or (0,)
    return int(count)
