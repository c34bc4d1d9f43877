"""A read model is built anew beside the one that is served, compared with it, and takes its place.

Nothing waits meanwhile: the served generation goes on, and only from the position that both then share to the swap are
both held.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import Any, TypeGuard

import psycopg

from strandline.consumer.database.connection import connect
from strandline.consumer.generations import alias_swap, cutover, generation
from strandline.consumer.generations.cutover import ChangedMeanwhile, Outcome
from strandline.consumer.generations.generation import Generation
from strandline.consumer.generations.lifecycle import ensure_generation
from strandline.consumer.generations.stores import DATABASE_ONLY, Stores
from strandline.consumer.generations.summary import beforehand, beforehand_outside
from strandline.consumer.generations.view_swap import ReadersInTheWay
from strandline.consumer.projection.definition import ComposedProjection, Projection, RowProjection
from strandline.consumer.projection.discovery import find_projection
from strandline.consumer.projection.fingerprint import fingerprint
from strandline.consumer.projector import lease
from strandline.consumer.projector.backfill import Backfill, ComposedBackfill, RowBackfill
from strandline.consumer.projector.projector import Progress, Projector
from strandline.consumer.sinks import row_records
from strandline.consumer.sinks.contract import ExternalSink, LeaseLost, StoreFailed, StoreLacks
from strandline.journal.errors import StrandlineError

Connection = psycopg.Connection[tuple[Any, ...]]

# The journal may change below a generation while it is built: then it is built again, this many times at most.
ATTEMPTS = 3
# How long readers of a generation that is to go are waited for: the next rebuild drops it, too.
RETIRED_SECONDS = 2.0

READ_ORIGIN = "SELECT origin FROM journal.mark"


@dataclass(frozen=True)
class Served:
    """The outcome for one read model: the generation that was built or chosen, and whether it is served now.

    `difference` is what it and the one served before do not share, in counts.
    """

    name: str
    generation: int
    rows: int
    seconds: float
    swapped: bool
    difference: str | None = None


def rebuild(
    url: str,
    projections: Mapping[str, Projection],
    name: str,
    *,
    progress: Progress | None = None,
    stores: Stores = DATABASE_ONLY,
) -> Served:
    """Build a new generation up to the mark, and let it be served if it is what the one served is.

    A difference is no hindrance where the definition, or the journal below the mark, has changed. Raises `UsageError`
    for an unknown name, `StrandlineError` where the read model is idle or is being rebuilt already, or its view cannot
    be replaced, or its store fails; then what is served goes on as it was.
    """
    projection = known(projections, name, stores)
    # What is in the database is durable with the swap; what is outside has to be before it is sent.
    durable = projection.store != "postgresql"
    with alone(url, name, durable=durable) as connection:
        alias_swap.go_on(connection, projection, stores)
        live = ensure_generation(connection, projection, stores)
        if live is None:
            raise StrandlineError(f"There is nothing to rebuild: none of the tables of {name} is in the ledger yet.")
        if live.store != projection.store:
            raise StrandlineError(
                f"{name} is served from {live.store}, and its definition says {projection.store}: a read model stays "
                "in its store.\nGive the projection another name."
            )
        started = time.monotonic()
        for _ in range(ATTEMPTS):
            left = _left_behind(connection, projection, stores)
            first = None if left else _backfill(url, projection, live, counted=progress is not None)
            building = left or _begin(connection, projection, stores)
            try:
                found = _build(url, connection, projection, building, live, stores, first, progress)
                break
            except ChangedMeanwhile:
                alias_swap.drop(connection, projection, building, stores)
            except LeaseLost:
                raise StrandlineError(f"Another process took the rebuild of {name} over: run it again.") from None
            except StoreFailed:  # the next rebuild goes on with it, or drops it
                raise
            except StrandlineError:
                alias_swap.drop(connection, projection, building, stores)
                raise
        else:
            raise StrandlineError(f"The journal kept changing below the mark while {name} was built: run it again.")
        if not found.swapped:
            alias_swap.drop(connection, projection, building, stores)
        else:
            _drop_retired(connection, projection, [live.generation] if found.whole else [], stores)
    seconds = time.monotonic() - started
    return Served(name, building.generation, found.rows, seconds, found.swapped, found.difference)


def known(projections: Mapping[str, Projection], name: str, stores: Stores) -> Projection:
    """The projection of that name, whose store is set; raises `UsageError`."""
    projection = find_projection(projections, name)
    stores.require(projection)
    return projection


@contextmanager
def alone(url: str, name: str, *, durable: bool = True) -> Iterator[Connection]:
    """A connection as long as which no other rebuild or rollback of the read model runs; the lock goes with it."""
    with connect(url, durable=durable) as connection, alias_swap.alone(connection, name) as free:
        if not free:
            raise StrandlineError(f"{name} is being rebuilt or rolled back already: wait until that has ended.")
        yield connection


def _left_behind(connection: Connection, projection: Projection, stores: Stores) -> Generation | None:
    """What a killed rebuild left, where it can be gone on with; else it is dropped."""
    with connection.transaction():
        left = generation.building(connection, projection)
    if left is None or _can_go_on(connection, projection, left, stores):
        return left
    alias_swap.drop(connection, projection, left, stores)
    return None


def _begin(connection: Connection, projection: Projection, stores: Stores) -> Generation:
    """A new generation, empty."""
    with connection.transaction():
        bare = _is_first_filled(projection)
        building = generation.insert(connection, projection, bare=bare)
        sink = stores.sink(connection, projection, building.generation, building.relation)
        if not isinstance(sink, ExternalSink):
            sink.create(bare=bare)
            return building
    if bare:
        return building  # the backfill makes its index
    # Under its lease: a request that a killed rebuild has sent must not make the index after it was dropped.
    with lease.taken(connection, building.generation) as held:
        lease.renew(connection, held)
        sink.create()
    return building


def _can_go_on(connection: Connection, projection: Projection, left: Generation, stores: Stores) -> bool:
    with connection.transaction():
        (origin,) = connection.execute(READ_ORIGIN).fetchone() or (0,)
    if left.fingerprint != fingerprint(projection) or left.passed_change or left.position < origin:
        return False
    sink = stores.sink(connection, projection, left.generation, left.relation)
    if isinstance(sink, ExternalSink):
        try:
            sink.check()
        except StoreLacks:
            return False
    return True


def _build(
    url: str,
    connection: Connection,
    projection: Projection,
    building: Generation,
    live: Generation,
    stores: Stores,
    first: Backfill | None,
    progress: Progress | None,
) -> Outcome:
    """Fill it with all but what comes in meanwhile, then finish."""
    sink = stores.sink(connection, projection, building.generation, building.relation)
    served = stores.sink(connection, projection, live.generation, live.relation)
    projector = Projector(connection, projection, building.generation, sink)
    alike = live.fingerprint == building.fingerprint

    def fill() -> None:
        if first:
            projector.backfill(first, progress)
        projector.run_to_mark(progress)

    if isinstance(sink, ExternalSink):
        assert isinstance(served, ExternalSink)
        with connection.transaction():
            known = row_records.summed_up(connection, live.generation)
        with beforehand_outside(served, known) if alike else nullcontext() as summed_up:
            fill()
            return cutover.outside(connection, projection, live, building, sink, summed_up, stores)
    with beforehand(url, projection, live) if alike else nullcontext() as served_before:
        fill()
        return cutover.in_database(connection, projection, live, building, served_before)


def _is_first_filled(projection: Projection) -> TypeGuard[RowProjection | ComposedProjection]:
    """Whether only what is current has to be read."""
    return isinstance(projection, ComposedProjection) or (
        isinstance(projection, RowProjection) and projection.keeps == "current"
    )


def _backfill(url: str, projection: Projection, live: Generation, *, counted: bool) -> Backfill | None:
    if not _is_first_filled(projection):
        return None
    if isinstance(projection, ComposedProjection):
        return ComposedBackfill(url, projection)
    alike = live.generation if live.fingerprint == fingerprint(projection) else None
    return RowBackfill(url, projection, alike, counted=counted)


def _drop_retired(connection: Connection, projection: Projection, keep: list[int], stores: Stores) -> None:
    """Drop the kept and frozen generations, but for these; one that is read still, or out of reach, stays."""
    with connection.transaction():
        retired = generation.retired(connection, projection)
    for one in retired:
        if one.generation not in keep:
            with suppress(ReadersInTheWay, StoreFailed):
                alias_swap.drop(connection, projection, one, stores, patience=RETIRED_SECONDS)
