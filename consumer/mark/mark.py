"""The mark: the block up to which the journal is complete and verified. It only rises, one transaction a step.

Intake holds the strand's lock shared, a step of the mark holds it alone. So an intake sees a mark that cannot move, and
no candidate appears below the mark unseen. PostgreSQL queues such locks fairly, so neither side starves.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from strandline.consumer.database.connection import Connection, columns_of
from strandline.consumer.mark.chain import Candidate, Loser, Walk, walk
from strandline.consumer.mark.checks import CHAIN, delete_differing, first_invalid
from strandline.consumer.mark.effects import raise_mark
from strandline.consumer.mark.lock import strand_lock
from strandline.consumer.store.rejected import Refusal, reject
from strandline.consumer.tracing import span

FIRST_WINDOW, LARGEST_WINDOW = 64, 20_000

READ_MARK = "SELECT strand_id, origin, sequence_no, block_hash FROM journal.mark"

LOCK_MARK = READ_MARK + " FOR UPDATE"

ACCEPTED_GAPS = "SELECT first_no, last_no FROM journal.accepted_gap WHERE last_no > %s ORDER BY first_no"

CANDIDATES = """
    SELECT b.sequence_no, b.block_hash, b.previous_hash,
           b.complete OR NOT EXISTS (
               SELECT FROM unnest(b.revision_hashes, b.revision_documents) AS named (hash, document_id)
               WHERE named.document_id IS NOT NULL AND NOT EXISTS (
                   SELECT FROM journal.revision r
                   WHERE r.sequence_no = b.sequence_no AND r.hash = named.hash AND r.sequence_no > %(after)s)),
           EXISTS (
               SELECT FROM journal.omission o
               WHERE o.sequence_no = b.sequence_no AND o.block_hash = b.block_hash AND o.accepted_at IS NULL),
           cardinality(array_remove(b.revision_documents, NULL))
    FROM journal.block b
    WHERE b.sequence_no > %(after)s AND (%(below)s::bigint IS NULL OR b.sequence_no < %(below)s)
    ORDER BY b.sequence_no, b.block_hash
    LIMIT %(window)s"""

DELETE_BLOCKS = """
    DELETE FROM journal.block b
    USING unnest(%s::bigint[], %s::bytea[]) AS lost (sequence_no, block_hash)
    WHERE b.sequence_no = lost.sequence_no AND b.block_hash = lost.block_hash
    RETURNING b.sequence_no, b.revision_hashes"""

DELETE_THEIR_REVISIONS = """
    DELETE FROM journal.revision r
    USING unnest(%(numbers)s::bigint[], %(hashes)s::bytea[]) AS lost (sequence_no, hash)
    WHERE r.sequence_no = lost.sequence_no AND r.hash = lost.hash AND r.sequence_no = ANY (%(numbers)s) AND NOT EXISTS (
        SELECT FROM journal.block b WHERE b.sequence_no = r.sequence_no AND r.hash = ANY (b.revision_hashes))"""

BLOCKS_BETWEEN = """
    SELECT sequence_no, block_hash, previous_hash, false, false, 0
    FROM journal.block WHERE sequence_no BETWEEN %s AND %s"""

OMISSIONS = """
    SELECT detail FROM journal.omission
    WHERE sequence_no = %s AND block_hash = %s AND accepted_at IS NULL ORDER BY detail"""

COUNT_REVISIONS = "SELECT count(*) FROM journal.revision WHERE sequence_no BETWEEN %s AND %s"

DELETE_STRAYS = """
    DELETE FROM journal.revision r
    WHERE r.sequence_no BETWEEN %s AND %s AND NOT EXISTS (
        SELECT FROM journal.block b WHERE b.sequence_no = r.sequence_no AND r.hash = ANY (b.revision_hashes))
    RETURNING r.sequence_no, r.hash, r.document_id, r.version"""


@dataclass(frozen=True)
class Mark:
    """The last verified block without a gap below it; `origin` - 1 before the first block.

    `strand_id` is None until the store is bound to a strand. `block_hash` is None before the first block, and if an
    accepted gap ends at the mark.
    """

    strand_id: str | None
    origin: int
    sequence_no: int
    block_hash: bytes | None


@dataclass(frozen=True)
class Advance:
    """The mark after a call, and the refusals on the way. What holds the mark up is refused at each call."""

    mark: Mark
    refused: Sequence[Refusal]


def read_mark(connection: Connection) -> Mark:
    """Read the mark, in a transaction of its own."""
    with connection.transaction():
        return Mark(*only_row(connection.execute(READ_MARK)))


def advance(connection: Connection, *, many: bool = False) -> Advance:
    """Raise the mark as far as possible, a bounded number of blocks in each transaction.

    Redactions take effect, losers of the chain are rejected and the ledger's views are updated with it. The connection
    must be outside a transaction. With `many` new blocks the first step already takes as many as a step may.
    """
    with span("mark") as facts:
        advanced, passed = _advance(connection, LARGEST_WINDOW if many else FIRST_WINDOW)
        if passed:
            facts |= {"mark": advanced.mark.sequence_no, "blocks": passed, "refused": len(advanced.refused)}
        return advanced


def _advance(connection: Connection, window: int) -> tuple[Advance, int]:
    """Also return the number of blocks that the mark rose by."""
    refused: list[Refusal] = []
    passed = 0
    while True:
        before, walked, refusals = _step(connection, window)
        refused += refusals
        passed += walked.sequence_no - before.sequence_no
        rises = walked.sequence_no > before.sequence_no
        if not walked.cut or (not rises and window == LARGEST_WINDOW):
            mark = Mark(before.strand_id, before.origin, walked.sequence_no, walked.block_hash)
            return Advance(mark, refused), passed
        window = min(window * 8, LARGEST_WINDOW)


def _step(connection: Connection, window: int) -> tuple[Mark, Walk, list[Refusal]]:
    refusals: list[Refusal] = []
    with strand_lock(connection, alone=True):
        # In a statement that begins after the lock is taken: it sees what others wrote while this one waited.
        mark = Mark(*only_row(connection.execute(LOCK_MARK)))
        walked = _walk(connection, mark, window, refusals)
        while differing := delete_differing(connection, mark.sequence_no + 1, walked.sequence_no, mark.strand_id or ""):
            refusals += differing
            walked = _walk(connection, mark, window, refusals)
        if invalid := first_invalid(connection, mark.sequence_no + 1, walked.sequence_no):
            refusals.append(invalid)
            walked = _walk(connection, mark, window, refusals, below=invalid.sequence_no)
        if walked.sequence_no > mark.sequence_no:
            refusals += _delete_strays(connection, mark.sequence_no + 1, walked)
            raise_mark(connection, mark.sequence_no + 1, walked.sequence_no, walked.block_hash)
        if walked.blocked is not None:
            refusals += _omissions(connection, walked.blocked)
        reject(connection, refusals)
        return mark, walked, refusals


def _walk(connection: Connection, mark: Mark, window: int, refusals: list[Refusal], below: int | None = None) -> Walk:
    """Walk the chain up from the mark, before block `below`; add the rejected candidates to `refusals`."""
    accepted = connection.execute(ACCEPTED_GAPS, [mark.sequence_no]).fetchall()
    parameters = {"after": mark.sequence_no, "below": below, "window": window}
    rows = connection.execute(CANDIDATES, parameters, binary=True, prepare=False).fetchall()
    walked = walk(
        mark.sequence_no,
        mark.block_hash,
        map(Candidate._make, rows),
        accepted=accepted,
        more=len(rows) == window,
    )
    refusals += _drop(connection, [*walked.losers, *_passed_over(connection, walked.jumped)])
    return walked


def _passed_over(connection: Connection, jumped: Sequence[tuple[int, int]]) -> list[Loser]:
    """Return the candidates inside accepted gaps: nothing below links to them."""
    detail = "in an accepted gap, and no block below links to it: replay an export that reaches the gap's end"
    return [
        Loser(Candidate._make(row), "gap", detail)
        for between in jumped
        for row in connection.execute(BLOCKS_BETWEEN, between)
    ]


def _omissions(connection: Connection, blocked: Candidate) -> list[Refusal]:
    number, block_hash = blocked.sequence_no, blocked.block_hash
    return [
        Refusal(number, block_hash, CHAIN, None, "omission", f"not shown to be complete: {detail}")
        for (detail,) in connection.execute(OMISSIONS, [number, block_hash])
    ]


def _drop(connection: Connection, losers: Sequence[Loser]) -> list[Refusal]:
    """Delete candidates, and the revisions that only they name."""
    if not losers:
        return []
    keys = [(loser.candidate.sequence_no, loser.candidate.block_hash) for loser in losers]
    gone = connection.execute(DELETE_BLOCKS, columns_of(keys)).fetchall()
    if revisions := [(number, revision_hash) for number, hashes in gone for revision_hash in hashes]:
        numbers, hashes = columns_of(revisions)
        connection.execute(DELETE_THEIR_REVISIONS, {"numbers": numbers, "hashes": hashes}, prepare=False)
    return [Refusal(lost.sequence_no, lost.block_hash, CHAIN, None, fault, detail) for lost, fault, detail in losers]


def _delete_strays(connection: Connection, first: int, walked: Walk) -> list[Refusal]:
    """Delete revisions that no block of their number names. The count is cheap, and nearly always decides."""
    between = [first, walked.sequence_no]
    if only_row(connection.execute(COUNT_REVISIONS, between, prepare=False))[0] == walked.documents:
        return []
    return [
        Refusal(number, None, CHAIN, None, "stray", f"no block names revision {digest.hex()} ({document}, {version})")
        for number, digest, document, version in connection.execute(DELETE_STRAYS, between, prepare=False)
    ]


def only_row(cursor: psycopg.Cursor[Any]) -> Any:
    row = cursor.fetchone()
    assert row is not None
    return row
