"""One build of a projection: its row in `projection.generation`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from strandline.consumer.database.connection import Connection
from strandline.consumer.projection.definition import BlockProjection, Projection
from strandline.consumer.projection.fingerprint import fingerprint
from strandline.consumer.projector.lookup import ensure_indexes
from strandline.consumer.sinks import record_tables
from strandline.consumer.sinks.read_view import READERS

COLUMNS = "generation, projection, store, relation, fingerprint, position, passed_change, forced, failure, failed_at"
READ_STATE = f"SELECT {COLUMNS} FROM projection.generation WHERE projection = %s AND state = %s"
READ_KEPT = f"""
    SELECT {COLUMNS} FROM projection.generation WHERE projection = %s AND state = 'kept' AND fingerprint = %s"""
# The last that served comes first, of those that served well.
READ_RETIRED = f"""
    SELECT {COLUMNS} FROM projection.generation WHERE projection = %s AND state IN ('kept', 'frozen')
    ORDER BY forced, served_at DESC NULLS LAST, generation DESC"""
READ_ONE = f"SELECT {COLUMNS} FROM projection.generation WHERE generation = %s"
# In the order of their numbers, as everyone who locks several does.
LOCK = f"SELECT {COLUMNS} FROM projection.generation WHERE generation = ANY(%s) ORDER BY generation FOR NO KEY UPDATE"
HAS_STRAND = "SELECT FROM journal.mark WHERE strand_id IS NOT NULL"
HAS_TABLES = "SELECT FROM journal.user_table WHERE name = ANY(%s) LIMIT 1"
INSERT = f"""
    WITH new AS (SELECT nextval(pg_get_serial_sequence('projection.generation', 'generation')) AS id)
    INSERT INTO projection.generation
        (generation, projection, store, state, fingerprint, relation, purpose, readers, position)
    OVERRIDING SYSTEM VALUE
    SELECT id, %(name)s, %(store)s, 'building', %(fingerprint)s, %(prefix)s || %(name)s || '_' || id, %(purpose)s,
        %(readers)s, origin - 1
    FROM new, journal.mark
    RETURNING {COLUMNS}"""
DELETE = "DELETE FROM projection.generation WHERE generation = %s"
# No code can make the view of a frozen generation again: its query and its readers are recorded.
RETIRE = """
    UPDATE projection.generation
    SET state = CASE WHEN fingerprint = %(fingerprint)s THEN 'kept' ELSE 'frozen' END,
        view_query = pg_get_viewdef(view), view_readers = ARRAY(
            SELECT rolname::text FROM pg_roles
            WHERE rolname = ANY (%(readers)s) AND has_table_privilege(rolname, view, 'SELECT') ORDER BY 1)
    FROM to_regclass(format('read.%%I', %(projection)s::text)) AS view
    WHERE projection = %(projection)s AND state = 'live'"""
GO_LIVE = f"""
    UPDATE projection.generation
    SET state = 'live', served_at = now(), failed_at = NULL, failure = NULL
    WHERE generation = %s RETURNING {COLUMNS}"""
SET_FORCED = "UPDATE projection.generation SET forced = %s WHERE generation = %s"
RECORD_FAILURE = """
    UPDATE projection.generation SET failed_at = coalesce(failed_at, now()), failure = %s WHERE generation = %s"""


@dataclass(frozen=True)
class Generation:
    """One build of a projection; its rows are those of all blocks up to `position`.

    `forced`: it was accepted although it was worse than the one served before.
    """

    generation: int
    projection: str
    store: str
    relation: str
    fingerprint: str
    position: int
    passed_change: bool
    forced: bool
    failure: str | None
    failed_at: datetime | None


def live(connection: Connection, projection: Projection) -> Generation | None:
    """Return the generation that is served."""
    return _in_state(connection, projection, "live")


def building(connection: Connection, projection: Projection) -> Generation | None:
    """Return the generation that is not complete yet."""
    return _in_state(connection, projection, "building")


def kept(connection: Connection, projection: Projection) -> list[Generation]:
    """Return the generations that were served before and that the current definition can fill."""
    return [Generation(*row) for row in connection.execute(READ_KEPT, [projection.name, fingerprint(projection)])]


def retired(connection: Connection, projection: Projection) -> list[Generation]:
    """Return the generations that were served before, kept and frozen ones: the best to go back to comes first."""
    return [Generation(*row) for row in connection.execute(READ_RETIRED, [projection.name])]


def has_source(connection: Connection, projection: Projection) -> bool:
    """Return whether the journal store has a ledger, and one of the projection's tables is in it."""
    if connection.execute(HAS_STRAND).fetchone() is None:
        return False
    if isinstance(projection, BlockProjection):
        return True
    return connection.execute(HAS_TABLES, [list(projection.tables)]).fetchone() is not None


def read(connection: Connection, number: int) -> Generation | None:
    """Return one generation."""
    row = connection.execute(READ_ONE, [number]).fetchone()
    return Generation(*row) if row else None


def lock(connection: Connection, numbers: Sequence[int]) -> list[Generation]:
    """Lock these generations' rows, and so their positions, until the transaction ends; returned in the given order."""
    found = {row[0]: Generation(*row) for row in connection.execute(LOCK, [list(numbers)])}
    return [found[number] for number in numbers]


def insert(connection: Connection, projection: Projection, *, prefix: str = "", bare: bool = False) -> Generation:
    """Insert a new generation, building, before the first block, without its table or index.

    Its record tables are created, bare if a backfill is to fill it. `prefix` is that of its table's or index's name.
    """
    ensure_indexes(connection, projection)
    parameters = {
        "name": projection.name,
        "prefix": prefix,
        "store": projection.store,
        "fingerprint": fingerprint(projection),
        "purpose": projection.purpose,
        "readers": projection.readers,
    }
    new = Generation(*connection.execute(INSERT, parameters).fetchone() or ())
    record_tables.create(connection, projection, new.generation, bare=bare)
    return new


def retire(connection: Connection, projection: Projection) -> None:
    """Record that the live generation is no longer served, and how it was shown: call it before the view changes."""
    parameters = {"fingerprint": fingerprint(projection), "projection": projection.name}
    connection.execute(RETIRE, {**parameters, "readers": list(READERS["analysts"])})


def set_forced(connection: Connection, number: int, forced: bool) -> None:
    """Record whether this generation was accepted although it is worse than the one served before."""
    connection.execute(SET_FORCED, [forced, number])


def go_live(connection: Connection, number: int) -> Generation:
    """Record that this generation is served, without a failure."""
    return Generation(*connection.execute(GO_LIVE, [number]).fetchone() or ())


def record_failure(connection: Connection, number: int, failure: str) -> None:
    """Record why the generation cannot go on; its next write deletes that."""
    connection.execute(RECORD_FAILURE, [failure, number])


def delete(connection: Connection, number: int) -> None:
    """Delete the generation's row and its record tables."""
    connection.execute(DELETE, [number])


def _in_state(connection: Connection, projection: Projection, state: str) -> Generation | None:
    row = connection.execute(READ_STATE, [projection.name, state]).fetchone()
    return Generation(*row) if row else None
