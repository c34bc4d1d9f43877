"""Fills a generation of rows: each document (or block) by itself."""

from collections.abc import Mapping, Sequence

from strandline.consumer.database.connection import Connection
from strandline.consumer.database.planner import AS_BEFORE, BY_INDEX
from strandline.consumer.projection.definition import BlockProjection, Revision, RowProjection
from strandline.consumer.projector import feed, parking
from strandline.consumer.projector.feed import Batch
from strandline.consumer.projector.filler import AGAIN, BackfillBatch, Filler
from strandline.consumer.projector.parking import Parked
from strandline.consumer.projector.row_batch import RowBatch, key_of
from strandline.consumer.sinks.contract import Sink


class RowFiller(Filler):
    """Fills a generation of a projection whose rows come of one revision, or one block, each."""

    def __init__(
        self, connection: Connection, projection: RowProjection | BlockProjection, generation: int, sink: Sink
    ) -> None:
        super().__init__(connection, generation, sink)
        self._projection = projection
        self._to_run_again: dict[str, int] = {}

    def fill(self, batch: Batch) -> None:
        rows = RowBatch(self._projection, self._sink)
        any_waiting = parking.any_waiting(self._connection, self._generation)
        for chunk in batch:
            rows.take(chunk, self._waiting({key_of(item) for item in chunk}) if any_waiting else ())
        self._write(rows)
        self._project_redacted(batch.after, batch.last)

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
                # Revisions after one that parks now have no rows.
                self._sink.purge([(item.document_id, item.version) for item in items if isinstance(item, Revision)])
        rows = RowBatch(self._projection, self._sink)
        rows.take(items)
        self._write(rows)

    def write_first(self, batch: BackfillBatch) -> None:
        parking.park(self._connection, self._generation, batch.parked)
        refusals = self._sink.write_first(batch.replacements)
        self._to_run_again.update(batch.again)
        self._to_run_again.update((refusal.replacement.key, 0) for refusal in refusals)

    @property
    def to_run_again(self) -> Mapping[str, int]:
        return self._to_run_again

    def _project_redacted(self, position: int, last: int) -> None:
        """Project revisions again, without their data, if blocks in (position, last] redacted them."""
        if isinstance(self._projection, BlockProjection):
            return
        erased = feed.erased(self._connection, self._projection, position, last)
        if not erased:
            return
        # With hash joins, each hundred of them would read the entire table.
        self._connection.execute(BY_INDEX)
        self._purge(erased, last, self._projection.keeps)
        self._connection.execute(AS_BEFORE)

    def _purge(self, erased: Sequence[Revision], last: int, keeps: str) -> None:
        self._sink.purge([(revision.document_id, revision.version) for revision in erased])
        waiting = self._waiting({revision.document_id for revision in erased})
        again: dict[str, int] = {}
        for revision in erased:
            parked_at = waiting.get(revision.document_id)
            # A rebuilt generation reads it redacted: it may project what could not be projected before, or park it.
            if parked_at == revision.version or (
                keeps == "history" and (parked_at is None or parked_at > revision.version)
            ):
                first = again.get(revision.document_id)
                again[revision.document_id] = revision.version if first is None else min(first, revision.version)
        documents = sorted(again.items())
        for start in range(0, len(documents), AGAIN):
            self.again(documents[start : start + AGAIN], last)

    def _write(self, rows: RowBatch) -> None:
        refusals = self._sink.write(rows.replacements) if rows.replacements else []
        parked = {one.key: one for one in rows.parked}
        for refusal in refusals:
            refused = refusal.replacement
            # Its revision is before the one for which the batch parks the document.
            parked[refused.key] = Parked(refused.key, refused.version, refused.sequence_no, refusal.reason)
        parking.park(self._connection, self._generation, list(parked.values()))

    def _waiting(self, keys: set[str]) -> dict[str, int | None]:
        return parking.waiting(self._connection, self._generation, keys)
