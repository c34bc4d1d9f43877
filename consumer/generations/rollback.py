"""A rollback: the generation of a read model that was served before is shown again."""

import time
from collections.abc import Mapping

from strandline.consumer.generations import generation, leftover
from strandline.consumer.generations.exclusion import alone
from strandline.consumer.generations.purge_by_source import purge_by_source
from strandline.consumer.generations.rebuild import Served, known
from strandline.consumer.generations.stages import SHOW, Run, run_stages
from strandline.consumer.generations.stores import DATABASE_ONLY, Stores
from strandline.consumer.projection.definition import Projection
from strandline.consumer.projection.fingerprint import fingerprint
from strandline.journal.errors import StrandlineError


def rollback(
    url: str,
    projections: Mapping[str, Projection],
    name: str,
    *,
    stale: bool = False,
    stores: Stores = DATABASE_ONLY,
) -> Served:
    """Switch a read model back to its previous generation.

    One of the current definition catches up first. One of another definition stays at its block, without what was
    redacted since, and is shown only if `stale`. Raises `UsageError` for an unknown name, `StrandlineError` if no
    generation is kept or the store fails.
    """
    projection = known(projections, name, stores)
    with alone(url, name) as connection:
        started = time.monotonic()
        leftover.finish_cut_over(connection, projection, stores)
        mine = fingerprint(projection)
        purge_by_source(connection, name, stores, mine)
        with connection.transaction():
            live = generation.live(connection, projection)
            chosen = next(iter(generation.retired(connection, projection)), None)
        if chosen is None or live is None:
            raise StrandlineError(f"No earlier generation of {name} is kept: only a rebuild leaves one.")
        if chosen.fingerprint != mine and not stale:
            raise StrandlineError(
                f"Generation {chosen.generation} of {name} is of another definition, and stays at block "
                f"{chosen.position:,}.\nTo serve it nevertheless: `strandline rollback {name} --stale`."
            )
        run_stages(SHOW, Run(url, connection, projection, stores, live, chosen))
        rows = stores.count(connection, projection)
    return Served(name, chosen.generation, rows, time.monotonic() - started, True)
