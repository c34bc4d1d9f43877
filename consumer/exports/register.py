"""The register of exports: what each holds, where it is, and which redacted revisions are still in one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg

from strandline.consumer.database.connection import Connection, connect
from strandline.journal.errors import StrandlineError, UsageError

# As the reader's login, by functions that check its rights (migrations/0005_read.sql).
REGISTER = "SELECT export, as_of_block FROM read.register_export(%s, %s, %s)"
COMPLETE = "SELECT read.complete_export(%s, %s)"
FORGET = "SELECT read.forget_export(%s)"

# An export holds a revision's data if the revision was a source of its rows and was redacted afterwards.
READ_EXPORTS = """
    SELECT e.export, e.projection, e.as_of_block, e.place, e.rows, e.exported_by, e.exported_at, e.expires_at,
           e.completed_at IS NULL, e.deleted_at, coalesce(e.expires_at < now(), false), coalesce(held.redacted, 0)
    FROM projection.export e LEFT JOIN (
        SELECT s.export, count(*) AS redacted
        FROM journal.mark m, journal.redaction d JOIN projection.export_source s USING (document_id, version)
        WHERE d.found IS NOT NULL AND d.effective_no <= m.sequence_no
        GROUP BY s.export
    ) AS held USING (export)
    WHERE %(all)s OR e.deleted_at IS NULL
    ORDER BY e.export"""
READ_HOLDING = """
    SELECT s.document_id, s.version, e.export FROM projection.export_source s JOIN projection.export e USING (export)
    JOIN unnest(%s::text[], %s::bigint[]) AS named (document_id, version) USING (document_id, version)
    WHERE e.deleted_at IS NULL ORDER BY e.export"""


@dataclass(frozen=True)
class Export:
    """A copy of a read model as of a block. `redacted` counts the revisions in it that were redacted since.

    `unfinished`: the command that writes it runs, or was killed and may have left a partial file.
    """

    number: int
    read_model: str
    as_of_block: int
    place: str
    rows: int | None
    exported_by: str
    exported_at: datetime
    expires_at: datetime | None
    unfinished: bool
    deleted_at: datetime | None
    expired: bool
    redacted: int

    @property
    def needs_action(self) -> bool:
        """Return True if somebody should delete it: redacted data, past its time, or perhaps a partial file."""
        return self.deleted_at is None and (self.redacted > 0 or self.expired or self.unfinished)

    @property
    def state(self) -> str:
        """The state in some words: what asks for action comes first."""
        if self.deleted_at is not None:
            return "deleted"
        words = [f"{self.redacted:,} redacted revision{'' if self.redacted == 1 else 's'}"] if self.redacted else []
        words += ["past its time"] if self.expired else []
        words += ["unfinished"] if self.unfinished else []
        return ", ".join(words) or "kept"

    def as_dict(self) -> dict[str, object]:
        """Return the object of `--json`."""
        moments = (self.exported_at, self.expires_at, self.deleted_at)
        exported, expires, deleted = (None if one is None else one.isoformat() for one in moments)
        return {
            "export": self.number,
            "read_model": self.read_model,
            "as_of_block": self.as_of_block,
            "place": self.place,
            "rows": self.rows,
            "exported_by": self.exported_by,
            "exported_at": exported,
            "expires_at": expires,
            "expired": self.expired,
            "unfinished": self.unfinished,
            "deleted_at": deleted,
            "redacted_revisions": self.redacted,
        }


def register(url: str, snapshot: str, read_model: str, place: str, keep: timedelta | None) -> tuple[int, int]:
    """Register an export of what a snapshot shows, and commit. Returns its number and the block it is as of.

    Every source of its rows is recorded. Raises `StrandlineError` if the login may not read the read model.
    """
    with connect(url, role=None, application_name="strandline export") as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        with connection.transaction():
            connection.execute(f"SET TRANSACTION SNAPSHOT '{snapshot}'".encode())
            row = connection.execute(REGISTER, [read_model, place, keep]).fetchone()
    assert row is not None
    return int(row[0]), int(row[1])


def complete(url: str, export: int, rows: int) -> None:
    """Note that an export is complete: an earlier one at the same place is overwritten, and so deleted."""
    _call(url, COMPLETE, export, rows)


def forget(url: str, export: int) -> None:
    """Note that a copy is deleted. Raises `UsageError` if there is none, or it is not of this login."""
    _call(url, FORGET, export)


def read_exports(connection: Connection, *, deleted: bool = False) -> list[Export]:
    """Return the exports that are not known to be deleted, or all."""
    return [Export(*row) for row in connection.execute(READ_EXPORTS, {"all": deleted})]


def holding(connection: Connection, columns: Sequence[Sequence[Any]]) -> Iterator[tuple[tuple[str, int], int]]:
    """Yield each of these revisions (columns of document ids and versions) with each export that holds it."""
    for document_id, version, export in connection.execute(READ_HOLDING, list(columns)):
        yield (document_id, version), export


def find_export(connection: Connection, number: int) -> Export:
    """Return one export. Raises `UsageError` if there is none, or it is deleted."""
    for one in read_exports(connection):
        if one.number == number:
            return one
    raise UsageError(f"There is no export {number}: see `strandline exports`.")


def _call(url: str, statement: str, *values: int) -> None:
    with connect(url, role=None, application_name="strandline export") as connection, connection.transaction():
        row = connection.execute(statement, values).fetchone()
    if row != (True,):
        raise StrandlineError(f"Export {values[0]} is not known, or belongs to another login.")
