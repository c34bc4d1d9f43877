"""The first fill of a generation that shows what is current: of each document only its last revision is read, and each
composed key is composed once.

The result is that of reading all revisions in order. So documents of a row projection that park are read in full: those
of which the last revision cannot be taken, and those that are known to wait in the generation that is served. What the
projection means is found out one part ahead, while the part before is written.
"""

from collections.abc import Callable, Collection, Generator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial
from typing import Any, TypeVar

import psycopg
from psycopg import IsolationLevel

from consumer.composing import KEYS, ComposedFilling
from consumer.composition import Documents
from consumer.database import connect
from consumer.filling import AGAIN, Filling, RowFilling
from consumer.finding import BY_INDEX, find
from consumer.meaning import Meaning
from consumer.projection import ComposedProjection, Revision, RowProjection, Through

Connection = psycopg.Connection[tuple[Any, ...]]
Part = tuple[Callable[[], None], int, int]  # what writes it; how many are done then, and of how many
Parts = Generator[Part, None, None]
T = TypeVar("T")

# A part has so many documents, or bytes of them; a fetch at most 64 MB, for a document has at most 128 KB.
AT_ONCE, SIZE_AT_ONCE = 5_000, 8_000_000
FETCH = 500

# The last revision of each document, by a hash join: a planner without statistics would look each one up.
BY_HASH = "SET LOCAL enable_nestloop = off; SET LOCAL cursor_tuple_fraction = 1; SET LOCAL work_mem = '64MB'"
READ_LATEST = """
    SELECT document_id, version, table_name, sequence_no, tx_id, tx_time, state, data, hash,
        coalesce(octet_length(data_ion), pg_column_size(data), 0)
    FROM journal.revision JOIN (
        SELECT document_id, max(version) AS version FROM journal.revision
        WHERE table_name = ANY(%(tables)s) AND sequence_no <= %(last)s GROUP BY document_id
    ) AS last USING (document_id, version)
    WHERE table_name = ANY(%(tables)s) AND sequence_no <= %(last)s AND state = 'normal'"""
COUNT_DOCUMENTS = """
    SELECT count(*) FROM journal.revision
    WHERE table_name = ANY(%(tables)s) AND sequence_no <= %(last)s AND version = 0"""
COUNT_CHANGES = "SELECT count(*) FROM journal.change WHERE sequence_no <= %s"
# A change below that committed after the snapshot may not have been seen, and did not see this position.
NOTE_CHANGES = """
    UPDATE projection.generation SET passed_change = passed_change
        OR %(changes)s < (SELECT count(*) FROM journal.change WHERE sequence_no <= %(last)s)
    WHERE generation = %(generation)s"""
STAGE_KEYS = "CREATE TEMPORARY TABLE key (key text) ON COMMIT DROP"
ADD_KEYS = "INSERT INTO key SELECT unnest(%s::text[])"
COUNT_KEYS = "SELECT count(DISTINCT key) FROM key"
READ_KEYS = "SELECT DISTINCT key FROM key ORDER BY key"


class FirstFill:
    """What there is to write up to the block `last`, read over a connection of its own in one snapshot.

    What is erased meanwhile, the next batch purges. `waiting` are the documents that are run in full.
    """

    def __init__(self, url: str, projection: RowProjection | ComposedProjection, last: int, waiting: Collection[str]):
        self._url = url
        self._projection = projection
        self._waiting = waiting
        self._changes = 0
        self.last = last

    @property
    def unit(self) -> str:
        return "keys" if isinstance(self._projection, ComposedProjection) else "documents"

    @contextmanager
    def parts(self, filling: Filling) -> Iterator[Parts]:
        """What is to be written, each part in a transaction of its own."""
        with connect(self._url) as reading:
            reading.isolation_level = IsolationLevel.REPEATABLE_READ
            with reading.transaction(), closing(self._parts(reading, filling)) as parts:
                (self._changes,) = reading.execute(COUNT_CHANGES, [self.last]).fetchone() or (0,)
                with closing(_one_ahead(parts)) as ahead:
                    yield ahead

    def arrive(self, connection: Connection, generation: int) -> None:
        """In the transaction that moves the position."""
        parameters = {"last": self.last, "changes": self._changes, "generation": generation}
        connection.execute(NOTE_CHANGES, parameters)

    def _parts(self, reading: Connection, filling: Filling) -> Parts:
        parameters = {"tables": list(self._projection.tables), "last": self.last}
        (total,) = reading.execute(COUNT_DOCUMENTS, parameters).fetchone() or (0,)
        if isinstance(filling, ComposedFilling):
            return self._keys(reading, filling, parameters)
        assert isinstance(filling, RowFilling)
        return self._documents(reading, filling, parameters, total)

    def _documents(self, reading: Connection, filling: RowFilling, parameters: Mapping[str, Any], total: int) -> Parts:
        again = set(self._waiting)

        def write(meaning: Meaning) -> None:
            again.update(filling.write_first(meaning))

        done = 0
        for chunk in _chunks(reading, parameters):
            meaning = filling.meaning([one for one in chunk if one.document_id not in self._waiting])
            done += len(chunk)
            yield partial(write, meaning), done, total
        yield filling.complete, done, total
        # All has been written by now: only one part is made ahead, and that was `complete`.
        documents = sorted(again)
        for start in range(0, len(documents), AGAIN):
            part = [(one, 0) for one in documents[start : start + AGAIN]]
            yield partial(filling.again, part, self.last), done, total

    def _keys(self, reading: Connection, filling: ComposedFilling, parameters: Mapping[str, Any]) -> Parts:
        def find_there(wanted: Collection[Through]) -> Mapping[Through, Documents]:
            return find(reading, wanted, self.last)

        reading.execute(STAGE_KEYS)
        for chunk in _chunks(reading, parameters):
            # Only now: what reads the chunks is planned already.
            reading.execute(f"{BY_INDEX}; SET LOCAL enable_nestloop = on")
            keys, silent = filling.touched(chunk, find_there)
            reading.execute(ADD_KEYS, [list(keys)])
            if silent:
                yield partial(filling.park, silent), 0, 0
        (total,) = reading.execute(COUNT_KEYS).fetchone() or (0,)
        done = 0
        with reading.cursor(name="keys") as cursor:
            cursor.execute(READ_KEYS)
            while rows := cursor.fetchmany(KEYS):
                part = [key for (key,) in rows]
                composed = filling.compose(part, find_there)
                done += len(part)
                yield partial(filling.write_first, composed), done, total
        yield filling.complete, done, total


def _chunks(reading: Connection, parameters: Mapping[str, Any]) -> Iterator[list[Revision]]:
    chunk: list[Revision] = []
    size = 0
    reading.execute(BY_HASH)
    with reading.cursor(name="latest") as cursor:
        cursor.execute(READ_LATEST, parameters, binary=True)
        while rows := cursor.fetchmany(FETCH):
            chunk += [Revision(*row[:-1]) for row in rows]
            size += sum([row[-1] for row in rows])
            if len(chunk) >= AT_ONCE or size >= SIZE_AT_ONCE:
                yield chunk
                chunk, size = [], 0
    yield chunk


def _one_ahead(items: Iterator[T]) -> Generator[T, None, None]:
    """The same items, of which the next is made while one is dealt with."""
    end = object()
    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as pool:
        coming = pool.submit(next, items, end)
        while (item := coming.result()) is not end:
            coming = pool.submit(next, items, end)
            yield item  # type: ignore[misc]
