"""Projector threads: they wake at once, take over from each other, and are a fault while they do not move."""

import threading
import time
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from strandline.consumer.mark.mark import Advance, read_mark
from strandline.consumer.monitoring.health import checks
from strandline.consumer.projector.projector import Projector
from strandline.consumer.worker import projectors
from strandline.consumer.worker.projectors import Pulse
from strandline.consumer.worker.watchdog import Watchdog
from tests.consumer.worker.live import blocked, in_read_models, scalar, wait_for
from tests.consumer.worker.projecting import FILLED, PROJECTIONS, ingest, running
from tests.tcp_proxy import proxy


def test_new_block_wakes_projectors_at_once(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projectors, "POLL_SECONDS", 60.0)
    kept_house, keep_house = list[str](), projectors.keep_house

    def counted(url: str, connection: Any, projection: Any, *more: Any) -> None:
        kept_house.append(projection.name)
        keep_house(url, connection, projection, *more)

    monkeypatch.setattr(projectors, "keep_house", counted)
    ingest(database, last=5)
    with running(database) as made:
        wait_for(lambda: in_read_models(database, FILLED) == 2)
        time.sleep(0.5)
        ingest(database)
        assert wait_for(lambda: in_read_models(database, FILLED) == 8) < 1.0
        assert not any(made.faults().values())
    assert sorted(kept_house) == sorted(PROJECTIONS)  # once, not for each block
    assert scalar(database, "SELECT count(*) FROM projection.generation WHERE expires_at IS NOT NULL") == 0


def test_remaining_worker_takes_over(database: str) -> None:
    with running(database), running(database) as other:
        ingest(database, last=6)
        wait_for(lambda: in_read_models(database, FILLED) == 2)
        other.stop()
        assert other.join(10)
        ingest(database)
        wait_for(lambda: in_read_models(database, FILLED) == 8)


def test_worker_that_ends_leaves_first_generations_to_the_next(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ingest(database)
    begun, may_write, write = threading.Event(), threading.Event(), Projector._write_first

    def wait_and_write(*arguments: Any) -> None:
        begun.set()
        may_write.wait(10)
        write(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Projector, "_write_first", wait_and_write)
        with running(database) as made:
            assert begun.wait(10)
            made.stop()
            may_write.set()
            assert made.join(10)
    assert scalar(database, "SELECT count(*) FROM projection.generation WHERE state = 'building'") > 0
    assert scalar(database, "SELECT count(*) FROM projection.generation WHERE state = 'live'") == 0
    with running(database):
        wait_for(lambda: in_read_models(database, FILLED) == 8)
    assert scalar(database, "SELECT count(*) FROM projection.generation WHERE state <> 'live'") == 0


def test_mark_left_behind_is_advanced(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "strandline.consumer.intake.stream.advance", lambda connection: Advance(read_mark(connection), ())
    )
    ingest(database)
    assert scalar(database, "SELECT sequence_no FROM journal.mark") == -1
    with running(database):
        wait_for(lambda: in_read_models(database, FILLED) == 8)


def test_failing_projector_reports_and_recovers(database: str) -> None:
    ingest(database, last=6)
    with running(database) as made:
        wait_for(lambda: in_read_models(database, FILLED) == 2)
        relation = scalar(database, "SELECT relation FROM projection.generation WHERE projection = 'licence_register'")
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute(f"ALTER TABLE generation.{relation} RENAME TO elsewhere")
            ingest(database)
            wait_for(lambda: made.faults()["licence_register"] is not None)
            assert [name for name, fault in made.faults().items() if fault] == ["licence_register"]
            recorded = "SELECT failure FROM projection.generation WHERE projection = 'licence_register'"
            wait_for(lambda: "42P01" in str(scalar(database, recorded)))
            connection.execute(f"ALTER TABLE generation.elsewhere RENAME TO {relation}")
        wait_for(lambda: in_read_models(database, FILLED) == 8)
        wait_for(lambda: not any(made.faults().values()))


def test_projectors_recover_from_an_outage(database: str) -> None:
    with proxy(database) as between, running(between.url) as made:
        ingest(database, last=6)
        wait_for(lambda: in_read_models(database, FILLED) == 2)
        between.mode = "refuse"
        between.cut()
        wait_for(lambda: all(made.faults()[name] for name in FILLED))
        between.mode = "pass"
        ingest(database)
        wait_for(lambda: in_read_models(database, FILLED) == 8)


def test_projector_hangs_only_if_its_session_is_not_active(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projectors, "POLL_SECONDS", 0.1)
    url = make_conninfo(database, connect_timeout="2")
    with proxy(url) as between, running(between.url) as made:
        looking = Watchdog(between.url, made, 1)
        ingest(database, last=6)
        wait_for(lambda: in_read_models(database, FILLED) == 2)
        with blocked(database, "licence_register"):
            ingest(database)
            wait_for(lambda: "licence_register" in made.stuck(1))
            looking.look()
            assert "licence_register" not in looking.hanging
        wait_for(lambda: in_read_models(database, FILLED) == 8)
        between.mode = "black hole"
        wait_for(lambda: "licence_register" in made.stuck(1))
        looking.look()
        assert "licence_register" in looking.hanging
        between.mode = "pass"
        between.cut()


def test_dead_projector_is_a_fault(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def dies(*_: object) -> None:
        raise SystemExit

    monkeypatch.setattr(projectors, "projectors", dies)
    ingest(database)
    with running(database) as made:
        wait_for(lambda: all(made.faults().values()))
        assert [one.name for one in made.services if one.failure] == [f"projector {name}" for name in PROJECTIONS]


def test_stuck_projector_is_a_fault() -> None:
    assert Pulse(time.monotonic()).fault() is None
    assert Pulse(time.monotonic() - projectors.STUCK_SECONDS - 1).fault() is not None
    assert checks({"a": None, "b": "has not moved"}).status_code == 503
    assert checks({"a": None}).status_code == 200
