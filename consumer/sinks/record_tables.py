"""Records of a generation, in tables of its own: the sources of its composed rows, and its rows outside the database.

`projection.<kind>` has the records of all generations, and a query of it locks the tables of all: a projector names
its own table.
"""

from collections.abc import Sequence

from psycopg.sql import Identifier

from strandline.consumer.database.connection import Connection
from strandline.consumer.projection.definition import ComposedProjection, Projection
from strandline.consumer.sinks.contract import Key

SOURCE, OUTSIDE_ROW = "source", "outside_row"

CREATE = "SELECT projection.create_record(%s, %s)"
INDEX = "SELECT projection.index_record(%s, %s)"
# Each revision is looked up by itself: a join of few with very many would read all of these, for nobody has statistics.
READ_SOURCES = """
    SELECT document_id, version FROM unnest(%s::text[], %s::bigint[]) AS wanted (document_id, version)
    WHERE (
        SELECT true FROM projection.source s
        WHERE s.document_id = wanted.document_id AND s.version = wanted.version AND s.generation = %s LIMIT 1
    ) IS NOT NULL"""
FORGET_KEYS = """
    DELETE FROM projection.source WHERE generation = %(generation)s AND key = ANY (ARRAY(
        SELECT s.key FROM unnest(%(documents)s::text[], %(versions)s::bigint[]) AS gone (document, erased)
        CROSS JOIN LATERAL (
            SELECT key FROM projection.source
            WHERE generation = %(generation)s AND document_id = gone.document AND version = gone.erased OFFSET 0) s))
    RETURNING key"""


def create(connection: Connection, projection: Projection, generation: int, *, bare: bool) -> None:
    """Create the generation's tables, which are dropped with its row. Bare ones have no index until `index`."""
    for kind, needed in (
        (SOURCE, isinstance(projection, ComposedProjection)),
        (OUTSIDE_ROW, projection.store != "postgresql"),
    ):
        if needed:
            connection.execute(CREATE, [kind, generation])
            if not bare:
                index(connection, kind, generation)


def index(connection: Connection, kind: str, generation: int) -> None:
    """Create the indexes of a bare table."""
    connection.execute(INDEX, [kind, generation])


def table(kind: str, generation: int) -> Identifier:
    """Return the name of the generation's own table."""
    return Identifier("projection", f"{kind}_{generation}")


def recorded_keys(connection: Connection, generation: int, keys: Sequence[Key]) -> list[Key]:
    """Return those of the revisions that are a source of one of the generation's composed rows."""
    columns = [[document for document, _ in keys], [version for _, version in keys]]
    return connection.execute(READ_SOURCES, [*columns, generation]).fetchall()


def forget_keys_of(connection: Connection, generation: int, sources: Sequence[Key]) -> list[str]:
    """Delete the record of every composed key with one of these revisions as a source; return the keys."""
    documents, versions = [document for document, _ in sources], [version for _, version in sources]
    parameters = {"generation": generation, "documents": documents, "versions": versions}
    return sorted({key for (key,) in connection.execute(FORGET_KEYS, parameters)})
