"""The backfill of an empty generation. Of what is current each document is read once, in its last revision, and each
composed key is composed once; every revision of a history, and every block, is read once, in order.

A document whose last revision is refused is run from its first revision, so it waits from the first that is refused.
One that waits in the served generation of the same definition is run from the revision before, so it waits as it does
there; any other that can be taken now is taken, even if it could not be once.
"""

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from itertools import islice
from typing import Any, cast

import psycopg
from psycopg import IsolationLevel
from psycopg.sql import SQL

from strandline.consumer.database.connection import Connection, connect
from strandline.consumer.projection.definition import (
    BlockProjection,
    ComposedProjection,
    Projection,
    Revision,
    RowProjection,
)
from strandline.consumer.projector import feed
from strandline.consumer.projector.composed_filler import composed_batch
from strandline.consumer.projector.composition import Composed, compose, name_keys
from strandline.consumer.projector.document_cache import DocumentCache
from strandline.consumer.projector.filler import BackfillBatch
from strandline.consumer.projector.lease import READ_POSITION
from strandline.consumer.projector.parking import Parked
from strandline.consumer.projector.revision_reader import reader_for
from strandline.consumer.projector.row_batch import RowBatch
from strandline.consumer.sinks.contract import Sink

# A batch has so many documents, or bytes of them. A fetch has at most 64 MB: a document has at most 128 KB.
DOCUMENTS, BYTES = 10_000, 8_000_000
FETCH = 500
# Documents that are decoded together.
DECODED = 100
# A batch has so many composed keys; they are composed a few at a time until they have so many rows.
KEYS, KEYS_AT_ONCE, ROWS = 4_000, 200, 10_000
# Documents of a composed projection in memory, as JSON, with so much more for each: they take five times as much there.
# Measured: 412,409 of the licence ledger, 36 MB of JSON, take 440 MB.
MOST_BYTES, BYTES_OF_EACH = 100_000_000, 125

# The last revision of each document, by hashes: a planner without statistics would look each one up. Two processes read
# if there is much to read: one is as fast as the projection, which has nothing to do before the first row.
BY_HASH = """
    SET LOCAL enable_nestloop = off; SET LOCAL enable_sort = off; SET LOCAL max_parallel_workers_per_gather = 1;
    SET LOCAL work_mem = '64MB'"""
# Most documents have a first revision only: the others alone are looked for.
READ_LATEST = """
    SELECT {columns} FROM journal.revision LEFT JOIN (
        SELECT document_id, max(version) AS newest FROM journal.revision
        WHERE table_name = ANY(%(tables)s) AND sequence_no <= %(last)s AND version > 0 GROUP BY document_id
    ) AS last USING (document_id)
    WHERE table_name = ANY(%(tables)s) AND sequence_no <= %(last)s AND state = 'normal'
      AND version = coalesce(newest, 0)"""
# From the revision before the one that was refused: its rows are served.
READ_WAITING = "SELECT key, greatest(version - 1, 0) FROM projection.parked WHERE generation = %s"
COUNT_DOCUMENTS = """
    SELECT count(*) FROM journal.document
    WHERE NOT deleted AND table_id IN (SELECT table_id FROM journal.user_table WHERE name = ANY(%(tables)s))"""
COUNT_CHANGES = "SELECT count(*) FROM journal.change WHERE sequence_no <= %s"
# A change below that committed after the snapshot may not have been seen, and did not see this position.
NOTE_CHANGES = """
    UPDATE projection.generation SET passed_change = passed_change
        OR %(changes)s < (SELECT count(*) FROM journal.change WHERE sequence_no <= %(last)s)
    WHERE generation = %(generation)s"""


class Backfill(ABC):
    """The batches up to the block `last`, read in one snapshot over a connection of its own.

    The generation's row is committed before: what is redacted after the snapshot, the generation's next batch purges.
    """

    unit: str

    def __init__(self, url: str) -> None:
        self._url = url
        self._reading: Connection | None = None
        self._changes = 0
        self.last = -1

    @abstractmethod
    def batches(self, sink: Sink) -> Generator[BackfillBatch]:
        """Yield the batches to write, prepared by the sink. `last` is known with the first of them."""

    def arrive(self, connection: Connection, generation: int) -> None:
        """Note changes since the snapshot, in the transaction that moves the position."""
        parameters = {"last": self.last, "changes": self._changes, "generation": generation}
        connection.execute(NOTE_CHANGES, parameters)

    @contextmanager
    def cancelled_by_errors(self) -> Iterator[None]:
        """Cancel the statement that reads if the body raises, so that its thread ends soon."""
        try:
            yield
        except BaseException:
            if self._reading:
                with suppress(psycopg.Error):
                    self._reading.cancel_safe()
            raise

    @contextmanager
    def _snapshot(self, same_definition: int | None = None) -> Iterator[Connection]:
        """A transaction that reads up to `last`: the mark, or the position of the generation of the same definition."""
        with connect(self._url) as reading:
            self._reading = reading
            reading.isolation_level = IsolationLevel.REPEATABLE_READ
            with reading.transaction():
                if same_definition is None:
                    self.last = feed.read_mark(reading)
                else:
                    (self.last,) = reading.execute(READ_POSITION, [same_definition]).fetchone() or (-1,)
                (self._changes,) = reading.execute(COUNT_CHANGES, [self.last]).fetchone() or (0,)
                yield reading
        self._reading = None


class CurrentBackfill(Backfill):
    """Of a projection that keeps what is current."""

    def __init__(self, url: str, projection: RowProjection | ComposedProjection) -> None:
        super().__init__(url)
        self._reader = reader_for(projection)
        self._tables = list(projection.tables)

    @property
    def _parameters(self) -> dict[str, Any]:
        return {"tables": self._tables, "last": self.last}

    def _latest(self, reading: Connection) -> Iterator[tuple[list[Revision], int]]:
        """Yield some current documents at a time, with their size in bytes."""
        reading.execute(BY_HASH)
        statement = SQL(READ_LATEST).format(columns=self._reader.columns)
        with reading.cursor() as cursor:
            rows = cast(Generator[Any, None, None], cursor.stream(statement, self._parameters, binary=True, size=FETCH))
            with closing(rows):
                while some := list(islice(rows, DECODED)):
                    documents = self._reader.json(some)
                    yield self._reader.make(some, documents), len(documents)


class RowBackfill(CurrentBackfill):
    """Of a row projection. If a generation has the `same_definition`, the same documents wait."""

    unit = "documents"

    def __init__(self, url: str, projection: RowProjection, same_definition: int | None, *, counted: bool) -> None:
        super().__init__(url, projection)
        self._projection = projection
        self._same_definition = same_definition
        self._counted = counted

    def batches(self, sink: Sink) -> Generator[BackfillBatch]:
        done = total = size = taken = 0
        # Parked documents are known up to the position of that generation; every later revision is read.
        with self._snapshot(self._same_definition) as reading:
            waiting = reading.execute(READ_WAITING, [self._same_definition]).fetchall()
            if self._counted:
                (total,) = reading.execute(COUNT_DOCUMENTS, self._parameters).fetchone() or (0,)
            rows, again, skipped = RowBatch(self._projection, sink), waiting, {key for key, _ in waiting}
            for revisions, length in self._latest(reading):
                rows.take(revisions, skipped)
                taken, size = taken + len(revisions), size + length
                if taken >= DOCUMENTS or size >= BYTES:
                    done += taken
                    yield _row_batch(rows, again, done, total)
                    rows, again, taken, size = RowBatch(self._projection, sink), [], 0, 0
        yield _row_batch(rows, again, done + taken, total)


class JournalBackfill(Backfill):
    """Of a history or of blocks: everything is read in order, so a document parks as in any other fill.

    What the store refuses is run again afterwards.
    """

    unit = "blocks"

    def __init__(self, url: str, projection: RowProjection | BlockProjection) -> None:
        super().__init__(url)
        self._projection = projection

    def batches(self, sink: Sink) -> Generator[BackfillBatch]:
        taken = size = 0
        parked: set[str] = set()
        rows = RowBatch(self._projection, sink)
        with self._snapshot() as reading:
            total = self.last + 1
            for items, length in feed.read_all(reading, self._projection, self.last):
                rows.take(items, parked)
                taken, size = taken + len(items), size + length
                if taken >= DOCUMENTS or size >= BYTES:
                    parked.update(one.key for one in rows.parked)
                    yield BackfillBatch(rows.replacements, rows.parked, done=items[-1].sequence_no + 1, total=total)
                    rows, taken, size = RowBatch(self._projection, sink), 0, 0
        yield BackfillBatch(rows.replacements, rows.parked, done=total, total=total)


class ComposedBackfill(CurrentBackfill):
    """Of a composed projection: all its documents are in memory while its keys are composed.

    Composing them from the database takes twice as long. If they are too large, there are no batches and `last` stays
    -1: the generation is filled from its first block.
    """

    unit = "keys"

    def __init__(self, url: str, projection: ComposedProjection) -> None:
        super().__init__(url, projection)
        self._projection = projection

    def batches(self, sink: Sink) -> Generator[BackfillBatch]:
        cache = DocumentCache(self._projection)
        parked: list[Parked] = []
        size = 0
        with self._snapshot() as reading:
            for revisions, length in self._latest(reading):
                size += length + BYTES_OF_EACH * len(revisions)
                if size > MOST_BYTES:
                    self.last = -1
                    return
                names, refused = name_keys(self._projection, revisions)
                parked += refused
                silent = {one.key for one in refused}
                cache.add([one for one in revisions if one.document_id not in silent], names)
        # The snapshot has ended: to compose takes long, and the server ends an idle transaction.
        keys = sorted(cache.keys)
        if parked:
            yield BackfillBatch(parked=parked, total=len(keys))
        prepare, done, rows = sink.prepare_all, 0, 0
        composed: list[Composed] = []
        for start in range(0, len(keys), KEYS_AT_ONCE):
            part = keys[start : start + KEYS_AT_ONCE]
            composed += compose(self._projection, part, prepare, known=cache.get)
            rows += sum(len(one.rows) for one in composed[-len(part) :])
            if len(composed) >= KEYS or rows >= ROWS or start + len(part) == len(keys):
                done += len(composed)
                yield composed_batch(composed, done, len(keys))
                composed, rows = [], 0


def backfill_for(url: str, projection: Projection, same_definition: int | None, *, counted: bool) -> Backfill:
    """Return the backfill of a projection; the generation of the `same_definition` that is served, if any.

    `counted`: whether to count documents first, for a progress.
    """
    if isinstance(projection, ComposedProjection):
        return ComposedBackfill(url, projection)
    if isinstance(projection, RowProjection) and projection.keeps == "current":
        return RowBackfill(url, projection, same_definition, counted=counted)
    return JournalBackfill(url, projection)


def _row_batch(rows: RowBatch, again: Sequence[tuple[str, int]], done: int, total: int) -> BackfillBatch:
    refused = [(one.key, 0) for one in rows.parked]
    return BackfillBatch(rows.replacements, again=[*again, *refused], done=done, total=max(done, total))
