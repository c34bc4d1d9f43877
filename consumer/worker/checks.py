"""The checks behind a worker's `/livez` and `/readyz`."""

import time
from collections.abc import Sequence

import psycopg

from strandline.consumer.background import Background
from strandline.consumer.database.connection import connect
from strandline.consumer.erasure.receipts import open_for
from strandline.consumer.settings import Settings
from strandline.consumer.worker.daemon import Daemon
from strandline.consumer.worker.projectors import ProjectorThreads
from strandline.journal.errors import StrandlineError

TICK_LATE_SECONDS = 30.0


class Checks:
    """Faults of one worker by the name of the check, None for a check that holds."""

    def __init__(
        self, settings: Settings, url: str, daemon: Daemon, projectors: ProjectorThreads, services: Sequence[Background]
    ) -> None:
        self._settings = settings
        self._url = url
        self._daemon = daemon
        self._projectors = projectors
        self._services = services
        self.ticked_at = time.monotonic()

    def tick(self) -> None:
        """Note that the worker's main loop runs."""
        self.ticked_at = time.monotonic()

    def live(self) -> dict[str, str | None]:
        """Decide whether to leave this process running."""
        late = time.monotonic() - self.ticked_at
        ended = [one.name for one in (*self._services, *self._projectors.services) if one.failure]
        return {
            "worker": f"has not ticked for {late:.0f} s" if late > TICK_LATE_SECONDS else None,
            "daemon": "has ended" if self._daemon.status() is not None else None,
            "services": f"ended: {', '.join(ended)}" if ended else None,
        }

    def ready(self) -> dict[str, str | None]:
        """Decide whether the worker does its work; asks the store."""
        projectors = {f"projector {name}": fault for name, fault in self._projectors.faults().items()}
        return {**self.live(), **store_faults(self._url, self._settings), **projectors}


def store_faults(url: str, settings: Settings) -> dict[str, str | None]:
    """Check that the store can be reached, and that no redaction is open for longer than it may be."""
    try:
        with connect(url, application_name="strandline health") as connection:
            waiting = open_for(connection)
    except (psycopg.Error, StrandlineError) as error:
        return {"store": f"cannot be reached ({type(error).__name__})"}
    late = waiting is not None and waiting > settings.redaction_seconds
    return {"store": None, "redactions": f"one is open for {waiting:.0f} s" if late else None}
