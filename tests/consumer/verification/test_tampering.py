"""Every change that a hash covers is a named fault: one case a row (block, member)."""

from base64 import b64encode
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from amazon.ion import simpleion

from strandline.consumer.verification.verify import Verification, verify_sources
from strandline.journal.check import merkle
from strandline.journal.ion.hash import ion_hash
from strandline.journal.make.block import BlockMaker, NewRevision, Statement, later, timestamp
from strandline.journal.sources.source import local_sources
from tests.journals import ADA, BOB, Block, ion_binary, ion_text, json_lines, small_journal
from tests.tampering import (
    TABLE,
    add_redaction,
    change_address,
    change_entry,
    change_transaction_id,
    cut_link,
    drop_all_revisions,
    drop_block,
    drop_data,
    drop_revision,
    forge_redaction,
    move_revision,
    other_strand,
    relink,
    swap_blocks,
    twice_with_other_content,
)


def verify(folder: Path, blocks: list[Block], write: Callable[[list[Block]], bytes] = ion_binary) -> Verification:
    (folder / "export.ion").write_bytes(write(blocks))
    return verify_sources(local_sources(str(folder / "export.ion")), workers=1)


@pytest.mark.parametrize("write", [ion_binary, ion_text])
def test_untouched_journal_verifies(tmp_path: Path, write: Callable[[list[Block]], bytes]) -> None:
    result = verify(tmp_path, small_journal(), write)

    assert result.ok
    assert (result.blocks, result.revisions, result.system_revisions, result.level) == (9, 6, 2, "full")
    assert result.unexplained_redactions == 0
    assert result.deletions == {"nothing": 1}
    assert result.digest == merkle.root([block["blockHash"] for block in small_journal()])


@pytest.mark.parametrize(("tamper", "expected"), TABLE, ids=[tamper.__name__ for tamper, _ in TABLE])
@pytest.mark.parametrize("write", [ion_binary, ion_text])
def test_change_is_a_named_fault(
    tmp_path: Path, write: Callable[[list[Block]], bytes], tamper: Callable[[list[Block]], None], expected: Any
) -> None:
    blocks = small_journal()
    tamper(blocks)

    result = verify(tmp_path, blocks, write)

    assert not result.ok
    assert expected in [(fault.sequence_no, fault.fault) for fault in result.faults]
    assert all(
        "Ada" not in fault.detail.replace(ADA, "") and "Bob" not in fault.detail.replace(BOB, "")
        for fault in result.faults
    )


CHAIN_TABLE = [row for row in TABLE if row[0] in {
    drop_block, swap_blocks, twice_with_other_content, drop_revision, drop_all_revisions, move_revision,
    forge_redaction, add_redaction, cut_link, relink, change_entry, change_address, change_transaction_id, other_strand,
}]  # fmt: skip


@pytest.mark.parametrize(("tamper", "expected"), CHAIN_TABLE, ids=[tamper.__name__ for tamper, _ in CHAIN_TABLE])
def test_change_in_json_is_found_if_no_types_are_needed(
    tmp_path: Path, tamper: Callable[[list[Block]], None], expected: Any
) -> None:
    blocks = small_journal()
    tamper(blocks)

    result = verify(tmp_path, blocks, json_lines)

    assert expected in [(fault.sequence_no, fault.fault) for fault in result.faults]


def test_json_verifies_at_level_chain(tmp_path: Path) -> None:
    result = verify(tmp_path, small_journal(), json_lines)

    assert result.ok
    assert result.level == "chain"
    assert result.digest == merkle.root([block["blockHash"] for block in small_journal()])


def test_redacted_revision_that_no_redaction_names_is_counted(tmp_path: Path) -> None:
    blocks = small_journal()
    revision = blocks[3]["revisions"][0]
    revision["dataHash"] = ion_hash(revision.pop("data"))

    result = verify(tmp_path, blocks)

    assert result.ok
    assert result.unexplained_redactions == 1


def test_trusted_deletions_pass(tmp_path: Path) -> None:
    blocks = small_journal()
    drop_data(blocks)
    (tmp_path / "export.ion").write_bytes(ion_binary(blocks))

    result = verify_sources(local_sources(str(tmp_path / "export.ion")), workers=1, trust_deletions=True)

    assert result.ok
    assert result.deletions == {"nothing": 1, "trusted": 1}


def test_block_time_far_from_its_transaction_is_a_warning(tmp_path: Path) -> None:
    blocks = small_journal()
    blocks[3]["blockTimestamp"] = later(blocks[3]["blockTimestamp"], timedelta(hours=1))

    result = verify(tmp_path, blocks)

    assert result.ok
    assert [(warning.sequence_no, warning.fault) for warning in result.warnings] == [(3, "blockTimestamp")]


def test_repeated_field_is_hashed_with_all_its_values(tmp_path: Path) -> None:
    """A dict keeps only the last value; the hash covers both."""

    data = simpleion.loads('{name: "first", name: "second"}')
    block = BlockMaker("Strand0000000000000000").make(
        transaction_id="Transaction00000000000", tx_time=timestamp(1), block_time=timestamp(2),
        statements=[Statement("INSERT INTO T ?", timestamp(0))],
        revisions=[NewRevision(ADA, "TableT0000000000000000", "T", 0, data)],
    )  # fmt: skip

    assert verify(tmp_path, [block]).ok
    block["revisions"][0]["data"] = {"name": "second"}
    assert not verify(tmp_path, [block]).ok


@pytest.mark.parametrize("end", [-1, -40, -400])
@pytest.mark.parametrize("write", [ion_binary, ion_text, json_lines])
def test_truncated_object_yields_its_complete_blocks(
    tmp_path: Path, write: Callable[[list[Block]], bytes], end: int
) -> None:
    (tmp_path / "Strand0000000000000000.0-8.ion").write_bytes(write(small_journal())[:end])

    result = verify_sources(local_sources(str(tmp_path)), workers=1)

    assert not result.ok
    assert result.blocks == 8
    assert {"unreadable", "object"} & {fault.fault for fault in result.faults}


def test_invalid_base64_is_a_shape_fault(tmp_path: Path) -> None:
    blocks = small_journal()
    blocks[3]["entriesHash"] = b64encode(b"short")

    assert (3, "shape") in [(fault.sequence_no, fault.fault) for fault in verify(tmp_path, blocks).faults]
