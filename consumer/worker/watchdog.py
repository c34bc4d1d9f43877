"""Finds the projectors that wait for a database which does not work for them: it is gone without a word, or what stands
between has lost them. One that waits for a long statement, or for a lock, is not among them."""

from threading import Event, Thread

import psycopg

from strandline.consumer.database.connection import connect
from strandline.consumer.worker.projectors import ProjectorThreads
from strandline.journal.errors import StrandlineError

LOOK_SECONDS = 2.0
WORKING = "SELECT pid FROM pg_stat_activity WHERE pid = ANY(%s) AND state = 'active'"


class Watchdog:
    """Looks until `stop`, on a thread of its own; `found` names the projectors that have hung for so many seconds."""

    def __init__(self, url: str, projecting: ProjectorThreads, seconds: float) -> None:
        self._url = url
        self._projecting = projecting
        self._seconds = seconds
        self._stop = Event()
        self._thread = Thread(target=self._run, name="hanging", daemon=True)
        self.found: list[str] = []

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()

    def look(self) -> None:
        still = self._projecting.still(self._seconds)
        if not still:
            return
        try:
            # As the login, which the projectors' sessions are of: the state of others is not shown.
            with connect(self._url, role=None, application_name="strandline hanging") as connection:
                rows = connection.execute(WORKING, [list(still.values())]).fetchall()
        except (psycopg.Error, StrandlineError):
            rows = []  # it does not work for this connection either
        working = {pid for (pid,) in rows}
        # One may have gone on meanwhile.
        self.found = [name for name, pid in self._projecting.still(self._seconds).items() if pid not in working]

    def _run(self) -> None:
        while not self._stop.wait(LOOK_SECONDS):
            self.look()
