"""Fast path of a replay: store a batch that directly continues the chain, and raise the mark, in one transaction.

A replay mostly brings complete blocks of exports, each linked to the one before, for numbers of which the store holds
nothing. A step of the mark would read them back to learn what decoding has found. Exports that overlap bring blocks
that the mark has passed; if the store holds all that they can bring, there is nothing to write. All else is left to
the general path: intake (writer.py), then the mark.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, pairwise

import psycopg

from strandline.consumer.database.connection import NOT_DURABLE, Connection
from strandline.consumer.intake import writer_sql as sql
from strandline.consumer.intake.bulk_copy import copy_blocks, copy_revisions
from strandline.consumer.mark.checks import first_invalid
from strandline.consumer.mark.effects import Contents, raise_mark
from strandline.consumer.store.field_counts import add_shapes
from strandline.journal.decode.archives import DecodedRecords
from strandline.journal.decode.copy_format import Rows, shapes_of
from strandline.journal.decode.objects import Decoded, Link

STATE = f"""
    SELECT m.sequence_no, m.block_hash, {sql.HOLDS}
    FROM journal.mark m FOR UPDATE OF m"""

# Below the mark each block has one candidate, linked to the one before. So the hash of the last one says that all are
# the same, if none is missing. A copy could still bring types that JSON lost, or contradict an imported register.
HOLDS_ALL = """
    SELECT %(hash)s = (SELECT block_hash FROM journal.block WHERE sequence_no = %(last)s)
       AND %(last)s - %(first)s + 1 = (
           SELECT count(*) FROM journal.block
           WHERE sequence_no BETWEEN %(first)s AND %(last)s AND level = 'full' AND complete)
       AND NOT EXISTS (
           SELECT FROM journal.revision WHERE sequence_no BETWEEN %(first)s AND %(last)s AND level = 'chain')
       AND NOT EXISTS (SELECT FROM journal.redaction WHERE sequence_no BETWEEN %(first)s AND %(last)s AND imported)"""


@dataclass(frozen=True, slots=True)
class Run:
    """Complete blocks, from `first` to `last`, each linked to the one before."""

    rows: Sequence[Rows]
    first: Link
    last: Link
    redactions: int


def run_of(decoded: Sequence[Decoded]) -> Run | None:
    """Return the blocks of export objects as a run; None if one has a fault or an omission, or does not link."""
    rows = [one.rows for one in decoded if one.rows is not None]
    if len(rows) < len(decoded) or any(
        one.faults or one.omissions or isinstance(one, DecodedRecords) for one in decoded
    ):
        return None
    links = [link for one in decoded for link in one.links]
    if any(b.sequence_no != a.sequence_no + 1 or b.previous_hash != a.block_hash for a, b in pairwise(links)):
        return None
    return Run(rows, links[0], links[-1], sum(one.redactions for one in decoded))


def store_run(connection: Connection, run: Run) -> tuple[int, int]:
    """Store a run and raise the mark over it. Returns how many blocks and revisions are new: none if all are held.

    The caller's transaction holds the strand's lock alone, so nobody else brings a candidate for these numbers. Raises
    `psycopg.Rollback` if the run does not begin at the mark, if only a part of it is stored, or if the mark would have
    to refuse one of its blocks; `UniqueViolation` if a block has a revision twice.
    """
    first, last = run.first.sequence_no, run.last.sequence_no
    # Nobody waits for a batch to be on disk: the next durable commit brings all before it there.
    connection.execute(NOT_DURABLE)
    state = connection.execute(STATE, {"first": first, "last": last}, prepare=False).fetchone()
    assert state is not None
    mark_no, block_hash, holds = state
    if last <= mark_no and _holds_all(connection, run):
        return 0, 0
    if first != mark_no + 1 or block_hash not in (None, run.first.previous_hash) or holds:
        raise psycopg.Rollback
    add_shapes(connection, shapes_of(run.rows))
    blocks = copy_blocks(connection, run.rows)
    revisions = copy_revisions(connection, run.rows)
    if first_invalid(connection, first, last) is not None:
        raise psycopg.Rollback
    tables = chain.from_iterable(rows.tally.tables.items() for rows in reversed(run.rows))  # the first that names one
    contents = Contents([rows.tally.counts for rows in run.rows], dict(tables), redacts=run.redactions > 0)
    raise_mark(connection, first, last, run.last.block_hash, contents)
    return blocks, revisions


def _holds_all(connection: Connection, run: Run) -> bool:
    """Tell whether a run at or below the mark would change nothing."""
    between = {"first": run.first.sequence_no, "last": run.last.sequence_no, "hash": run.last.block_hash}
    return connection.execute(HOLDS_ALL, between, prepare=False).fetchone() == (True,)
