"""Keeps which revisions came as JSON and were lifted to their Ion types, and what holds out."""

import json
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from strandline.consumer.database.connection import Connection

_RECORD = """
    INSERT INTO journal.restored_block AS known (sequence_no, lifted, held_out) VALUES (%s, %s, %s)
    ON CONFLICT (sequence_no) DO UPDATE SET lifted = excluded.lifted, held_out = excluded.held_out
    WHERE known.held_out <> '[]'"""
# What holds out no longer counts once an Ion copy of the block has arrived.
_READ_LIFTED = """
    SELECT key, sum(value::bigint)::bigint
    FROM journal.restored_block r JOIN journal.block b USING (sequence_no), jsonb_each_text(r.lifted)
    WHERE b.level = 'full' GROUP BY key ORDER BY key"""
_READ_HELD_OUT = """
    SELECT one ->> 0, one ->> 1, count(*)
    FROM journal.restored_block r JOIN journal.block b USING (sequence_no), jsonb_array_elements(r.held_out) AS one
    WHERE b.level = 'chain' GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2"""


class HeldOutField(NamedTuple):
    """A field whose type was not found, in so many revisions."""

    table: str
    field: str
    revisions: int


class RestoredCounts(NamedTuple):
    """The revisions lifted by table, and the fields that hold out."""

    lifted: dict[str, int]
    held_out: list[HeldOutField]

    def as_dict(self) -> dict[str, object]:
        """Return the counts in the form of `--json`."""
        return {"lifted": self.lifted, "held_out": [one._asdict() for one in self.held_out]}


def record_restored(
    connection: Connection,
    searched: Mapping[int, Mapping[str, int]],
    held_out: Iterable[tuple[int, str, Iterable[str]]],
) -> None:
    """Record blocks that were searched: what was lifted in each, and (block, table, fields) of what holds out.

    A block that was lifted once stays so. Commits.
    """
    fields: dict[int, list[tuple[str, str]]] = {}
    for sequence_no, table, names in held_out:
        fields.setdefault(sequence_no, []).extend((table, name) for name in (*names,) or ("",))
    rows = [
        (sequence_no, json.dumps(lifted), json.dumps(fields.get(sequence_no, [])))
        for sequence_no, lifted in searched.items()
        if lifted or sequence_no in fields
    ]
    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany(_RECORD, rows)


def read_restored(connection: Connection) -> RestoredCounts:
    """Read the counts of all blocks in the store."""
    lifted: dict[str, int] = dict(connection.execute(_READ_LIFTED).fetchall())
    return RestoredCounts(lifted, [HeldOutField(*row) for row in connection.execute(_READ_HELD_OUT)])
