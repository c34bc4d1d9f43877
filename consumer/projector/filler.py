"""The contract of what fills a generation; rows and composed keys each have their own."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from strandline.consumer.database.connection import Connection
from strandline.consumer.projector.feed import Batch
from strandline.consumer.projector.parking import Parked
from strandline.consumer.sinks.contract import Replacement, Sink

Source = tuple[str, str, int]  # a composed key, a document and a version that its rows come from

# Documents that are run again at once: each brings all its revisions from the parked or erased one on.
AGAIN = 100


@dataclass(frozen=True)
class BackfillBatch:
    """Written in one transaction into a generation that has no rows of these sources.

    Documents to run `again` are not written: they are run from that version on after the last batch. `done` of `total`
    documents, keys or blocks are written after this batch.
    """

    replacements: Sequence[Replacement] = ()
    parked: Sequence[Parked] = ()
    sources: Sequence[Source] = ()
    again: Sequence[tuple[str, int]] = ()
    done: int = 0
    total: int = 0


class Filler(ABC):
    """Writes the journal's rows into one generation, in the transaction of a projector that holds the generation."""

    def __init__(self, connection: Connection, generation: int, sink: Sink) -> None:
        self._connection = connection
        self._generation = generation
        self._sink = sink

    @abstractmethod
    def fill(self, batch: Batch) -> None:
        """Write the batch's rows; project redacted revisions again, without their data."""

    @abstractmethod
    def again(self, parked: Sequence[tuple[str, int | None]], position: int) -> None:
        """Run parked documents, by key and version, again as of the position."""

    @abstractmethod
    def write_first(self, batch: BackfillBatch) -> None:
        """Write a batch of a backfill."""

    def complete(self) -> None:
        """Make the indexes that a bare generation lacks, after the last batch of a backfill."""
        self._sink.complete()

    @property
    def to_run_again(self) -> Mapping[str, int]:
        """The documents of a backfill that are to be run after its last batch, from the given version on."""
        return {}
