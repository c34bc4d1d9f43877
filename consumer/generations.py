"""Generations of projections: the first one of each, all of them run side by side, and what can be said of them."""

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime
from threading import Event
from typing import Any

import psycopg

from consumer.database import connect, describe_error
from consumer.projection import BlockProjection, Projection, fingerprint
from consumer.projector import Progress, Projector
from consumer.sinks.postgresql import PostgresqlSink
from journal.errors import StrandlineError, UsageError

Connection = psycopg.Connection[tuple[Any, ...]]

SIDE_BY_SIDE = 8

_GENERATION = "generation, projection, relation, fingerprint, position, passed_change, failure"
READ_LIVE = f"SELECT {_GENERATION} FROM projection.generation WHERE projection = %s AND state = 'live'"
# Two that start at once must not both make the first generation.
LOCK_PROJECTION = "SELECT pg_advisory_xact_lock(hashtextextended('projection.' || %s, 0))"
READ_STRAND = "SELECT origin FROM journal.mark WHERE strand_id IS NOT NULL"
READ_HAS_TABLES = "SELECT EXISTS (SELECT FROM journal.user_table WHERE name = ANY(%s))"
INSERT_LIVE = f"""
    WITH new AS (SELECT nextval(pg_get_serial_sequence('projection.generation', 'generation')) AS id)
    INSERT INTO projection.generation
        (generation, projection, store, state, fingerprint, relation, position, served_at)
    OVERRIDING SYSTEM VALUE
    SELECT id, %(name)s, %(store)s, 'live', %(fingerprint)s, %(name)s || '_' || id, %(position)s, now() FROM new
    RETURNING {_GENERATION}"""
RECORD_FAILURE = """
    UPDATE projection.generation SET failed_at = coalesce(failed_at, now()), failure = %s WHERE generation = %s"""
READ_LAG = """
    SELECT mark.sequence_no - generation.position,
        (SELECT max(block_time) FROM journal.block WHERE sequence_no = mark.sequence_no)
            - (SELECT max(block_time) FROM journal.block WHERE sequence_no = generation.position),
        (SELECT count(*) FROM projection.parked WHERE parked.generation = generation.generation)
    FROM journal.mark, projection.generation WHERE generation = %s"""
READ_PARKED = """
    SELECT projection, generation, key, version, sequence_no, reason, parked_at
    FROM projection.parked JOIN projection.generation USING (generation)
    ORDER BY projection, generation, sequence_no, key"""


@dataclass(frozen=True)
class Generation:
    """One build of a projection; `position` is the last block whose meaning is in it."""

    generation: int
    projection: str
    relation: str
    fingerprint: str
    position: int
    passed_change: bool
    failure: str | None


@dataclass(frozen=True)
class ProjectionStatus:
    """The generation of a projection that is served; `state` is live, idle (nothing of it is in the ledger), failing
    or wants_rebuild. Lag is behind the mark; its seconds are of the ledger's own time."""

    name: str
    store: str
    generation: int | None
    position: int | None
    state: str
    lag_blocks: int
    lag_seconds: float
    parked: int
    wants_rebuild: bool
    failure: str | None


@dataclass(frozen=True)
class ParkedDocument:
    """A document (of a projection of blocks: a block's number, without version) that waits, and why."""

    projection: str
    generation: int
    key: str
    version: int | None
    sequence_no: int
    reason: str
    parked_at: datetime


@dataclass(frozen=True)
class RetryResult:
    """How many parked documents were run again, and how many of them are parked still."""

    projection: str
    retried: int
    parked: int


def ensure_generation(connection: Connection, projection: Projection) -> Generation | None:
    """The live generation, made with its table and view if it is the first.

    None where the projection is idle: nothing is taken in yet, or none of its tables is in the ledger.
    """
    with connection.transaction():
        if found := _live(connection, projection):
            return found
        connection.execute(LOCK_PROJECTION, [projection.name])
        if found := _live(connection, projection):
            return found
        origin = connection.execute(READ_STRAND).fetchone()
        if origin is None or not _has_tables(connection, projection):
            return None
        parameters = {
            "name": projection.name,
            "store": projection.store,
            "fingerprint": fingerprint(projection),
            "position": origin[0] - 1,
        }
        generation = Generation(*connection.execute(INSERT_LIVE, parameters).fetchone() or ())
        sink = PostgresqlSink(connection, projection, generation.relation)
        sink.create()
        sink.serve()
        return generation


def project(url: str, projections: Mapping[str, Projection], *, progress: Progress | None = None) -> None:
    """Bring every projection to the mark, side by side.

    One that cannot go on has its failure recorded (`statuses`) and stops no other. One whose definition has changed is
    left as it is, for a rebuild. Raises what could not be recorded, after the others are done.
    """
    stop = Event()
    with ThreadPoolExecutor(SIDE_BY_SIDE, thread_name_prefix="projector") as threads:
        runs = [threads.submit(_run, url, projection, progress, stop) for projection in projections.values()]
        try:
            wait(runs)
        finally:
            stop.set()
    for run in runs:
        run.result()


def statuses(connection: Connection, projections: Iterable[Projection]) -> list[ProjectionStatus]:
    """How each projection stands, by name."""
    return [_status(connection, one) for one in sorted(projections, key=lambda projection: projection.name)]


def parked(connection: Connection) -> list[ParkedDocument]:
    """Every parked document, of every generation, in the journal's order."""
    return [ParkedDocument(*row) for row in connection.execute(READ_PARKED)]


def retry(url: str, projections: Mapping[str, Projection], name: str) -> RetryResult:
    """Run a projection's parked documents again, from the journal.

    Raises `UsageError` for an unknown name, `StrandlineError` where the definition has changed.
    """
    projection = projections.get(name)
    if projection is None:
        raise UsageError(f"There is no projection {name!r}; there are {', '.join(projections) or 'none'}.")
    with connect(url) as connection:
        with connection.transaction():
            generation = _live(connection, projection)
        if generation is None:
            return RetryResult(name, 0, 0)
        if generation.fingerprint != fingerprint(projection):
            raise StrandlineError(
                f"The definition of {name} is not the one that generation {generation.generation} was built with.\n"
                f"Rebuild it: `strandline rebuild {name}` runs all its documents again."
            )
        tried, still = _projector(connection, projection, generation).retry()
    return RetryResult(name, tried, still)


def _run(url: str, projection: Projection, progress: Progress | None, stop: Event) -> None:
    generation = None
    try:
        with connect(url) as connection:
            generation = ensure_generation(connection, projection)
            if generation and generation.fingerprint == fingerprint(projection):
                _projector(connection, projection, generation).run_to_mark(progress, stop)
    except psycopg.Error as exc:
        if generation is None:
            raise describe_error(exc) from exc
        with connect(url) as connection:
            failure = f"{type(exc).__name__} (SQLSTATE {exc.sqlstate or 'unknown'})"
            connection.execute(RECORD_FAILURE, [failure, generation.generation])


def _projector(connection: Connection, projection: Projection, generation: Generation) -> Projector:
    sink = PostgresqlSink(connection, projection, generation.relation)
    return Projector(connection, projection, generation.generation, sink)


def _live(connection: Connection, projection: Projection) -> Generation | None:
    row = connection.execute(READ_LIVE, [projection.name]).fetchone()
    return Generation(*row) if row else None


def _has_tables(connection: Connection, projection: Projection) -> bool:
    if isinstance(projection, BlockProjection):
        return True
    row = connection.execute(READ_HAS_TABLES, [list(projection.tables)]).fetchone()
    return bool(row and row[0])


def _status(connection: Connection, projection: Projection) -> ProjectionStatus:
    generation = _live(connection, projection)
    if generation is None:
        return ProjectionStatus(projection.name, projection.store, None, None, "idle", 0, 0.0, 0, False, None)
    blocks, lag, waiting = connection.execute(READ_LAG, [generation.generation]).fetchone() or (0, None, 0)
    wants_rebuild = generation.passed_change or generation.fingerprint != fingerprint(projection)
    state = "failing" if generation.failure else "wants_rebuild" if wants_rebuild else "live"
    return ProjectionStatus(
        name=projection.name,
        store=projection.store,
        generation=generation.generation,
        position=generation.position,
        state=state,
        lag_blocks=blocks,
        lag_seconds=lag.total_seconds() if lag else 0.0,
        parked=waiting,
        wants_rebuild=wants_rebuild,
        failure=generation.failure,
    )
