"""A read model is built anew beside the one that is served, compared with it, and takes its place; and the way back.

Nothing waits meanwhile: the served generation goes on, and only the last step, from the position that both then share
to the swap, is one transaction that holds both.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg

from consumer import feed, frozen, swap
from consumer.comparison import difference
from consumer.database import connect
from consumer.filling import RowFilling
from consumer.finding import ensure_indexes
from consumer.generations import Generation, ensure_generation
from consumer.latest import LatestFill
from consumer.projection import ComposedProjection, Projection, RowProjection, fingerprint
from consumer.projector import Progress, Projector
from consumer.sinks.postgresql import PostgresqlSink
from journal.errors import StrandlineError, UsageError

Connection = psycopg.Connection[tuple[Any, ...]]

# The journal may change below a generation while it is built: then it is built again, this many times at most.
ATTEMPTS = 3

_GENERATION = "generation, projection, relation, fingerprint, position, passed_change, failure, failed_at"
TRY_LOCK = "SELECT pg_try_advisory_lock(hashtextextended('rebuild.' || %s, 0))"
UNLOCK = "SELECT pg_advisory_unlock(hashtextextended('rebuild.' || %s, 0))"
READ_BUILDING = f"SELECT {_GENERATION} FROM projection.generation WHERE projection = %s AND state = 'building'"
READ_RETIRED = f"""
    SELECT {_GENERATION}, view_query, view_readers FROM projection.generation
    WHERE projection = %s AND state IN ('kept', 'frozen') ORDER BY served_at DESC NULLS LAST, generation DESC LIMIT 1"""
INSERT_BUILDING = f"""
    WITH new AS (SELECT nextval(pg_get_serial_sequence('projection.generation', 'generation')) AS id)
    INSERT INTO projection.generation (generation, projection, store, state, fingerprint, relation, position)
    OVERRIDING SYSTEM VALUE
    SELECT id, %(name)s, %(store)s, 'building', %(fingerprint)s, %(name)s || '_' || id, origin - 1
    FROM new, journal.mark
    RETURNING {_GENERATION}"""
READ_ORIGIN = "SELECT origin FROM journal.mark"
READ_WAITING = "SELECT key FROM projection.parked WHERE generation = %s"
LOCK_GENERATIONS = f"""
    SELECT {_GENERATION} FROM projection.generation WHERE generation = ANY(%s) ORDER BY generation FOR NO KEY UPDATE"""


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


class ChangedMeanwhile(Exception):
    """The journal changed below what had been read of it."""


def rebuild(url: str, projections: Mapping[str, Projection], name: str, *, progress: Progress | None = None) -> Served:
    """Build a new generation up to the mark, and let it be served if it is what the one served is.

    A difference is no hindrance where the definition, or the journal below the mark, has changed. Raises `UsageError`
    for an unknown name, `StrandlineError` where the read model is idle or is being rebuilt already, or its view cannot
    be replaced; then what is served goes on as it was.
    """
    projection = _known(projections, name)
    with _alone(url, name), connect(url) as connection:
        live = ensure_generation(connection, projection)
        if live is None:
            raise StrandlineError(f"There is nothing to rebuild: none of the tables of {name} is in the ledger yet.")
        started = time.monotonic()
        for _ in range(ATTEMPTS):
            building = _begin(connection, projection)
            try:
                _fill(url, connection, projection, building, live, progress)
                found = _finish(connection, projection, live, building, started)
                break
            except ChangedMeanwhile:
                swap.drop(connection, building.generation, building.relation)
            except StrandlineError:
                swap.drop(connection, building.generation, building.relation)
                raise
        else:
            raise StrandlineError(f"The journal kept changing below the mark while {name} was built: run it again.")
        if not found.swapped:
            swap.drop(connection, building.generation, building.relation)
        else:
            swap.drop_retired(connection, name, [] if live.failure else [live.generation])
    return found


def rollback(url: str, projections: Mapping[str, Projection], name: str, *, stale: bool = False) -> Served:
    """Let the generation that was served before be served again.

    One of the definition at hand is brought to the mark; one of another stands where it stood, but for what was
    redacted since, and is taken only if `stale`. Raises `UsageError` for an unknown name, `StrandlineError` where none
    is kept.
    """
    projection = _known(projections, name)
    mine = fingerprint(projection)
    with _alone(url, name), connect(url) as connection:
        started = time.monotonic()
        frozen.purge(connection, projection)
        with connection.transaction():
            row = connection.execute(READ_RETIRED, [name]).fetchone()
            if row is None:
                raise StrandlineError(f"No earlier generation of {name} is kept: only a rebuild leaves one.")
            retired, query, readers = Generation(*row[:-2]), row[-2], row[-1]
            if retired.fingerprint != mine and not stale:
                raise StrandlineError(
                    f"Generation {retired.generation} of {name} is of another definition, and stands at block "
                    f"{retired.position:,}.\nTo serve it all the same: `strandline rollback {name} --stale`."
                )
            live = ensure_generation(connection, projection)
            _lock(connection, [one.generation for one in (live, retired) if one])
            sink = PostgresqlSink(connection, projection, retired.relation)
            if retired.fingerprint == mine:
                Projector(connection, projection, retired.generation, sink).fill_up(feed.read_mark(connection))
                show = swap.show_generation(sink)
            elif query is None:
                raise StrandlineError(f"It is not known how generation {retired.generation} of {name} was shown.")
            else:
                show = swap.show_as_before(connection, name, query, readers)
            swap.serve(connection, name, retired.generation, mine, show)
            rows = sink.count()
    return Served(name, retired.generation, rows, time.monotonic() - started, True)


def _known(projections: Mapping[str, Projection], name: str) -> Projection:
    projection = projections.get(name)
    if projection is None:
        raise UsageError(f"There is no projection {name!r}; there are {', '.join(projections) or 'none'}.")
    if projection.store != "postgresql":
        raise StrandlineError(f"{name} is in {projection.store}: only read models in PostgreSQL can be rebuilt so far.")
    return projection


@contextmanager
def _alone(url: str, name: str) -> Iterator[None]:
    """No other rebuild or rollback of the read model runs meanwhile; the lock goes with the process."""
    with connect(url, autocommit=True) as guard:
        if guard.execute(TRY_LOCK, [name]).fetchone() != (True,):
            raise StrandlineError(f"{name} is being rebuilt or rolled back already: wait until that has ended.")
        try:
            yield
        finally:
            # The server may notice the end of a connection only later.
            guard.execute(UNLOCK, [name])


def _begin(connection: Connection, projection: Projection) -> Generation:
    """An empty generation, or the one that a killed rebuild left, where it can be gone on with."""
    with connection.transaction():
        row = connection.execute(READ_BUILDING, [projection.name]).fetchone()
        (origin,) = connection.execute(READ_ORIGIN).fetchone() or (0,)
    if row:
        left = Generation(*row)
        if left.fingerprint == fingerprint(projection) and not left.passed_change and left.position >= origin:
            return left
        swap.drop(connection, left.generation, left.relation)
    with connection.transaction():
        if isinstance(projection, ComposedProjection):
            ensure_indexes(connection, projection)
        parameters = {"name": projection.name, "store": projection.store, "fingerprint": fingerprint(projection)}
        building = Generation(*connection.execute(INSERT_BUILDING, parameters).fetchone() or ())
        PostgresqlSink(connection, projection, building.relation).create()
    return building


def _fill(
    url: str,
    connection: Connection,
    projection: Projection,
    building: Generation,
    live: Generation,
    progress: Progress | None,
) -> None:
    """All but what comes in meanwhile."""
    sink = PostgresqlSink(connection, projection, building.relation)
    if isinstance(projection, RowProjection) and projection.keeps == "current":
        with connection.transaction():
            (live,) = _lock(connection, [live.generation])
            same = live.fingerprint == building.fingerprint
            # What waits is known as far as the one served has come; from there on every revision is read.
            last = live.position if same else feed.read_mark(connection)
            waiting = {key for (key,) in connection.execute(READ_WAITING, [live.generation])} if same else set()
            (origin,) = connection.execute(READ_ORIGIN).fetchone() or (0,)
        if building.position < origin <= last:
            empty = PostgresqlSink(connection, projection, building.relation, empty=True)
            filling = RowFilling(connection, projection, building.generation, empty)
            LatestFill(connection, projection, building.generation, filling, last).run(url, waiting, progress)
    Projector(connection, projection, building.generation, sink).run_to_mark(progress)


def _finish(
    connection: Connection, projection: Projection, live: Generation, building: Generation, started: float
) -> Served:
    """Bring both to the mark, hold them there, compare, and swap."""
    with connection.transaction():
        live, building = _lock(connection, [live.generation, building.generation])
        mark = feed.read_mark(connection)
        sink = PostgresqlSink(connection, projection, building.relation)
        Projector(connection, projection, building.generation, sink).fill_up(mark)
        if building.passed_change:
            raise ChangedMeanwhile
        found = None
        same = live.fingerprint == building.fingerprint
        if same and not live.failure:
            served = PostgresqlSink(connection, projection, live.relation)
            Projector(connection, projection, live.generation, served).fill_up(mark)
            found = difference(connection, (live.generation, served), (building.generation, sink))
        swapped = found is None or live.passed_change
        if swapped:
            mine = fingerprint(projection)
            swap.serve(connection, projection.name, building.generation, mine, swap.show_generation(sink))
        rows = sink.count()
    return Served(projection.name, building.generation, rows, time.monotonic() - started, swapped, found)


def _lock(connection: Connection, generations: list[int]) -> list[Generation]:
    """In the order of their numbers, as whoever locks several does; they are given in the order asked for."""
    rows = connection.execute(LOCK_GENERATIONS, [generations]).fetchall()
    found = {row[0]: Generation(*row) for row in rows}
    return [found[number] for number in generations]
