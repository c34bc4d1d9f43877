"""The way back: the generation of a read model that was served before is served again."""

import time
from collections.abc import Mapping
from typing import Any

import psycopg

from strandline.consumer.generations import alias_swap, generation, purge_by_source, purge_outside, view_swap
from strandline.consumer.generations.generation import Generation
from strandline.consumer.generations.lifecycle import ensure_generation
from strandline.consumer.generations.rebuild import Served, alone, known
from strandline.consumer.generations.stores import DATABASE_ONLY, Stores
from strandline.consumer.projection.definition import Projection
from strandline.consumer.projection.fingerprint import fingerprint
from strandline.consumer.projector import feed
from strandline.consumer.projector.projector import Projector
from strandline.consumer.sinks.postgresql import PostgresqlSink
from strandline.journal.errors import StrandlineError

Connection = psycopg.Connection[tuple[Any, ...]]

READ_VIEW = "SELECT view_query, view_readers FROM projection.generation WHERE generation = %s"


def rollback(
    url: str,
    projections: Mapping[str, Projection],
    name: str,
    *,
    stale: bool = False,
    stores: Stores = DATABASE_ONLY,
) -> Served:
    """Let the generation that was served before be served again.

    One of the definition at hand is brought to the mark; one of another stands where it stood, but for what was
    redacted since, and is taken only if `stale`. Raises `UsageError` for an unknown name, `StrandlineError` where none
    is kept, or the store fails.
    """
    projection = known(projections, name, stores)
    with alone(url, name) as connection:
        started = time.monotonic()
        alias_swap.go_on(connection, projection, stores)
        live = ensure_generation(connection, projection, stores)
        purge_by_source.purge(connection, projection)
        purge_outside.purge(connection, projection, stores)
        with connection.transaction():
            chosen = next(iter(generation.retired(connection, projection)), None)
        if chosen is None or live is None:
            raise StrandlineError(f"No earlier generation of {name} is kept: only a rebuild leaves one.")
        if chosen.fingerprint != fingerprint(projection) and not stale:
            raise StrandlineError(
                f"Generation {chosen.generation} of {name} is of another definition, and stands at block "
                f"{chosen.position:,}.\nTo serve it all the same: `strandline rollback {name} --stale`."
            )
        if chosen.store == "postgresql":
            rows = _in_database(connection, projection, live, chosen)
        else:
            rows = _outside(connection, projection, live, chosen, stores)
    return Served(name, chosen.generation, rows, time.monotonic() - started, True)


def _in_database(connection: Connection, projection: Projection, live: Generation, chosen: Generation) -> int:
    with connection.transaction():
        generation.lock(connection, [live.generation, chosen.generation])
        sink = PostgresqlSink(connection, projection, chosen.relation)
        if chosen.fingerprint == fingerprint(projection):
            Projector(connection, projection, chosen.generation, sink).fill_up(feed.read_mark(connection))
            show = view_swap.show_generation(sink)
        else:
            query, readers = connection.execute(READ_VIEW, [chosen.generation]).fetchone() or (None, [])
            if query is None:
                raise StrandlineError(f"It is not known how generation {chosen.generation} was shown.")
            show = view_swap.show_as_before(connection, projection.name, query, readers)
        view_swap.serve(connection, projection, chosen.generation, show)
        return sink.summary()[0]


def _outside(
    connection: Connection, projection: Projection, live: Generation, chosen: Generation, stores: Stores
) -> int:
    with alias_swap.leases(connection, [live, chosen]) as held:
        if chosen.fingerprint == fingerprint(projection):
            with connection.transaction():
                mark = feed.read_mark(connection)
            sink = stores.sink(connection, projection, chosen.generation, chosen.relation)
            Projector(connection, projection, chosen.generation, sink).run_to(held[chosen.generation], mark)
        alias_swap.serve(connection, projection, chosen, held, stores)
        return stores.count(connection, projection)
