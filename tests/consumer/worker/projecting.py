"""Running projectors for the tests of the worker, and the small journal's records for them."""

from collections.abc import Iterator
from contextlib import contextmanager

from strandline.consumer.database.connection import connect
from strandline.consumer.intake.stream import StreamIntake
from strandline.consumer.projection.discovery import discover
from strandline.consumer.worker.projectors import ProjectorThreads
from tests.journals import STRAND
from tests.streamed import streamed

PROJECTIONS = discover(("strandline.projections",))
# The read models that the small journal fills: it has no other table than Licence.
FILLED = ("licence_register", "licence_history", "ledger_activity")


@contextmanager
def running(url: str) -> Iterator[ProjectorThreads]:
    made = ProjectorThreads(url, PROJECTIONS)
    made.start()
    try:
        yield made
    finally:
        made.stop()
        assert made.join(10)


def ingest(url: str, first: int = 0, last: int | None = None, strand: str = STRAND) -> None:
    """Ingest records of the small journal."""
    with connect(url) as connection:
        intake = StreamIntake(connection, stream="licences", shard="s", origin=0, trust_deletions=False)
        intake.take(streamed(strand)[first:last])
