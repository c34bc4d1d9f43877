"""Generations of projections: the first one of each, all of them run side by side, and what can be said of them."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from threading import Event
from typing import Any

import psycopg

from strandline.consumer.database.connection import connect
from strandline.consumer.database.errors import describe_error
from strandline.consumer.generations import alias_swap, generation, leftover, purge_by_source, purge_outside
from strandline.consumer.generations.generation import COLUMNS, Generation
from strandline.consumer.generations.stores import DATABASE_ONLY, Stores
from strandline.consumer.projection.definition import BlockProjection, Projection
from strandline.consumer.projection.discovery import find_projection
from strandline.consumer.projection.fingerprint import fingerprint
from strandline.consumer.projector.projector import Progress, Projector
from strandline.consumer.sinks.contract import StoreFailed
from strandline.journal.errors import StrandlineError

Connection = psycopg.Connection[tuple[Any, ...]]

SIDE_BY_SIDE = 8

# Two that start at once must not both make the first generation.
LOCK_PROJECTION = "SELECT pg_advisory_xact_lock(hashtextextended('projection.' || %s, 0))"
HAS_STRAND = "SELECT FROM journal.mark WHERE strand_id IS NOT NULL"
READ_HAS_TABLES = "SELECT EXISTS (SELECT FROM journal.user_table WHERE name = ANY(%s))"
# One outside is made in two transactions: after a crash in between it is building, and made from there.
GO_LIVE = f"""
    UPDATE projection.generation
    SET state = 'live', served_at = now(), fingerprint = %s, failed_at = NULL, failure = NULL
    WHERE generation = %s RETURNING {COLUMNS}"""
RECORD_FAILURE = """
    UPDATE projection.generation SET failed_at = coalesce(failed_at, now()), failure = %s WHERE generation = %s"""


@dataclass(frozen=True)
class RetryResult:
    """How many parked documents were run again, and how many of them are parked still."""

    projection: str
    retried: int
    parked: int


def ensure_generation(
    connection: Connection, projection: Projection, stores: Stores = DATABASE_ONLY
) -> Generation | None:
    """The live generation, made with its table and view (or index and alias) if it is the first.

    None where the projection is idle: nothing is taken in yet, or none of its tables is in the ledger. Raises
    `StoreFailed`, and is to be called again.
    """
    with connection.transaction():
        if found := generation.live(connection, projection):
            return found
        connection.execute(LOCK_PROJECTION, [projection.name])
        if found := generation.live(connection, projection):
            return found
        first = generation.building(connection, projection) or _insert_first(connection, projection)
        if first is None or projection.store == "postgresql":
            return first and _go_live(connection, projection, first, stores)
    with connection.transaction():
        connection.execute(LOCK_PROJECTION, [projection.name])
        return generation.live(connection, projection) or _go_live(connection, projection, first, stores)


def project(
    url: str,
    projections: Mapping[str, Projection],
    *,
    progress: Progress | None = None,
    stores: Stores = DATABASE_ONLY,
) -> None:
    """Bring every projection to the mark, side by side; one whose store is off is left as it is.

    One that cannot go on has its failure recorded (`statuses`) and stops no other. One whose definition has changed is
    left as it is, for a rebuild. Raises what could not be recorded, after the others are done.
    """
    stop = Event()
    with ThreadPoolExecutor(SIDE_BY_SIDE, thread_name_prefix="projector") as threads:
        runs = [threads.submit(_run, url, projection, progress, stop, stores) for projection in projections.values()]
        try:
            wait(runs)
        finally:
            stop.set()
    for run in runs:
        run.result()


def retry(url: str, projections: Mapping[str, Projection], name: str, stores: Stores = DATABASE_ONLY) -> RetryResult:
    """Run a projection's parked documents again, from the journal.

    Raises `UsageError` for an unknown name, `StrandlineError` where the definition has changed.
    """
    projection = find_projection(projections, name)
    stores.require(projection)
    with connect(url) as connection:
        with connection.transaction():
            live = generation.live(connection, projection)
        if live is None:
            return RetryResult(name, 0, 0)
        if live.fingerprint != fingerprint(projection):
            raise StrandlineError(
                f"The definition of {name} is not the one that generation {live.generation} was built with.\n"
                f"Rebuild it: `strandline rebuild {name}` runs all its documents again."
            )
        tried, still = _projector(connection, projection, live, stores).retry()
    return RetryResult(name, tried, still)


class ProjectorSet:
    """Keeps at the mark what the projection's definition can fill: the live generation, then the one that is kept."""

    def __init__(self, connection: Connection, live: Projector | None, kept: Sequence[tuple[int, Projector]]) -> None:
        self._connection = connection
        self._live = live
        self._kept = kept

    def run_to_mark(self, progress: Progress | None = None, stop: Event | None = None) -> None:
        """Raises what keeps the live generation from going on; a kept one has it recorded."""
        if self._live:
            self._live.run_to_mark(progress, stop)
        for number, projector in self._kept:
            try:
                projector.run_to_mark(None, stop)
            except psycopg.OperationalError:
                raise
            except (psycopg.Error, StoreFailed) as exc:
                with self._connection.transaction():
                    self._connection.execute(RECORD_FAILURE, [_failure(exc), number])


def projector(connection: Connection, projection: Projection, stores: Stores = DATABASE_ONLY) -> ProjectorSet | None:
    """What fills the live generation, which is made if it is the first, and the kept one of the same definition.

    None where there is nothing to fill: the projection is idle or its store off, or its definition has changed, and it
    needs a rebuild. What nothing fills is purged here, of all that was redacted up to the mark.
    """
    if stores.off(projection):
        return None
    alias_swap.reconcile(connection, projection, stores)
    leftover.drop_unclean(connection, projection, stores)
    live = ensure_generation(connection, projection, stores)
    purge_by_source.purge(connection, projection)
    purge_outside.purge(connection, projection, stores)
    mine = fingerprint(projection)
    with connection.transaction():
        kept = generation.kept(connection, projection)
    filling = [(one.generation, _projector(connection, projection, one, stores)) for one in kept]
    if live is None or live.fingerprint != mine:
        return ProjectorSet(connection, None, filling) if filling else None
    return ProjectorSet(connection, _projector(connection, projection, live, stores), filling)


def record_failure(connection: Connection, projection: Projection, exc: psycopg.Error | StoreFailed) -> None:
    """Note that the generation cannot go on, and since when; what it writes next takes that back."""
    with connection.transaction():
        found = generation.live(connection, projection) or generation.building(connection, projection)
        if found is None:
            raise describe_error(exc) if isinstance(exc, psycopg.Error) else exc
        connection.execute(RECORD_FAILURE, [_failure(exc), found.generation])


def _failure(exc: psycopg.Error | StoreFailed) -> str:
    if isinstance(exc, StoreFailed):
        return str(exc)
    return f"{type(exc).__name__} (SQLSTATE {exc.sqlstate or 'unknown'})"


def _run(url: str, projection: Projection, progress: Progress | None, stop: Event, stores: Stores) -> None:
    try:
        with connect(url) as connection:
            if filling := projector(connection, projection, stores):
                filling.run_to_mark(progress, stop)
    except (psycopg.Error, StoreFailed) as exc:
        with connect(url) as connection:
            record_failure(connection, projection, exc)


def _projector(connection: Connection, projection: Projection, one: Generation, stores: Stores) -> Projector:
    sink = stores.sink(connection, projection, one.generation, one.relation)
    return Projector(connection, projection, one.generation, sink)


def _insert_first(connection: Connection, projection: Projection) -> Generation | None:
    if connection.execute(HAS_STRAND).fetchone() is None or not _has_tables(connection, projection):
        return None
    return generation.insert(connection, projection)


def _go_live(connection: Connection, projection: Projection, first: Generation, stores: Stores) -> Generation:
    sink = stores.sink(connection, projection, first.generation, first.relation)
    sink.create()
    sink.serve()
    row = connection.execute(GO_LIVE, [fingerprint(projection), first.generation]).fetchone()
    return Generation(*row or ())


def _has_tables(connection: Connection, projection: Projection) -> bool:
    if isinstance(projection, BlockProjection):
        return True
    row = connection.execute(READ_HAS_TABLES, [list(projection.tables)]).fetchone()
    return bool(row and row[0])
