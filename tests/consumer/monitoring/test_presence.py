"""Workers and streams in `status`."""

import json
from datetime import timedelta

import psycopg
import pytest

from strandline.cli.app import run
from strandline.consumer.monitoring.presence import beat, begin, end, read_workers
from strandline.consumer.store.streams import hear

SOON, LATE = timedelta(0), timedelta(hours=1)


def test_workers_are_running_ended_or_lost(
    connection: psycopg.Connection[tuple[object, ...]],
) -> None:
    for name in ("a", "b"):
        begin(connection, name)
    end(connection, "a")
    [a, b] = read_workers(connection, LATE)
    assert [(a.id, a.state), (b.id, b.state)] == [("a", "ended"), ("b", "running")]
    assert a.since == a.seen_at > b.since
    beat(connection, "b")
    [a, lost] = read_workers(connection, SOON)
    assert (a.state, lost.state) == ("ended", "lost")
    assert lost.since == lost.seen_at > b.since


def test_restarted_worker_is_running(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    begin(connection, "a")
    end(connection, "a")
    begin(connection, "a")
    assert [one.state for one in read_workers(connection, LATE)] == ["running"]


def test_old_workers_are_forgotten(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    begin(connection, "a")
    connection.execute("UPDATE projection.worker SET seen_at = now() - interval '2 days'")
    begin(connection, "b")
    assert [one.id for one in read_workers(connection, LATE)] == ["b"]


def test_status_shows_workers(
    database: str,
    connection: psycopg.Connection[tuple[object, ...]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("runs", "ended", "killed"):
        begin(connection, name)
    end(connection, "ended")
    connection.execute("UPDATE projection.worker SET seen_at = now() - interval '1 minute' WHERE id = 'killed'")
    connection.commit()
    monkeypatch.setenv("STRANDLINE_DATABASE_URL", database)
    assert run(["status"]) == 0
    said = capsys.readouterr().out
    assert "Worker runs: running since " in said
    assert "Worker ended: stopped at " in said
    assert "Worker killed: lost (killed, " in said


def test_status_shows_streams(
    database: str,
    connection: psycopg.Connection[tuple[object, ...]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("live", "silent", "completed"):
        hear(connection, name, created=True, completed=name == "completed")
    day = "UPDATE journal.stream SET created_at = '2025-01-01 00:00Z', heard_at = '2025-01-02 00:00Z' WHERE name = %s"
    connection.execute(day, ["silent"])
    connection.execute("UPDATE journal.stream SET completed_at = '2025-01-03 00:00Z' WHERE name = 'completed'")
    connection.commit()
    monkeypatch.setenv("STRANDLINE_DATABASE_URL", database)
    assert run(["status"]) == 0
    said = capsys.readouterr().out
    assert "Stream live: live since " in said
    assert "Stream silent: silent since 2025-01-02 00:00:00 UTC; last record at 2025-01-02 00:00:00 UTC." in said
    assert "Stream completed: completed since 2025-01-03 00:00:00 UTC; last record at " in said
    assert run(["status", "--json"]) == 0
    streams = json.loads(capsys.readouterr().out)["streams"]
    assert {one["name"]: one["state"] for one in streams} == {name: name for name in ("live", "silent", "completed")}
