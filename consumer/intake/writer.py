"""The journal store's intake: verified rows in, any order, any repetition."""

from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import errors

from strandline.consumer.intake import writer_sql as sql
from strandline.consumer.intake.bulk_copy import copy_fresh, copy_rows
from strandline.consumer.intake.fast_path import InvalidRedaction, Run, take_onward
from strandline.consumer.mark.lock import strand_lock
from strandline.consumer.mark.mark import READ_MARK, Mark
from strandline.consumer.store import catalog
from strandline.consumer.store.field_counts import Change, add_shapes, change_shapes, found_shapes
from strandline.consumer.store.redactions import erase_statements, take_redactions
from strandline.consumer.store.rejected import Refusal, reject
from strandline.journal.decode.copy_format import Rows, shapes_of
from strandline.journal.errors import StrandlineError

__all__ = ["ForeignStrand", "IntakeResult", "JournalWriter", "OtherOrigin", "Refusal", "StoredObject"]


class ForeignStrand(StrandlineError):
    """The journal is another ledger's than the one that the store holds."""


class OtherOrigin(StrandlineError):
    """The store begins at another block than STRANDLINE_ORIGIN says."""


@dataclass(frozen=True)
class StoredObject:
    """An export object, by the SHA-256 of its bytes, with what it held."""

    digest: bytes
    name: str
    first_no: int
    last_no: int
    blocks: int
    revisions: int


@dataclass(frozen=True)
class IntakeResult:
    """What an intake brought: rows that were not held before, and what was refused; `by_mark` where the mark has passed
    them, too."""

    new_blocks: int
    new_revisions: int
    refused: int
    refusals: Sequence[Refusal] = field(default=(), compare=False)
    by_mark: bool = field(default=False, compare=False)


class JournalWriter:
    """Takes verified rows into the journal store, over a connection of its own that is outside a transaction."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def begin_strand(self, strand_id: str, origin: int) -> None:
        """Bind the store to a strand, from block `origin` on; where it is bound already, check that it is the same.

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
        """Those of the objects, named by the SHA-256 of their bytes, that are wholly in."""
        with self._connection.transaction():
            return {digest for (digest,) in self._connection.execute(sql.TAKEN_OBJECTS, [list(digests)])}

    def intake(
        self,
        rows: Sequence[Rows],
        *,
        source: str,
        refusals: Iterable[Refusal] = (),
        taken: Sequence[StoredObject] = (),
    ) -> IntakeResult:
        """Take in rows, record refusals, and the objects as taken if none of the rows was refused: one transaction.

        Nothing that is held changes, but that full copies lift what came from JSON. At or below the mark, blocks other
        than those held, and revisions that none of them names, are refused.
        """
        first = min((part.first_no for part in rows), default=0)
        last = max((part.last_no for part in rows), default=-1)
        # What closes an accepted gap may redact, or be redacted, so nothing else may come in beside it.
        filling = self._touches_accepted_gap(first, last)
        with strand_lock(self._connection, alone=filling):
            blocks = revisions = 0
            at_intake: list[Refusal] = []
            if rows:
                blocks, revisions, at_intake = self._take(rows, first, last, source, filling)
            refused = dict.fromkeys([*refusals, *at_intake])
            reject(self._connection, refused)
            if not at_intake:
                self._add_objects(taken)
        return IntakeResult(blocks, revisions, len(refused), list(refused))

    def intake_onward(
        self,
        way: Run,
        taken: Sequence[StoredObject],
        beside: "JournalWriter",
        threads: Executor,
        copied: Callable[[], None],
    ) -> IntakeResult | None:
        """Take in what goes straight on from the mark, the objects as taken, and raise the mark: one transaction, after
        one of the store `beside`.

        None, with no block taken in, where that takes a closer look. `copied` is called between the two.
        """
        with self._connection.transaction():
            self._connection.execute(sql.ENSURE_PARTITIONS_BETWEEN, [way.first.sequence_no, way.last.sequence_no])
        try:
            with strand_lock(self._connection, alone=True, for_two=True):
                counts = take_onward(self._connection, beside._connection, threads, way, copied)
                if counts is None:
                    return None
                self._add_objects(taken)
        except (InvalidRedaction, errors.UniqueViolation):
            return None
        return IntakeResult(*counts, 0, by_mark=True)

    def _take(
        self, rows: Sequence[Rows], first: int, last: int, source: str, filling: bool
    ) -> tuple[int, int, list[Refusal]]:
        between = {"first": first, "last": last}
        run = self._connection.execute
        mark = self._mark()
        if (fresh := copy_fresh(self._connection, rows, mark.sequence_no)) is not None:
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
        refused += self._refuse_blocks(source, found) if passed else []
        blocks = run(sql.INSERT_BLOCKS, prepare=False).rowcount
        if passed:
            refused += self._refuse_revisions(source)
        revisions = run(sql.INSERT_REVISIONS, between, prepare=False).rowcount
        add_shapes(self._connection, shapes_of(rows))
        differing = self._upgrade_blocks(between) if blocks < staged_blocks else []
        changes = self._upgrade_revisions(between) if revisions < staged_revisions else []
        changes += found_shapes(self._connection, [number for number, _ in found]) if found else []
        behind = [number for number in differing if number <= mark.sequence_no]
        self._settle([number for number, _ in found], behind, alone=filling)
        change_shapes(self._connection, changes)
        return blocks, revisions, refused

    def _found(self) -> list[tuple[int, bytes]]:
        """Staged blocks, whole, that the chain above an accepted gap leads to, from the last one back."""
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
        self._connection.execute(
            sql.REFUSE_THEIR_REVISIONS, [[number for number, _ in revisions], [digest for _, digest in revisions]]
        )
        return [
            Refusal(number, block_hash, source, None, *_reason(below, held))
            for number, block_hash, _, below, held in gone
        ]

    def _refuse_misregistered(self, source: str, between: dict[str, int]) -> list[Refusal]:
        """What the register names comes in without its data, and its block without the texts that may quote it."""
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

    def _upgrade_blocks(self, between: dict[str, int]) -> list[int]:
        """Put full blocks in the place of those from JSON; gives the numbers where that shows a difference."""
        self._connection.execute(sql.COMPLETE_BLOCKS, between, prepare=False)
        lifted = self._connection.execute(sql.UPGRADE_BLOCKS, between, prepare=False).fetchall()
        self._add_changes("upgraded", lifted)
        return [number for number, differs in lifted if differs]

    def _upgrade_revisions(self, between: dict[str, int]) -> list[Change]:
        lifted = self._connection.execute(sql.UPGRADE_REVISIONS, between, prepare=False).fetchall()
        self._add_changes("upgraded", [(number, differs) for number, differs, *_ in lifted])
        self._connection.execute(sql.COMPLETE_REGISTER, between, prepare=False)
        return [Change(number, table_id, before, after) for number, _, table_id, before, after in lifted]

    def _settle(self, found: Sequence[int], differing: Sequence[int], *, alone: bool) -> None:
        """What the mark did for the blocks that it passed is done for those that turn up, or show more, below it."""
        if found:
            self._add_changes("found", [(number, False) for number in found])
            catalog.apply(self._connection, min(found), max(found))
        if behind := [*found, *differing]:
            take_redactions(self._connection, min(behind), max(behind), alone=alone)

    def _add_changes(self, kind: str, changes: Sequence[tuple[int, bool]]) -> None:
        if not changes:
            return
        numbers, differ = zip(*changes, strict=True)
        self._connection.execute(sql.ADD_CHANGES, [kind, list(numbers), list(differ)])

    def _touches_accepted_gap(self, first: int, last: int) -> bool:
        with self._connection.transaction():
            row = self._connection.execute(sql.TOUCHES_ACCEPTED_GAP, {"first": first, "last": last}).fetchone()
        return row == (True,)

    def _add_objects(self, taken: Sequence[StoredObject]) -> None:
        with self._connection.cursor() as cursor:
            cursor.executemany(
                sql.ADD_OBJECT, [(t.digest, t.name, t.first_no, t.last_no, t.blocks, t.revisions) for t in taken]
            )

    def _mark(self) -> Mark:
        row = self._connection.execute(READ_MARK).fetchone()
        assert row is not None
        return Mark(*row)


def _reason(below: bool, held: bytes | None) -> tuple[str, str]:
    if below:
        return "below-origin", "the store begins above it (STRANDLINE_ORIGIN)"
    if held is None:
        return "gap", "in an accepted gap, and nothing above leads to it: replay an export that reaches the gap's end"
    return "conflict", f"the store holds another block of this number, {held.hex()}"
