"""Makes what was deleted go from PostgreSQL's own storage, and writes the receipts for it.

*Expunged*: every table that held it is vacuumed, and no dead row is left in it. A vacuum leaves the bytes in the pages,
so for *physical* each is then rewritten. That takes the table from readers and writers for as long as it lasts: one
table at a time, after a short wait for its lock or not at all, and none begun when the time is over.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import errors
from psycopg.sql import SQL, Identifier

from consumer.database import connect
from consumer.probes import Found, Key
from consumer.projection import Projection
from consumer.receipts import Level, issue, issue_hidden

Connection = psycopg.Connection[tuple[Any, ...]]
Progress = Callable[[str, int, int], None]

ATTEMPTS = 5
PAUSE_SECONDS = 1.0
BLOCKS_A_PARTITION = 100_000  # as journal.ensure_partitions makes them

GENTLY = "SET lock_timeout = '2s'; SET vacuum_cost_delay = '1ms'"
# Receipts come after the fact, so a redaction is due until it has the one for the level.
READ_DUE = """
    SELECT d.document_id, d.version, d.sequence_no FROM journal.redaction d
    WHERE EXISTS (
        SELECT FROM projection.receipt r
        WHERE r.document_id = d.document_id AND r.version = d.version AND r.store = 'postgresql' AND r.level = 'hidden')
      AND NOT EXISTS (
        SELECT FROM projection.receipt r
        WHERE r.document_id = d.document_id AND r.version = d.version AND r.store = 'postgresql' AND r.level = %s)
    ORDER BY d.document_id, d.version"""
READ_ERASED_TEXTS = """
    SELECT EXISTS (
        SELECT FROM journal.block
        WHERE sequence_no = ANY (%s) AND position('erasedTransactionInfo'::bytea IN transaction_info) > 0)"""
READ_TABLES = """
    SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND (
        (n.nspname = 'journal' AND c.relname = ANY (%s))
        OR (n.nspname = 'projection' AND c.relname IN ('source', 'parked'))
        OR n.nspname = 'generation')
    ORDER BY 1, 2"""
PURGE_REJECTED = """
    UPDATE journal.rejected SET record = NULL, purged_at = now()
    WHERE record IS NOT NULL AND rejected_at < now() - make_interval(days => %s)"""
READ_DEAD = """
    SELECT pg_stat_get_dead_tuples(c.oid) + coalesce(pg_stat_get_dead_tuples(nullif(c.reltoastrelid, 0)), 0)
    FROM pg_class c WHERE c.oid = to_regclass(%s)"""
VACUUM = "VACUUM (INDEX_CLEANUP ON) {}"
REWRITE = "VACUUM (FULL) {}"


@dataclass(frozen=True)
class Cleaned:
    """A table that was vacuumed, or rewritten."""

    table: str
    seconds: float


@dataclass(frozen=True)
class Left:
    """A table that could not be cleaned now, and why."""

    table: str
    reason: str


@dataclass
class Expunged:
    """What an expunging did. Without `left` and `found` every redaction has reached the level."""

    redactions: int = 0
    receipts: int = 0
    rejected_purged: int = 0
    cleaned: list[Cleaned] = field(default_factory=list)
    left: list[Left] = field(default_factory=list)
    found: list[Found] = field(default_factory=list)


class _Busy(Exception):
    """The table cannot be cleaned now; the text says why."""


def expunge(
    url: str,
    projections: Mapping[str, Projection],
    *,
    physical: bool = False,
    rejected_days: int = 30,
    seconds: float | None = None,
    progress: Progress = lambda *_: None,
) -> Expunged:
    """Bring every hidden redaction to the level expunged, or physical too, and purge old rejected records.

    Begins no table after `seconds`. May be repeated, and be broken off anywhere: what is left is done the next time.
    """
    result = Expunged()
    ends = None if seconds is None else time.monotonic() + seconds
    with connect(url, autocommit=True) as connection:
        connection.execute(GENTLY)
        result.rejected_purged = connection.execute(PURGE_REJECTED, [rejected_days]).rowcount
        issue_hidden(connection, projections)
        levels: list[Level] = ["expunged", "physical"] if physical else ["expunged"]
        due: dict[Level, list[Key]] = {}
        numbers: set[int] = set()
        for level in levels:
            rows = connection.execute(READ_DUE, [level]).fetchall()
            due[level] = [(document_id, version) for document_id, version, _ in rows]
            numbers |= {number for *_, number in rows}
        result.redactions = len(due[levels[-1]])
        tables = list(_tables(connection, numbers, rejected=result.rejected_purged > 0))
        for index, table in enumerate(tables):
            progress("expunging", index, len(tables))
            _clean(connection, table, physical, ends, result)
        progress("expunging", len(tables), len(tables))
        if not result.left:
            _write_receipts(connection, projections, due, result)
    return result


def _tables(connection: Connection, numbers: set[int], *, rejected: bool) -> Iterator[tuple[str, str]]:
    """Every table that may hold something of revisions in those blocks, by schema and name."""
    names = [f"revision_{part}" for part in {number // BLOCKS_A_PARTITION for number in numbers}]
    if rejected:
        names.append("rejected")
    if numbers:
        row = connection.execute(READ_ERASED_TEXTS, [list(numbers)]).fetchone()
        if row and row[0]:
            names.append("block")
        names += ["shape", "shape_count"]
        yield from connection.execute(READ_TABLES, [names])
    elif rejected:
        yield "journal", "rejected"


def _clean(
    connection: Connection, table: tuple[str, str], physical: bool, ends: float | None, result: Expunged
) -> None:
    name = ".".join(table)
    if ends is not None and time.monotonic() >= ends:
        result.left.append(Left(name, "the time was over"))
        return
    started = time.monotonic()
    try:
        # First, so that no dead row is carried over into the new file.
        _vacuum(connection, table)
        if physical:
            _run(connection, REWRITE, table)
    except _Busy as busy:
        result.left.append(Left(name, str(busy)))
    else:
        result.cleaned.append(Cleaned(name, time.monotonic() - started))


def _vacuum(connection: Connection, table: tuple[str, str]) -> None:
    """Vacuum until no dead row is left: what an old snapshot can see, or a page in use holds, stays at first."""
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(PAUSE_SECONDS)
        _run(connection, VACUUM, table)
        row = connection.execute(READ_DEAD, [SQL("{}").format(Identifier(*table)).as_string(connection)]).fetchone()
        if row is None or row[0] == 0:
            return
    raise _Busy("deleted rows are in use still: a transaction that began before may see them, or writers are busy")


def _run(connection: Connection, statement: str, table: tuple[str, str]) -> None:
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(PAUSE_SECONDS)
        try:
            connection.execute(SQL(statement).format(Identifier(*table)))
        except errors.UndefinedTable:  # a generation that was dropped meanwhile
            return
        except (errors.LockNotAvailable, errors.DeadlockDetected):
            continue
        else:
            return
    raise _Busy("its lock was not free in time")


def _write_receipts(
    connection: Connection,
    projections: Mapping[str, Projection],
    due: Mapping[Level, Sequence[Key]],
    result: Expunged,
) -> None:
    for level, keys in due.items():
        issued = issue(connection, projections, keys, level)
        result.receipts += issued.receipts
        result.found += issued.found
