"""The audit: who saw or did what, by ids, in a table and in the log. It is written before anything is shown."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog

from strandline.console.page import Asked
from strandline.consumer.database.connection import Connection

log = structlog.get_logger()

# A page that stays open asks again every some seconds: that is one showing, if it goes on without a pause.
AGAIN_SECONDS = 90
LOOK_BACK = 1_000  # lines: after more of others, one is added

EXTEND = f"""
    UPDATE console.audit SET until = now() WHERE id = (
        SELECT id FROM console.audit
        WHERE id > (SELECT max(id) - {LOOK_BACK} FROM console.audit) AND reader = %s AND action = %s
          AND (document_id, versions, detail) IS NOT DISTINCT FROM (%s::text, %s::bigint[], %s::text)
          AND until > now() - interval '{AGAIN_SECONDS} seconds' ORDER BY id DESC LIMIT 1)"""
ADD = "INSERT INTO console.audit (reader, action, document_id, versions, detail) VALUES (%s, %s, %s, %s, %s)"
READ = """
    SELECT id, at, until, reader, action, document_id, versions, detail FROM console.audit
    WHERE (%(before)s::bigint IS NULL OR id < %(before)s) AND (%(document)s::text IS NULL OR document_id = %(document)s)
    ORDER BY id DESC LIMIT %(limit)s"""


@dataclass(frozen=True)
class Entry:
    """One line of the audit. `until` is when the same was last shown by an open page."""

    id: int
    at: datetime
    until: datetime
    reader: str
    action: str
    document: str | None
    versions: list[int] | None
    detail: str | None

    def as_dict(self) -> dict[str, object]:
        """Return the line as the page's JSON has it."""
        return {**vars(self), "at": self.at.isoformat(), "until": self.until.isoformat()}


def record(
    asked: Asked, action: str, document: str | None = None, versions: Sequence[int] = (), detail: str | None = None
) -> None:
    """Write one line. What it names must be ids, names of read models, numbers or hashes."""
    log.info(action, user=asked.reader.name, document=document, versions=list(versions), detail=detail)
    line = [asked.reader.name, action, document, list(versions) or None, detail]
    with asked.console.worker() as connection, connection.transaction():
        if not asked.fragment or not connection.execute(EXTEND.encode(), line).rowcount:
            connection.execute(ADD, line)


def read_audit(
    connection: Connection, limit: int, before: int | None = None, document: str | None = None
) -> list[Entry]:
    """Return the latest lines, the newest first: below the id `before`, and of one document, if given."""
    with connection.transaction():
        rows = connection.execute(READ, {"limit": limit, "before": before, "document": document})
        return [Entry(*row) for row in rows]
