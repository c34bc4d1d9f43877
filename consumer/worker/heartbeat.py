"""The periodic duties of a worker: its heartbeat, and warnings about gaps that persist.

They run on a thread of their own: a database may neither answer nor fail, and the worker must be able to end then too.
"""

import time
from typing import Any

import psycopg
import structlog

from strandline.consumer.background import Background
from strandline.consumer.database.connection import connect
from strandline.consumer.mark.gaps import gaps
from strandline.consumer.monitoring import presence
from strandline.journal.errors import StrandlineError

GAP_SECONDS = 30.0

log = structlog.get_logger()


class Heartbeat(Background):
    """Records that the worker runs; with `in_order` set before `stop`, also that it ended in order."""

    def __init__(self, url: str, worker_id: str) -> None:
        super().__init__("heartbeat")
        self._url = url
        self._worker_id = worker_id
        self.in_order = False
        self._seen: set[tuple[int, int]] = set()
        self._reported: set[tuple[int, int]] = set()

    def run(self) -> None:
        begun = False
        while not self.stopping.is_set():
            try:
                with connect(self._url, application_name="strandline heartbeat") as connection:
                    if not begun:
                        presence.begin(connection, self._worker_id)
                        begun = True
                    self._beat(connection)
                    if self.in_order:
                        presence.end(connection, self._worker_id)
                    return
            except (psycopg.Error, StrandlineError):
                self.stopping.wait(presence.BEAT_SECONDS)

    def _beat(self, connection: psycopg.Connection[Any]) -> None:
        gaps_due = time.monotonic() + GAP_SECONDS
        while not self.stopping.wait(presence.BEAT_SECONDS):
            presence.beat(connection, self._worker_id)
            if time.monotonic() >= gaps_due:
                self.report_gaps(connection)
                gaps_due = time.monotonic() + GAP_SECONDS

    def report_gaps(self, connection: psycopg.Connection[Any]) -> None:
        """Warn once of each gap that the last call found too. Shards' records come in any order, so most gaps close."""
        with connection.transaction():
            found = set(gaps(connection))
        for first, last in sorted(found & self._seen - self._reported):
            log.warning("gap", first=first, last=last, todo="replay an export or archived records that hold them")
            self._reported.add((first, last))
        self._seen = found
