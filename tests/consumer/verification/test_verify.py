"""Sources are checked together: records of a stream, and exports that overlap or follow."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from strandline.consumer.verification.verify import Verification, verify_sources
from strandline.journal.check import merkle
from strandline.journal.sources.source import local_sources
from tests.consumer.verification.changes import (
    change_data,
    lose_revision,
    of,
    other_table,
    write_export,
    write_records,
)
from tests.journals import ADA, STRAND, Block, ion_binary, ion_text, json_lines, small_journal

DIGEST = merkle.root([block["blockHash"] for block in small_journal()])


def verify(*addresses: str) -> Verification:
    return verify_sources([s for address in addresses for s in local_sources(address)], workers=1)


def faults(found: Verification) -> list[tuple[int | None, str]]:
    return [(fault.sequence_no, fault.fault) for fault in found.faults]


def lose_block(records: list[dict[str, Any]]) -> None:
    records[:] = [r for r in records if r["payload"] is not of(records, "BLOCK_SUMMARY", 3)]


def lose_last_block(records: list[dict[str, Any]]) -> None:
    records[:] = [r for r in records if r["payload"] is not of(records, "BLOCK_SUMMARY", 8)]


def move_revision(records: list[dict[str, Any]]) -> None:
    of(records, "REVISION_DETAILS", 3)["revision"]["blockAddress"]["sequenceNo"] = 4


def rename_document(records: list[dict[str, Any]]) -> None:
    """Swap the hashes of two documents in the summary; the set of documents stays the same."""
    first, second = of(records, "BLOCK_SUMMARY", 2)["revisionSummaries"]
    first["documentId"], second["documentId"] = second["documentId"], first["documentId"]


def other_strand(records: list[dict[str, Any]]) -> None:
    of(records, "REVISION_DETAILS", 3)["revision"]["blockAddress"]["strandId"] = "OtherStrand00000000000"


RECORDS = [
    (lose_revision, (3, "revisions")),
    (lose_block, (3, "missing")),
    (lose_last_block, (8, "missing")),
    (other_table, (3, "tableInfo")),
    (change_data, (3, "revision-hash")),
    (move_revision, (4, "stray")),
    (rename_document, (2, "documents")),
    (other_strand, (3, "strand")),
]


def test_records_verify_like_an_export(tmp_path: Path) -> None:
    found = verify(write_records(tmp_path / "stream", small_journal()))
    assert found.ok
    assert (found.blocks, found.revisions, found.system_revisions, found.level) == (9, 6, 2, "full")
    assert (found.digest, found.strand_id) == (DIGEST, STRAND)
    assert found.records == {"BLOCK_SUMMARY": 9, "REVISION_DETAILS": 6}
    assert (found.deletions, found.warnings) == ({"nothing": 1}, [])


@pytest.mark.parametrize(("tamper", "expected"), RECORDS, ids=[tamper.__name__ for tamper, _ in RECORDS])
def test_changed_record_is_a_fault(
    tmp_path: Path, tamper: Callable[[list[dict[str, Any]]], None], expected: tuple[int, str]
) -> None:
    found = verify(write_records(tmp_path / "stream", small_journal(), tamper))
    assert not found.ok
    assert expected in faults(found)


def test_export_supplies_what_a_stream_lost(tmp_path: Path) -> None:
    records = write_records(tmp_path / "stream", small_journal(), lose_revision)
    assert verify(records, write_export(tmp_path / "export", small_journal()[3:4])).ok


@pytest.mark.parametrize("write", [ion_binary, ion_text, json_lines])
def test_compressed_objects_verify(tmp_path: Path, write: Callable[[list[Block]], bytes]) -> None:
    assert verify(write_export(tmp_path, small_journal(), lambda blocks: gzip.compress(write(blocks)))).digest == DIGEST


def test_several_exports_are_listed_with_gaps_and_overlaps(tmp_path: Path) -> None:
    blocks = small_journal()
    parts = {"late": blocks[6:], "again": blocks[1:4], "early": blocks[:3]}
    addresses = [write_export(tmp_path / name, part) for name, part in parts.items()]
    found = verify(*addresses)
    assert [(Path(one.source).name, one.first_no, one.last_no, one.relation, one.between) for one in found.sources] == [
        ("early", 0, 2, "first", None),
        ("again", 1, 3, "overlaps", (1, 2)),
        ("late", 6, 8, "gap", (4, 5)),
    ]
    assert faults(found) == [(4, "missing")]
    found = verify(*addresses, write_export(tmp_path / "between", blocks[4:6]))
    assert found.ok
    assert [one.relation for one in found.sources] == ["first", "overlaps", "follows", "follows"]


def test_json_and_ion_of_the_same_blocks_reach_level_full(tmp_path: Path) -> None:
    blocks = small_journal()
    whole = write_export(tmp_path / "json", blocks, json_lines)
    assert verify(whole).level == "chain"
    assert verify(whole, write_export(tmp_path / "some", blocks[:5])).level == "chain"
    assert verify(whole, write_export(tmp_path / "ion", blocks)).level == "full"


def test_fault_of_a_record_has_no_payload(tmp_path: Path) -> None:
    found = verify(write_records(tmp_path / "stream", small_journal(), change_data))
    assert all("Valid" not in fault.detail.replace(ADA, "") for fault in found.faults)
