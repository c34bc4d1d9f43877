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
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import partial
from itertools import chain, islice
from typing import Any, TypeVar, cast

import psycopg
from psycopg import IsolationLevel
from psycopg.sql import SQL

from strandline.consumer.projection.definition import ComposedProjection, Revision, RowProjection
from strandline.consumer.projector import backfill_documents as held_documents
from strandline.consumer.projector.backfill_documents import DocumentCache
from strandline.consumer.projector.backfill_keys import StagedKeys
from strandline.consumer.projector.composed_filler import KEYS, ComposedFiller
from strandline.consumer.projector.composition import Composed, naming
from strandline.consumer.projector.lease import READ_POSITION
from strandline.consumer.projector.revision_reader import read_for
from strandline.consumer.projector.row_batch import RowBatch
from strandline.consumer.projector.row_filler import AGAIN, Filler, RowFiller
from strandline.consumer.sinks.contract import Summary
from strandline.journal.errors import StrandlineError

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
# So many are looked through together for their rows, or the keys that they name: few enough that PostgreSQL, which is
# ahead by what fits between it and this process, hardly waits meanwhile.
TAKEN_AT_ONCE = 1_000
# What is made, at most, before what is sent outside is done.
AHEAD = 2
VALUES_UNTIL_COLLECTED = 200_000

# The last revision of each document, by hashes: a planner without statistics would look each one up. By two processes,
# if there is much to read: whoever takes the rows is about as fast as one, and has nothing to do before the first.
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
READ_WAITING = "SELECT key FROM projection.parked WHERE generation = %s"
COUNT_DOCUMENTS = """
    SELECT count(*) FROM journal.revision
    WHERE table_name = ANY(%(tables)s) AND sequence_no <= %(last)s AND version = 0"""
COUNT_CHANGES = "SELECT count(*) FROM journal.change WHERE sequence_no <= %s"
# Whatever redacts moves the mark, or changes what is below it.
READ_STATE = "SELECT sequence_no, (SELECT count(*) FROM journal.change) FROM journal.mark"
# A change below that committed after the snapshot may not have been seen, and did not see this position.
NOTE_CHANGES = """
    UPDATE projection.generation SET passed_change = passed_change
        OR %(changes)s < (SELECT count(*) FROM journal.change WHERE sequence_no <= %(last)s)
    WHERE generation = %(generation)s"""


class Backfill:
    """What there is to write up to the block `last`, read over a connection of its own in one snapshot.

    `last` is known with the first part: the mark, or the position of `alike`, a generation of rows of the same
    definition, where there is one. What waits there is run in full. What is erased meanwhile, the next batch purges.
    How many documents there are is told only if they are to be `counted`.
    """

    def __init__(
        self,
        url: str,
        opened: Callable[[], Connection],
        projection: RowProjection | ComposedProjection,
        alike: int | None,
        *,
        counted: bool = False,
    ) -> None:
        self._url = url
        self._opened = opened
        self._projection = projection
        self._reads = read_for(projection)
        # What waits is known as far as that has come; from there on every revision is read.
        self._alike = alike if isinstance(projection, RowProjection) else None
        self._counted = counted
        self._snapshot = ExitStack()
        self._summed_up: Future[Summary] | None = None
        self._waiting: set[str] = set()
        self._state: tuple[int, int] | None = None
        self._changes = self._total = 0
        self._read = self._bytes = 0
        self.last = -1

    @property
    def unit(self) -> str:
        return "keys" if isinstance(self._projection, ComposedProjection) else "documents"

    @contextmanager
    def begun(self) -> Iterator[None]:
        """Reading begins here, while the generation is being made, and has ended after."""
        with self._snapshot, ThreadPoolExecutor(1, thread_name_prefix="reading") as self._thread:
            self._first = self._thread.submit(self._begin)
            with self._stopped_by_errors():
                yield

    @contextmanager
    def parts(self, connection: Connection, filling: Filler) -> Iterator[Iterator[Part]]:
        """What is to be written, each part in a transaction of its own, into a generation whose row is there."""
        with connection.transaction():
            state = _read_state(connection)
        with (
            _seldom_collected(),
            closing(self._parts(filling, state)) as parts,
            _begun(parts, 0) as begun,
            self._stopped_by_errors(),
        ):
            yield begun

    def arrive(self, connection: Connection, generation: int) -> None:
        """In the transaction that moves the position."""
        parameters = {"last": self.last, "changes": self._changes, "generation": generation}
        connection.execute(NOTE_CHANGES, parameters)

    def summary(self, position: int) -> Summary | None:
        """Of what is in the database at that position; None where more than this has been written to it."""
        return self._summed_up.result() if self._summed_up and position == self.last else None

    def _parts(self, filling: Filler, state: tuple[int, int]) -> Parts:
        rows = self._first.result()
        if self._state != state:
            # What was redacted since asked no generation to purge it that was not there: nobody would wait for this.
            self._snapshot.close()
            rows = self._begin()
        if isinstance(filling, ComposedFiller):
            yield from self._keys(rows, filling)
        else:
            assert isinstance(filling, RowFiller)
            yield from self._documents(rows, filling)

    def _begin(self) -> Iterator[Any]:
        """Open the snapshot; gives the rows of what is current when PostgreSQL has found the first of them."""
        reading = self._opened()
        reading.isolation_level = IsolationLevel.REPEATABLE_READ
        self._snapshot.enter_context(reading.transaction())
        self._state = _read_state(reading)
        if self._alike is None:
            self.last, _ = self._state
        else:
            (self.last,) = reading.execute(READ_POSITION, [self._alike]).fetchone() or (-1,)
            self._waiting = {key for (key,) in reading.execute(READ_WAITING, [self._alike])}
        (self._changes,) = reading.execute(COUNT_CHANGES, [self.last]).fetchone() or (0,)
        parameters = {"tables": list(self._projection.tables), "last": self.last}
        if self._counted:
            (self._total,) = reading.execute(COUNT_DOCUMENTS, parameters).fetchone() or (0,)
        reading.execute(BY_HASH)
        cursor = self._snapshot.enter_context(reading.cursor())
        statement = SQL(READ_LATEST).format(columns=self._reads.columns)
        rows = cast(Generator[Any, None, None], cursor.stream(statement, parameters, binary=True, size=FETCH))
        self._snapshot.enter_context(closing(rows))
        return chain(list(islice(rows, 1)), rows)

    @contextmanager
    def _stopped_by_errors(self) -> Iterator[None]:
        """An error breaks off what is being read."""
        try:
            yield
        except BaseException:
            with suppress(psycopg.Error, StrandlineError):
                self._opened().cancel_safe()
            raise

    def _documents(self, rows: Iterator[Any], filling: RowFiller) -> Parts:
        again = set(self._waiting)
        whole = False

        def write() -> int:
            # Where they are sent outside, they are made while those before are under way.
            ahead = AHEAD if self._projection.store != "postgresql" else 0
            with closing(meanings()) as made, _begun(made, ahead) as begun:
                again.update(filling.write_first(begun))
            return self._read

        def meanings() -> Generator[RowBatch, None, None]:
            nonlocal whole
            ends, full = self._read + AT_ONCE, self._bytes + SIZE_AT_ONCE
            while self._read < ends and self._bytes < full:
                before = self._read
                meaning = filling.meaning()
                meaning.take(self._some(rows, min(TAKEN_AT_ONCE, AT_ONCE)), self._waiting)
                if whole := self._read == before:
                    return
                yield meaning

        while not whole:
            yield write, self._total
        self._snapshot.close()
        documents = sorted(again)
        yield _then(self._read, partial(self._complete, filling, whole=not documents)), self._total
        for start in range(0, len(documents), AGAIN):
            part = [(one, 0) for one in documents[start : start + AGAIN]]
            yield _then(self._read, partial(filling.again, part, self.last)), self._total

    def _complete(self, filling: Filler, *, whole: bool) -> None:
        filling.complete()

    def _keys(self, rows: Iterator[Any], filling: ComposedFiller) -> Parts:
        projection = filling.projection
        held: DocumentCache | None = DocumentCache(projection)
        with held_documents.staying(), StagedKeys(self._url, projection, self.last) as staged:
            while revisions := list(self._some(rows, TAKEN_AT_ONCE)):
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
            self._snapshot.close()  # what comes now may take long, and the server ends a transaction that stands still
            keys, total = staged.keys() if held is None else held.keys()
            if held is None:
                compose, at_once = partial(filling.compose, find_there=staged.find), KEYS
            else:
                compose, at_once = partial(filling.compose_known, known=held.get), KEYS_KNOWN
            done = 0

            def write() -> int:
                # They are composed while those before are recorded in the database.
                with closing(composed()) as parts, _begun(parts, AHEAD) as begun:
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
                    self._complete(filling, whole=True)
                return done

            yield write, total
            while done < total:
                yield write, total
            yield complete, total

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


def _read_state(connection: Connection) -> tuple[int, int]:
    mark, changes = connection.execute(READ_STATE).fetchone() or (-1, 0)
    return mark, changes


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
def _begun(items: Iterator[T], ahead: int) -> Iterator[Iterator[T]]:
    """The same items, of which the first is being made from now on, and the next ones, so many, while one is dealt
    with."""
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

        yield made()
