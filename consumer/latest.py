"""The first fill of a generation that keeps what is current: of each document only its last revision is read.

The result is that of reading all revisions in order. So documents that park are read in full: those of which the last
revision cannot be taken, and those that are known to wait in the generation that is served.
"""

from collections.abc import Collection, Iterator
from typing import Any

import psycopg
from psycopg import IsolationLevel

from consumer.database import connect
from consumer.filling import AGAIN, RowFilling
from consumer.projection import Revision, RowProjection
from consumer.projector import Progress

Connection = psycopg.Connection[tuple[Any, ...]]

AT_ONCE = 5_000
_FETCH = 500

LOCK = "SELECT FROM projection.generation WHERE generation = %s FOR NO KEY UPDATE"
READ_LATEST = """
    SELECT document_id, version, table_name, sequence_no, tx_id, tx_time, state, data, hash
    FROM journal.revision latest
    WHERE table_name = ANY(%(tables)s) AND sequence_no <= %(last)s AND state = 'normal' AND NOT EXISTS (
        SELECT FROM journal.revision later
        WHERE later.document_id = latest.document_id AND later.version > latest.version
          AND later.sequence_no <= %(last)s)"""
COUNT_DOCUMENTS = """
    SELECT count(*) FROM journal.revision
    WHERE table_name = ANY(%(tables)s) AND sequence_no <= %(last)s AND version = 0"""
COUNT_CHANGES = "SELECT count(*) FROM journal.change WHERE sequence_no <= %s"
ARRIVE = """
    UPDATE projection.generation SET position = %(last)s,
        passed_change = passed_change
            OR %(changes)s < (SELECT count(*) FROM journal.change WHERE sequence_no <= %(last)s)
    WHERE generation = %(generation)s"""


class LatestFill:
    """Fills an empty generation up to a block; until it is all done the position does not move."""

    def __init__(
        self, connection: Connection, projection: RowProjection, generation: int, filling: RowFilling, last: int
    ) -> None:
        self._connection = connection
        self._projection = projection
        self._generation = generation
        self._filling = filling
        self._last = last

    def run(self, url: str, waiting: Collection[str], progress: Progress | None = None) -> None:
        """Read over a connection of its own, in one snapshot; what is erased meanwhile, the next batch purges."""
        with connect(url) as reading:
            reading.isolation_level = IsolationLevel.REPEATABLE_READ
            with reading.transaction():
                parameters = {"tables": list(self._projection.tables), "last": self._last}
                (changes,) = reading.execute(COUNT_CHANGES, [self._last]).fetchone() or (0,)
                (total,) = reading.execute(COUNT_DOCUMENTS, parameters).fetchone() or (0,)
                self._take(_chunks(reading, parameters), waiting, total, progress)
        documents = sorted(waiting)
        for start in range(0, len(documents), AGAIN):
            with self._connection.transaction():
                self._connection.execute(LOCK, [self._generation])
                self._filling.again([(one, 0) for one in documents[start : start + AGAIN]], self._last)
        with self._connection.transaction():
            # A change below that committed after the snapshot may not have been seen, and did not see this position.
            self._connection.execute(LOCK, [self._generation])
            self._connection.execute(ARRIVE, {"last": self._last, "changes": changes, "generation": self._generation})

    def _take(
        self, chunks: Iterator[list[Revision]], waiting: Collection[str], total: int, progress: Progress | None
    ) -> None:
        done = 0
        for chunk in chunks:
            with self._connection.transaction():
                self._connection.execute(LOCK, [self._generation])
                self._filling.latest([one for one in chunk if one.document_id not in waiting], self._last)
            done += len(chunk)
            if progress:
                progress(f"{self._projection.name}, documents", done, max(done, total))


def _chunks(reading: Connection, parameters: dict[str, Any]) -> Iterator[list[Revision]]:
    chunk: list[Revision] = []
    with reading.cursor(name="latest") as cursor:
        cursor.execute(READ_LATEST, parameters, binary=True)
        while rows := cursor.fetchmany(_FETCH):
            chunk += [Revision(*row) for row in rows]
            if len(chunk) >= AT_ONCE:
                yield chunk
                chunk = []
    yield chunk
