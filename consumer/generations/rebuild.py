"""A rebuild: a new generation of a read model is built next to the one served, compared with it, and shown instead."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from strandline.consumer.generations import exclusion, generation, leftover
from strandline.consumer.generations.exclusion import alone
from strandline.consumer.generations.first_generation import ensure_served
from strandline.consumer.generations.stages import REBUILD, RESUME, JournalChanged, Run, run_stages
from strandline.consumer.generations.stores import DATABASE_ONLY, OPENSEARCH, Stores
from strandline.consumer.projection.definition import Projection
from strandline.consumer.projector.projector import Progress
from strandline.consumer.sinks.contract import LeaseLost, StoreFailed
from strandline.journal.errors import StrandlineError, UsageError

# The journal may change below a generation while it is built: then it is built again, this many times at most.
ATTEMPTS = 3


@dataclass(frozen=True)
class Served:
    """The outcome for one read model: the generation that was built or chosen, and whether it is served now.

    The other fields describe how a rebuilt one differs from the one served before (see `comparison.Comparison`).
    """

    name: str
    generation: int
    rows: int
    seconds: float
    swapped: bool
    difference: str | None = None
    rows_before: int | None = None
    newly_parked: int = 0
    reasons: tuple[tuple[str, int], ...] = ()
    worse: bool = False


def rebuild(
    url: str,
    projections: Mapping[str, Projection],
    name: str,
    *,
    progress: Progress | None = None,
    stores: Stores = DATABASE_ONLY,
    accept: bool = False,
) -> Served:
    """Build a new generation up to the mark, and show it if it equals the one served, or if none is served.

    A difference is accepted if the definition, or the journal below the mark, has changed, but not if rows are missing
    or documents newly park. `accept` accepts any difference. Raises `UsageError` for an unknown name; raises
    `StrandlineError` if the read model is idle or is being built already, if its view cannot be replaced, or if its
    store fails: then the one served stays. If a rebuild is interrupted, the next one resumes or restarts it.
    """
    projection = known(projections, name, stores)
    # Rows in the database are durable with the cut-over; records of rows outside have to be before these are sent.
    with alone(url, name, durable=projection.store == OPENSEARCH) as connection:
        leftover.finish_cut_over(connection, projection, stores)
        started = time.monotonic()
        with connection.transaction():
            live = generation.live(connection, projection)
        if live is None:
            first = ensure_served(url, connection, projection, stores, progress)
            if first is None:
                raise StrandlineError(
                    f"There is nothing to rebuild: none of the tables of {name} is in the ledger yet."
                )
            rows = stores.count(connection, projection)
            return Served(name, first.generation, rows, time.monotonic() - started, True)
        if live.store != projection.store:
            raise StrandlineError(
                f"{name} is served from {live.store}, and its definition says {projection.store}: a read model stays "
                "in its store.\nGive the projection another name."
            )
        for _ in range(ATTEMPTS):
            left = leftover.resumable(connection, projection, stores)
            run = Run(url, connection, projection, stores, live, left, progress, accept)
            try:
                run_stages(RESUME if left else REBUILD, run)
                break
            except JournalChanged:
                exclusion.drop(connection, run.target, stores)
            except LeaseLost:
                raise StrandlineError(f"Another process took over the rebuild of {name}: run it again.") from None
            except StoreFailed:  # the next rebuild resumes it, or drops it
                raise
            except StrandlineError:
                exclusion.drop(connection, run.target, stores)
                raise
        else:
            raise StrandlineError(f"The journal kept changing below the mark while {name} was built: run it again.")
    seconds = time.monotonic() - started
    found = run.comparison
    assert found is not None
    return Served(
        name, run.target.generation, found.rows, seconds, run.accepted, found.difference,
        found.rows_before, found.newly_parked, found.reasons, found.worse,
    )  # fmt: skip


def known(projections: Mapping[str, Projection], name: str, stores: Stores) -> Projection:
    """Return the projection of that name, whose store is set. Raises `UsageError`."""
    projection = projections.get(name)
    if projection is None:
        raise UsageError(f"There is no projection {name!r}; there are {', '.join(projections) or 'none'}.")
    stores.require(projection)
    return projection
