"""The mark: how far the strand has safely come in. It only ever rises, one transaction a step.

Intake holds the strand's lock shared, a step of the mark holds it alone: an intake sees a mark that cannot move under
it, and no candidate appears below the mark unseen. PostgreSQL queues such locks fairly, so neither side starves.
"""

from collections import ChainMap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from strandline.consumer.mark.chain import Candidate, Loser, Walk, walk
from strandline.consumer.mark.chain_scan import READY, straight_way
from strandline.consumer.mark.checks import CHAIN, delete_differing, first_misnamed
from strandline.consumer.mark.lock import strand_lock
from strandline.consumer.store import catalog
from strandline.consumer.store.field_counts import add_counts, count_shapes
from strandline.consumer.store.redactions import take_redactions
from strandline.consumer.store.rejected import Refusal, reject
from strandline.journal.decode.copy_format import Tally

CHANNEL = "strandline_mark"
FIRST_WINDOW, LARGEST_WINDOW = 64, 20_000

READ_MARK = "SELECT strand_id, origin, sequence_no, block_hash FROM journal.mark"

LOCK_MARK = READ_MARK + " FOR UPDATE"

ACCEPTED_GAPS = "SELECT first_no, last_no FROM journal.accepted_gap WHERE last_no > %s ORDER BY first_no"

CANDIDATES = f"""
    SELECT b.sequence_no, b.block_hash, b.previous_hash, {READY}, cardinality(array_remove(b.revision_documents, NULL))
    FROM journal.block b
    WHERE b.sequence_no > %s AND (%s::bigint IS NULL OR b.sequence_no < %s)
    ORDER BY b.sequence_no, b.block_hash
    LIMIT %s"""

DELETE_BLOCKS = """
    DELETE FROM journal.block b
    USING unnest(%s::bigint[], %s::bytea[]) AS lost (sequence_no, block_hash)
    WHERE b.sequence_no = lost.sequence_no AND b.block_hash = lost.block_hash
    RETURNING b.sequence_no, b.revision_hashes"""

DELETE_THEIR_REVISIONS = """
    DELETE FROM journal.revision r
    USING unnest(%s::bigint[], %s::bytea[]) AS lost (sequence_no, hash)
    WHERE r.sequence_no = lost.sequence_no AND r.hash = lost.hash AND NOT EXISTS (
        SELECT FROM journal.block b WHERE b.sequence_no = r.sequence_no AND r.hash = ANY (b.revision_hashes))"""

FORGET_OBJECTS = """
    DELETE FROM journal.object o
    USING unnest(%s::bigint[]) AS lost (sequence_no)
    WHERE lost.sequence_no BETWEEN o.first_no AND o.last_no"""

BLOCKS_BETWEEN = """
    SELECT sequence_no, block_hash, previous_hash, false, 0
    FROM journal.block WHERE sequence_no BETWEEN %s AND %s"""

COUNT_REVISIONS = "SELECT count(*) FROM journal.revision WHERE sequence_no BETWEEN %s AND %s"

DELETE_STRAYS = """
    DELETE FROM journal.revision r
    WHERE r.sequence_no BETWEEN %s AND %s AND NOT EXISTS (
        SELECT FROM journal.block b WHERE b.sequence_no = r.sequence_no AND r.hash = ANY (b.revision_hashes))
    RETURNING r.sequence_no, r.hash, r.document_id, r.version"""

MOVE = "UPDATE journal.mark SET sequence_no = %s, block_hash = %s, moved_at = now()"


@dataclass(frozen=True)
class Mark:
    """The last block up to which nothing is missing: `origin` - 1 before the first; `strand_id` None before that.

    `block_hash` is None before the first block and where an accepted gap ends at the mark.
    """

    strand_id: str | None
    origin: int
    sequence_no: int
    block_hash: bytes | None


@dataclass(frozen=True)
class Advance:
    """Where the mark stands now, and what was refused on the way; what holds it up is refused each time."""

    mark: Mark
    refused: Sequence[Refusal]


def read_mark(connection: psycopg.Connection[Any]) -> Mark:
    """The mark as it stands."""
    with connection.transaction():
        return Mark(*only_row(connection.execute(READ_MARK)))


def advance(connection: psycopg.Connection[Any], *, many: bool = False) -> Advance:
    """Raise the mark as far as it can rise, a bounded number of blocks in each transaction.

    With it redactions take effect, losers of the chain are rejected and the ledger's views follow. The connection must
    be outside a transaction. `many` blocks have just come, so it looks at as many as a step takes from the first.
    """
    window = LARGEST_WINDOW if many else FIRST_WINDOW
    refused: list[Refusal] = []
    while True:
        before, way, refusals = _step(connection, window)
        refused += refusals
        rises = way.sequence_no > before.sequence_no
        if not way.cut or (not rises and window == LARGEST_WINDOW):
            return Advance(Mark(before.strand_id, before.origin, way.sequence_no, way.block_hash), refused)
        window = min(window * 8, LARGEST_WINDOW)


def _step(connection: psycopg.Connection[Any], window: int) -> tuple[Mark, Walk, list[Refusal]]:
    refusals: list[Refusal] = []
    with strand_lock(connection, alone=True):
        # Only now, in a statement that begins with the lock held: what another one wrote while this one waited is seen.
        mark = Mark(*only_row(connection.execute(LOCK_MARK)))
        way = _walk(connection, mark, window, refusals)
        while differing := delete_differing(connection, mark.sequence_no + 1, way.sequence_no, mark.strand_id or ""):
            refusals += differing
            way = _walk(connection, mark, window, refusals)
        if misnamed := first_misnamed(connection, mark.sequence_no + 1, way.sequence_no):
            refusals.append(misnamed)
            way = _walk(connection, mark, window, refusals, below=misnamed.sequence_no)
        if way.sequence_no > mark.sequence_no:
            refusals += _delete_strays(connection, mark.sequence_no + 1, way)
            follow_blocks(connection, mark.sequence_no + 1, way.sequence_no)
            raise_to(connection, mark.sequence_no + 1, way.sequence_no, way.block_hash)
        reject(connection, refusals)
        return mark, way, refusals


def _walk(
    connection: psycopg.Connection[Any], mark: Mark, window: int, refusals: list[Refusal], below: int | None = None
) -> Walk:
    """How far the chain goes on from the mark, before block `below`; what it leaves behind goes to `refusals`."""
    if below is None and (straight := straight_way(connection, mark.sequence_no, mark.block_hash, window)) is not None:
        return straight
    accepted = connection.execute(ACCEPTED_GAPS, [mark.sequence_no]).fetchall()
    parameters = [mark.sequence_no, below, below, window]
    rows = connection.execute(CANDIDATES, parameters, binary=True, prepare=False).fetchall()
    way = walk(
        mark.sequence_no,
        mark.block_hash,
        map(Candidate._make, rows),
        accepted=accepted,
        more=len(rows) == window,
    )
    refusals += _drop(connection, [*way.losers, *_passed_over(connection, way.jumped)])
    return way


def follow_blocks(
    connection: psycopg.Connection[Any], first: int, last: int, tallies: Sequence[Tally] | None = None
) -> None:
    """What follows from the blocks alone that are about to pass the mark, in the transaction that raises it.

    `tallies` are those of all their rows, in their order, where they are known.
    """
    named = None
    if tallies is not None:
        add_counts(connection, [tally.counts for tally in tallies], last)
        named = dict(ChainMap(*(tally.tables for tally in tallies)))  # the first that names one
    catalog.apply(connection, first, last, named)


def raise_to(connection: psycopg.Connection[Any], first: int, last: int, block_hash: bytes | None) -> None:
    """Raise the mark over blocks after `follow_blocks`: with it their redactions take effect."""
    take_redactions(connection, first, last)
    connection.execute(MOVE, [last, block_hash])
    count_shapes(connection)
    connection.execute(f"NOTIFY {CHANNEL}")


def _passed_over(connection: psycopg.Connection[Any], jumped: Sequence[tuple[int, int]]) -> list[Loser]:
    """Candidates inside an accepted gap that nothing below them leads to."""
    detail = "in an accepted gap, and nothing below links to it: replay an export that reaches the gap's end"
    return [
        Loser(Candidate._make(row), "gap", detail)
        for between in jumped
        for row in connection.execute(BLOCKS_BETWEEN, between)
    ]


def _drop(connection: psycopg.Connection[Any], losers: Sequence[Loser]) -> list[Refusal]:
    """Take candidates out of the store; revisions that only they name go with them."""
    if not losers:
        return []
    keys = [(loser.candidate.sequence_no, loser.candidate.block_hash) for loser in losers]
    gone = connection.execute(DELETE_BLOCKS, _columns(keys)).fetchall()
    if revisions := [(number, revision_hash) for number, hashes in gone for revision_hash in hashes]:
        connection.execute(DELETE_THEIR_REVISIONS, _columns(revisions), prepare=False)
    # Whoever reads the object again must not be told that it is in.
    connection.execute(FORGET_OBJECTS, [[lost.sequence_no for lost, *_ in losers]])
    return [Refusal(lost.sequence_no, lost.block_hash, CHAIN, None, fault, detail) for lost, fault, detail in losers]


def _delete_strays(connection: psycopg.Connection[Any], first: int, way: Walk) -> list[Refusal]:
    """Take out revisions that no block of their number names. The count is cheap, and nearly always enough."""
    between = [first, way.sequence_no]
    if only_row(connection.execute(COUNT_REVISIONS, between, prepare=False))[0] == way.documents:
        return []
    return [
        Refusal(number, None, CHAIN, None, "stray", f"no block names revision {digest.hex()} ({document}, {version})")
        for number, digest, document, version in connection.execute(DELETE_STRAYS, between, prepare=False)
    ]


def _columns(rows: Sequence[tuple[Any, ...]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]


def only_row(cursor: psycopg.Cursor[Any]) -> Any:
    row = cursor.fetchone()
    assert row is not None
    return row
