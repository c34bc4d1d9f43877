"""The end of a rebuild: bring both generations to the mark, hold them there, compare, and swap."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from typing import Any

import psycopg

from strandline.consumer.database.connection import DURABLE
from strandline.consumer.generations import alias_swap, generation, view_swap
from strandline.consumer.generations.generation import Generation
from strandline.consumer.generations.stores import Stores
from strandline.consumer.generations.summary import ServedSummary, SummedUp, difference, summed_up
from strandline.consumer.projection.definition import Projection
from strandline.consumer.projector import feed, lease
from strandline.consumer.projector.lease import Lease
from strandline.consumer.projector.projector import Projector
from strandline.consumer.sinks import row_records
from strandline.consumer.sinks.contract import ExternalSink, StoreFailed, StoreLacks
from strandline.consumer.sinks.postgresql import PostgresqlSink

Connection = psycopg.Connection[tuple[Any, ...]]

RENEW_SECONDS = lease.OUTSIDE_SECONDS / 6


class ChangedMeanwhile(Exception):
    """The journal changed below what had been read of it."""


@dataclass(frozen=True)
class Outcome:
    """Whether the new generation is served; `whole` says that the one served before could go on."""

    rows: int
    swapped: bool
    difference: str | None
    whole: bool


def in_database(
    connection: Connection,
    projection: Projection,
    live: Generation,
    building: Generation,
    served_before: ServedSummary | None,
) -> Outcome:
    """One transaction, which holds the rows of both; what was summed up of either before is not again."""
    with connection.transaction():
        connection.execute(DURABLE)
        live, building = generation.lock(connection, [live.generation, building.generation])
        mark = feed.read_mark(connection)
        sink = PostgresqlSink(connection, projection, building.relation)
        Projector(connection, projection, building.generation, sink).fill_up(mark)
        if building.passed_change:
            raise ChangedMeanwhile
        rebuilt = sink.summary()
        found = None
        if live.fingerprint == building.fingerprint and not live.failure:
            served = PostgresqlSink(connection, projection, live.relation)
            summary = served_before.summary(connection) if served_before and live.position >= mark else None
            Projector(connection, projection, live.generation, served).fill_up(mark)
            if summary is None:
                summary = served.summary()
            found = difference(connection, (live.generation, summary), (building.generation, rebuilt))
        swapped = found is None or live.passed_change
        if swapped:
            view_swap.serve(connection, projection, building.generation, view_swap.show_generation(sink))
    return Outcome(rebuilt[0], swapped, found, not live.failure)


def outside(
    connection: Connection,
    projection: Projection,
    live: Generation,
    building: Generation,
    sink: ExternalSink,
    served_before: Callable[[], SummedUp] | None,
    stores: Stores,
) -> Outcome:
    """Under the leases of both, since what is sent outside is in no transaction.

    `sink` is the one that has filled the new generation; `served_before` gives the summary of the one served.
    """
    served = stores.sink(connection, projection, live.generation, live.relation)
    assert isinstance(served, ExternalSink)
    with alias_swap.leases(connection, [live, building]) as held:
        with connection.transaction():
            mark = feed.read_mark(connection)
        Projector(connection, projection, building.generation, sink).run_to(held[building.generation], mark)
        compared: list[Callable[[], SummedUp]] = [partial(summed_up, sink)]
        whole = True
        if served_before and live.fingerprint == building.fingerprint:
            try:
                served.check()
                Projector(connection, projection, live.generation, served).run_to(held[live.generation], mark)
                compared.append(served_before)
            except StoreFailed as exc:
                # It is gone, or could not go on before, and cannot now.
                whole = False
                if not live.failure and not isinstance(exc, StoreLacks):
                    raise
        with connection.transaction():
            live, building = generation.lock(connection, [live.generation, building.generation])
        if building.passed_change:
            raise ChangedMeanwhile
        summaries = _summaries(connection, compared, list(held.values()))
        (_, rebuilt), *before = summaries
        found = None
        with connection.transaction():
            for one, (state, summary) in zip((building, live), summaries, strict=False):
                if state is not None:
                    row_records.note_summary(connection, one.generation, state, summary)
            if before:
                found = difference(connection, (live.generation, before[0][1]), (building.generation, rebuilt))
        swapped = found is None or live.passed_change
        if swapped:
            alias_swap.serve(connection, projection, building, held, stores)
    return Outcome(rebuilt[0], swapped, found, whole)


def _summaries(
    connection: Connection, compared: Sequence[Callable[[], SummedUp]], held: Sequence[Lease]
) -> list[SummedUp]:
    """All of them, found side by side, while the leases are kept."""
    with ThreadPoolExecutor(len(compared), thread_name_prefix="summary") as pool:
        found: list[Future[SummedUp]] = [pool.submit(one) for one in compared]
        while wait(found, RENEW_SECONDS).not_done:
            for one in held:
                lease.renew(connection, one)
    return [one.result() for one in found]
