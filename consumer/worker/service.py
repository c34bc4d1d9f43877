"""The worker: KCL's daemon and the services on threads, from their start to a clean end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from threading import Event

import structlog

from strandline.consumer.background import Background, Stoppable, stop_all, stop_signals
from strandline.consumer.generations.stores import open_stores
from strandline.consumer.http_server import HttpServer, listen_on
from strandline.consumer.monitoring.exposition import Exposition
from strandline.consumer.monitoring.health import application
from strandline.consumer.projection.definition import Projection
from strandline.consumer.settings import Settings
from strandline.consumer.tracing import start_tracing
from strandline.consumer.worker.checks import Checks
from strandline.consumer.worker.daemon import Daemon, start_daemon
from strandline.consumer.worker.expunge_schedule import ExpungeSchedule
from strandline.consumer.worker.heartbeat import Heartbeat
from strandline.consumer.worker.home import worker_folder
from strandline.consumer.worker.metrics_log import MetricsLog
from strandline.consumer.worker.projectors import ProjectorThreads
from strandline.consumer.worker.watchdog import Watchdog

TICK_SECONDS = 0.2
SLACK_SECONDS = 5.0  # beyond the drain, for the daemon's own end
END_SECONDS = 5.0  # for what answers requests, and for the last heartbeat

log = structlog.get_logger()


def run_worker(
    settings: Settings, url: str, projections: Mapping[str, Projection], *, trust_deletions: bool = False
) -> bool:
    """Ingest and project until SIGTERM or SIGINT. Returns whether it ended because of that, and in order.

    A daemon that ends by itself, or a projector that hangs, ends the worker: its supervisor starts a new one.
    """
    with stop_signals() as asked, worker_folder(settings) as folder:
        # First of all: KCL's daemon must be forked before there are threads.
        daemon = start_daemon(settings, url, folder, trust_deletions=trust_deletions)
        worker = _Worker(settings, url, projections, folder / "metrics", daemon)
        try:
            worker.start()
            worker.run(asked)
        finally:
            in_order = worker.stop(asked=asked.is_set())
        return in_order


class _Worker:
    def __init__(
        self, settings: Settings, url: str, projections: Mapping[str, Projection], folder: Path, daemon: Daemon
    ) -> None:
        stores = open_stores(settings, url)
        self._settings = settings
        self._daemon = daemon
        self._projectors = ProjectorThreads(url, projections, stores)
        self._expunge = ExpungeSchedule(settings, url, projections, stores)
        self._heartbeat = Heartbeat(url, settings.worker_id)
        self._watchdog = Watchdog(url, self._projectors, settings.hang_seconds)
        self._exposition = Exposition(url, folder, projections, timedelta(seconds=settings.silent_seconds), stores)
        self._metrics_log = MetricsLog(settings, self._exposition)
        self._http: HttpServer | None = None
        services: list[Background] = [self._expunge, self._heartbeat, self._watchdog, self._metrics_log]
        self.checks = Checks(settings, url, daemon, self._projectors, services)

    def start(self) -> None:
        if self._settings.tracing:
            start_tracing()
        app = application(self.checks.live, self.checks.ready, self._exposition.text)
        listening = listen_on(self._settings.listen, "STRANDLINE_LISTEN")
        self._http = HttpServer(app, listening)
        for service in (
            self._projectors,
            self._expunge,
            self._heartbeat,
            self._watchdog,
            self._metrics_log,
            self._http,
        ):
            service.start()
        log.info("worker started", port=self._http.port)

    def run(self, asked: Event) -> None:
        while not asked.wait(TICK_SECONDS):
            self.checks.tick()
            if self._daemon.shard_failed:
                log.error("a shard's process has failed")
                self._daemon.kill()
                return
            if (status := self._daemon.status()) is not None:
                log.error("daemon ended by itself", status=status)
                return
            if self._watchdog.hanging:
                log.error("projectors hang", projections=self._watchdog.hanging)
                return

    def stop(self, *, asked: bool) -> bool:
        """Stop all, stage by stage. Returns whether that was asked for, and what must end did so in time."""
        log.info("worker stops")
        drain = self._settings.drain_seconds
        shutdown = [
            _Stage([self._expunge, self._watchdog, self._metrics_log], 0.0, must_end=False),
            # No new batches; those in hand are stored and checkpointed. Projectors end with their transactions.
            _Stage([self._daemon, self._projectors], drain + SLACK_SECONDS, must_end=True),
            _Stage([self._http] if self._http is not None else [], END_SECONDS, must_end=False),
        ]
        ended = [stop_all(stage.services, stage.seconds) or not stage.must_end for stage in shutdown]
        in_order = asked and all(ended)
        self._heartbeat.in_order = in_order
        stop_all([self._heartbeat], END_SECONDS)  # last: it records how the others ended
        log.info("worker stopped", daemon=self._daemon.status(), in_order=in_order)
        return in_order


@dataclass(frozen=True)
class _Stage:
    """Services that are asked to end together, and waited for; those that need not end may be cut off anywhere."""

    services: Sequence[Stoppable]
    seconds: float
    must_end: bool
