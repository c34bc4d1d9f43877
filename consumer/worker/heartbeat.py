"""What a worker does now and then: it says that it lives, and tells of gaps that stay.

On a thread of its own, since a database may neither answer nor fail, and the worker must be able to end all the same.
"""

import time
from threading import Event, Thread

import psycopg
import structlog

from strandline.consumer.database.connection import connect
from strandline.consumer.mark.gaps import gaps
from strandline.consumer.monitoring import presence
from strandline.journal.errors import StrandlineError

GAP_SECONDS = 30.0
END_SECONDS = 5.0

log = structlog.get_logger()


class Heartbeat:
    """Runs until `stop`."""

    def __init__(self, url: str, worker_id: str) -> None:
        self._url = url
        self._worker_id = worker_id
        self._stop = Event()
        self._in_order = False
        self._seen: set[tuple[int, int]] = set()
        self._reported: set[tuple[int, int]] = set()
        self._thread = Thread(target=self._run, name="watching", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, *, in_order: bool) -> None:
        """Say that the worker has ended, if it did so in order and the database can be reached soon."""
        self._in_order = in_order
        self._stop.set()
        self._thread.join(END_SECONDS)

    def _run(self) -> None:
        begun = False
        while not self._stop.is_set():
            try:
                with connect(self._url, application_name="strandline watching") as connection:
                    if not begun:
                        presence.begin(connection, self._worker_id)
                        begun = True
                    self._watch(connection)
                    if self._in_order:
                        presence.end(connection, self._worker_id)
                    return
            except (psycopg.Error, StrandlineError):
                self._stop.wait(presence.BEAT_SECONDS)

    def _watch(self, connection: psycopg.Connection[tuple[object, ...]]) -> None:
        gaps_due = time.monotonic() + GAP_SECONDS
        while not self._stop.wait(presence.BEAT_SECONDS):
            presence.beat(connection, self._worker_id)
            if time.monotonic() >= gaps_due:
                self.tell_of_gaps(connection)
                gaps_due = time.monotonic() + GAP_SECONDS

    def tell_of_gaps(self, connection: psycopg.Connection[tuple[object, ...]]) -> None:
        """Say once of every gap that was there the last time as well which blocks are missing, and what to do."""
        with connection.transaction():
            found = set(gaps(connection))
        for first, last in sorted(found & self._seen - self._reported):
            log.warning("gap", first=first, last=last, todo="replay an export or archived records that hold them")
            self._reported.add((first, last))
        self._seen = found
