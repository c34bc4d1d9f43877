"""What `status` says of the workers."""

from collections.abc import Iterator
from datetime import timedelta

import psycopg
import pytest

from consumer.cli.app import run
from consumer.database import connect
from consumer.worker_state import beat, begin, end, read_workers

SOON, LATE = timedelta(0), timedelta(hours=1)


@pytest.fixture
def connection(database: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    with connect(database) as made:
        yield made


def test_one_that_runs_one_that_was_stopped_and_one_that_is_gone(
    connection: psycopg.Connection[tuple[object, ...]],
) -> None:
    for name in ("a", "b"):
        begin(connection, name)
    end(connection, "a")
    [a, b] = read_workers(connection, LATE)
    assert [(a.id, a.state), (b.id, b.state)] == [("a", "ended"), ("b", "running")]
    assert a.since == a.seen_at > b.since
    beat(connection, "b")
    [a, gone] = read_workers(connection, SOON)
    assert (a.state, gone.state) == ("ended", "lost")
    assert gone.since == gone.seen_at > b.since


def test_one_that_starts_again_runs(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    begin(connection, "a")
    end(connection, "a")
    begin(connection, "a")
    assert [one.state for one in read_workers(connection, LATE)] == ["running"]


def test_names_of_long_ago_are_forgotten(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    begin(connection, "a")
    connection.execute("UPDATE projection.worker SET seen_at = now() - interval '2 days'")
    begin(connection, "b")
    assert [one.id for one in read_workers(connection, LATE)] == ["b"]


def test_status_tells_of_them(
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
    assert "Worker runs: runs, since " in said
    assert "Worker ended: was stopped and ended in order, at " in said
    assert "Worker killed: gone (killed, " in said
