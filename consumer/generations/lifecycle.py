"""The generations of projections, and the projectors that fill them."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from threading import Event

import psycopg

from strandline.consumer.database.connection import Connection, connect
from strandline.consumer.database.errors import describe_error
from strandline.consumer.generations import generation, leftover
from strandline.consumer.generations.first_generation import ensure_served
from strandline.consumer.generations.generation import Generation
from strandline.consumer.generations.purge_by_source import purge_by_source
from strandline.consumer.generations.stores import DATABASE_ONLY, OPENSEARCH, Stores
from strandline.consumer.projection.definition import Projection
from strandline.consumer.projection.discovery import find_projection
from strandline.consumer.projection.fingerprint import fingerprint
from strandline.consumer.projector.projector import Progress, Projector
from strandline.consumer.sinks.contract import StoreFailed
from strandline.consumer.sinks.read_view import READERS, ReadView
from strandline.journal.errors import StrandlineError

THREADS = 8


@dataclass(frozen=True)
class RetryResult:
    """The number of parked documents that ran again, and of those that are parked again."""

    projection: str
    retried: int
    parked: int


def project(
    url: str,
    projections: Mapping[str, Projection],
    *,
    progress: Progress | None = None,
    stores: Stores = DATABASE_ONLY,
) -> None:
    """Bring every projection to the mark, several at a time.

    Skips one whose store is off, or whose definition has changed: that needs a rebuild. One that fails stops no other;
    its failure is recorded (see `state.statuses`). Raises a failure that could not be recorded, after the others ended.
    """
    stop = Event()
    with ThreadPoolExecutor(THREADS, thread_name_prefix="projector") as threads:
        runs = [threads.submit(_run, url, projection, progress, stop, stores) for projection in projections.values()]
        try:
            wait(runs)
        finally:
            stop.set()
    for run in runs:
        run.result()


def retry(
    url: str,
    projections: Mapping[str, Projection],
    name: str,
    stores: Stores = DATABASE_ONLY,
    *,
    key: str | None = None,
) -> RetryResult:
    """Run a projection's parked documents again, from the journal; with `key` only that document, block or key.

    Raises `UsageError` for an unknown name, `StrandlineError` if the definition has changed.
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
        tried, parked = _projector(connection, projection, live, stores).retry(key)
    return RetryResult(name, tried, parked)


class ProjectorSet:
    """The projectors of one projection: of its live generation, then of those that are kept for a rollback."""

    def __init__(self, connection: Connection, live: Projector | None, kept: Sequence[tuple[int, Projector]]) -> None:
        self._connection = connection
        self._live = live
        self._kept = kept

    def run_to_mark(self, progress: Progress | None = None, stop: Event | None = None) -> None:
        """Bring all to the mark. Raises the failure of the live generation; records that of a kept one."""
        if self._live:
            self._live.run_to_mark(progress, stop)
        for number, projector in self._kept:
            try:
                projector.run_to_mark(None, stop)
            except psycopg.OperationalError:
                raise
            except (psycopg.Error, StoreFailed) as exc:
                with self._connection.transaction():
                    generation.record_failure(self._connection, number, _failure(exc))


def keep_house(
    url: str,
    connection: Connection,
    projection: Projection,
    stores: Stores = DATABASE_ONLY,
    progress: Progress | None = None,
    stop: Event | None = None,
) -> None:
    """Do what must be done before a projection is filled: clean up after an interrupted rebuild, build the first
    generation, compare its readers with the declaration, and purge, up to the mark, generations that no code fills.
    A no-op if the projection's store is off."""
    if stores.off(projection.store):
        return
    leftover.clean_up(connection, projection, stores)
    live = ensure_served(url, connection, projection, stores, progress, stop)
    if live and projection.store != OPENSEARCH:
        with connection.transaction():
            changed = live.fingerprint != fingerprint(projection)
            view = ReadView(connection, projection.name)
            view.set_readers(READERS[projection.readers], withdraw_only=changed)
    purge_by_source(connection, projection.name, stores, fingerprint(projection))


def projectors(connection: Connection, projection: Projection, stores: Stores = DATABASE_ONLY) -> ProjectorSet | None:
    """Return the projectors of the generations that the current definition fills: the live one, and kept ones.

    Returns None if there are none: the projection is idle, or its store is off, or its definition has changed.
    """
    if stores.off(projection.store):
        return None
    with connection.transaction():
        live = generation.live(connection, projection)
        kept = generation.kept(connection, projection)
    mine = (
        _projector(connection, projection, live, stores)
        if live and live.fingerprint == fingerprint(projection)
        else None
    )
    others = [(one.generation, _projector(connection, projection, one, stores)) for one in kept]
    return ProjectorSet(connection, mine, others) if mine or others else None


def record_failure(connection: Connection, projection: Projection, exc: psycopg.Error | StoreFailed) -> None:
    """Record that the generation cannot go on, and since when; its next write deletes that."""
    with connection.transaction():
        found = generation.live(connection, projection) or generation.building(connection, projection)
        if found is None:
            raise describe_error(exc) if isinstance(exc, psycopg.Error) else exc
        generation.record_failure(connection, found.generation, _failure(exc))


def _failure(exc: psycopg.Error | StoreFailed) -> str:
    if isinstance(exc, StoreFailed):
        return str(exc)
    return f"{type(exc).__name__} (SQLSTATE {exc.sqlstate or 'unknown'})"


def _run(url: str, projection: Projection, progress: Progress | None, stop: Event, stores: Stores) -> None:
    try:
        with connect(url) as connection:
            keep_house(url, connection, projection, stores, progress, stop)
            if filling := projectors(connection, projection, stores):
                filling.run_to_mark(progress, stop)
    except (psycopg.Error, StoreFailed) as exc:
        with connect(url) as connection:
            record_failure(connection, projection, exc)


def _projector(connection: Connection, projection: Projection, one: Generation, stores: Stores) -> Projector:
    sink = stores.sink(connection, projection, one.generation, one.relation)
    return Projector(connection, projection, one.generation, sink)
