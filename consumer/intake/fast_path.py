"""A batch that goes straight on from the mark is taken in and passed by the mark in one transaction.

That is what a replay mostly brings: whole blocks of exports, one after another, each linked to the one before, of which
the store holds nothing. What a step of the mark would read back to know is known from decoding them. With the strand's
lock held alone nobody else brings a candidate for their numbers, so they pass; whatever else there may be to find out
is left to intake (consumer/store.py) and the mark (consumer/mark.py).
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor, wait
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import psycopg

from strandline.consumer.database.connection import NOT_DURABLE
from strandline.consumer.intake import writer_sql as sql
from strandline.consumer.intake.bulk_copy import copy_blocks, copy_revisions
from strandline.consumer.mark.checks import first_misnamed
from strandline.consumer.mark.lock import lock_beside
from strandline.consumer.mark.mark import follow_blocks, raise_to
from strandline.consumer.store.field_counts import add_shapes
from strandline.journal.decode.archives import DecodedRecords
from strandline.journal.decode.copy_format import Rows, shapes_of
from strandline.journal.decode.objects import Decoded, Link

Connection = psycopg.Connection[Any]

STATE = f"""
    SELECT m.sequence_no, m.block_hash, {sql.HOLDS}
    FROM journal.mark m FOR UPDATE OF m"""


EARLIER = 0.3  # of the revisions, which with all blocks take as long to copy as the rest


@dataclass(frozen=True, slots=True)
class Run:
    """Whole blocks, from `first` to `last`, each linked to the one before."""

    rows: Sequence[Rows]
    first: Link
    last: Link
    redactions: int


class InvalidRedaction(Exception):
    """The way has a redaction that the mark has to refuse."""


def way_of(decoded: Sequence[Decoded]) -> Run | None:
    """The blocks of export objects, where they are one way and none has a fault."""
    rows = [one.rows for one in decoded if one.rows is not None]
    if len(rows) < len(decoded) or any(one.faults or isinstance(one, DecodedRecords) for one in decoded):
        return None
    links = [link for one in decoded for link in one.links]
    if any(b.sequence_no != a.sequence_no + 1 or b.previous_hash != a.block_hash for a, b in pairwise(links)):
        return None
    return Run(rows, links[0], links[-1], sum(one.redactions for one in decoded))


def take_onward(
    connection: Connection, beside: Connection, threads: Executor, way: Run, copied: Callable[[], None]
) -> tuple[int, int] | None:
    """Take the blocks in and raise the mark over them, in the caller's transaction, which holds the strand's lock for
    two: most of their revisions come in beside it, so that PostgreSQL has a process for either, and both write in
    order. Gives the counts of blocks and revisions.

    None, with nothing done, where the way does not begin at the mark or something of its numbers is held. Raises
    Misnamed, and UniqueViolation where a block has a revision twice: the caller's transaction is to be rolled back.
    """
    first, last = way.first.sequence_no, way.last.sequence_no
    # Nobody waits for a batch to be on disk: the next transaction that is waited for brings all before it there.
    connection.execute(NOT_DURABLE)
    with lock_beside(beside):
        beside.execute(NOT_DURABLE)
        state = connection.execute(STATE, {"first": first, "last": last}, prepare=False).fetchone()
        assert state is not None
        mark_no, block_hash, holds = state
        if first != mark_no + 1 or block_hash not in (None, way.first.previous_hash) or holds:
            return None
        add_shapes(beside, shapes_of(way.rows))  # there with the first revisions that have them
        earlier = int(len(way.rows) * EARLIER)
        copying = threads.submit(copy_revisions, beside, way.rows[earlier:])
        try:
            blocks = copy_blocks(connection, way.rows)
            revisions = copy_revisions(connection, way.rows[:earlier])
            follow_blocks(connection, first, last, [part.tally for part in way.rows])
        finally:
            wait([copying])
        revisions += copying.result()
    copied()
    # Should the rest fail, revisions are there without their blocks; as they may come in a stream.
    if way.redactions and first_misnamed(connection, first, last) is not None:
        raise InvalidRedaction
    raise_to(connection, first, last, way.last.block_hash)
    return blocks, revisions
