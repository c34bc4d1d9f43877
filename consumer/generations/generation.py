"""One build of a projection, as its row in `projection.generation` says."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from strandline.consumer.projection.definition import ComposedProjection, Projection
from strandline.consumer.projection.fingerprint import fingerprint
from strandline.consumer.projector.lookup import ensure_indexes
from strandline.consumer.sinks import record_tables

Connection = psycopg.Connection[tuple[Any, ...]]

COLUMNS = "generation, projection, store, relation, fingerprint, position, passed_change, failure, failed_at"
READ_STATE = f"SELECT {COLUMNS} FROM projection.generation WHERE projection = %s AND state = %s"
READ_LIVE = f"SELECT {COLUMNS} FROM projection.generation WHERE projection = %s AND state = 'live'"
READ_KEPT = f"""
    SELECT {COLUMNS} FROM projection.generation WHERE projection = %s AND state = 'kept' AND fingerprint = %s"""
# The one that was served last first.
READ_RETIRED = f"""
    SELECT {COLUMNS} FROM projection.generation WHERE projection = %s AND state IN ('kept', 'frozen')
    ORDER BY served_at DESC NULLS LAST, generation DESC"""
READ_ONE = f"SELECT {COLUMNS} FROM projection.generation WHERE generation = %s"
# In the order of their numbers, as whoever locks several does.
LOCK = f"SELECT {COLUMNS} FROM projection.generation WHERE generation = ANY(%s) ORDER BY generation FOR NO KEY UPDATE"
INSERT = f"""
    WITH new AS (SELECT nextval(pg_get_serial_sequence('projection.generation', 'generation')) AS id)
    INSERT INTO projection.generation (generation, projection, store, state, fingerprint, relation, position)
    OVERRIDING SYSTEM VALUE
    SELECT id, %(name)s, %(store)s, 'building', %(fingerprint)s, %(name)s || '_' || id, origin - 1
    FROM new, journal.mark
    RETURNING {COLUMNS}"""


@dataclass(frozen=True)
class Generation:
    """One build of a projection; `position` is the last block whose meaning is in it."""

    generation: int
    projection: str
    store: str
    relation: str
    fingerprint: str
    position: int
    passed_change: bool
    failure: str | None
    failed_at: datetime | None


def live(connection: Connection, projection: Projection) -> Generation | None:
    """The one that is served."""
    row = connection.execute(READ_LIVE, [projection.name]).fetchone()
    return Generation(*row) if row else None


def building(connection: Connection, projection: Projection) -> Generation | None:
    """The one that is not whole yet."""
    row = connection.execute(READ_STATE, [projection.name, "building"]).fetchone()
    return Generation(*row) if row else None


def kept(connection: Connection, projection: Projection) -> list[Generation]:
    """Those that were served before, and that the definition at hand can fill."""
    return [Generation(*row) for row in connection.execute(READ_KEPT, [projection.name, fingerprint(projection)])]


def retired(connection: Connection, projection: Projection) -> list[Generation]:
    """Those that were served before: kept ones, and frozen ones, whose definition is gone; the last served first."""
    return [Generation(*row) for row in connection.execute(READ_RETIRED, [projection.name])]


def read(connection: Connection, number: int) -> Generation | None:
    row = connection.execute(READ_ONE, [number]).fetchone()
    return Generation(*row) if row else None


def lock(connection: Connection, numbers: Sequence[int]) -> list[Generation]:
    """Hold their rows, and so their positions, until the transaction ends; they are given in the order asked for."""
    found = {row[0]: Generation(*row) for row in connection.execute(LOCK, [list(numbers)])}
    return [found[number] for number in numbers]


def insert(connection: Connection, projection: Projection, *, bare: bool = False) -> Generation:
    """A new one, building, before the first block; its table or index is not made.

    What is recorded of it has tables, which are bare where `FirstFill` is to fill it.
    """
    if isinstance(projection, ComposedProjection):
        ensure_indexes(connection, projection)
    parameters = {"name": projection.name, "store": projection.store, "fingerprint": fingerprint(projection)}
    new = Generation(*connection.execute(INSERT, parameters).fetchone() or ())
    record_tables.create(connection, projection, new.generation, bare=bare)
    return new
