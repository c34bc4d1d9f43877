"""The parked documents (or blocks) of a generation, by the version from which they are parked, and its parked keys."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from strandline.consumer.database.connection import Connection

READ_ANY = "SELECT FROM projection.parked WHERE generation = %s LIMIT 1"
READ_WAITING = "SELECT key, version FROM projection.parked WHERE generation = %s AND key = ANY(%s)"
# A document and a composed key may have the same name: a page has all of a name.
READ_PAGE = """
    SELECT key, version FROM projection.parked WHERE generation = %s {}
    ORDER BY key FETCH FIRST %s ROWS WITH TIES"""
READ_FIRST_PAGE, READ_NEXT_PAGE = READ_PAGE.format(""), READ_PAGE.format("AND key > %s")
READ_NAMED = "SELECT key, version FROM projection.parked WHERE generation = %s AND key = %s"
PARK = """
    INSERT INTO projection.parked (generation, key, version, sequence_no, reason)
    SELECT %s, * FROM unnest(%s::text[], %s::bigint[], %s::bigint[], %s::text[])"""
UNPARK = "DELETE FROM projection.parked WHERE generation = %s AND key = ANY(%s)"
UNPARK_DOCUMENTS = UNPARK + " AND version IS NOT NULL"
UNPARK_KEYS = UNPARK + " AND version IS NULL"


@dataclass(frozen=True)
class Parked:
    """A document (or block) from the first revision that the projection refused, or a composed key without version.

    The reason has no payload.
    """

    key: str
    version: int | None
    sequence_no: int
    reason: str


def any_waiting(connection: Connection, generation: int) -> bool:
    """Return whether anything is parked."""
    return connection.execute(READ_ANY, [generation]).fetchone() is not None


def waiting(connection: Connection, generation: int, keys: Collection[str]) -> dict[str, int | None]:
    """Return the parked ones among the keys, with their versions."""
    return dict(connection.execute(READ_WAITING, [generation, list(keys)]).fetchall())


def page(connection: Connection, generation: int, after: str | None, limit: int) -> list[tuple[str, int | None]]:
    """Return the next parked keys in order; the first ones if `after` is None (a key may be empty)."""
    if after is None:
        return connection.execute(READ_FIRST_PAGE.encode(), [generation, limit]).fetchall()
    return connection.execute(READ_NEXT_PAGE.encode(), [generation, after, limit]).fetchall()


def named(connection: Connection, generation: int, key: str) -> list[tuple[str, int | None]]:
    """Return the parked document, and the composed key, of this name."""
    return connection.execute(READ_NAMED, [generation, key]).fetchall()


def park(connection: Connection, generation: int, parked: Sequence[Parked]) -> None:
    """Park documents or keys that are not parked yet."""
    if parked:
        rows = [(one.key, one.version, one.sequence_no, one.reason) for one in parked]
        columns = [list(column) for column in zip(*rows, strict=True)]
        connection.execute(PARK, [generation, *columns])


def unpark(connection: Connection, generation: int, keys: Collection[str], statement: str = UNPARK) -> None:
    """Unpark these keys; a no-op for one that is not parked."""
    connection.execute(statement.encode(), [generation, list(keys)])
