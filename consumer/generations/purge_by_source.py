"""Purges of generations that no code fills: rows of redacted revisions are found by their source."""

from collections.abc import Collection

from strandline.consumer.database.connection import Connection
from strandline.consumer.generations import generation
from strandline.consumer.generations.exclusion import unfilled
from strandline.consumer.generations.stores import Stores

READ_UNFILLED = """
    SELECT generation FROM projection.generation
    WHERE projection = %(name)s AND fingerprint IS DISTINCT FROM %(except)s AND state <> 'building'
      AND clean_no < (SELECT sequence_no FROM journal.mark)
    ORDER BY generation"""
READ_POSITIONS = "SELECT position, clean_no FROM projection.generation WHERE generation = %s"
READ_ERASED = """
    SELECT document_id, version FROM journal.redaction
    WHERE redacted_by > %(after)s AND redacted_by <= %(last)s AND sequence_no <= %(position)s"""
MOVE = "UPDATE projection.generation SET purged_no = %s WHERE generation = %s"

# Nobody fills a read model that a redaction has not reached for so long.
WAIT_SECONDS = 3600
READ_UNKNOWN = """
    SELECT DISTINCT g.projection, g.store FROM projection.generation g, journal.mark m
    WHERE g.projection <> ALL (%s) AND g.state <> 'building' AND EXISTS (
        SELECT FROM journal.redaction d
        WHERE d.effective_no <= m.sequence_no AND d.effective_no > g.clean_no
          AND d.registered_at < now() - make_interval(secs => %s))"""
# A process that fills it later must restore what was purged without its code.
NEEDS_REBUILD = "UPDATE projection.generation SET passed_change = true WHERE projection = %s"


def purge_by_source(connection: Connection, name: str, stores: Stores, except_fingerprint: str | None = None) -> None:
    """Purge, up to the mark, the generations of a read model that another definition filled than this one.

    Removes whole rows, and of a composed projection all rows of the key: no code can make them again. The read
    model's store must be set. Raises `StoreFailed`.
    """
    with connection.transaction():
        rows = connection.execute(READ_UNFILLED, {"name": name, "except": except_fingerprint}).fetchall()
    for (number,) in rows:
        _purge(connection, number, stores)


def purge_unknown(connection: Connection, known: Collection[str], stores: Stores) -> None:
    """Purge, up to the mark, the read models that are not among the `known` and that nobody has filled for an hour.

    Their file is gone. Within the hour another process may have it. Raises `StoreFailed`.
    """
    with connection.transaction():
        unknown = connection.execute(READ_UNKNOWN, [list(known), WAIT_SECONDS]).fetchall()
    for name, store in unknown:
        if stores.off(store):
            continue
        purge_by_source(connection, name, stores)
        with connection.transaction():
            connection.execute(NEEDS_REBUILD, [name])


def _purge(connection: Connection, number: int, stores: Stores) -> None:
    with connection.transaction():
        one = generation.read(connection, number)
    if one is None:
        return
    stored = stores.stored(connection, one.store, number, one.relation)
    with unfilled(connection, one, stored) as turn:
        last = turn.position()
        position, after = connection.execute(READ_POSITIONS, [number]).fetchone() or (0, 0)
        erased = connection.execute(READ_ERASED, {"after": after, "last": last, "position": position}).fetchall()
        stored.begin(turn)
        stored.purge_sources(erased)
        stored.settle()
        connection.execute(MOVE, [last, number])
