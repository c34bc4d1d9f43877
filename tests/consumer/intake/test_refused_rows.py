"""A block that PostgreSQL refuses is rejected alone; the rest of a replay is stored."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from strandline.journal.make.block import BlockMaker, NewRevision, Statement, timestamp
from tests.consumer.intake.replays import export, rejected, replay
from tests.journals import STRAND, Block, ion_binary, ion_text, small_journal

FAR = 2**63 - 1


def block(number: int, previous: bytes, table: str = "Licence", data: Any = None) -> Block:
    at = timestamp(1_700_000_000_000)
    return BlockMaker(STRAND, number, previous).make(
        transaction_id="Transaction99999999999",
        tx_time=at,
        block_time=at,
        statements=[Statement("INSERT", at)],
        revisions=[NewRevision("Document99999999999999", "Table00000000000000009", table, 0, data or {"a": 1})],
    )


@pytest.mark.parametrize("write", [ion_binary, ion_text])
def test_block_of_the_highest_number_is_rejected_alone(
    database: str, tmp_path: Path, write: Callable[[list[Block]], bytes]
) -> None:
    folder = tmp_path / "export"
    export(folder, small_journal(), write)
    export(folder, [block(FAR, b"\0" * 32)], write)
    result = replay(database, folder)
    assert (result.mark, result.new_blocks) == (8, 9)
    assert [fault for _, fault in rejected(database)] == ["shape"]


def test_block_of_the_highest_number_in_one_object_is_rejected_alone(database: str, tmp_path: Path) -> None:
    (tmp_path / "export.ion").write_bytes(ion_binary([*small_journal(), block(FAR, b"\0" * 32)]))
    result = replay(database, tmp_path / "export.ion")
    assert (result.mark, result.new_blocks) == (8, 9)
    assert [fault for _, fault in rejected(database)] == ["shape"]


def test_table_without_a_name_is_rejected_alone(database: str, tmp_path: Path) -> None:
    blocks = small_journal()
    blocks.append(block(9, blocks[-1]["blockHash"], table=""))
    assert replay(database, export(tmp_path, blocks)).mark == 8
    assert len(rejected(database)) == 1


def test_block_that_only_postgresql_refuses_is_rejected_alone(database: str, tmp_path: Path) -> None:
    with psycopg.connect(database) as connection:  # a limit that no check before it knows
        connection.execute("ALTER TABLE journal.block ADD CHECK (sequence_no <> 4)")
    result = replay(database, export(tmp_path, small_journal()))
    assert (result.mark, result.new_blocks) == (3, 8)
    assert rejected(database) == [(4, "refused")]


def test_nul_in_a_key_does_not_stop_others(database: str, tmp_path: Path) -> None:
    blocks = small_journal()
    blocks.append(block(9, blocks[-1]["blockHash"], data={"a\0b": 1}))
    result = replay(database, export(tmp_path, blocks))
    assert result.mark in (8, 9)
    assert [number for number, _ in rejected(database)] == ([] if result.mark == 9 else [9])
