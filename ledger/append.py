"""Appending: transactions become blocks at the journal's end, several in one database transaction.

The strand's lock is held alone from the look at the end to the commit, so however many processes write, each block
follows the one before. The mark moves with the blocks; a crash leaves all of them or none.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from consumer import catalog, mark
from consumer.database import connect
from consumer.erasure import take_redactions
from consumer.graft import read_graft
from consumer.stored import check_stored
from journal.block import CheckedBlock, check_block
from journal.ids import new_id
from journal.ion import Timestamp
from journal.maker import BlockMaker, timestamp
from journal.rows import pack_block, pack_revision
from ledger import append_sql as sql
from ledger import copied
from ledger.changes import Changes, Reads, conflict
from ledger.errors import CannotAppend, Conflict
from ledger.graft import graft_of
from ledger.prepared import Prepared
from ledger.settling import settle

# Transactions that read longer ago conflict without a closer look, so that the look has an end.
MOST_BLOCKS_SINCE = 10_000
_PARTITION = 100_000  # blocks (migrations/0002_journal.sql)


@dataclass(frozen=True, slots=True)
class Appended:
    """Where a transaction is in the journal; `repeated` where its request had happened before."""

    transaction_id: str
    sequence_no: int
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class _End:
    """The journal's end: the mark, the time of its block, and whether anything waits above it."""

    strand_id: str | None
    origin: int
    sequence_no: int
    block_hash: bytes | None
    block_time: datetime | None
    candidates: bool


class Appender:
    """Appends to one store over a connection of its own; to be used by one thread at a time."""

    def __init__(self, url: str, origin: int = 0) -> None:
        self._url = url
        self._origin = origin
        self._connection: psycopg.Connection[Any] | None = None
        self._checked = False
        self._grafted = False
        self._partition: int | None = None
        self._tables: set[str] = set()  # ids that the catalogue knows

    def append(self, group: Sequence[Prepared]) -> list[Appended | Conflict]:
        """Append what does not conflict, in this order; gives for each where it is, or the conflict.

        Raises CannotAppend where the journal's end cannot be followed, DatabaseError where PostgreSQL fails: then
        nothing is in the journal, or all of it; `written` tells.
        """
        connection = self._connected()
        try:
            if not self._checked:
                self._check_end(connection)
            for settled in (False, True):
                end = self._begin(connection)
                if not end.candidates:
                    return self._append(connection, end, group)
                connection.rollback()
                if not settled:
                    settle(connection)
        except BaseException:
            self._forget()
            if not connection.closed:
                connection.rollback()
            raise
        raise CannotAppend(
            f"Blocks or revisions above block {end.sequence_no} wait to come in, so nothing can be appended to it: "
            "`strandline status` shows what is missing; replay it, or let the chain refuse them."
        )

    def written(self, transaction_id: str, since: int) -> int | None:
        """The block above `since` that the transaction is, if it is in the journal.

        Waits until whoever appends has ended, also a connection that was lost in the middle of it.
        """
        connection = self._connected()
        with mark.strand_lock(connection, alone=True):
            row = connection.execute(sql.WRITTEN, [since, transaction_id]).fetchone()
        return None if row is None else row[0]

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connected(self) -> psycopg.Connection[Any]:
        if self._connection is None or self._connection.closed:
            self._connection = connect(self._url, autocommit=True, application_name="strandline ledger")
            self._connection.prepare_threshold = 2
            copied.register(self._connection)
            self._forget()
        return self._connection

    def _forget(self) -> None:
        """What was learned in a transaction that failed may not be so."""
        self._grafted, self._partition = False, None
        self._tables.clear()

    def _begin(self, connection: psycopg.Connection[Any]) -> _End:
        """The journal's end, in a transaction that holds the strand's lock; an empty journal becomes a strand."""
        end = _end(connection, sql.BEGIN)
        if end.strand_id is None:
            connection.execute(sql.BEGIN_STRAND, [new_id(), self._origin, self._origin])
            end = _end(connection, sql.END)
        return end

    def _check_end(self, connection: psycopg.Connection[Any]) -> None:
        at = mark.advance(connection)
        if at.sequence_no < at.origin:
            self._checked = True
            return
        with connection.transaction():
            last = list(check_stored(connection, at.sequence_no, at.sequence_no))
        faults = [fault for block in last for fault in block.faults]
        if at.block_hash is None or not last or last[0].block_hash != at.block_hash or faults:
            reason = faults[0].fault if faults else "an accepted gap" if at.block_hash is None else "blockHash"
            raise CannotAppend(
                f"The journal's end, block {at.sequence_no}, does not verify ({reason}), so nothing is appended to it: "
                "`strandline verify` tells more."
            )
        self._checked = True

    def _append(
        self, connection: psycopg.Connection[Any], end: _End, group: Sequence[Prepared]
    ) -> list[Appended | Conflict]:
        assert end.strand_id is not None
        if end.block_hash is None and end.sequence_no >= end.origin:
            raise CannotAppend(f"The journal ends in an accepted gap, at block {end.sequence_no}: replay what follows.")
        done = _done_before(connection, group)
        changes = _changes(connection, end, [prepared.reads for prepared in group])
        writer = _Writer(end)
        if not self._grafted and read_graft(connection) is None:
            writer.add(graft_of(end.strand_id, end.sequence_no, end.block_hash))
        outcomes = list[Appended | Conflict]()
        for prepared in group:
            if (request := done.get(prepared.request_id or "")) is not None:
                outcomes.append(request)
            elif end.sequence_no - prepared.reads.since > MOST_BLOCKS_SINCE:
                outcomes.append(Conflict("the ledger went on too far since this transaction began to read"))
            elif reason := conflict(prepared.reads, changes):
                outcomes.append(Conflict(f"another transaction came first: {reason}"))
            else:
                appended = Appended(prepared.transaction_id, writer.add(prepared))
                _note(changes, prepared, appended.sequence_no)
                outcomes.append(appended)
                if prepared.request_id is not None:
                    done[prepared.request_id] = Appended(appended.transaction_id, appended.sequence_no, True)
                    connection.execute(
                        sql.ADD_REQUEST, [prepared.request_id, appended.transaction_id, appended.sequence_no]
                    )
        if any(isinstance(outcome, Appended) and not outcome.repeated for outcome in outcomes):
            self._write(connection, end, writer)
            self._grafted = True
        else:
            connection.rollback()
        return outcomes

    def _write(self, connection: psycopg.Connection[Any], end: _End, writer: "_Writer") -> None:
        """Rows, and everything that follows from blocks passing the mark, as a step of the mark does it."""
        first, last = end.sequence_no + 1, writer.maker.next_sequence_no - 1
        if self._partition != last // _PARTITION:
            connection.execute(sql.ENSURE_PARTITIONS, [first, last])
        _add(connection, sql.ADD_BLOCK, [copied.fields(pack_block(block)) for block in writer.blocks])
        revisions = [copied.fields(pack_revision(block, one)) for block in writer.blocks for one in block.revisions]
        _add(connection, sql.ADD_REVISION, revisions)
        if any(block.redactions for block in writer.blocks):
            take_redactions(connection, first, last)
        tables = {table.table_id for block in writer.blocks for table in block.documents.values() if table.table_id}
        if not tables <= self._tables or any(prepared.defines for prepared in writer.added):
            catalog.apply(connection, first, last)
        with psycopg.ClientCursor(connection) as cursor:
            cursor.execute(sql.FINISH, [last, writer.maker.previous_hash])
        self._partition = last // _PARTITION
        self._tables |= tables


class _Writer:
    """Makes the blocks that follow the journal's end."""

    def __init__(self, end: _End) -> None:
        assert end.strand_id is not None
        self.maker = BlockMaker(end.strand_id, end.sequence_no + 1, end.block_hash or b"")
        self.blocks: list[CheckedBlock] = []
        self.added: list[Prepared] = []
        # Clocks differ between machines, and go back: the history's times do not.
        now = time.time_ns() // 1_000_000
        self._time: Timestamp = timestamp(max(now, _milliseconds(end.block_time)))

    def add(self, prepared: Prepared) -> int:
        """Make the transaction's block; gives its number."""
        block = check_block(
            self.maker.make(
                transaction_id=prepared.transaction_id,
                tx_time=self._time,
                block_time=self._time,
                statements=prepared.statements,
                revisions=prepared.revisions,
                redactions=prepared.redactions,
                system_revisions=prepared.system_revisions,
            )
        )
        # Nothing may come in that a reader of it would refuse.
        assert not block.faults, block.faults
        self.blocks.append(block)
        self.added.append(prepared)
        return block.sequence_no


def _end(connection: psycopg.Connection[Any], statements: str) -> _End:
    """What the last of the statements, which go in one trip, says of the journal's end."""
    with psycopg.ClientCursor(connection) as cursor:
        cursor.execute(statements)
        while cursor.nextset():
            pass
        row = cursor.fetchone()
    assert row is not None
    return _End(*row)


def _add(connection: psycopg.Connection[Any], statement: str, rows: Sequence[Sequence[copied.Field | None]]) -> None:
    if len(rows) == 1:
        connection.execute(statement, rows[0], prepare=True)
    elif rows:
        with connection.cursor() as cursor:
            cursor.executemany(statement, rows)


def _done_before(connection: psycopg.Connection[Any], group: Sequence[Prepared]) -> dict[str, Appended]:
    wanted = [prepared.request_id for prepared in group if prepared.request_id is not None]
    if not wanted:
        return {}
    rows = connection.execute(sql.REQUESTS, [wanted]).fetchall()
    return {request_id: Appended(transaction_id, number, True) for request_id, transaction_id, number in rows}


def _changes(connection: psycopg.Connection[Any], end: _End, group: Sequence[Reads]) -> Changes:
    """What came since the group's transactions began to read, as far as it can matter to them."""
    changes = Changes()
    since = {
        "since": max(end.sequence_no - MOST_BLOCKS_SINCE, min(min(one.since, one.tables_at) for one in group)),
        "end": end.sequence_no,
        "documents": list({id_ for one in group for id_ in one.documents}),
        "searched": list({table for one in group for table, _ in one.equalities}),
        "tables": list({table for one in group for table in one.tables}),
    }
    if since["since"] == end.sequence_no:
        return changes
    row = connection.execute(sql.DEFINED, since).fetchone()
    changes.defined = row[0] if row is not None else -1
    if not all(one.is_plain for one in group):
        changes.revisions = connection.execute(sql.CHANGED_REVISIONS, since).fetchall()
        changes.redactions = connection.execute(sql.CHANGED_REDACTIONS, since).fetchall()
    return changes


def _note(changes: Changes, prepared: Prepared, number: int) -> None:
    """What a transaction of the group changes for those after it."""
    changes.revisions += [
        (number, new.table_id, new.document_id, data)
        for new, data in zip(prepared.revisions, prepared.json, strict=True)
    ]
    changes.redactions += [(number, one.table_id, one.document_id) for one in prepared.redactions]
    if prepared.defines:
        changes.defined = number


def _milliseconds(moment: datetime | None) -> int:
    if moment is None:
        return 0
    # Rounded up: a block is never before the one that it follows.
    return -(-round(moment.timestamp() * 1_000_000) // 1000)
