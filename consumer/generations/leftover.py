"""A generation that a killed rebuild left: the next rebuild goes on with it, and until then nothing fills it. Where
something is to be erased from it before, it is dropped, and that rebuild begins anew."""

from typing import Any

import psycopg

from strandline.consumer.generations import alias_swap, generation
from strandline.consumer.generations.stores import Stores
from strandline.consumer.projection.definition import Projection

Connection = psycopg.Connection[tuple[Any, ...]]

# One that is being made for the first time has no other beside it, and goes on by itself.
READ_UNCLEAN = """
    SELECT b.generation FROM projection.generation b, journal.mark m
    WHERE b.projection = %(name)s AND b.state = 'building'
      AND EXISTS (SELECT FROM projection.generation l WHERE l.projection = %(name)s AND l.state = 'live')
      AND EXISTS (
          SELECT FROM journal.redaction d WHERE d.effective_no <= m.sequence_no AND d.effective_no > b.clean_no)"""


def drop_unclean(connection: Connection, projection: Projection, stores: Stores) -> None:
    """Drop what no rebuild is at and redactions have not reached; raises `StoreFailed`, or `ReadersInTheWay`."""
    if not _is_unclean(connection, projection):
        return
    with alias_swap.alone(connection, projection.name) as free:
        if not free or not _is_unclean(connection, projection):
            return
        with connection.transaction():
            left = generation.building(connection, projection)
        if left is not None:
            alias_swap.drop(connection, projection, left, stores)


def _is_unclean(connection: Connection, projection: Projection) -> bool:
    with connection.transaction():
        return connection.execute(READ_UNCLEAN, {"name": projection.name}).fetchone() is not None
