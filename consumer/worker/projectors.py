"""The projectors of a worker: one thread a projection, woken when the mark moves.

A projector holds its generation's lease only while there is something to do. So the projections spread over the
workers, and another worker takes over those of a dead one when its leases run out.
"""

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Event
from typing import Any

import psycopg
import structlog

from strandline.consumer.background import Background, stop_all
from strandline.consumer.database.connection import connect
from strandline.consumer.erasure.purge import purge_and_issue
from strandline.consumer.generations.lifecycle import keep_house, projectors, record_failure
from strandline.consumer.generations.stores import DATABASE_ONLY, Stores
from strandline.consumer.mark import mark
from strandline.consumer.mark.effects import CHANNEL
from strandline.consumer.projection.definition import Projection
from strandline.consumer.sinks.contract import StoreFailed
from strandline.journal.errors import StrandlineError

POLL_SECONDS = 2.0
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0
# A process that was killed between storing a batch and advancing the mark leaves the mark behind.
ADVANCE_SECONDS = 5.0
STUCK_SECONDS = 60.0
# A worker that is cut off must not block the others; a batch waits for OpenSearch for half of this at most.
IDLE_SECONDS = 60

log = structlog.get_logger()


@dataclass
class Pulse:
    """The signs of life of a projector.

    `moved_at` is when it last moved, or found nothing to do; `trouble` is why it cannot move. `tried_at` is when it
    last began something, or failed at it; `backend` is the server's process that serves it.
    """

    moved_at: float
    tried_at: float = field(default_factory=time.monotonic)
    backend: int = 0
    position: int | None = None
    trouble: str | None = None

    def fault(self) -> str | None:
        """Return why the projector does not move, None while it does."""
        if self.trouble:
            return self.trouble
        idle = time.monotonic() - self.moved_at
        return f"has not moved for {idle:.0f} s" if idle > STUCK_SECONDS else None


class ProjectorThreads:
    """All projectors of a worker, and the listener that wakes them."""

    def __init__(self, url: str, projections: Mapping[str, Projection], stores: Stores = DATABASE_ONLY) -> None:
        self._projectors = {name: _Projector(url, one, stores) for name, one in projections.items()}
        self._listener = _Listener(url, projections, stores, list(self._projectors.values()))

    @property
    def services(self) -> list[Background]:
        return [*self._projectors.values(), self._listener]

    @property
    def pulses(self) -> dict[str, Pulse]:
        return {name: one.pulse for name, one in self._projectors.items()}

    def start(self) -> None:
        for one in self.services:
            one.start()

    def faults(self) -> dict[str, str | None]:
        """Return for each projection why it does not move, None while it does."""
        return {name: one.failure or one.pulse.fault() for name, one in self._projectors.items()}

    def stuck(self, seconds: float) -> dict[str, int]:
        """Return the projectors that have neither moved nor failed for so long, and the server's process of each."""
        now = time.monotonic()
        return {
            name: one.pulse.backend
            for name, one in self._projectors.items()
            if now - one.pulse.tried_at > seconds and not one.failure
        }

    def stop(self) -> None:
        """Ask each projector to end with its transaction."""
        for one in self.services:
            one.stop()

    def join(self, seconds: float) -> bool:
        return stop_all(self.services, seconds)


class _Projector(Background):
    def __init__(self, url: str, projection: Projection, stores: Stores) -> None:
        super().__init__(f"projector {projection.name}")
        self._url = url
        self._projection = projection
        self._stores = stores
        self.pulse = Pulse(time.monotonic())
        self.waker = Event()
        self._house_due = 0.0

    def stop(self) -> None:
        super().stop()
        self.waker.set()

    def run(self) -> None:
        pause = FIRST_PAUSE
        while not self.stopping.is_set():
            self.pulse.tried_at = time.monotonic()
            try:
                name = f"strandline {self._projection.name}"
                with connect(self._url, application_name=name, idle_seconds=IDLE_SECONDS) as connection:
                    self.pulse.backend = connection.info.backend_pid
                    self._house_due = 0.0
                    while not self.stopping.is_set():
                        self._catch_up(connection)
                        pause = FIRST_PAUSE
                return
            except (psycopg.Error, StrandlineError) as error:
                self._note(error)
            self.stopping.wait(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    def _catch_up(self, connection: psycopg.Connection[Any]) -> None:
        """Project up to the mark, then wait until the mark moves."""
        self.waker.clear()
        if time.monotonic() >= self._house_due:  # not for each block: it costs more than to project one
            keep_house(self._url, connection, self._projection, self._stores, self._progress, self.stopping)
            self._house_due = time.monotonic() + POLL_SECONDS
        filled = projectors(connection, self._projection, self._stores)
        self.pulse.tried_at = time.monotonic()
        if filled is None:
            self.pulse.moved_at = time.monotonic()
        else:
            filled.run_to_mark(self._progress, self.stopping)
        self.pulse.trouble = None
        if not self.stopping.is_set():
            # Without a generation there is nothing to do before the house is kept again.
            (self.stopping if filled is None else self.waker).wait(POLL_SECONDS)

    def _progress(self, _: str, position: int, mark_no: int) -> None:
        self.pulse.tried_at = time.monotonic()
        if position >= mark_no or position != self.pulse.position:
            self.pulse.moved_at = time.monotonic()
            self.pulse.position = position

    def _note(self, error: Exception) -> None:
        sqlstate = getattr(error, "sqlstate", None)
        log.warning("projector failed", projection=self._projection.name, error=type(error).__name__, sqlstate=sqlstate)
        self.pulse.trouble = f"fails ({type(error).__name__}, SQLSTATE {sqlstate or 'unknown'})"
        if isinstance(error, psycopg.OperationalError):
            return
        if isinstance(error, psycopg.Error | StoreFailed):
            with suppress(psycopg.Error, StrandlineError), connect(self._url) as connection:
                record_failure(connection, self._projection, error)


class _Listener(Background):
    """Wakes the projectors when the mark moves, and advances a mark that a killed process left behind.

    It also writes the receipts of what all generations have purged.
    """

    def __init__(
        self, url: str, projections: Mapping[str, Projection], stores: Stores, projectors: list[_Projector]
    ) -> None:
        super().__init__("listener")
        self._url = url
        self._projections = projections
        self._stores = stores
        self._projectors = projectors

    def run(self) -> None:
        while not self.stopping.is_set():
            try:
                with connect(
                    self._url, autocommit=True, application_name="strandline listener", idle_seconds=IDLE_SECONDS
                ) as connection:
                    connection.execute(f"LISTEN {CHANNEL}")
                    self._listen(connection)
            except (psycopg.Error, StrandlineError) as error:
                log.warning("listener failed", error=type(error).__name__, sqlstate=getattr(error, "sqlstate", None))
            self._wake()
            self.stopping.wait(1.0)

    def _listen(self, connection: psycopg.Connection[Any]) -> None:
        due, seen = 0.0, -1
        while not self.stopping.is_set():
            if time.monotonic() >= due:
                mark.advance(connection)
                self._write_receipts(connection)
                due = time.monotonic() + ADVANCE_SECONDS
            # The generator has the connection's lock until it ends: nothing may be asked within it.
            notified = list(connection.notifies(timeout=0.5, stop_after=1))
            # Anyone who may connect may notify: only a mark that has moved is news.
            if notified and (moved := mark.read_mark(connection).sequence_no) != seen:
                seen = moved
                self._wake()

    def _write_receipts(self, connection: psycopg.Connection[tuple[object, ...]]) -> None:
        try:
            issued = purge_and_issue(connection, self._projections, self._stores)
        except StoreFailed as error:
            log.warning("receipts not written", error=str(error))
            return
        if issued.receipts:
            log.info("receipts written", receipts=issued.receipts)
        for where, document, version in issued.residue:
            log.error("redacted data found", where=where, document=document, version=version)

    def _wake(self) -> None:
        for one in self._projectors:
            one.waker.set()
