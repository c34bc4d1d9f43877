"""A projector runs one generation of one projection: take the next batch up to the mark, let the projection say what it
means, write rows and position together."""

import time
from collections.abc import Callable, Sequence
from threading import Event
from typing import Any

import psycopg

from consumer import feed, lease
from consumer.feed import Batch, Limits, key_of
from consumer.lease import Lease, LeaseLost
from consumer.meaning import Meaning, Parked
from consumer.projection import BlockProjection, Projection, Revision
from consumer.sinks.contract import Sink

Connection = psycopg.Connection[tuple[Any, ...]]
Progress = Callable[[str, int, int], None]  # projection, position, mark

BUSY_SECONDS = 0.2
# Documents that are run again at once: each brings all its revisions from the parked or erased one on.
AGAIN = 100

READ_POSITION = "SELECT position FROM projection.generation WHERE generation = %s"
READ_ANY_WAITING = "SELECT FROM projection.parked WHERE generation = %s LIMIT 1"
READ_WAITING = "SELECT key, version FROM projection.parked WHERE generation = %s AND key = ANY(%s)"
READ_PARKED = """
    SELECT key, version FROM projection.parked WHERE generation = %s AND key > %s ORDER BY key LIMIT %s"""
PARK = """
    INSERT INTO projection.parked (generation, key, version, sequence_no, reason)
    SELECT %s, * FROM unnest(%s::text[], %s::bigint[], %s::bigint[], %s::text[])"""
UNPARK = "DELETE FROM projection.parked WHERE generation = %s AND key = ANY(%s)"
LOCK = "SELECT position FROM projection.generation WHERE generation = %s FOR UPDATE"


class Projector:
    """Fills one generation through its sink; `connection` is the sink's own, with no transaction open."""

    def __init__(
        self,
        connection: Connection,
        projection: Projection,
        generation: int,
        sink: Sink,
        limits: Limits | None = None,
    ) -> None:
        self._connection = connection
        self._projection = projection
        self._generation = generation
        self._sink = sink
        self._limits = limits or Limits()

    def run_to_mark(self, progress: Progress | None = None, stop: Event | None = None) -> None:
        """Bring the generation to the mark, or wait until the projector that holds its lease has done so."""
        while not self._at_mark(progress) and not (stop and stop.is_set()):
            held = lease.take(self._connection, self._generation)
            if held is None:
                time.sleep(BUSY_SECONDS)
                continue
            try:
                while not (stop and stop.is_set()) and self.step(held):
                    self._at_mark(progress)
            except LeaseLost:
                continue
            lease.release(self._connection, held)

    def step(self, held: Lease) -> bool:
        """One batch; False where there is none. Raises `LeaseLost`, and then nothing is written."""
        with self._connection.transaction():
            position = lease.hold(self._connection, held)
            mark = feed.read_mark(self._connection)
            if position >= mark:
                return False
            batch = Batch(self._connection, self._projection, position, mark, self._limits)
            meaning = Meaning(self._projection, self._sink.prepare)
            some_wait = self._connection.execute(READ_ANY_WAITING, [self._generation]).fetchone() is not None
            for chunk in batch:
                meaning.take(chunk, self._waiting({key_of(item) for item in chunk}) if some_wait else ())
            self._write(meaning)
            self._erase(position, batch.last)
            lease.move(self._connection, held, batch.last)
        return True

    def retry(self) -> tuple[int, int]:
        """Run every parked document again, up to the position; how many were tried, and how many are parked still."""
        tried = still = 0
        last = ""
        while True:
            with self._connection.transaction():
                # The row keeps batches out; a lease would have to wait for the one who has it.
                locked = self._connection.execute(LOCK, [self._generation]).fetchone()
                chunk = self._connection.execute(READ_PARKED, [self._generation, last, AGAIN]).fetchall()
                if not chunk or locked is None:
                    return tried, still
                self._again(dict(chunk), locked[0])
                still += len(self._waiting([key for key, _ in chunk]))
            tried += len(chunk)
            last = chunk[-1][0]

    def _at_mark(self, progress: Progress | None) -> bool:
        with self._connection.transaction():
            mark = feed.read_mark(self._connection)
            row = self._connection.execute(READ_POSITION, [self._generation]).fetchone()
        position = int(row[0]) if row else mark
        if progress:
            progress(self._projection.name, position, mark)
        return position >= mark

    def _erase(self, position: int, last: int) -> None:
        """Let what was projected before blocks after `position` redacted it mean what it means without its data."""
        if isinstance(self._projection, BlockProjection):
            return
        erased = feed.erased(self._connection, self._projection, position, last)
        if not erased:
            return
        self._sink.purge([(revision.document_id, revision.version) for revision in erased])
        waiting = self._waiting({revision.document_id for revision in erased})
        again: dict[str, int | None] = {}
        for revision in erased:
            parked_at = waiting.get(revision.document_id)
            # A rebuilt generation meets it erased, and may then take what it could not, or the other way round.
            if parked_at == revision.version or (
                self._projection.keeps == "history" and (parked_at is None or parked_at > revision.version)
            ):
                first = again.get(revision.document_id)
                again[revision.document_id] = revision.version if first is None else min(first, revision.version)
        keys = sorted(again)
        for start in range(0, len(keys), AGAIN):
            self._again({key: again[key] for key in keys[start : start + AGAIN]}, last)

    def _again(self, first_versions: dict[str, int | None], position: int) -> None:
        """Run documents (or blocks) again, from the given versions up to the position."""
        keys = list(first_versions)
        self._connection.execute(UNPARK, [self._generation, keys])
        items: Sequence[feed.Item]
        if isinstance(self._projection, BlockProjection):
            items = feed.blocks(self._connection, [int(key) for key in keys])
        else:
            wanted = [(key, version or 0) for key, version in first_versions.items()]
            items = feed.documents(self._connection, self._projection, wanted, position)
            if self._projection.keeps == "history":
                # What follows a revision that parks now has no rows.
                self._sink.purge([(item.document_id, item.version) for item in items if isinstance(item, Revision)])
        meaning = Meaning(self._projection, self._sink.prepare)
        meaning.take(items)
        self._write(meaning)

    def _write(self, meaning: Meaning) -> None:
        refusals = self._sink.write(meaning.replacements) if meaning.replacements else []
        parked = {one.key: one for one in meaning.parked}
        for refusal in refusals:
            refused = refusal.replacement
            # It stands before whatever its document was parked for later in the batch.
            parked[refused.key] = Parked(refused.key, refused.version, refused.sequence_no, refusal.reason)
        if parked:
            rows = [(one.key, one.version, one.sequence_no, one.reason) for one in parked.values()]
            columns = [list(column) for column in zip(*rows, strict=True)]
            self._connection.execute(PARK, [self._generation, *columns])

    def _waiting(self, keys: Sequence[str] | set[str]) -> dict[str, int | None]:
        rows = self._connection.execute(READ_WAITING, [self._generation, list(keys)])
        return dict(rows.fetchall())
