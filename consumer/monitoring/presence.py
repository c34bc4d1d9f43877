"""The presence of workers: running, ended or lost, and since when."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import psycopg

BEAT_SECONDS = 5.0
# A worker without a heartbeat for so long was killed, has failed, or cannot reach the store.
LOST_AFTER = timedelta(seconds=15)

BEGIN = """
    INSERT INTO projection.worker (id, started_at, seen_at) VALUES (%(id)s, now(), now())
    ON CONFLICT (id) DO UPDATE SET started_at = now(), seen_at = now(), ended_at = NULL"""
# If workers are named after short-lived hosts, their names would pile up.
FORGET = "DELETE FROM projection.worker WHERE seen_at < now() - interval '1 day'"
BEAT = "UPDATE projection.worker SET seen_at = now() WHERE id = %(id)s"
END = "UPDATE projection.worker SET seen_at = now(), ended_at = now() WHERE id = %(id)s"
READ = "SELECT id, started_at, seen_at, ended_at, now() FROM projection.worker ORDER BY id"

State = Literal["running", "ended", "lost"]


@dataclass(frozen=True)
class WorkerState:
    """`since` is the start of a running worker, the end of an ended one, the last heartbeat of a lost one."""

    id: str
    state: State
    since: datetime
    seen_at: datetime


def begin(connection: psycopg.Connection[Any], worker_id: str) -> None:
    with connection.transaction():
        connection.execute(FORGET)
        connection.execute(BEGIN, {"id": worker_id})


def beat(connection: psycopg.Connection[Any], worker_id: str) -> None:
    with connection.transaction():
        connection.execute(BEAT, {"id": worker_id})


def end(connection: psycopg.Connection[Any], worker_id: str) -> None:
    with connection.transaction():
        connection.execute(END, {"id": worker_id})


def read_workers(connection: psycopg.Connection[Any], lost_after: timedelta = LOST_AFTER) -> list[WorkerState]:
    """Return the state of each worker of the last day, by id."""
    with connection.transaction():
        rows = connection.execute(READ).fetchall()
    states = []
    for id_, started_at, seen_at, ended_at, now in rows:
        if ended_at is not None:
            states.append(WorkerState(id_, "ended", ended_at, seen_at))
        elif now - seen_at > lost_after:
            states.append(WorkerState(id_, "lost", seen_at, seen_at))
        else:
            states.append(WorkerState(id_, "running", started_at, seen_at))
    return states
