"""The projectors of a worker: a thread a projection, woken when the mark moves.

Each takes its generation's lease while there is something to do and gives it back when there is nothing: so the
projections spread over the workers, and those of a dead one move when its leases run out.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Event, Thread

import psycopg
import structlog

from strandline.consumer.database.connection import connect
from strandline.consumer.erasure import receipts
from strandline.consumer.generations import purge_unknown
from strandline.consumer.generations.lifecycle import projector, record_failure
from strandline.consumer.generations.stores import DATABASE_ONLY, Stores
from strandline.consumer.mark import mark
from strandline.consumer.mark.effects import CHANNEL
from strandline.consumer.projection.definition import Projection
from strandline.consumer.sinks.contract import StoreFailed
from strandline.journal.errors import StrandlineError

POLL_SECONDS = 2.0
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0
# The mark may have been left behind by a process that was killed between storing a batch and moving it.
ADVANCE_SECONDS = 5.0
STUCK_SECONDS = 60.0
# A worker that is cut off must not hold the others up; a batch waits for OpenSearch for half of this at most.
IDLE_SECONDS = 60

log = structlog.get_logger()


@dataclass
class Pulse:
    """When a projection last moved, or was seen to have nothing to do; `trouble` is why it cannot.

    `tried_at` is when its thread last began something, or failed at it, and `backend` the server's process that it has.
    `ended` is for good: only a new process has that projector again.
    """

    moved_at: float
    tried_at: float = field(default_factory=time.monotonic)
    backend: int = 0
    position: int | None = None
    trouble: str | None = None
    ended: bool = False

    def fault(self) -> str | None:
        """Why this projector does not move; None while it does."""
        if self.trouble:
            return self.trouble
        still = time.monotonic() - self.moved_at
        return f"has not moved for {still:.0f} s" if still > STUCK_SECONDS else None


class ProjectorThreads:
    """Runs every projection until `stop`; `pulses` say how each does."""

    def __init__(self, url: str, projections: Mapping[str, Projection], stores: Stores = DATABASE_ONLY) -> None:
        self._url = url
        self._stores = stores
        self._projections = projections
        self._stop = Event()
        self._wakers = {name: Event() for name in projections}
        self.pulses = {name: Pulse(time.monotonic()) for name in projections}
        self._threads = [
            Thread(target=self._guard, args=(name, self._run, projection), name=f"projector {name}", daemon=True)
            for name, projection in projections.items()
        ]
        self._threads.append(Thread(target=self._listen, name="listener", daemon=True))

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def still(self, seconds: float) -> dict[str, int]:
        """Those that have neither moved nor failed for so long, and the server's process that each waits for."""
        now = time.monotonic()
        pulses = self.pulses.items()
        return {name: one.backend for name, one in pulses if now - one.tried_at > seconds and not one.ended}

    def stop(self, seconds: float) -> bool:
        """Let each projector end with its transaction; whether all did in time."""
        self._stop.set()
        self._wake()
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _guard(self, name: str, run: Callable[[Projection], None], projection: Projection) -> None:
        try:
            run(projection)
        except BaseException as error:
            # By its kind only; the projector stays dead, and health says so.
            self.pulses[name].trouble = f"ended ({type(error).__name__})"
            self.pulses[name].ended = True
            log.error("projector ended", projection=name, error=type(error).__name__)

    def _run(self, projection: Projection) -> None:
        pause = FIRST_PAUSE
        while not self._stop.is_set():
            self.pulses[projection.name].tried_at = time.monotonic()
            try:
                name = f"strandline {projection.name}"
                with connect(self._url, application_name=name, idle_seconds=IDLE_SECONDS) as connection:
                    self.pulses[projection.name].backend = connection.info.backend_pid
                    while not self._stop.is_set():
                        self._round(connection, projection)
                        pause = FIRST_PAUSE
                return
            except (psycopg.Error, StrandlineError) as error:
                self._note(projection, error)
            self._stop.wait(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    def _round(self, connection: psycopg.Connection[tuple[object, ...]], projection: Projection) -> None:
        waker = self._wakers[projection.name]
        waker.clear()
        filling = projector(connection, projection, self._stores)
        pulse = self.pulses[projection.name]
        pulse.tried_at = time.monotonic()
        if filling is None:
            pulse.moved_at = time.monotonic()
        else:
            filling.run_to_mark(self._progress, self._stop)
        pulse.trouble = None
        waker.wait(POLL_SECONDS)

    def _progress(self, name: str, position: int, mark_no: int) -> None:
        pulse = self.pulses[name]
        pulse.tried_at = time.monotonic()
        if position >= mark_no or position != pulse.position:
            pulse.moved_at = time.monotonic()
            pulse.position = position

    def _note(self, projection: Projection, error: Exception) -> None:
        sqlstate = getattr(error, "sqlstate", None)
        log.warning("projector failed", projection=projection.name, error=type(error).__name__, sqlstate=sqlstate)
        pulse = self.pulses[projection.name]
        pulse.trouble = f"fails ({type(error).__name__}, SQLSTATE {sqlstate or 'unknown'})"
        if isinstance(error, psycopg.OperationalError):
            return
        if isinstance(error, psycopg.Error | StoreFailed):
            with suppress(psycopg.Error, StrandlineError), connect(self._url) as connection:
                record_failure(connection, projection, error)

    def _listen(self) -> None:
        """Wake the projectors when the mark moves; move it where a killed process has left it behind.

        Also writes the receipts of what all of them have erased.
        """
        while not self._stop.is_set():
            try:
                name = "strandline listener"
                with connect(
                    self._url, autocommit=True, application_name=name, idle_seconds=IDLE_SECONDS
                ) as connection:
                    connection.execute(f"LISTEN {CHANNEL}")
                    self._heed(connection)
            except (psycopg.Error, StrandlineError) as error:
                log.warning("listener failed", error=type(error).__name__, sqlstate=getattr(error, "sqlstate", None))
            self._wake()
            self._stop.wait(1.0)

    def _heed(self, connection: psycopg.Connection[tuple[object, ...]]) -> None:
        due = 0.0
        while not self._stop.is_set():
            if time.monotonic() >= due:
                mark.advance(connection)
                self._write_receipts(connection)
                due = time.monotonic() + ADVANCE_SECONDS
            for _ in connection.notifies(timeout=0.5, stop_after=1):
                self._wake()

    def _write_receipts(self, connection: psycopg.Connection[tuple[object, ...]]) -> None:
        try:
            purge_unknown.purge(connection, self._projections, self._stores)
            issued = receipts.issue_hidden(connection, self._projections, self._stores)
        except StoreFailed as error:
            log.warning("receipts not written", error=str(error))
            return
        if issued.receipts:
            log.info("receipts written", receipts=issued.receipts)
        for where, document, version in issued.found:
            log.error("redacted data found", where=where, document=document, version=version)

    def _wake(self) -> None:
        for waker in self._wakers.values():
            waker.set()
