"""What is recorded of a generation, in a table of its own: what its composed rows come from, and its rows outside.

All of a kind can be asked for at `projection.<kind>`, which locks every generation's; whoever fills one names its own.
"""

from typing import Any

import psycopg
from psycopg.sql import Identifier

from strandline.consumer.projection.definition import ComposedProjection, Projection

Connection = psycopg.Connection[tuple[Any, ...]]

SOURCE, OUTSIDE_ROW = "source", "outside_row"

CREATE = "SELECT projection.create_record(%s, %s)"
INDEX = "SELECT projection.index_record(%s, %s)"


def create(connection: Connection, projection: Projection, generation: int, *, bare: bool) -> None:
    """Make the generation's tables; bare ones have no index before `index` makes it. They go with its row."""
    for kind, needed in (
        (SOURCE, isinstance(projection, ComposedProjection)),
        (OUTSIDE_ROW, projection.store != "postgresql"),
    ):
        if needed:
            connection.execute(CREATE, [kind, generation])
            if not bare:
                index(connection, kind, generation)


def index(connection: Connection, kind: str, generation: int) -> None:
    """Make the indexes of a bare table."""
    connection.execute(INDEX, [kind, generation])


def table(kind: str, generation: int) -> Identifier:
    """The generation's own."""
    return Identifier("projection", f"{kind}_{generation}")
