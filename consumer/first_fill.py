"""The first fill of a generation that shows what is current: of each document only its last revision is read, and each
composed key is composed once.

The result is that of reading all revisions in order. So documents of a row projection that park are read in full: those
of which the last revision cannot be taken, and those that are known to wait in the generation that is served. What is
sent to a store outside is made some parts ahead, while the part before waits for answers; for PostgreSQL, which takes
rows while more are made, a second thread would only be in the way.
"""

import gc
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from functools import partial
from itertools import islice
from typing import Any, TypeVar, cast

import psycopg
from psycopg import IsolationLevel
from psycopg.sql import SQL

from consumer import feed
from consumer import held as held_documents
from consumer.composing import KEYS, ComposedFilling
from consumer.composition import Composed, naming
from consumer.filling import AGAIN, Filling, RowFilling
from consumer.generation import READ_POSITION
from consumer.held import Held
from consumer.meaning import Meaning
from consumer.projection import ComposedProjection, Revision, RowProjection
from consumer.revisions import read_for
from consumer.staged_keys import StagedKeys
from journal.errors import StrandlineError

Connection = psycopg.Connection[tuple[Any, ...]]
Part = tuple[Callable[[], int], int]  # what writes it, and says how many are done then; of how many
Parts = Generator[Part, None, None]
T = TypeVar("T")

# A part has so many documents, or bytes of them; a fetch at most 64 MB, for a document has at most 128 KB.
AT_ONCE, SIZE_AT_ONCE = 10_000, 8_000_000
FETCH = 500
# Keys that are composed at once, where all that they look up is known; and how long a turn of them goes on: a fraction
# of its lease, so that there is time for the last answers.
KEYS_KNOWN, TURN_SECONDS = 500, 5.0
# The first are few, so that the store outside soon has something to do.
FIRST_KEYS = 100
# So many documents are decoded together.
DECODED = 100
# So many are looked through together for the keys that they name: few enough that PostgreSQL, which is ahead by what
# fits between it and this process, hardly waits meanwhile.
NAMED_AT_ONCE = 1_000
# Parts that are made, at most, before one that is sent outside is done.
AHEAD = 2
VALUES_UNTIL_COLLECTED = 200_000

# The last revision of each document, by hashes in one process: a planner without statistics would look each one up, and
# whoever takes the rows is slower than one process that reads them.
BY_HASH = """
    SET LOCAL enable_nestloop = off; SET LOCAL enable_sort = off; SET LOCAL max_parallel_workers_per_gather = 0;
    SET LOCAL work_mem = '64MB'"""
# Most documents have a first revision only: the others alone are looked for.
READ_LATEST = """
    SELECT {columns} FROM journal.revision LEFT JOIN (
        SELECT document_id, max(version) AS newest FROM journal.revision
        WHERE table_name = ANY(%(tables)s) AND sequence_no <= %(last)s AND version > 0 GROUP BY document_id
    ) AS last USING (document_id)
    WHERE table_name = ANY(%(tables)s) AND sequence_no <= %(last)s AND state = 'normal'
      AND version = coalesce(newest, 0)"""
READ_WAITING = "SELECT key FROM projection.parked WHERE generation = %s"
COUNT_DOCUMENTS = """
    SELECT count(*) FROM journal.revision
    WHERE table_name = ANY(%(tables)s) AND sequence_no <= %(last)s AND version = 0"""
COUNT_CHANGES = "SELECT count(*) FROM journal.change WHERE sequence_no <= %s"
# A change below that committed after the snapshot may not have been seen, and did not see this position.
NOTE_CHANGES = """
    UPDATE projection.generation SET passed_change = passed_change
        OR %(changes)s < (SELECT count(*) FROM journal.change WHERE sequence_no <= %(last)s)
    WHERE generation = %(generation)s"""


class FirstFill:
    """What there is to write up to the block `last`, read over a connection of its own in one snapshot.

    `last` is known with the first part: the mark, or the position of `alike`, a generation of rows of the same
    definition, where there is one. What waits there is run in full. What is erased meanwhile, the next batch purges.
    """

    def __init__(
        self,
        url: str,
        reading: Callable[[], Connection],
        projection: RowProjection | ComposedProjection,
        alike: int | None,
    ) -> None:
        self._url = url
        self._open = reading
        self._projection = projection
        self._reads = read_for(projection)
        # What waits is known as far as that has come; from there on every revision is read.
        self._alike = alike if isinstance(projection, RowProjection) else None
        self._waiting: set[str] = set()
        self._changes = 0
        self._read = self._bytes = 0
        self.last = -1

    @property
    def unit(self) -> str:
        return "keys" if isinstance(self._projection, ComposedProjection) else "documents"

    @contextmanager
    def parts(self, filling: Filling, *, counted: bool) -> Iterator[Iterator[Part]]:
        """What is to be written, each part in a transaction of its own; how much there is, 0 unless `counted`.

        The first is being made from here on.
        """
        rows = isinstance(self._projection, RowProjection)  # keys are composed while those before are being sent
        ahead = AHEAD if rows and self._projection.store != "postgresql" else 0
        with (
            _seldom_collected(),
            closing(self._parts(filling, counted)) as parts,
            _begun(parts, ahead, self._stop) as begun,
        ):
            yield begun

    def arrive(self, connection: Connection, generation: int) -> None:
        """In the transaction that moves the position."""
        parameters = {"last": self.last, "changes": self._changes, "generation": generation}
        connection.execute(NOTE_CHANGES, parameters)

    def _parts(self, filling: Filling, counted: bool) -> Parts:
        reading = self._open()
        reading.isolation_level = IsolationLevel.REPEATABLE_READ
        with reading.transaction():
            self._begin(reading)
            if isinstance(filling, ComposedFilling):
                yield from self._keys(reading, filling)
            else:
                assert isinstance(filling, RowFilling)
                yield from self._documents(reading, filling, counted)

    def _begin(self, reading: Connection) -> None:
        if self._alike is None:
            self.last = feed.read_mark(reading)
        else:
            (self.last,) = reading.execute(READ_POSITION, [self._alike]).fetchone() or (-1,)
            self._waiting = {key for (key,) in reading.execute(READ_WAITING, [self._alike])}
        (self._changes,) = reading.execute(COUNT_CHANGES, [self.last]).fetchone() or (0,)

    def _stop(self) -> None:
        """Break off what is being read."""
        with suppress(psycopg.Error, StrandlineError):
            self._open().cancel_safe()

    def _documents(self, reading: Connection, filling: RowFilling, counted: bool) -> Parts:
        again = set(self._waiting)

        def write(meaning: Meaning, done: int) -> int:
            again.update(filling.write_first(meaning))
            return done

        done = total = 0
        if counted:
            (total,) = reading.execute(COUNT_DOCUMENTS, self._parameters).fetchone() or (0,)
        with self._current(reading) as rows:
            while True:
                meaning = filling.meaning()
                meaning.take(self._some(rows, AT_ONCE), self._waiting)
                if self._read == done:
                    break
                done = self._read
                yield partial(write, meaning, done), total
        yield _then(done, filling.complete), total
        for _ in range(AHEAD - 1):
            yield _then(done), total
        # All has been written by now, for so many parts are made ahead at most, and those were not of documents.
        documents = sorted(again)
        for start in range(0, len(documents), AGAIN):
            part = [(one, 0) for one in documents[start : start + AGAIN]]
            yield _then(done, partial(filling.again, part, self.last)), total

    def _keys(self, reading: Connection, filling: ComposedFilling) -> Parts:
        projection = filling.projection
        held: Held | None = Held(projection)
        with held_documents.staying(), StagedKeys(self._url, projection, self.last) as staged:
            with self._current(reading) as rows:
                while revisions := list(self._some(rows, NAMED_AT_ONCE)):
                    named, silent = naming(projection, revisions)
                    if silent:
                        yield _then(0, partial(filling.park, silent)), 0
                    if held is None:
                        staged.add(named)
                        continue
                    unsaid = {one.key for one in silent}
                    held.add([one for one in revisions if one.document_id not in unsaid], named)
                    if self._bytes > held_documents.MOST_BYTES:
                        staged.add(held.named)
                        held = None
            keys, total = staged.keys() if held is None else held.keys()
            if held is None:
                compose, at_once = partial(filling.compose, find_there=staged.find), KEYS
            else:
                compose, at_once = partial(filling.compose_known, known=held.get), KEYS_KNOWN
            done = 0

            def write() -> int:
                # They are composed while those before are recorded in the database.
                with closing(composed()) as parts, _begun(parts, AHEAD, lambda: None) as begun:
                    filling.write_first(begun, lambda: done == total)
                return done

            def composed() -> Generator[list[Composed], None, None]:
                nonlocal done
                ends = time.monotonic() + TURN_SECONDS
                while part := list(islice(keys, at_once if done else min(at_once, FIRST_KEYS))):
                    yield compose(part)
                    done += len(part)
                    if time.monotonic() > ends:
                        break

            def complete() -> int:
                with ThreadPoolExecutor(1, thread_name_prefix="clear") as pool:
                    if held:
                        pool.submit(held.clear)  # while the store is waited for
                    filling.complete()
                return done

            yield write, total
            while done < total:
                yield write, total
            yield complete, total

    @property
    def _parameters(self) -> dict[str, Any]:
        return {"tables": list(self._projection.tables), "last": self.last}

    @contextmanager
    def _current(self, reading: Connection) -> Iterator[Iterator[Any]]:
        """The last revision of each document, with its bytes; one at a time, while PostgreSQL reads on."""
        reading.execute(BY_HASH)
        with reading.cursor() as cursor:
            statement = SQL(READ_LATEST).format(columns=self._reads.columns)
            rows = cursor.stream(statement, self._parameters, binary=True, size=FETCH)
            try:
                yield rows
            finally:
                cast(Generator[Any, None, None], rows).close()

    def _some(self, rows: Iterator[Any], most: int) -> Iterator[Revision]:
        """So many of them, or fewer where they are large."""
        taken = size = 0
        while taken < most and size < SIZE_AT_ONCE and (some := list(islice(rows, min(DECODED, most - taken)))):
            documents = self._reads.json(some)
            taken += len(some)
            size += len(documents)
            yield from self._reads.made(some, documents)
        self._read += taken
        self._bytes += size


@contextmanager
def _seldom_collected() -> Iterator[None]:
    """Python looks for garbage more seldom: what is made of documents has no cycles, and much of it stays a while."""
    before = gc.get_threshold()
    gc.set_threshold(VALUES_UNTIL_COLLECTED)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _then(done: int, write: Callable[[], None] = lambda: None) -> Callable[[], int]:
    """Writes, and says that so many are done."""

    def act() -> int:
        write()
        return done

    return act


@contextmanager
def _begun(items: Iterator[T], ahead: int, stop: Callable[[], None]) -> Iterator[Iterator[T]]:
    """The same items, of which the first is being made from now on, and the next ones, so many, while one is dealt
    with; `stop` ends the making."""
    end = object()
    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as pool:
        coming = deque([pool.submit(next, items, end) for _ in range(max(1, ahead))])

        def made() -> Iterator[T]:
            while coming and (item := coming.popleft().result()) is not end:
                if ahead:
                    coming.append(pool.submit(next, items, end))
                yield item  # type: ignore[misc]
            if not ahead:
                yield from items

        try:
            yield made()
        except BaseException:
            stop()
            raise
