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

from consumer import store_sql as sql
from consumer.database import NOT_DURABLE
from consumer.fresh_rows import copy_into_journal
from consumer.mark import lock_beside, raise_to
from consumer.misnamed import first_misnamed
from consumer.shapes import add_shapes
from journal.records import DecodedRecords
from journal.rows import Decoded, Link, Rows, shapes_of

Connection = psycopg.Connection[Any]

STATE = f"""
    SELECT m.sequence_no, m.block_hash, {sql.HOLDS}
    FROM journal.mark m FOR UPDATE OF m"""


@dataclass(frozen=True, slots=True)
class Way:
    """Whole blocks, from `first` to `last`, each linked to the one before."""

    rows: Sequence[Rows]
    first: Link
    last: Link
    redactions: int


@dataclass(frozen=True, slots=True)
class Passed:
    """How many blocks and revisions came in; `by_mark` is false where the mark stays before them, to refuse one."""

    blocks: int
    revisions: int
    by_mark: bool


def way_of(decoded: Sequence[Decoded]) -> Way | None:
    """The blocks of export objects, where they are one way and none has a fault."""
    rows = [one.rows for one in decoded if one.rows is not None]
    if len(rows) < len(decoded) or any(one.faults or isinstance(one, DecodedRecords) for one in decoded):
        return None
    links = [link for one in decoded for link in one.links]
    if any(b.sequence_no != a.sequence_no + 1 or b.previous_hash != a.block_hash for a, b in pairwise(links)):
        return None
    return Way(rows, links[0], links[-1], sum(one.redactions for one in decoded))


def take_onward(
    connection: Connection, beside: Connection, threads: Executor, way: Way, copied: Callable[[], None]
) -> Passed | None:
    """Take the blocks in and raise the mark over them, in the caller's transaction, which holds the strand's lock for
    two: the later half of the blocks comes in beside it, so that PostgreSQL has a process for either.

    None, with nothing done, where the way does not begin at the mark or something of its numbers is held.
    """
    first, last = way.first.sequence_no, way.last.sequence_no
    middle = (len(way.rows) + 1) // 2
    # Nobody waits for a batch to be on disk: the next transaction that is waited for brings all before it there.
    connection.execute(NOT_DURABLE)
    with lock_beside(beside):
        beside.execute(NOT_DURABLE)
        state = connection.execute(STATE, {"first": first, "last": last}, prepare=False).fetchone()
        assert state is not None
        mark_no, block_hash, holds = state
        if first != mark_no + 1 or block_hash not in (None, way.first.previous_hash) or holds:
            return None
        copying = threads.submit(copy_into_journal, beside, way.rows[middle:])
        try:
            taken = copy_into_journal(connection, way.rows[:middle])
        finally:
            wait([copying])
        taken_beside = copying.result()
    copied()
    # Should the rest fail, the later half is there without what comes before it; as it may come in a stream.
    add_shapes(connection, shapes_of(way.rows))
    passed = not way.redactions or first_misnamed(connection, first, last) is None
    if passed:
        raise_to(connection, first, last, way.last.block_hash, [part.tally for part in way.rows])
    return Passed(taken[0] + taken_beside[0], taken[1] + taken_beside[1], passed)
