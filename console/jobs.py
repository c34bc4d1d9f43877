"""Jobs: long work that a page starts. A process of its own does it, and writes its progress and result to a table."""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Thread
from typing import Any, Literal

import psycopg
from psycopg.types.json import Jsonb

from strandline.console.page import Asked
from strandline.consumer.database.connection import Connection
from strandline.journal.errors import StrandlineError

Kind = Literal["rebuild", "verify", "prove", "index"]
State = Literal["running", "done", "failed", "lost"]

# A process without a sign of life for so long was killed.
LOST_AFTER = timedelta(seconds=15)
KEPT_DAYS = 90

END_LOST = """
    UPDATE console.job SET ended_at = now(), ok = false, result = '{"error": "its process was killed"}'
    WHERE ended_at IS NULL AND seen_at < now() - %s"""
FORGET = f"DELETE FROM console.job WHERE ended_at < now() - interval '{KEPT_DAYS} days'"
ADD = """
    INSERT INTO console.job (kind, name, arguments, started_by) VALUES (%s, %s, %s, %s) RETURNING id"""
# jsonb as text: its numbers become what JSON of a page can hold.
COLUMNS = """
    id, kind, name, arguments::text, started_by, started_at, seen_at, step, done, total, ended_at, ok, result::text,
    now()"""
READ = f"SELECT {COLUMNS} FROM console.job WHERE id = %s"
READ_LATEST = f"""
    SELECT {COLUMNS} FROM console.job WHERE (%(kind)s::text IS NULL OR kind = %(kind)s)
    AND (%(name)s::text IS NULL OR name = %(name)s) ORDER BY id DESC LIMIT %(limit)s"""


@dataclass(frozen=True)
class Job:
    """One job. `result` is the object of the command's --json, or `{"error": text}`."""

    id: int
    kind: Kind
    name: str
    arguments: dict[str, Any]
    started_by: str
    started_at: datetime
    seen_at: datetime
    step: str | None
    done: int | None
    total: int | None
    ended_at: datetime | None
    ok: bool | None
    result: dict[str, Any] | None
    now: datetime

    @property
    def state(self) -> State:
        if self.ended_at is not None:
            return "done" if self.ok else "failed"
        return "lost" if self.now - self.seen_at > LOST_AFTER else "running"

    @property
    def seconds_left(self) -> float | None:
        """Return an estimate, from what is done so far."""
        if self.state != "running" or not self.done or not self.total or self.done >= self.total:
            return None
        return (self.now - self.started_at).total_seconds() * (self.total - self.done) / self.done

    def as_dict(self) -> dict[str, object]:
        """Return the job as the page's JSON has it."""
        return {
            "id": self.id,
            "kind": self.kind,
            "name": self.name,
            "state": self.state,
            "started_by": self.started_by,
            "started_at": self.started_at.isoformat(),
            "ended_at": self.ended_at.isoformat() if self.ended_at else None,
            "step": self.step,
            "done": self.done,
            "total": self.total,
            "result": self.result,
        }


def start(asked: Asked, kind: Kind, name: str, arguments: Mapping[str, object]) -> int:
    """Start a process for the job. Returns its id. Raises `StrandlineError` if one for the same runs already."""
    with asked.console.worker() as connection:
        try:
            with connection.transaction():
                connection.execute(END_LOST, [LOST_AFTER])
                connection.execute(FORGET.encode())
                row = connection.execute(ADD, [kind, name, Jsonb(dict(arguments)), asked.reader.name]).fetchone()
        except psycopg.errors.UniqueViolation:
            raise StrandlineError(f"A {kind} of {name} is running already: wait until it has ended.") from None
    assert row is not None
    number: int = row[0]
    # In a session of its own: it goes on when the console ends.
    process = subprocess.Popen(
        [sys.executable, "-m", "strandline.console.job", str(number)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    Thread(target=process.wait, name=f"job {number}", daemon=True).start()  # or it would stay as a zombie
    return number


def read_job(connection: Connection, number: int) -> Job | None:
    with connection.transaction():
        row = connection.execute(READ, [number]).fetchone()
    return _job(row) if row else None


def read_jobs(connection: Connection, limit: int, kind: Kind | None = None, name: str | None = None) -> list[Job]:
    """Return the latest jobs, the newest first."""
    with connection.transaction():
        rows = connection.execute(READ_LATEST, {"kind": kind, "name": name, "limit": limit})
        return [_job(row) for row in rows]


def _job(row: tuple[Any, ...]) -> Job:
    number, kind, name, arguments, started_by, started_at, seen_at, step, done, total, ended_at, ok, result, now = row
    given, found = json.loads(arguments), None if result is None else json.loads(result)
    return Job(
        number, kind, name, given, started_by, started_at, seen_at, step, done, total, ended_at, ok, found, now
    )  # fmt: skip
