"""The streams that feed the store: live, completed or silent, and since when."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from strandline.consumer.database.connection import Connection

HEAR = """
    INSERT INTO journal.stream AS s (name, created_at, completed_at, heard_at, fault)
    VALUES (%(name)s, CASE WHEN %(created)s THEN now() END, CASE WHEN %(completed)s THEN now() END, now(), %(fault)s)
    ON CONFLICT (name) DO UPDATE
    SET created_at = coalesce(s.created_at, excluded.created_at),
        completed_at = coalesce(s.completed_at, excluded.completed_at),
        heard_at = greatest(s.heard_at, excluded.heard_at), fault = excluded.fault"""
READ = """
    SELECT name, completed_at, created_at, heard_at, fault, now() FROM journal.stream ORDER BY name"""

State = Literal["live", "completed", "silent"]


@dataclass(frozen=True)
class StreamState:
    """A stream and its state.

    `since` is the time of a live stream's first known record, of a completed stream's CONTROL record, or of a silent
    stream's last record. `heard_at` is the time of the last record.
    """

    name: str
    state: State
    since: datetime
    heard_at: datetime
    fault: str | None = None
    """The reason why nothing of the last batch could be stored; None if something was."""


def hear(
    connection: Connection,
    name: str,
    *,
    created: bool = False,
    completed: bool = False,
    fault: str | None = None,
) -> None:
    """Record that a stream's records arrived, what CONTROL records among them said, and the fault of the batch."""
    with connection.transaction():
        connection.execute(HEAR, {"name": name, "created": created, "completed": completed, "fault": fault})


def read_streams(connection: Connection, silent_after: timedelta) -> list[StreamState]:
    """Return the streams; one without a record for `silent_after` is silent, unless it is completed."""
    states = []
    with connection.transaction():
        rows = connection.execute(READ).fetchall()
    for name, completed_at, created_at, heard_at, fault, now in rows:
        state: State = "live"
        since = created_at or heard_at
        if completed_at is not None:
            state, since = "completed", completed_at
        elif now - heard_at > silent_after:
            state, since = "silent", heard_at
        states.append(StreamState(name, state, since, heard_at, fault))
    return states
