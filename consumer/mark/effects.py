"""Effects of blocks that join the journal: documents, catalog, redactions, field counts, the mark itself.

A replay, a stream, an append and blocks that are found in an accepted gap all come here: no other module says what
follows from a block below the mark. Every function runs in the caller's transaction.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from strandline.consumer.database.connection import Connection
from strandline.consumer.store import catalog
from strandline.consumer.store.documents import add_documents, change_documents
from strandline.consumer.store.field_counts import add_counts, change_shapes, count_shapes, found_shapes
from strandline.consumer.store.redactions import take_redactions
from strandline.journal.decode.copy_format import Count

CHANNEL = "strandline_mark"

MOVE = "UPDATE journal.mark SET sequence_no = %s, block_hash = %s, moved_at = now()"
NOTIFY = f"NOTIFY {CHANNEL}"

ADD_CHANGES = """
    INSERT INTO journal.change (sequence_no, kind, differs)
    SELECT number, %s, bool_or(differs) FROM unnest(%s::bigint[], %s::boolean[]) AS changed (number, differs)
    WHERE number <= (SELECT sequence_no FROM journal.mark)
    GROUP BY number ORDER BY number"""


class Contents(NamedTuple):
    """Facts of blocks that are known without reading them back; the defaults stand for "unknown".

    `counts`: field counts of all their revisions. `tables`: name and first block of tables, by id; those that the
    catalog has may be left out. `defines`, `redacts`: whether a block may define a table, or redact a revision.
    """

    counts: Iterable[Mapping[tuple[str, int], Count]] | None = None
    tables: Mapping[str, tuple[str, int]] | None = None
    defines: bool = True
    redacts: bool = True


UNKNOWN = Contents()


def raise_mark(
    connection: Connection, first: int, last: int, block_hash: bytes | None, contents: Contents = UNKNOWN
) -> None:
    """Raise the mark over the blocks `first` to `last`, which are verified, complete and follow it.

    The caller holds the strand's lock alone. `block_hash` is that of block `last`; None if an accepted gap ends there.
    """
    add_documents(connection, first, last)
    if contents.counts is not None:
        add_counts(connection, contents.counts, last)
    if contents.tables is None or contents.tables or contents.defines:
        catalog.apply(connection, first, last, contents.tables)
    if contents.redacts:
        take_redactions(connection, first, last)
    connection.execute(MOVE, [last, block_hash])
    count_shapes(connection)
    connection.execute(NOTIFY)


def change_below(
    connection: Connection,
    found: Sequence[int],
    upgraded: Mapping[int, bool],
    replaced: Collection[str] = (),
    *,
    alone: bool,
) -> None:
    """Apply what blocks say that were found at or below the mark, or that an Ion copy has upgraded there.

    `upgraded` tells for each block whether a value of it differs from what the JSON said; `replaced` are the documents
    that the JSON named. `alone`: whether the caller holds the strand's lock alone, as it does if any block is found.
    """
    _add_changes(connection, "upgraded", upgraded)
    differing = [number for number, differs in upgraded.items() if differs]
    if changed := [*found, *differing]:
        change_documents(connection, changed, replaced)
    if differing:
        catalog.remove_unnamed(connection, differing)
        catalog.apply(connection, min(differing), max(differing))
    if found:
        _add_changes(connection, "found", dict.fromkeys(found, False))
        catalog.apply(connection, min(found), max(found))
        change_shapes(connection, found_shapes(connection, found))
    if changed:
        take_redactions(connection, min(changed), max(changed), alone=alone)


def _add_changes(connection: Connection, kind: str, changes: Mapping[int, bool]) -> None:
    if changes:
        connection.execute(ADD_CHANGES, [kind, list(changes), list(changes.values())])
