"""Intake of the journal store: writes verified rows, in any order and with any repetition."""

from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from strandline.consumer.database.connection import Connection, columns_of
from strandline.consumer.database.errors import ROW_ERRORS
from strandline.consumer.intake import writer_sql as sql
from strandline.consumer.intake.bulk_copy import copy_fresh, copy_rows
from strandline.consumer.intake.fast_path import Run, store_run
from strandline.consumer.mark.effects import change_below
from strandline.consumer.mark.lock import strand_lock
from strandline.consumer.mark.mark import READ_MARK, Mark
from strandline.consumer.store.field_counts import Change, add_shapes, change_shapes
from strandline.consumer.store.object_places import ObjectPlace, add_places
from strandline.consumer.store.redactions import erase_statements
from strandline.consumer.store.rejected import Refusal, reject
from strandline.journal.check.block import Omission
from strandline.journal.decode.copy_format import Rows, shapes_of
from strandline.journal.errors import StrandlineError

__all__ = ["ForeignStrand", "IntakeResult", "JournalWriter", "OtherOrigin", "Refusal", "StoredObject"]


class ForeignStrand(StrandlineError):
    """The journal belongs to another ledger than the store."""


class OtherOrigin(StrandlineError):
    """The store begins at another block than STRANDLINE_ORIGIN."""


@dataclass(frozen=True)
class StoredObject:
    """An export object that is stored completely, by the SHA-256 of its bytes; and where it was found.

    `gapless`: it has every block from `first_no` to `last_no`.
    """

    digest: bytes
    name: str
    first_no: int
    last_no: int
    blocks: int
    revisions: int
    gapless: bool = False
    places: Sequence[ObjectPlace] = ()


@dataclass(frozen=True)
class IntakeResult:
    """The result of an intake: how many rows are new, how many were refused, and the refusals."""

    new_blocks: int
    new_revisions: int
    refused: int
    refusals: Sequence[Refusal] = field(default=(), compare=False)


class JournalWriter:
    """Writes verified rows to the journal store, over a connection of its own that is outside a transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def begin_strand(self, strand_id: str, origin: int) -> None:
        """Bind the store to a strand, from block `origin` on; if it is bound already, check that it is the same.

        Raises ForeignStrand or OtherOrigin.
        """
        with strand_lock(self._connection, alone=True):
            self._connection.execute(sql.BEGIN_STRAND, {"strand": strand_id, "origin": origin})
            mark = self._mark()
        if mark.strand_id != strand_id:
            raise ForeignStrand(
                f"This is the journal of strand {strand_id}, but the store holds strand {mark.strand_id}: "
                "use another database for it (STRANDLINE_DATABASE_URL, or STRANDLINE_HOME)."
            )
        if mark.origin != origin:
            raise OtherOrigin(
                f"The store begins at block {mark.origin}, not at {origin}: set STRANDLINE_ORIGIN={mark.origin}, "
                "or use another database."
            )

    def taken(self, digests: Collection[bytes]) -> set[bytes]:
        """Return those of the objects, by the SHA-256 of their bytes, that are stored completely."""
        with self._connection.transaction():
            return {digest for (digest,) in self._connection.execute(sql.TAKEN_OBJECTS, [list(digests)])}

    def intake(
        self,
        rows: Sequence[Rows],
        *,
        source: str,
        refusals: Iterable[Refusal] = (),
        objects: Sequence[StoredObject] = (),
        omissions: Sequence[Omission] = (),
    ) -> IntakeResult:
        """Store rows and record refusals, and the objects if none of their rows was refused, in one transaction.

        Stored rows do not change, except that Ion copies upgrade those from JSON. At or below the mark, other blocks
        than the stored ones are refused, and revisions that no stored block names. `omissions` are those of the blocks.
        """
        first = min((part.first_no for part in rows), default=0)
        last = max((part.last_no for part in rows), default=-1)
        # Blocks found in an accepted gap may redact, or be redacted: no other intake may run at the same time.
        filling = self._touches_accepted_gap(first, last)
        with strand_lock(self._connection, alone=filling):
            blocks = revisions = 0
            at_intake: list[Refusal] = []
            if rows:
                blocks, revisions, at_intake = self._take(rows, first, last, source, filling, omissions)
            refused = dict.fromkeys([*refusals, *at_intake])
            reject(self._connection, refused)
            if not at_intake:
                self._add_objects(objects)
        return IntakeResult(blocks, revisions, len(refused), list(refused))

    def intake_run(self, run: Run, objects: Sequence[StoredObject]) -> IntakeResult | None:
        """Store a run of blocks that directly continues the chain, with its objects, and raise the mark over it.

        One transaction, whose commit is not durable before a later one. Returns None, with nothing stored, if the run
        needs the general path: `intake`, then a step of the mark.
        """
        counts = None
        with suppress(*ROW_ERRORS), self._connection.transaction():
            self._connection.execute(sql.ENSURE_PARTITIONS_BETWEEN, [run.first.sequence_no, run.last.sequence_no])
        with suppress(*ROW_ERRORS), strand_lock(self._connection, alone=True):
            stored = store_run(self._connection, run)
            self._add_objects(objects)
            counts = stored
        return None if counts is None else IntakeResult(*counts, 0)

    def _take(
        self,
        rows: Sequence[Rows],
        first: int,
        last: int,
        source: str,
        filling: bool,
        omissions: Sequence[Omission],
    ) -> tuple[int, int, list[Refusal]]:
        between = {"first": first, "last": last}
        run = self._connection.execute
        mark = self._mark()
        if (fresh := copy_fresh(self._connection, rows, mark.sequence_no)) is not None:
            self._add_omissions(omissions)
            return *fresh, []
        passed = first <= mark.sequence_no
        run(sql.STAGE_BLOCKS)
        run(sql.STAGE_REVISIONS)
        staged_blocks = copy_rows(self._connection, sql.COPY_BLOCKS, [part.blocks for part in rows])
        staged_revisions = copy_rows(self._connection, sql.COPY_REVISIONS, [part.revisions for part in rows])
        run(sql.WORK_MEMORY)
        run(sql.ENSURE_PARTITIONS, prepare=False)
        found = self._found() if passed and filling else []
        refused = self._refuse_misregistered(source, between)
        refused += self._refuse_rejected(source)
        refused += self._refuse_blocks(source, found) if passed else []
        new_omissions = self._not_stored(omissions)
        blocks = run(sql.INSERT_BLOCKS, prepare=False).rowcount
        upgraded = self._upgrade_blocks(between, omissions) if blocks < staged_blocks else {}
        self._add_omissions(new_omissions)
        if passed:
            refused += self._refuse_revisions(source)
        revisions = run(sql.INSERT_REVISIONS, prepare=False).rowcount
        add_shapes(self._connection, shapes_of(rows))
        changes, replaced = self._upgrade_revisions(between, upgraded) if revisions < staged_revisions else ([], set())
        below = {number: differs for number, differs in upgraded.items() if number <= mark.sequence_no}
        change_below(self._connection, [number for number, _ in found], below, replaced, alone=filling)
        change_shapes(self._connection, changes)
        return blocks, revisions, refused

    def _found(self) -> list[tuple[int, bytes]]:
        """Return the complete staged blocks that the chain above an accepted gap leads to, from the last one back."""
        named: dict[int, bytes] = {}
        found = []
        for number, block_hash, previous, complete, before, after in self._connection.execute(sql.FOUND_BLOCKS):
            links = block_hash == named.get(number, after) and before in (None, previous)
            if links and complete:
                found.append((number, block_hash))
                named[number - 1] = previous
        return found

    def _refuse_blocks(self, source: str, found: Sequence[tuple[int, bytes]]) -> list[Refusal]:
        keys = [[number for number, _ in found], [block_hash for _, block_hash in found]]
        gone = self._connection.execute(sql.REFUSE_BLOCKS, keys, prepare=False).fetchall()
        revisions = [(number, digest) for number, _, digests, *_ in gone for digest in digests]
        self._refuse_their_revisions(revisions)
        return [
            Refusal(number, block_hash, source, None, *_reason(below, held))
            for number, block_hash, _, below, held in gone
        ]

    def _refuse_misregistered(self, source: str, between: dict[str, int]) -> list[Refusal]:
        """Erase staged statement texts of registered blocks; refuse revisions that contradict the register."""
        numbers = [number for (number,) in self._connection.execute(sql.REGISTERED_BLOCKS, between, prepare=False)]
        if not numbers:
            return []
        erase_statements(self._connection, numbers, "staged_block")
        gone = self._connection.execute(sql.REFUSE_MISREGISTERED, between, prepare=False).fetchall()
        hashes = [[number for number, *_ in gone], [digest for _, digest, *_ in gone]]
        self._connection.execute(sql.REFUSE_THEIR_BLOCKS, hashes, prepare=False)
        detail = "revision {} ({}, {}): the register has another dataHash for it"
        return [
            Refusal(number, None, source, None, "register", detail.format(digest.hex(), id_, version))
            for number, digest, id_, version in gone
        ]

    def _refuse_revisions(self, source: str) -> list[Refusal]:
        return [
            Refusal(
                number, None, source, None, "conflict", f"no block names revision {digest.hex()} ({id_}, {version})"
            )
            for number, digest, id_, version in self._connection.execute(sql.REFUSE_REVISIONS, prepare=False)
        ]

    def _refuse_rejected(self, source: str) -> list[Refusal]:
        """Refuse staged copies of blocks that an operator has rejected."""
        rows = self._connection.execute(sql.REFUSE_REJECTED, prepare=False).fetchall()
        self._refuse_their_revisions([(number, digest) for number, _, digests in rows for digest in digests])
        detail = "an operator has rejected this block"
        return [Refusal(number, block_hash, source, None, "rejected", detail) for number, block_hash, _ in rows]

    def _refuse_their_revisions(self, revisions: Sequence[tuple[int, bytes]]) -> None:
        self._connection.execute(sql.REFUSE_THEIR_REVISIONS, columns_of(revisions, 2))

    def _not_stored(self, omissions: Sequence[Omission]) -> list[Omission]:
        """Return the omissions of blocks that are not stored yet."""
        if not omissions:
            return []
        places = self._connection.execute(sql.NOT_STORED, _keys(omissions)).fetchall()
        return [omissions[place - 1] for (place,) in places]

    def _add_omissions(self, omissions: Sequence[Omission]) -> None:
        if omissions:
            self._connection.execute(sql.ADD_OMISSIONS, columns_of(omissions))

    def _upgrade_blocks(self, between: dict[str, int], omissions: Sequence[Omission]) -> dict[int, bool]:
        """Replace blocks from JSON by the staged Ion copies. Returns for each whether that changed a value."""
        self._connection.execute(sql.COMPLETE_BLOCKS, between, prepare=False)
        parameters = {**between, **_keys(omissions)}
        return dict(self._connection.execute(sql.UPGRADE_BLOCKS, parameters, prepare=False).fetchall())

    def _upgrade_revisions(self, between: dict[str, int], upgraded: dict[int, bool]) -> tuple[list[Change], set[str]]:
        """Replace revisions from JSON by the staged Ion copies, and add their blocks to `upgraded`.

        Returns the changes of shapes, and the documents that the JSON named.
        """
        rows = self._connection.execute(sql.UPGRADE_REVISIONS, between, prepare=False).fetchall()
        changes = []
        for number, differs, _, table_before, shape_before, table_id, shape in rows:
            upgraded[number] = upgraded.get(number, False) or differs
            changes.append(Change(number, table_before, shape_before, None))
            changes.append(Change(number, table_id, None, shape))
        self._connection.execute(sql.COMPLETE_REGISTER, between, prepare=False)
        return changes, {row[2] for row in rows}

    def _touches_accepted_gap(self, first: int, last: int) -> bool:
        with self._connection.transaction():
            row = self._connection.execute(sql.TOUCHES_ACCEPTED_GAP, {"first": first, "last": last}).fetchone()
        return row == (True,)

    def _add_objects(self, taken: Sequence[StoredObject]) -> None:
        with self._connection.cursor() as cursor:
            cursor.executemany(
                sql.ADD_OBJECT,
                [(t.digest, t.name, t.first_no, t.last_no, t.blocks, t.revisions, t.gapless) for t in taken],
            )
        add_places(self._connection, [(place, one.digest) for one in taken for place in one.places])

    def _mark(self) -> Mark:
        row = self._connection.execute(READ_MARK).fetchone()
        assert row is not None
        return Mark(*row)


def _keys(omissions: Sequence[Omission]) -> dict[str, list[Any]]:
    numbers = [omission.sequence_no for omission in omissions]
    return {"omitting_numbers": numbers, "omitting_hashes": [omission.block_hash for omission in omissions]}


def _reason(below: bool, held: bytes | None) -> tuple[str, str]:
    if below:
        return "below-origin", "the store begins above it (STRANDLINE_ORIGIN)"
    if held is None:
        return "gap", "in an accepted gap, and no block above leads to it: replay an export that reaches the gap's end"
    return "conflict", f"the store holds another block of this number, {held.hex()}"
