"""How a generation of rows is filled: each document (or block) by itself."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import psycopg

from strandline.consumer.database.planner import AS_BEFORE, BY_INDEX
from strandline.consumer.projection.definition import BlockProjection, Revision, RowProjection
from strandline.consumer.projector import feed, parking
from strandline.consumer.projector.feed import Batch, key_of
from strandline.consumer.projector.parking import Parked
from strandline.consumer.projector.row_batch import RowBatch
from strandline.consumer.sinks.contract import Replacement, Sink

Connection = psycopg.Connection[tuple[Any, ...]]

# Documents that are run again at once: each brings all its revisions from the parked or erased one on.
AGAIN = 100


class Filler(ABC):
    """Writes what the journal means into one generation, in the projector's transaction, which holds the generation."""

    def __init__(self, connection: Connection, generation: int, sink: Sink) -> None:
        self._connection = connection
        self._generation = generation
        self._sink = sink

    def complete(self) -> None:
        """All is written that has no rows yet."""
        self._sink.complete()

    @abstractmethod
    def fill(self, batch: Batch) -> None:
        """Write what the batch means, and let what it erased mean what it means without its data."""

    @abstractmethod
    def again(self, parked: Sequence[tuple[str, int | None]], position: int) -> None:
        """Run what is parked, by key and version, once more, as of the position."""


class RowFiller(Filler):
    """Fills a generation of a projection whose rows come of one revision, or one block, each."""

    def __init__(
        self, connection: Connection, projection: RowProjection | BlockProjection, generation: int, sink: Sink
    ) -> None:
        super().__init__(connection, generation, sink)
        self._projection = projection

    def fill(self, batch: Batch) -> None:
        meaning = self.meaning()
        some_wait = parking.any_waiting(self._connection, self._generation)
        for chunk in batch:
            meaning.take(chunk, self._waiting({key_of(item) for item in chunk}) if some_wait else ())
        self._write(meaning)
        self._erase(batch.after, batch.last)

    def again(self, parked: Sequence[tuple[str, int | None]], position: int) -> None:
        """From the given versions up to the position."""
        keys = [key for key, _ in parked]
        parking.unpark(self._connection, self._generation, keys)
        items: Sequence[feed.Item]
        if isinstance(self._projection, BlockProjection):
            items = feed.blocks(self._connection, [int(key) for key in keys])
        else:
            wanted = [(key, version or 0) for key, version in parked]
            items = feed.documents(self._connection, self._projection, wanted, position)
            if self._projection.keeps == "history":
                # What follows a revision that parks now has no rows.
                self._sink.purge([(item.document_id, item.version) for item in items if isinstance(item, Revision)])
        meaning = self.meaning()
        meaning.take(items)
        self._write(meaning)

    def meaning(self) -> RowBatch:
        """For what is to be written; nothing is asked or written."""
        return RowBatch(self._projection, self._sink)

    def write_first(self, meanings: Iterable[RowBatch]) -> list[str]:
        """Write documents that have no rows yet; those that park are not written, but given, to be run in full.

        What makes the meanings must not use the control transaction.
        """
        parked: list[str] = []

        def replacements() -> Iterator[Replacement]:
            for meaning in meanings:
                parked.extend(one.key for one in meaning.parked)
                yield from meaning.replacements

        refusals = self._sink.write_first([replacements()])
        return [*parked, *(refusal.replacement.key for refusal in refusals)]

    def _erase(self, position: int, last: int) -> None:
        """Let what was projected before blocks after `position` redacted it mean what it means without its data."""
        if isinstance(self._projection, BlockProjection):
            return
        erased = feed.erased(self._connection, self._projection, position, last)
        if not erased:
            return
        # By hash joins each hundred of them would read a whole table.
        self._connection.execute(BY_INDEX)
        self._purge(erased, last, self._projection.keeps)
        self._connection.execute(AS_BEFORE)

    def _purge(self, erased: Sequence[Revision], last: int, keeps: str) -> None:
        self._sink.purge([(revision.document_id, revision.version) for revision in erased])
        waiting = self._waiting({revision.document_id for revision in erased})
        again: dict[str, int] = {}
        for revision in erased:
            parked_at = waiting.get(revision.document_id)
            # A rebuilt generation meets it erased, and may then take what it could not, or the other way round.
            if parked_at == revision.version or (
                keeps == "history" and (parked_at is None or parked_at > revision.version)
            ):
                first = again.get(revision.document_id)
                again[revision.document_id] = revision.version if first is None else min(first, revision.version)
        documents = sorted(again.items())
        for start in range(0, len(documents), AGAIN):
            self.again(documents[start : start + AGAIN], last)

    def _write(self, meaning: RowBatch) -> None:
        refusals = self._sink.write(meaning.replacements) if meaning.replacements else []
        parked = {one.key: one for one in meaning.parked}
        for refusal in refusals:
            refused = refusal.replacement
            # It stands before whatever its document was parked for later in the batch.
            parked[refused.key] = Parked(refused.key, refused.version, refused.sequence_no, refusal.reason)
        parking.park(self._connection, self._generation, list(parked.values()))

    def _waiting(self, keys: set[str]) -> dict[str, int | None]:
        return parking.waiting(self._connection, self._generation, keys)
