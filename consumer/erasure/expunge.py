"""Removes the bytes of redacted data from the stores' files, and issues the receipts for it.

*Expunged*: every table that had the data is vacuumed, every index merged, and no deleted row is left. *Physical*: the
bytes are gone from the files: every table is rewritten, and no search keeps an index's old files open.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from strandline.consumer.database import vacuum
from strandline.consumer.database.connection import Connection, connect
from strandline.consumer.erasure.probe import Residue
from strandline.consumer.erasure.receipt_chain import Level
from strandline.consumer.erasure.receipts import issue, issue_hidden
from strandline.consumer.generations.stores import DATABASE_ONLY, OPENSEARCH, Stores
from strandline.consumer.projection.definition import Projection
from strandline.consumer.sinks.contract import Key
from strandline.journal.errors import StrandlineError

Progress = Callable[[str, int, int], None]

POSTGRESQL = "postgresql"
BLOCKS_A_PARTITION = 100_000  # as journal.ensure_partitions makes them

TRY_LOCK = "SELECT pg_try_advisory_lock(hashtextextended('expunge', 0))"
UNLOCK = "SELECT pg_advisory_unlock(hashtextextended('expunge', 0))"
RECEIPT = """
    EXISTS (
        SELECT FROM projection.receipt r
        WHERE r.document_id = d.document_id AND r.version = d.version AND r.store = %(store)s AND r.level = {})"""
# The receipt is issued last, so a redaction is due until it has the one for the level.
READ_DUE = f"""
    SELECT d.document_id, d.version, d.sequence_no FROM journal.redaction d
    WHERE {RECEIPT.format("'hidden'")} AND NOT {RECEIPT.format("%(level)s")}
    ORDER BY d.document_id, d.version"""
READ_ERASED_TEXTS = """
    SELECT EXISTS (
        SELECT FROM journal.block
        WHERE sequence_no = ANY (%s) AND position('erasedTransactionInfo'::bytea IN transaction_info) > 0)"""
READ_TABLES = """
    SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND (
        (n.nspname = 'journal' AND c.relname = ANY (%s))
        OR (n.nspname = 'projection' AND c.relname ~ '^(source_[0-9]+|parked|outside_key)$')
        OR n.nspname = 'generation')
    ORDER BY 1, 2"""
READ_INDEXES = "SELECT relation FROM projection.generation WHERE store = %s ORDER BY generation"
PURGE_REJECTED = """
    UPDATE journal.rejected SET record = NULL, purged_at = now()
    WHERE record IS NOT NULL AND rejected_at < now() - make_interval(days => %s)"""


@dataclass(frozen=True)
class Cleaned:
    """A table that was vacuumed or rewritten, or an index that was merged."""

    table: str
    seconds: float


@dataclass(frozen=True)
class Skipped:
    """A table or index that could not be cleaned, and the reason."""

    table: str
    reason: str


@dataclass
class Expunged:
    """The result of a run. If `skipped` and `residue` are empty, every redaction has reached the level everywhere."""

    redactions: int = 0
    receipts: int = 0
    rejected_purged: int = 0
    cleaned: list[Cleaned] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    residue: list[Residue] = field(default_factory=list)


@dataclass(frozen=True)
class _Due:
    """The redactions of a store that lack the level; `numbers` are the blocks of their revisions."""

    store: str
    level: Level
    keys: list[Key]
    numbers: set[int]


def expunge(
    url: str,
    projections: Mapping[str, Projection],
    *,
    stores: Stores = DATABASE_ONLY,
    physical: bool = False,
    rejected_days: int = 30,
    seconds: float | None = None,
    progress: Progress = lambda *_: None,
) -> Expunged:
    """Bring every hidden redaction to the level expunged, or physical too, and purge old rejected records.

    Begins no table or index after `seconds`. Idempotent: if a run is interrupted, the next one does the rest. Raises
    `StrandlineError` if another run is in progress, `StoreFailed` if OpenSearch fails.
    """
    result = Expunged()
    deadline = None if seconds is None else time.monotonic() + seconds
    with connect(url, autocommit=True) as connection, _run_lock(connection):
        result.rejected_purged = connection.execute(PURGE_REJECTED, [rejected_days]).rowcount
        issue_hidden(connection, projections, stores)
        levels: list[Level] = ["expunged", "physical"] if physical else ["expunged"]
        inside = [_due(connection, POSTGRESQL, level) for level in levels]
        outside = [_due(connection, OPENSEARCH, level) for level in levels]
        result.redactions = len({*inside[-1].keys, *outside[-1].keys})
        if _clean_tables(connection, inside, result, physical, deadline, progress):
            _issue_receipts(connection, projections, stores, inside, result)
        if outside[-1].keys and _merge_indexes(connection, stores, result, physical, deadline, progress):
            _issue_receipts(connection, projections, stores, outside, result)
    return result


@contextmanager
def _run_lock(connection: Connection) -> Iterator[None]:
    if connection.execute(TRY_LOCK).fetchone() != (True,):
        raise StrandlineError(
            "Another expunge (a command's or a worker's) is running: run the command again when it has ended."
        )
    try:
        yield
    finally:
        if not connection.closed:
            connection.execute(UNLOCK)


def _due(connection: Connection, store: str, level: Level) -> _Due:
    rows = connection.execute(READ_DUE, {"store": store, "level": level}).fetchall()
    return _Due(store, level, [(id_, version) for id_, version, _ in rows], {number for *_, number in rows})


def _clean_tables(
    connection: Connection,
    due: list[_Due],
    result: Expunged,
    physical: bool,
    deadline: float | None,
    progress: Progress,
) -> bool:
    """Vacuum the tables that may have the data. Returns whether all could be cleaned."""
    numbers = set().union(*(one.numbers for one in due))
    tables = list(_tables(connection, numbers, rejected=result.rejected_purged > 0))
    skipped = len(result.skipped)
    for index, table in enumerate(tables):
        progress("expunging", index, len(tables))
        started = time.monotonic()
        try:
            vacuum.clean_table(connection, table, physical=physical, deadline=deadline)
        except vacuum.Busy as busy:
            result.skipped.append(Skipped(".".join(table), str(busy)))
        else:
            result.cleaned.append(Cleaned(".".join(table), time.monotonic() - started))
    progress("expunging", len(tables), len(tables))
    return len(result.skipped) == skipped


def _tables(connection: Connection, numbers: set[int], *, rejected: bool) -> Iterator[tuple[str, str]]:
    """Yield schema and name of every table that may have data of revisions in those blocks."""
    names = [f"revision_{part}" for part in {number // BLOCKS_A_PARTITION for number in numbers}]
    if rejected:
        names.append("rejected")
    if numbers:
        names.append("found_text")  # hashes of erased texts
        row = connection.execute(READ_ERASED_TEXTS, [list(numbers)]).fetchone()
        if row and row[0]:
            names.append("block")
        names += ["shape", "shape_count"]
        yield from connection.execute(READ_TABLES, [names])
    elif rejected:
        yield "journal", "rejected"


def _merge_indexes(
    connection: Connection,
    stores: Stores,
    result: Expunged,
    physical: bool,
    deadline: float | None,
    progress: Progress,
) -> bool:
    """Merge every index. Returns whether all could be merged."""
    indexes = [relation for (relation,) in connection.execute(READ_INDEXES, [OPENSEARCH])]
    if stores.opensearch is None:
        result.skipped.append(Skipped("OpenSearch", "it is off: set STRANDLINE_OPENSEARCH_URL"))
        return False
    from strandline.consumer.sinks.opensearch.merge import merge

    progress("merging", 0, len(indexes))
    started = time.monotonic()
    skipped = merge(stores.opensearch, indexes, physical=physical, ends=deadline)
    seconds = time.monotonic() - started
    result.skipped += [Skipped(f"index {name}", reason) for name, reason in skipped.items()]
    result.cleaned += [Cleaned(f"index {name}", seconds) for name in indexes if name not in skipped]
    progress("merging", len(indexes), len(indexes))
    return not skipped


def _issue_receipts(
    connection: Connection, projections: Mapping[str, Projection], stores: Stores, due: list[_Due], result: Expunged
) -> None:
    for one in due:
        issued = issue(connection, projections, stores, one.keys, one.store, one.level)
        result.receipts += issued.receipts
        result.residue += issued.residue
