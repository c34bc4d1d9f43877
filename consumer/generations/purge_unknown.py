"""Read models of projections that are not at hand: their file is gone, or another process has it and fills them.

Where a redaction has not reached one for an hour nobody does, and it is purged by source, as one of another definition.
"""

from collections.abc import Collection, Iterable
from typing import Any

import psycopg

from strandline.consumer.generations import purge_by_source, purge_outside
from strandline.consumer.generations.stores import Stores
from strandline.consumer.projection.definition import Revision, RowProjection, Rows

Connection = psycopg.Connection[tuple[Any, ...]]

WAIT_SECONDS = 3600
READ_LEFT = """
    SELECT DISTINCT g.projection, g.store FROM projection.generation g, journal.mark m
    WHERE g.projection <> ALL (%s) AND g.state <> 'building' AND EXISTS (
        SELECT FROM journal.redaction d
        WHERE d.effective_no <= m.sequence_no AND d.effective_no > g.clean_no
          AND d.registered_at < now() - make_interval(secs => %s))"""
# Whoever fills it again after all must make anew what was purged without its code.
NEEDS_REBUILD = "UPDATE projection.generation SET passed_change = true WHERE projection = %s"


def purge(connection: Connection, known: Collection[str], stores: Stores) -> None:
    """Purge, up to the mark, what nobody fills; raises `StoreFailed`."""
    with connection.transaction():
        left = connection.execute(READ_LEFT, [list(known), WAIT_SECONDS]).fetchall()
    for name, store in left:
        gone = RowProjection(name, "", (), "current", "analysts", (), _nothing, store=store)
        if stores.off(gone):
            continue
        purge_by_source.purge(connection, gone)
        purge_outside.purge(connection, gone, stores)
        with connection.transaction():
            connection.execute(NEEDS_REBUILD, [name])


def _nothing(_: Revision) -> Rows:
    """The definition that none of their generations has."""
    none: Iterable[Any] = ()
    return none
