"""The worker as a whole: KCL's daemon, projectors, health and metrics, from their start to a clean end."""

import fcntl
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from threading import Event
from types import FrameType

import psycopg
import structlog

from strandline.consumer.database.connection import connect
from strandline.consumer.erasure.receipts import open_for
from strandline.consumer.generations.stores import open_stores
from strandline.consumer.monitoring.exposition import Exposition
from strandline.consumer.monitoring.health import Answer, HealthServer, checks
from strandline.consumer.projection.definition import Projection
from strandline.consumer.settings import Settings
from strandline.consumer.worker.daemon import Daemon, start_daemon
from strandline.consumer.worker.expunge_schedule import ExpungeSchedule
from strandline.consumer.worker.heartbeat import Heartbeat
from strandline.consumer.worker.projectors import ProjectorThreads
from strandline.consumer.worker.watchdog import Watchdog
from strandline.journal.errors import StrandlineError, UsageError

TICK_SECONDS = 0.2
SLACK_SECONDS = 5.0  # beyond the drain, for the daemon's own end

log = structlog.get_logger()


def run_worker(
    settings: Settings, url: str, projections: Mapping[str, Projection], *, trust_deletions: bool = False
) -> bool:
    """Take in and project until SIGTERM or SIGINT; whether it ended because of that and in order.

    A daemon that ends by itself, or a projector that hangs, ends the worker, for whoever runs it to start it again.
    """
    with _asked_to_stop() as stop, _alone(settings) as folder:
        # First of all: KCL's daemon must be forked before there are threads.
        daemon = start_daemon(settings, url, folder, trust_deletions=trust_deletions)
        worker = _Worker(settings, url, projections, folder / "metrics", daemon)
        try:
            worker.start()
            worker.run(stop)
        finally:
            in_order = worker.stop(asked=stop.is_set())
        return in_order


class _Worker:
    def __init__(
        self, settings: Settings, url: str, projections: Mapping[str, Projection], folder: Path, daemon: Daemon
    ) -> None:
        self._settings = settings
        self._url = url
        self._daemon = daemon
        stores = open_stores(settings, url)
        self._projecting = ProjectorThreads(url, projections, stores)
        self._expunging = ExpungeSchedule(settings, url, projections, stores)
        self._exposition = Exposition(url, folder, projections, timedelta(seconds=settings.silent_seconds), stores)
        self._health: HealthServer | None = None
        self._ticked_at = time.monotonic()
        self._watching = Heartbeat(url, settings.worker_id)
        self._hanging = Watchdog(url, self._projecting, settings.hang_seconds)

    def start(self) -> None:
        self._projecting.start()
        self._expunging.start()
        self._watching.start()
        self._hanging.start()
        routes: dict[str, Callable[[], Answer]] = {
            "/livez": lambda: checks(self.live()),
            "/readyz": lambda: checks(self.ready()),
            "/metrics": self._exposition,
        }
        self._health = HealthServer(self._settings.listen, routes)
        self._health.start()
        log.info("worker started", port=self._health.port)

    def run(self, stop: Event) -> None:
        while not stop.wait(TICK_SECONDS):
            self._ticked_at = time.monotonic()
            if self._daemon.shard_failed:
                log.error("a shard's process has failed")
                self._daemon.kill()
                return
            if (status := self._daemon.ended()) is not None:
                log.error("daemon ended by itself", status=status)
                return
            if self._hanging.found:
                log.error("projectors hang", projections=self._hanging.found)
                return

    def stop(self, *, asked: bool) -> bool:
        """No new batches; what is in hand is stored and checkpointed; projectors end with their transactions.

        Whether it was asked to, and all of that was done.
        """
        log.info("worker stops")
        self._expunging.stop()
        self._hanging.stop()
        self._daemon.ask_to_stop()
        projected = self._projecting.stop(self._settings.drain_seconds)
        status = self._daemon.wait(self._settings.drain_seconds + SLACK_SECONDS)
        if self._health is not None:
            self._health.stop()
        in_order = asked and projected and status is not None
        self._watching.stop(in_order=in_order)
        log.info("worker stopped", daemon=status, projectors="ended" if projected else "cut off")
        return in_order

    def live(self) -> dict[str, str | None]:
        """Whether to leave this process running."""
        still = time.monotonic() - self._ticked_at
        ended = [name for name, pulse in self._projecting.pulses.items() if pulse.ended]
        return {
            "worker": f"has not ticked for {still:.0f} s" if still > 30 else None,
            "daemon": "has ended" if self._daemon.ended() is not None else None,
            "projectors": f"ended: {', '.join(ended)}" if ended else None,
        }

    def ready(self) -> dict[str, str | None]:
        """Whether it does its work."""
        projectors = {f"projector {name}": pulse.fault() for name, pulse in self._projecting.pulses.items()}
        return {**self.live(), **store_faults(self._url, self._settings), **projectors}


def store_faults(url: str, settings: Settings) -> dict[str, str | None]:
    """Whether the store can be reached, and no redaction is open for longer than it may be."""
    try:
        with connect(url, application_name="strandline health") as connection:
            waiting = open_for(connection)
    except (psycopg.Error, StrandlineError) as error:
        return {"store": f"cannot be reached ({type(error).__name__})"}
    late = waiting is not None and waiting > settings.redaction_seconds
    return {"store": None, "redactions": f"one is open for {waiting:.0f} s" if late else None}


@contextmanager
def _asked_to_stop() -> Iterator[Event]:
    stop = Event()

    def ask(_: int, __: FrameType | None) -> None:
        stop.set()

    before = {one: signal.signal(one, ask) for one in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


@contextmanager
def _alone(settings: Settings) -> Iterator[Path]:
    """A folder of this worker's own; refused where one of the same id runs, for two daemons with one id would take each
    other's leases for their own."""
    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = os.open(settings.home / f"worker-{settings.worker_id}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        raise UsageError(
            f"A worker with the id {settings.worker_id} runs here already: give this one STRANDLINE_WORKER_ID."
        ) from None
    folder = settings.home / f"worker-{settings.worker_id}"
    try:
        shutil.rmtree(folder, ignore_errors=True)  # of one that was killed
        folder.mkdir(mode=0o700)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(file)
