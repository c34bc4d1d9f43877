"""Gaps between mark and head: what objects cover is not read, and hides nothing."""

import re
from itertools import groupby

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from strandline.consumer.database.connection import Connection
from strandline.consumer.intake.writer import JournalWriter, StoredObject
from strandline.consumer.mark.gaps import GAPS, gaps, head, head_and_gaps
from strandline.consumer.mark.mark import advance, read_mark
from strandline.consumer.mark.orphans import reject_block
from tests.copy_rows import Block, pack, strand

LAST = 24
PARTS = st.lists(st.integers(0, LAST), min_size=1, max_size=12)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("object"), PARTS),
        st.tuples(st.just("stream"), PARTS),
        st.tuples(st.just("run"), st.tuples(st.integers(0, LAST), st.integers(0, LAST)).map(sorted)),
        st.tuples(st.just("accept"), st.tuples(st.integers(0, LAST), st.integers(0, 3))),
        st.tuples(st.just("reject"), st.integers(0, LAST)),
        st.tuples(st.just("advance"), st.none()),
    ),
    min_size=1,
    max_size=10,
)
CLEAR = """
    TRUNCATE journal.block, journal.revision, journal.object, journal.accepted_gap, journal.document,
             journal.document_version, journal.rejected, journal.omission"""
RESET = "UPDATE journal.mark SET sequence_no = -1, block_hash = NULL"
HELD = "SELECT sequence_no FROM journal.block"
ACCEPTED = "SELECT generate_series(first_no, last_no) FROM journal.accepted_gap"
# The query that reads every block above the mark.
READ_ALL = """
    WITH held AS (
        SELECT sequence_no, lag(sequence_no, 1, %(mark)s) OVER (ORDER BY sequence_no) AS before
        FROM journal.block WHERE sequence_no > %(mark)s
        UNION ALL
        SELECT %(head)s + 1, greatest((SELECT max(sequence_no) FROM journal.block), %(mark)s)
    ), hole AS (
        SELECT int8range(before + 1, sequence_no) AS numbers FROM held WHERE sequence_no > before + 1
    )
    SELECT lower(gap), upper(gap) - 1
    FROM hole, unnest(
        int8multirange(numbers) - coalesce(
            (SELECT range_agg(int8range(first_no, last_no, '[]')) FROM journal.accepted_gap
             WHERE last_no > %(mark)s), '{}'::int8multirange)) AS gap
    ORDER BY gap"""
BLOCKS = strand(LAST + 1)


def take(store: JournalWriter, blocks: list[Block], name: str | None = None) -> None:
    """Take blocks in as they come: in one object if it has a name, otherwise as from a stream."""
    objects = []
    if name is not None:
        numbers = [block.sequence_no for block in blocks]
        first, last = min(numbers), max(numbers)
        gapless = set(numbers) == set(range(first, last + 1))
        objects = [StoredObject(name.encode(), name, first, last, len(numbers), 0, gapless)]
    store.intake([pack(blocks)], source=name or "stream", objects=objects)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_gaps_are_what_every_block_says(
    store: JournalWriter, connection: Connection, steps: list[tuple[str, object]]
) -> None:
    with connection.transaction():
        connection.execute(CLEAR)
        connection.execute(RESET)
    for number, (kind, what) in enumerate(steps):
        _step(store, connection, kind, what, f"object-{number}")
        assert gaps(connection) == _read_all(connection) == _counted(connection)


def _step(store: JournalWriter, connection: Connection, kind: str, what: object, name: str) -> None:
    match kind, what:
        case "advance", _:
            advance(connection)
        case "reject", int(number):
            with connection.transaction():
                held = (number,) in connection.execute(HELD).fetchall()
            if held and number > read_mark(connection).sequence_no:
                reject_block(connection, number, BLOCKS[number].block_hash, "a test")
        case "accept", (int(first), int(more)):
            with connection.transaction():
                connection.execute(
                    "INSERT INTO journal.accepted_gap VALUES (%s, %s, 'lost') ON CONFLICT DO NOTHING",
                    [first, first + more],
                )
        case "run", [int(first), int(last)]:
            take(store, BLOCKS[first : last + 1], name)
        case _, [*numbers]:
            take(store, [BLOCKS[number] for number in numbers], name if kind == "object" else None)


def _read_all(connection: Connection) -> list[tuple[int, int]]:
    beyond, mark = head(connection), read_mark(connection).sequence_no
    with connection.transaction():
        return connection.execute(READ_ALL, {"mark": mark, "head": beyond if beyond is not None else mark}).fetchall()


def _counted(connection: Connection) -> list[tuple[int, int]]:
    beyond, mark = head(connection), read_mark(connection).sequence_no
    with connection.transaction():
        present = {number for (number,) in connection.execute(f"{HELD} UNION ALL {ACCEPTED}")}
    missing = [
        number for number in range(mark + 1, (beyond if beyond is not None else mark) + 1) if number not in present
    ]
    runs = [list(run) for _, run in groupby(enumerate(missing), lambda one: one[1] - one[0])]
    return [(run[0][1], run[-1][1]) for run in runs]


def test_deleted_block_leaves_a_gap(store: JournalWriter, connection: Connection) -> None:
    take(store, BLOCKS[5:10], "whole")
    assert gaps(connection) == [(0, 4)]
    with connection.transaction():
        connection.execute("DELETE FROM journal.block WHERE sequence_no = 7")
    assert gaps(connection) == [(0, 4), (7, 7)]
    assert not store.taken([b"whole"])


def test_what_objects_cover_is_not_read(store: JournalWriter, connection: Connection) -> None:
    take(store, BLOCKS[1:20], "whole")
    take(store, BLOCKS[20:23])
    assert gaps(connection) == [(0, 0)]
    asked = {"first": 0, "last": LAST - 2, "limit": 10}
    with connection.transaction():
        explained = connection.execute(f"EXPLAIN (ANALYZE) {GAPS}", asked).fetchall()
    scan = next(line for (line,) in explained if "on block" in line)
    rows, loops = re.search(r"rows=([\d.]+) loops=(\d+)", scan).groups()
    assert float(rows) * int(loops) == 3


class TestHeadInPartitions:
    """The head of a store with many partitions: only those at or above the mark are looked into."""

    LOCKED = (
        "SELECT relname FROM pg_locks JOIN pg_class ON oid = relation WHERE relname LIKE 'revision%' AND relkind <> 'i'"
    )

    def test_waiting_revision_is_the_head(self, connection: Connection) -> None:
        with connection.transaction():
            for number in (100_000, 900_000, 1_000_000):  # in the order of text, the last comes first
                connection.execute("SELECT journal.ensure_partitions(%s, %s)", [number, number])
        assert head(connection) is None
        heads = []
        for number in (100_001, 900_007, 1_000_003, 900_009):
            _add_revision(connection, number)
            heads.append(head(connection))
        assert heads == [100_001, 900_007, 1_000_003, 1_000_003]

    def test_empty_partition_is_passed_over(self, connection: Connection) -> None:
        with connection.transaction():
            connection.execute("SELECT journal.ensure_partitions(0, 300000)")
        _add_revision(connection, 100_001)
        assert head(connection) == 100_001
        with connection.transaction():
            connection.execute("UPDATE journal.mark SET strand_id = 's', sequence_no = 100001")
        assert head(connection) == 100_001  # the mark's own
        assert gaps(connection) == []

    def test_partitions_below_the_mark_are_not_looked_into(self, connection: Connection) -> None:
        with connection.transaction():
            connection.execute("SELECT journal.ensure_partitions(0, 400000)")
            connection.execute("UPDATE journal.mark SET strand_id = 's', sequence_no = 350000")
        with connection.transaction():
            assert head_and_gaps(connection) == (350_000, [])
            locked = {name for (name,) in connection.execute(self.LOCKED)}
        assert locked == {"revision_3", "revision_4"}  # and not journal.revision itself


def _add_revision(connection: Connection, number: int) -> None:
    with connection.transaction():
        connection.execute(
            """INSERT INTO journal.revision (sequence_no, hash, document_id, version, state, level, tx_id, tx_time)
            VALUES (%s, '', 'D', 0, 'deleted', 'full', 't', now())""",
            [number],
        )
