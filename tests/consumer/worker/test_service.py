"""The worker with a stand-in for KCL's daemon: its checks, and its end."""

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from psycopg.conninfo import make_conninfo
from structlog.testing import capture_logs

from strandline.consumer import settings as settings_module
from strandline.consumer.database.connection import connect
from strandline.consumer.monitoring import presence
from strandline.consumer.projection.discovery import discover
from strandline.consumer.settings import Settings, load_settings
from strandline.consumer.worker import heartbeat, projectors, service
from strandline.consumer.worker.heartbeat import Heartbeat
from strandline.consumer.worker.service import run_worker
from tests.consumer.worker.live import blocked, in_read_models, scalar, wait_for
from tests.consumer.worker.projecting import FILLED, ingest
from tests.emulators import free_port
from tests.journals import STRAND
from tests.tcp_proxy import Proxy, proxy

PROJECTIONS = discover(("strandline.projections",))


class Daemon:
    """A stand-in for KCL's daemon: runs until it is stopped, or until `end`."""

    def __init__(self) -> None:
        self._status: int | None = None
        self.shard_failed = False

    def kill(self) -> None:
        self._status = -signal.SIGKILL

    def end(self, status: int) -> None:
        self._status = status

    def status(self) -> int | None:
        return self._status

    def stop(self) -> None:
        self._status = self._status or 0

    def join(self, _: float) -> bool:
        return self._status is not None


@pytest.fixture
def between(database: str) -> Iterator[Proxy]:
    with proxy(database) as made:
        yield made


@pytest.fixture
def settings(between: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(presence, "BEAT_SECONDS", 0.1)
    monkeypatch.setattr(heartbeat, "GAP_SECONDS", 0.2)
    monkeypatch.setattr(service, "END_SECONDS", 1.0)
    for name, value in {
        "DATABASE_URL": make_conninfo(between.url, connect_timeout="2"),
        "HOME": str(tmp_path),
        "WORKER_ID": "one",
        "STREAM": "licences",
        "LISTEN": f"127.0.0.1:{free_port()}",
        "DRAIN_SECONDS": "2",
    }.items():
        monkeypatch.setenv(f"STRANDLINE_{name}", value)
    return load_settings()


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> Daemon:
    made = Daemon()

    def start(_: Settings, __: str, folder: Path, *, trust_deletions: bool) -> Daemon:
        (folder / "metrics").mkdir()
        return made

    monkeypatch.setattr(service, "start_daemon", start)
    return made


def asked(settings: Settings, path: str) -> tuple[int, Mapping[str, Any]]:
    try:
        with urlopen(f"http://{settings.listen}/{path}", timeout=10) as answer:
            return answer.status, json.loads(answer.read())
    except HTTPError as error:
        return error.code, json.loads(error.read())
    except OSError:  # it does not listen
        return 0, {}


def checked(settings: Settings) -> Mapping[str, str]:
    """Return the checks of `/readyz`; none if it does not answer in time."""
    return asked(settings, "readyz")[1].get("checks", {})


@contextmanager
def in_background(what: Callable[[], None]) -> Iterator[None]:
    """Run it on another thread, since the worker needs the main one; then ask the worker to stop."""
    failed: list[BaseException] = []
    over = threading.Event()

    def run() -> None:
        try:
            what()
        except BaseException as error:
            failed.append(error)
        if not over.is_set():
            os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    if failed:
        raise failed[0]


def test_worker_runs_until_sigterm(database: str, settings: Settings, daemon: Daemon) -> None:
    def watch() -> None:
        wait_for(lambda: asked(settings, "readyz")[0] == 200)
        assert asked(settings, "livez")[1]["ok"]
        ingest(database)
        wait_for(lambda: in_read_models(database, FILLED) == 8)
        with connect(database) as connection:
            assert [one.state for one in presence.read_workers(connection)] == ["running"]

    with in_background(watch):
        assert run_worker(settings, settings.database_url or "", PROJECTIONS)
    with connect(database) as connection:
        assert [one.state for one in presence.read_workers(connection)] == ["ended"]
    assert scalar(database, "SELECT count(*) FROM projection.generation WHERE expires_at IS NOT NULL") == 0


def test_dead_projector_shows_although_its_lag_is_zero(
    database: str, settings: Settings, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It dies when it has come to the mark, and nothing more is written."""
    lives = projectors.projectors

    def dies(connection: Any, projection: Any, stores: Any) -> Any:
        if projection.name == "licence_register":
            raise SystemExit
        return lives(connection, projection, stores)

    def watch() -> None:
        ingest(database)
        wait_for(lambda: in_read_models(database, FILLED) == 8)
        wait_for(lambda: asked(settings, "readyz")[0] == 200)
        monkeypatch.setattr(projectors, "projectors", dies)
        wait_for(lambda: asked(settings, "livez")[0] == 503)
        assert asked(settings, "livez")[1]["checks"]["services"] == "ended: projector licence_register"
        said = asked(settings, "readyz")
        assert (said[0], said[1]["checks"]["projector licence_register"]) == (503, "ended (SystemExit)")
        assert in_read_models(database, FILLED) == 8

    monkeypatch.setattr(projectors, "POLL_SECONDS", 0.1)
    with in_background(watch):
        run_worker(settings, settings.database_url or "", PROJECTIONS)


def test_stream_of_another_strand_is_not_ready_but_alive(database: str, settings: Settings, daemon: Daemon) -> None:
    other = "Another000000000000000"

    def watch() -> None:
        ingest(database, last=4)
        wait_for(lambda: asked(settings, "readyz")[0] == 200)
        ingest(database, strand=other)
        status, answer = asked(settings, "readyz")
        assert status == 503
        assert STRAND in answer["checks"]["stream licences"]
        assert other in answer["checks"]["stream licences"]
        assert asked(settings, "livez")[0] == 200
        ingest(database, first=4)
        wait_for(lambda: asked(settings, "readyz")[0] == 200)

    with in_background(watch):
        assert run_worker(settings, settings.database_url or "", PROJECTIONS)


def test_stuck_projector_is_not_ready_but_alive(
    database: str, settings: Settings, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    def watch() -> None:
        ingest(database, last=6)
        wait_for(lambda: in_read_models(database, FILLED) == 2)
        with blocked(database, "licence_register"):
            ingest(database)
            wait_for(lambda: "has not moved" in checked(settings).get("projector licence_register", ""))
            assert asked(settings, "readyz")[0] == 503
            assert asked(settings, "livez")[0] == 200
        wait_for(lambda: "has not moved" not in checked(settings).get("projector licence_register", ""))

    monkeypatch.setattr(projectors, "POLL_SECONDS", 0.1)
    monkeypatch.setattr(projectors, "STUCK_SECONDS", 2.0)
    with in_background(watch):
        run_worker(settings, settings.database_url or "", PROJECTIONS)


def test_stuck_worker_or_ended_daemon_is_not_alive(settings: Settings, daemon: Daemon, tmp_path: Path) -> None:
    one = service._Worker(settings, settings.database_url or "", PROJECTIONS, tmp_path, daemon)  # type: ignore[arg-type]
    assert not any(one.checks.live().values())
    daemon.end(1)
    one.checks.ticked_at -= 40
    assert one.checks.live() == {"worker": "has not ticked for 40 s", "daemon": "has ended", "services": None}


def test_worker_ends_with_its_daemon(database: str, settings: Settings, daemon: Daemon) -> None:
    def watch() -> None:
        wait_for(lambda: asked(settings, "livez")[0] == 200)
        wait_for(lambda: scalar(database, "SELECT count(*) FROM projection.worker") == 1)
        daemon.end(1)
        wait_for(lambda: asked(settings, "livez")[0] == 0)  # it does not listen any more

    with in_background(watch):
        assert not run_worker(settings, settings.database_url or "", PROJECTIONS)
    assert scalar(database, "SELECT ended_at FROM projection.worker") is None


def test_failed_shard_process_kills_the_daemon(settings: Settings, daemon: Daemon) -> None:
    def watch() -> None:
        wait_for(lambda: asked(settings, "livez")[0] == 200)
        daemon.shard_failed = True
        wait_for(lambda: asked(settings, "livez")[0] == 0)

    with in_background(watch):
        assert not run_worker(settings, settings.database_url or "", PROJECTIONS)
    assert daemon.status() == -signal.SIGKILL


def test_outage_is_shown_and_survived(settings: Settings, between: Proxy, daemon: Daemon) -> None:
    def watch() -> None:
        wait_for(lambda: asked(settings, "readyz")[0] == 200)
        between.mode = "refuse"
        between.cut()
        wait_for(lambda: "cannot be reached" in checked(settings).get("store", ""))
        wait_for(lambda: "fails" in checked(settings).get("projector licence_register", ""))
        assert asked(settings, "livez")[0] == 200, "to end it would not help"
        between.mode = "pass"
        wait_for(lambda: asked(settings, "readyz")[0] == 200)

    with in_background(watch):
        assert run_worker(settings, settings.database_url or "", PROJECTIONS)


def test_unresponsive_store_ends_the_worker(
    settings: Settings, between: Proxy, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = threading.Event()
    monkeypatch.setattr(settings_module, "HANG_SECONDS", 0)
    settings = settings.model_copy(update={"patience_seconds": 5})

    def watch() -> None:
        wait_for(lambda: asked(settings, "readyz")[0] == 200)
        between.mode = "black hole"
        wait_for(ended.is_set)  # without a signal
        between.cut()

    with capture_logs() as logs, in_background(watch):
        try:
            assert not run_worker(settings, settings.database_url or "", PROJECTIONS)
        finally:
            ended.set()
    assert [one["event"] for one in logs if one["log_level"] == "error"] == ["projectors hang"]


def test_persistent_gap_is_logged_once_with_its_remedy(database: str, settings: Settings, daemon: Daemon) -> None:
    ingest(database, first=8)
    first = scalar(database, "SELECT min(sequence_no) FROM journal.block")
    assert first > 0

    def watch() -> None:
        wait_for(lambda: any(one["event"] == "gap" for one in logs))
        beats = scalar(database, "SELECT seen_at FROM projection.worker")
        for _ in range(5):
            wait_for(lambda before=beats: scalar(database, "SELECT seen_at FROM projection.worker") > before)

    with capture_logs() as logs, in_background(watch):
        assert run_worker(settings, settings.database_url or "", PROJECTIONS)
    gaps = [one for one in logs if one["event"] == "gap"]
    assert [(one["first"], one["last"]) for one in gaps] == [(0, first - 1)]
    assert "replay" in gaps[0]["todo"]


def test_closing_gap_is_not_logged(database: str) -> None:
    """The shards' records come in any order, so that there are gaps all the time."""
    ingest(database, first=8)
    watched = Heartbeat(database, "one")
    with connect(database) as connection, capture_logs() as logs:
        watched.report_gaps(connection)
        ingest(database)
        watched.report_gaps(connection)
    assert [one["event"] for one in logs if one["event"] == "gap"] == []
