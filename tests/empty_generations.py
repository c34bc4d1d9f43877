"""Live generations that nobody has filled yet, for tests of what fills them batch by batch."""

from collections.abc import Mapping

from strandline.consumer.database.connection import Connection, connect
from strandline.consumer.generations import generation
from strandline.consumer.generations.generation import Generation
from strandline.consumer.generations.lifecycle import project
from strandline.consumer.generations.stores import DATABASE_ONLY, Stores
from strandline.consumer.projection.definition import Projection


def ensure_generation(
    connection: Connection, projection: Projection, stores: Stores = DATABASE_ONLY
) -> Generation | None:
    """Return the live generation; make an empty one, before the first block, if there is none and a source."""
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(20)")  # threads begin at the same time
        if found := generation.live(connection, projection):
            return found
        if not generation.has_source(connection, projection):
            return None
        first = generation.insert(connection, projection, prefix=stores.prefix_of(projection))
        sink = stores.sink(connection, projection, first.generation, first.relation)
        sink.create()
        sink.show()
        return generation.go_live(connection, first.generation)


def follow(url: str, projections: Mapping[str, Projection], *, stores: Stores = DATABASE_ONLY) -> None:
    """Bring every projection to the mark as a worker does that was there from the first block on."""
    with connect(url) as connection:
        for projection in projections.values():
            if not stores.off(projection.store):
                ensure_generation(connection, projection, stores)
    project(url, projections, stores=stores)
