"""The first generation of a projection: filled up to the mark as a rebuild fills one, then served."""

import time
from contextlib import suppress
from threading import Event

from strandline.consumer.database.connection import Connection
from strandline.consumer.generations import exclusion, generation, leftover
from strandline.consumer.generations.generation import Generation
from strandline.consumer.generations.stages import FIRST, SHOW, Run, run_stages
from strandline.consumer.generations.stores import Stores
from strandline.consumer.projection.definition import Projection
from strandline.consumer.projector.lease import BUSY_SECONDS
from strandline.consumer.projector.projector import Progress, Stopped
from strandline.consumer.sinks.contract import LeaseLost


def ensure_served(
    url: str,
    connection: Connection,
    projection: Projection,
    stores: Stores,
    progress: Progress | None = None,
    stop: Event | None = None,
) -> Generation | None:
    """Return the live generation; if there is none, build the first one, up to the mark, and serve it.

    Returns None if the projection is idle (the journal store is empty, or none of its tables is in the ledger), or soon
    after `stop` is set. Waits while another process builds it. What a killed one has left is resumed, or dropped and
    begun again. The connection must not be in a transaction. Raises `StoreFailed`.
    """
    while (live := _live(connection, projection)) is None and not (stop and stop.is_set()):
        with connection.transaction():
            if not generation.has_source(connection, projection):
                return None
        with exclusion.try_alone(connection, projection.name) as free:
            if free and _live(connection, projection) is None:
                _build(url, connection, projection, stores, progress, stop)
        if not free:
            if progress:
                progress(projection.name, 0, 0)
            time.sleep(BUSY_SECONDS)
    return live


def _build(
    url: str,
    connection: Connection,
    projection: Projection,
    stores: Stores,
    progress: Progress | None,
    stop: Event | None,
) -> None:
    left = leftover.resumable(connection, projection, stores)
    with suppress(LeaseLost, Stopped):
        run = Run(url, connection, projection, stores, None, left, progress, stop=stop)
        run_stages(SHOW if left else FIRST, run)


def _live(connection: Connection, projection: Projection) -> Generation | None:
    with connection.transaction():
        return generation.live(connection, projection)
