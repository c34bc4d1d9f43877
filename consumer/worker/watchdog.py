"""The watchdog: finds projectors that wait for a database which does not work for them.

The database vanished without closing their connections, or something in between lost them. A projector that waits for
a long statement, or for a lock, is not among them.
"""

import psycopg

from strandline.consumer.background import Background
from strandline.consumer.database.connection import connect
from strandline.consumer.worker.projectors import ProjectorThreads
from strandline.journal.errors import StrandlineError

LOOK_SECONDS = 2.0
ACTIVE = "SELECT pid FROM pg_stat_activity WHERE pid = ANY(%s) AND state = 'active'"


class Watchdog(Background):
    """Looks every few seconds; `hanging` names the projectors that have hung for `seconds`."""

    def __init__(self, url: str, projectors: ProjectorThreads, seconds: float) -> None:
        super().__init__("watchdog")
        self._url = url
        self._projectors = projectors
        self._seconds = seconds
        self.hanging: list[str] = []

    def look(self) -> None:
        """Ask the server which of the stuck projectors' sessions it works for; the others hang."""
        stuck = self._projectors.stuck(self._seconds)
        if not stuck:
            return
        try:
            # As the login, which the projectors' sessions belong to: the server does not show the state of others.
            with connect(self._url, role=None, application_name="strandline watchdog") as connection:
                rows = connection.execute(ACTIVE, [list(stuck.values())]).fetchall()
        except (psycopg.Error, StrandlineError):
            rows = []  # the server does not work for this connection either
        active = {pid for (pid,) in rows}
        # Asked again: a projector may have moved in between.
        self.hanging = [name for name, pid in self._projectors.stuck(self._seconds).items() if pid not in active]

    def run(self) -> None:
        while not self.stopping.wait(LOOK_SECONDS):
            self.look()
