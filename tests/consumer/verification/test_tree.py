"""The tree over the store's blocks: digests and paths as from all hashes, with few blocks read after the first time."""

import hashlib
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from strandline.consumer.verification.tree import LOWEST, BlockTree, check_roots
from strandline.journal.check import merkle
from strandline.journal.errors import StrandlineError, UsageError

BLOCKS = 1_300  # more than five ranges of height LOWEST
HASHES = [hashlib.sha256(str(number).encode()).digest() for number in range(BLOCKS)]
ADD = """
    INSERT INTO journal.block (sequence_no, block_hash, previous_hash, level, complete, entries_hashes, revision_hashes,
        revision_documents, statement_kinds, definitions, tables)
    SELECT n, sha256(n::text::bytea), CASE n WHEN 0 THEN '' ELSE sha256((n - 1)::text::bytea) END, 'full', true,
        '{}', '{}', '{}', '{}', '{}', '{}'
    FROM generate_series(0, %s - 1) AS n"""
TIPS = (0, 1, 254, 255, 256, 257, 511, 512, 700, 1_023, 1_024, BLOCKS - 1)


@pytest.fixture
def connection(database: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database, autocommit=True) as connection, connection.transaction():
        connection.execute(ADD, [BLOCKS])
        connection.execute("UPDATE journal.mark SET strand_id = 's', sequence_no = %s", [BLOCKS - 1])
        yield connection


@pytest.mark.parametrize("tips", [TIPS, TIPS[::-1], (700, 255, 1_024, 512, 1, BLOCKS - 1)], ids=["up", "down", "mixed"])
def test_digests_and_paths_are_those_of_all_hashes(connection: psycopg.Connection[Any], tips: tuple[int, ...]) -> None:
    for tip in tips:
        hashes = HASHES[: tip + 1]
        tree = BlockTree(connection, tip)
        assert tree.digest() == merkle.root(hashes)
        for block in {0, 1, tip // 2, tip - tip % 256, max(tip - 1, 0), tip} - {tip + 1}:
            assert tree.path(block) == merkle.path(hashes, block)
    assert [*check_roots(connection, enumerate(HASHES))] == []


def test_blocks_below_stored_roots_are_not_read_again(connection: psycopg.Connection[Any]) -> None:
    before = BlockTree(connection)
    digest, path = before.digest(), before.path(3)
    connection.execute("DELETE FROM journal.block WHERE sequence_no BETWEEN 256 AND 1278")
    again = BlockTree(connection)
    assert (again.digest(), again.path(3)) == (digest, path)
    with pytest.raises(StrandlineError, match="missing"):
        again.path(300)


def test_links_of_new_blocks_are_checked(connection: psycopg.Connection[Any]) -> None:
    assert BlockTree(connection, 511).digest() == merkle.root(HASHES[:512])
    connection.execute("UPDATE journal.block SET previous_hash = 'x' WHERE sequence_no = 512")
    with pytest.raises(StrandlineError, match="block 512"):
        BlockTree(connection)


def test_missing_blocks_and_other_tips_are_refused(connection: psycopg.Connection[Any]) -> None:
    with pytest.raises(UsageError):
        BlockTree(connection, -1)
    with pytest.raises(StrandlineError, match="ends at block 1299"):
        BlockTree(connection, BLOCKS)
    with pytest.raises(ValueError, match="block 6"):
        BlockTree(connection, 5).path(6)
    connection.execute("DELETE FROM journal.block WHERE sequence_no = 1299")
    with pytest.raises(StrandlineError, match="missing"):
        BlockTree(connection)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE journal.subroot SET hash = sha256('x') WHERE height = 9 AND number = 1",
        "DELETE FROM journal.subroot WHERE height = 8 AND number = 2",
        "INSERT INTO journal.subroot VALUES (8, 5, sha256('x'))",
    ],
)
def test_the_check_finds_another_root(connection: psycopg.Connection[Any], statement: str) -> None:
    BlockTree(connection)
    assert LOWEST == 8
    assert connection.execute(statement.encode()).rowcount == 1
    assert [fault.fault for fault in check_roots(connection, enumerate(HASHES))] == ["subroot"]
