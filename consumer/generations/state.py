"""The state of every projection, and its parked documents, for `status` and `parked`."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from strandline.consumer.database.connection import Connection
from strandline.consumer.generations import generation
from strandline.consumer.generations.stores import DATABASE_ONLY, Stores
from strandline.consumer.projection.definition import Projection
from strandline.consumer.projection.discovery import is_sample
from strandline.consumer.projection.fingerprint import fingerprint

READ_LAG = """
    SELECT mark.sequence_no - generation.position,
        (SELECT max(block_time) FROM journal.block WHERE sequence_no = mark.sequence_no)
            - (SELECT max(block_time) FROM journal.block WHERE sequence_no = generation.position),
        (SELECT count(*) FROM projection.parked WHERE parked.generation = generation.generation)
    FROM journal.mark, projection.generation WHERE generation = %s"""
READ_PARKED = """
    SELECT projection, generation, key, version, sequence_no, reason, parked_at, state = 'live'
    FROM projection.parked JOIN projection.generation USING (generation)
    ORDER BY projection, generation, sequence_no, key"""


@dataclass(frozen=True)
class ProjectionStatus:
    """A projection and its live generation.

    `state` is live, building (its first generation), idle (none of its tables is in the ledger), failing,
    needs_rebuild, or off (its store is not set). Lag is behind the mark; its seconds are of the ledger's own time.
    """

    name: str
    store: str
    generation: int | None
    position: int | None
    state: str
    lag_blocks: int
    lag_seconds: float
    parked: int
    needs_rebuild: bool
    failure: str | None
    failed_at: datetime | None = None


@dataclass(frozen=True)
class ParkedDocument:
    """A document that is parked (of a projection of blocks: a block's number, without a version), and the reason.

    `live`: in the generation that is served, which `retry` runs again.
    """

    projection: str
    generation: int
    key: str
    version: int | None
    sequence_no: int
    reason: str
    parked_at: datetime
    live: bool = True

    @property
    def is_composed(self) -> bool:
        """Return whether the key is a composed one: that is payload."""
        return self.version is None and self.key != str(self.sequence_no)

    def as_dict(self) -> dict[str, object]:
        """Return the document in the form of `--json`."""
        return {
            "projection": self.projection,
            "generation": self.generation,
            "document": self.key,
            "version": self.version,
            "block": self.sequence_no,
            "reason": self.reason,
            "parked_at": self.parked_at.isoformat(),
        }


def statuses(
    connection: Connection, projections: Iterable[Projection], stores: Stores = DATABASE_ONLY
) -> list[ProjectionStatus]:
    """Return the state of each projection, by name; without samples for other ledgers than the one in the store."""
    shown = [one for one in projections if not is_sample(one) or _is_filled(connection, one)]
    return [_status(connection, one, stores) for one in sorted(shown, key=lambda projection: projection.name)]


def _is_filled(connection: Connection, projection: Projection) -> bool:
    return generation.live(connection, projection) is not None or generation.has_source(connection, projection)


def parked(connection: Connection) -> list[ParkedDocument]:
    """Return every parked document of every generation, in the journal's order."""
    return [ParkedDocument(*row) for row in connection.execute(READ_PARKED)]


def _status(connection: Connection, projection: Projection, stores: Stores) -> ProjectionStatus:
    live = generation.live(connection, projection)
    if live is None:
        first = generation.building(connection, projection)
        state = "idle" if first is None else "failing" if first.failure else "building"
        if stores.off(projection.store):
            state = "off"
        failure, failed_at = (first.failure, first.failed_at) if first and state == "failing" else (None, None)
        return ProjectionStatus(
            projection.name, projection.store, None, None, state, 0, 0.0, 0, False, failure, failed_at
        )
    blocks, lag, waiting = connection.execute(READ_LAG, [live.generation]).fetchone() or (0, None, 0)
    needs_rebuild = live.passed_change or live.fingerprint != fingerprint(projection)
    state = "failing" if live.failure else "needs_rebuild" if needs_rebuild else "live"
    if stores.off(projection.store):
        state = "off"
    return ProjectionStatus(
        name=projection.name,
        store=projection.store,
        generation=live.generation,
        position=live.position,
        state=state,
        lag_blocks=blocks,
        lag_seconds=lag.total_seconds() if lag else 0.0,
        parked=waiting,
        needs_rebuild=needs_rebuild,
        failure=live.failure,
        failed_at=live.failed_at,
    )
