"""The checks behind a worker's `/livez` and `/readyz`."""

import time
from collections.abc import Sequence
from datetime import timedelta

import psycopg

from strandline.consumer.background import Background
from strandline.consumer.database.connection import connect
from strandline.consumer.erasure.receipts import open_for
from strandline.consumer.monitoring.claims import read_claims
from strandline.consumer.settings import Settings
from strandline.consumer.store.streams import read_streams
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

    def ready(self) -> tuple[dict[str, str | None], dict[str, object]]:
        """Decide whether the worker does its work; asks the store. Also returns what the store vouches for."""
        projectors = {f"projector {name}": fault for name, fault in self._projectors.faults().items()}
        faults, facts = check_store(self._url, self._settings)
        return {**self.live(), **faults, **projectors}, facts


def check_store(url: str, settings: Settings) -> tuple[dict[str, str | None], dict[str, object]]:
    """Check that the store can be reached and accepts the stream, and that no redaction is open for too long.

    Also returns what the store vouches for (`Claims`), nothing if it cannot be reached.
    """
    try:
        with connect(url, application_name="strandline health") as connection:
            waiting = open_for(connection)
            streams = read_streams(connection, timedelta(seconds=settings.silent_seconds))
            claims = read_claims(connection)
    except (psycopg.Error, StrandlineError) as error:
        return {"store": f"cannot be reached ({type(error).__name__})"}, {}
    late = waiting is not None and waiting > settings.redaction_seconds
    faults = {
        "store": None,
        "redactions": f"one is open for {waiting:.0f} s" if late else None,
        **{f"stream {one.name}": one.fault for one in streams if one.name == settings.stream},
    }
    return faults, claims.as_dict()
