"""Keeps what came as JSON: the blocks that still are, the revisions lifted to their Ion types, and what holds out."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from strandline.consumer.database.connection import Connection, columns_of
from strandline.journal.check.block import Fault

_RECORD = """
    INSERT INTO journal.restored_block AS known (sequence_no, lifted, held_out)
    SELECT * FROM unnest(%s::bigint[], %s::jsonb[], %s::jsonb[])
    ON CONFLICT (sequence_no) DO UPDATE SET lifted = excluded.lifted, held_out = excluded.held_out
    WHERE known.held_out <> '[]' AND (known.lifted, known.held_out) <> (excluded.lifted, excluded.held_out)
    RETURNING sequence_no"""

# The sum, if nothing that it counts has changed; else an empty one.
_READ_SUM = """
    SELECT CASE WHEN sound THEN through_no ELSE -1 END, CASE WHEN sound THEN unverified ELSE 0 END,
           CASE WHEN sound THEN lifted ELSE '{}' END, CASE WHEN sound THEN held_out ELSE '[]' END
    FROM (
        SELECT *, NOT EXISTS (
            SELECT FROM journal.change c WHERE c.id > s.change_id AND c.sequence_no <= s.through_no) AS sound
        FROM journal.json_sum s) AS s"""
_LOCK_SUM = "SELECT FROM journal.json_sum FOR UPDATE"
_EMPTY_SUM = """
    UPDATE journal.json_sum SET through_no = -1, unverified = 0, lifted = '{}', held_out = '[]'
    WHERE through_no >= %s"""
_WRITE_SUM = """
    UPDATE journal.json_sum SET through_no = %s, unverified = %s, lifted = %s, held_out = %s,
        change_id = (SELECT coalesce(max(id), 0) FROM journal.change)"""
# What holds out no longer counts once an Ion copy of the block has arrived.
_LIFTED = """
    SELECT key, sum(value::bigint)::bigint
    FROM journal.restored_block r JOIN journal.block b USING (sequence_no), jsonb_each_text(r.lifted)
    WHERE b.level = 'full' AND r.sequence_no > %s AND r.sequence_no <= %s GROUP BY key"""
_HELD_OUT = """
    SELECT one ->> 0, one ->> 1, count(*)
    FROM journal.restored_block r JOIN journal.block b USING (sequence_no), jsonb_array_elements(r.held_out) AS one
    WHERE b.level = 'chain' AND r.sequence_no > %s AND r.sequence_no <= %s GROUP BY 1, 2"""
# One statement each: it sees one state of the sum and of the blocks.
_SUM_UNVERIFIED = f"""
    SELECT summed.unverified + (
        SELECT count(*) FROM journal.block
        WHERE level = 'chain' AND sequence_no > summed.through_no AND sequence_no <= %s)
    FROM ({_READ_SUM}) AS summed (through_no, unverified)"""
_CHECK_UNVERIFIED = f"""
    SELECT * FROM (
        SELECT through_no, unverified, (
            SELECT count(*) FROM journal.block WHERE level = 'chain' AND sequence_no <= through_no) AS held
        FROM ({_READ_SUM}) AS summed (through_no, unverified)) AS both_numbers
    WHERE unverified <> held"""
_LAST = 2**62
_ANY = """
    SELECT EXISTS (SELECT FROM journal.restored_block) OR EXISTS (SELECT FROM journal.block WHERE level = 'chain')"""
_MOST_SAMPLES = 2_000  # of a table
_SAMPLES = f"""
    SELECT table_name, data_ion FROM journal.revision
    WHERE table_name = %s AND level = 'full' AND state = 'normal' AND data_ion IS NOT NULL
    ORDER BY sequence_no DESC LIMIT {_MOST_SAMPLES}"""


class HeldOutField(NamedTuple):
    """A field whose type was not found, in so many revisions."""

    table: str
    field: str
    revisions: int


class RestoredCounts(NamedTuple):
    """The revisions lifted by table, and the fields that hold out."""

    lifted: dict[str, int]
    held_out: list[HeldOutField]

    @classmethod
    def of(cls, lifted: Mapping[str, int], held_out: Mapping[tuple[str, str], int]) -> "RestoredCounts":
        """Return counts in order: tables by name, the fields that hold out most first."""
        fields = sorted(held_out.items(), key=lambda one: (-one[1], one[0]))
        return cls(dict(sorted(lifted.items())), [HeldOutField(*field, number) for field, number in fields])

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
    with connection.transaction():
        connection.execute(_LOCK_SUM)
        written = connection.execute(_RECORD, columns_of(rows, 3), prepare=False).fetchall()
        if written:
            connection.execute(_EMPTY_SUM, list(min(written)))


def any_json(connection: Connection) -> bool:
    """Return whether any block is JSON, or was searched for its types."""
    with connection.transaction():
        return connection.execute(_ANY).fetchone() == (True,)


def samples(connection: Connection) -> Iterator[tuple[str, bytes]]:
    """Yield table and Ion of the latest documents of the tables that hold out, the oldest first: what they teach."""
    for table in sorted({one.table for one in read_restored(connection).held_out}):
        with connection.transaction():
            rows = connection.execute(_SAMPLES.encode(), [table]).fetchall()
        yield from reversed(rows)


def sum_up_json(connection: Connection, mark_no: int) -> None:
    """Bring the sum of what came as JSON to the mark, in a transaction of its own."""
    with connection.transaction():
        connection.execute(_LOCK_SUM)
        through, lifted, held_out = _sum(connection)
        if through < mark_no:
            unverified = count_unverified(connection, mark_no)
            _add(connection, through, mark_no, lifted, held_out)
            rows = [[table, field, number] for (table, field), number in held_out.items()]
            connection.execute(_WRITE_SUM, [mark_no, unverified, json.dumps(lifted), json.dumps(rows)])


def read_restored(connection: Connection) -> RestoredCounts:
    """Read the counts of all blocks in the store: the sum, and the blocks above it."""
    with connection.transaction():
        through, lifted, held_out = _sum(connection)
        _add(connection, through, _LAST, lifted, held_out)
    return RestoredCounts.of(lifted, held_out)


def count_unverified(connection: Connection, mark_no: int) -> int:
    """Return the number of blocks up to the mark that are JSON: the sum, and the blocks above it."""
    (blocks,) = connection.execute(_SUM_UNVERIFIED, [mark_no], prepare=False).fetchone() or (0,)
    return int(blocks)


def check_unverified(connection: Connection) -> Iterator[Fault]:
    """Compare the sum with the number of blocks that are JSON. Yields a fault if they differ."""
    for through, said, held in connection.execute(_CHECK_UNVERIFIED, prepare=False):
        yield Fault(None, "json_sum", f"{held:,} blocks up to {through} are JSON, and the sum says {said:,}")


def _sum(connection: Connection) -> tuple[int, Counter[str], Counter[tuple[str, str]]]:
    row = connection.execute(_READ_SUM).fetchone()
    assert row is not None
    through, _, lifted, held_out = row
    return int(through), Counter(lifted), Counter({(table, field): number for table, field, number in held_out})


def _add(
    connection: Connection, after: int, last: int, lifted: Counter[str], held_out: Counter[tuple[str, str]]
) -> None:
    """Add the blocks in (after, last]."""
    between = [after, last]
    lifted.update(dict(connection.execute(_LIFTED, between, prepare=False).fetchall()))
    for table, field, number in connection.execute(_HELD_OUT, between, prepare=False):
        held_out[table, field] += number
