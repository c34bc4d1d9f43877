"""Appends transactions as blocks at the journal's end, several in one database transaction.

The writer holds the strand's lock alone from the look at the tail to the commit: however many processes write, each
block follows the one before. The mark moves with the blocks; a crash leaves all of them or none. A writer that was the
last to append needs one statement (`journal.append`); else the tail and the changes since are read first.
"""

import json
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import psycopg

from strandline.consumer.database.connection import Connection, columns_of, connect
from strandline.consumer.mark import mark
from strandline.consumer.mark.effects import Contents, raise_mark
from strandline.consumer.mark.lock import strand_lock
from strandline.consumer.mark.orphans import reject_orphans
from strandline.consumer.store.blocks import check_stored
from strandline.consumer.store.field_counts import add_shapes
from strandline.consumer.store.graft import read_graft
from strandline.journal.decode.copy_format import Tally, pack_block, pack_revision
from strandline.journal.make.ids import new_id
from strandline.ledger import appender_sql as sql
from strandline.ledger import row_params
from strandline.ledger.changes import Changed, Changes, Reads, conflict
from strandline.ledger.errors import CannotAppend, Conflict
from strandline.ledger.graft import graft_of
from strandline.ledger.prepared import Prepared
from strandline.ledger.recent import Recent
from strandline.ledger.row_params import Field
from strandline.ledger.tail import Tail, TailBlocks

# A transaction that began to read longer ago conflicts without a comparison, which bounds the comparison.
MOST_BLOCKS_SINCE = 10_000
_PARTITION = 100_000  # blocks (migrations/0002_journal.sql)


@dataclass(frozen=True, slots=True)
class AppendResult:
    """The place of a transaction in the journal; `repeated` says that its request had happened before."""

    transaction_id: str
    sequence_no: int
    repeated: bool = False


class Appender:
    """Appends to one store over its own connection. Only one thread may use it at a time."""

    def __init__(self, url: str, origin: int = 0) -> None:
        self._url = url
        self._origin = origin
        self._connection: Connection | None = None
        self._checked = False
        self._forget()

    def append(self, group: Sequence[Prepared]) -> list[AppendResult | Conflict]:
        """Append the transactions that do not conflict, in this order. Returns the place of each, or its conflict.

        Raises CannotAppend if nothing can be appended to the tail, DatabaseError if PostgreSQL fails. Then all of it or
        nothing is in the journal: ask `written`.
        """
        connection = self._connected()
        try:
            if not self._checked:
                self._check_end(connection)
            if (outcomes := self._append_again(connection, group)) is not None:
                return outcomes
            for advanced in (False, True):
                end = self._begin(connection)
                if not end.candidates:
                    return self._append(connection, end, group)
                connection.rollback()
                if not advanced:
                    reject_orphans(connection)
        except BaseException:
            self._forget()
            if not connection.closed:
                connection.rollback()
            raise
        raise CannotAppend(
            f"Candidates above block {end.sequence_no} wait to pass the mark, so nothing can be appended to it: "
            "`strandline status` shows what is missing; replay it."
        )

    def written(self, transaction_id: str, since: int) -> int | None:
        """Return the number of the transaction's block, above `since`; None if it is not in the journal.

        Waits until a concurrent append has ended, also one of a lost connection.
        """
        connection = self._connected()
        with strand_lock(connection, alone=True):
            row = connection.execute(sql.WRITTEN, [since, transaction_id]).fetchone()
        return None if row is None else row[0]

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connected(self) -> Connection:
        if self._connection is None or self._connection.closed:
            self._connection = connect(self._url, autocommit=True, application_name="strandline ledger")
            self._connection.prepare_threshold = 2
            # At a stricter level a statement would read a snapshot from before its wait for the lock.
            self._connection.execute("SET default_transaction_isolation = 'read committed'")
            row_params.register(self._connection)
            self._block_type = row_params.RowType(self._connection, "journal.block")
            self._revision_type = row_params.RowType(self._connection, "journal.revision")
            self._forget()
        return self._connection

    def _forget(self) -> None:
        """Forget what failed transactions may have cached."""
        self._grafted = False
        self._partition: int | None = None
        self._tables: set[str] = set()  # ids that the catalog knows
        self._recent: Recent | None = None

    def _begin(self, connection: Connection) -> Tail:
        """Begin a transaction with the strand's lock, and return the tail. An empty journal gets a strand."""
        end = _end(connection, sql.BEGIN)
        if end.strand_id is None:
            connection.execute(sql.BEGIN_STRAND, [new_id(), self._origin, self._origin])
            end = _end(connection, sql.TAIL)
        return end

    def _check_end(self, connection: Connection) -> None:
        at = mark.advance(connection).mark
        if at.sequence_no < at.origin:
            self._checked = True
            return
        with connection.transaction():
            last = list(check_stored(connection, at.sequence_no, at.sequence_no))
        faults = [fault for block in last for fault in block.faults]
        if at.block_hash is None or not last or last[0].block_hash != at.block_hash or faults:
            reason = faults[0].fault if faults else "an accepted gap" if at.block_hash is None else "blockHash"
            raise CannotAppend(
                f"The last block {at.sequence_no} does not verify ({reason}), so nothing is appended to it: "
                "run `strandline verify`."
            )
        self._checked = True

    def _append_again(self, connection: Connection, group: Sequence[Prepared]) -> list[AppendResult | Conflict] | None:
        """Append to the tail as the last append left it, in one round trip.

        Returns None, with nothing written, if that needs a look at the journal: somebody else has appended, a request
        happened before, or the transactions do more than bring revisions of known tables.
        """
        recent = self._recent
        if recent is None or not all(self._is_simple(prepared, recent) for prepared in group):
            return None
        following = TailBlocks(recent.tail)
        outcomes, noted = _decide(following, group, recent.changes, {})
        if not following.blocks:
            return outcomes
        if self._partition != following.new_tail().sequence_no // _PARTITION:
            return None
        try:
            row = connection.execute(sql.APPEND, self._parameters(following), prepare=True).fetchone()
        except psycopg.errors.UniqueViolation:  # a request that happened before
            return None
        if row != (True,):
            self._recent = None
            return None
        recent.extend(following, noted)
        return outcomes

    def _is_simple(self, prepared: Prepared, recent: Recent) -> bool:
        return (
            not (prepared.defines or prepared.redactions)
            and min(prepared.reads.since, prepared.reads.tables_at) >= recent.since
            and all(one.table_id in self._tables for one in prepared.revisions)
        )

    def _append(self, connection: Connection, end: Tail, group: Sequence[Prepared]) -> list[AppendResult | Conflict]:
        assert end.strand_id is not None
        if end.block_hash is None and end.sequence_no >= end.origin:
            raise CannotAppend(f"The journal ends in an accepted gap, at block {end.sequence_no}: replay what follows.")
        done = _done_before(connection, group)
        changes = _changes(connection, end, [prepared.reads for prepared in group])
        following = TailBlocks(end)
        if not self._grafted and read_graft(connection) is None:
            following.add(graft_of(end.strand_id, end.sequence_no, end.block_hash))
        outcomes, _ = _decide(following, group, changes, done)
        if any(isinstance(outcome, AppendResult) and not outcome.repeated for outcome in outcomes):
            self._write(connection, following)
            self._grafted = True
            self._recent = Recent(following.new_tail())
        else:
            connection.rollback()
        return outcomes

    def _write(self, connection: Connection, following: TailBlocks) -> None:
        """Write the rows and raise the mark over them, in one round trip unless something must be read."""
        new = following.new_tail()
        first, last = following.first_no, new.sequence_no
        blocks, revisions, tally = self._rows(following)
        tables = {
            table.table_id: (table.name, block.sequence_no)
            for block in reversed(following.blocks)
            for table in block.documents.values()
            if table.table_id is not None and table.name is not None
        }
        contents = Contents(
            tables={table_id: table for table_id, table in tables.items() if table_id not in self._tables},
            defines=any(prepared.defines for prepared in following.added),
            redacts=any(block.redactions for block in following.blocks),
        )
        requests = _requests(following)
        # A redaction reads rows back, and sets the planner by several statements: no pipeline takes these.
        with nullcontext() if contents.redacts else connection.pipeline():
            if self._partition != last // _PARTITION:
                connection.execute(sql.ENSURE_PARTITIONS, [first, last])
            add_shapes(connection, tally.shapes)
            connection.execute(sql.ADD_BLOCKS, [blocks])
            connection.execute(sql.ADD_REVISIONS, [revisions])
            if requests:
                connection.execute(sql.ADD_REQUESTS, columns_of(requests))
            raise_mark(connection, first, last, new.block_hash, contents)
            connection.execute(sql.FOLLOW_LOOKUPS)
            connection.commit()
        self._partition = last // _PARTITION
        self._tables |= tables.keys()

    def _rows(self, following: TailBlocks) -> tuple[Field, Field, Tally]:
        """Return the blocks and their revisions as rows of the two tables, and the shapes of their data."""
        tally = Tally()
        revisions = [pack_revision(block, one, tally) for block in following.blocks for one in block.revisions]
        blocks = list(map(pack_block, following.blocks))
        return self._block_type.array(blocks), self._revision_type.array(revisions), tally

    def _parameters(self, following: TailBlocks) -> list[Any]:
        """Return the parameters of `journal.append`."""
        blocks, revisions, tally = self._rows(following)
        shapes = ", ".join(f'"{shape}": {fields}' for shape, fields in tally.shapes.items())
        names = ("request_id", "transaction_id", "sequence_no")
        requests = [dict(zip(names, one, strict=True)) for one in _requests(following)]
        return [blocks, revisions, f"{{{shapes}}}", json.dumps(requests) if requests else None]


def _decide(
    following: TailBlocks, group: Sequence[Prepared], changes: Changes, done: dict[str, AppendResult]
) -> tuple[list[AppendResult | Conflict], Changes]:
    """Add the transactions of the group that do not conflict. Returns the outcome of each, and what they change.

    `changes` were made since the group's transactions began to read, `done` the requests that happened before.
    """
    outcomes, noted = list[AppendResult | Conflict](), Changes()
    for prepared in group:
        if (request := done.get(prepared.request_id or "")) is not None:
            outcomes.append(request)
        elif following.tail.sequence_no - prepared.reads.since > MOST_BLOCKS_SINCE:
            outcomes.append(Conflict("too many blocks were appended since this transaction began to read"))
        elif reason := conflict(prepared.reads, changes) or conflict(prepared.reads, noted):
            outcomes.append(Conflict(f"another transaction came first: {reason}"))
        else:
            appended = AppendResult(prepared.transaction_id, following.add(prepared))
            _note(noted, prepared, appended.sequence_no)
            outcomes.append(appended)
            if prepared.request_id is not None:
                done[prepared.request_id] = AppendResult(appended.transaction_id, appended.sequence_no, True)
    return outcomes, noted


def _requests(following: TailBlocks) -> list[tuple[str, str, int]]:
    """Return the requests of the added transactions: id, transaction and block."""
    first = following.new_tail().sequence_no - len(following.added) + 1
    return [
        (one.request_id, one.transaction_id, number)
        for number, one in enumerate(following.added, first)
        if one.request_id is not None
    ]


def _end(connection: Connection, statements: str) -> Tail:
    """Run the statements in one round trip. Returns the tail, which the last of them selects."""
    with psycopg.ClientCursor(connection) as cursor:
        cursor.execute(statements)
        while cursor.nextset():
            pass
        row = cursor.fetchone()
    assert row is not None
    return Tail(*row)


def _done_before(connection: Connection, group: Sequence[Prepared]) -> dict[str, AppendResult]:
    wanted = [prepared.request_id for prepared in group if prepared.request_id is not None]
    if not wanted:
        return {}
    rows = connection.execute(sql.REQUESTS, [wanted]).fetchall()
    return {request_id: AppendResult(transaction_id, number, True) for request_id, transaction_id, number in rows}


def _changes(connection: Connection, end: Tail, group: Sequence[Reads]) -> Changes:
    """Read the changes since the group's transactions began to read, as far as they can conflict with them."""
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
        changes.revisions = [Changed(*row) for row in connection.execute(sql.CHANGED_REVISIONS, since, prepare=False)]
        changes.redactions = connection.execute(sql.CHANGED_REDACTIONS, since).fetchall()
    return changes


def _note(changes: Changes, prepared: Prepared, number: int) -> None:
    """Note the changes of a transaction, for those after it in the group."""
    changes.revisions += [
        Changed(number, new.table_id, new.document_id, new.data, is_json=False) for new in prepared.revisions
    ]
    changes.redactions += [(number, one.table_id, one.document_id) for one in prepared.redactions]
    if prepared.defines:
        changes.defined = number
