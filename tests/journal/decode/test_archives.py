"""Archived raw records: each is verified, or kept as refused."""

import gzip
import struct
from base64 import b64encode
from pathlib import Path
from random import Random
from typing import Any

import pytest

from strandline.journal.check.pairing import differences, out_of_time
from strandline.journal.decode import stream
from strandline.journal.decode.archives import DecodedRecords, decode_records
from strandline.journal.decode.copy_format import REVISION_COLUMNS
from strandline.journal.decode.objects import decode
from strandline.journal.errors import UnreadableError
from strandline.journal.ion import values as ion
from tests.journals import ADA, STRAND, Block, ion_binary, small_journal

VECTORS = Path(__file__).parents[2] / "vectors" / "stream"
RAW = (VECTORS / "evidence-store_kpl_0.bin").read_bytes()
ARN = "arn:aws:qldb:eu-west-2:123456789012:stream/licences/AYj8gSIUcxiHijsjEKob30"


def records_of(blocks: list[Block]) -> list[bytes]:
    return [record.data for block in blocks for record in stream.block_records(ARN, block)]


TUPLE = struct.pack(">hi", len(REVISION_COLUMNS), 8)  # how a tuple begins whose first field is a bigint


def decoded(*records: bytes, **options: Any) -> DecodedRecords:
    return decode_records([(f"{n}.bin", data) for n, data in enumerate(records)], **options)


def record(kind: str, payload: Any) -> bytes:
    return ion.write({"qldbStreamArn": ARN, "recordType": kind, "payload": payload})


def details(number: int = 3) -> dict[str, Any]:
    return stream.revision_details(small_journal()[number])[0]


def test_qldbs_own_record_verifies() -> None:
    result = decoded(RAW)
    assert result.faults == []
    assert result.records == {"BLOCK_SUMMARY": 1, "REVISION_DETAILS": 1}
    ((summary,), (revision,)) = result.summaries, result.arrived
    assert summary.hash == revision.hash
    assert [*differences(summary, revision), *out_of_time(summary, revision)] == []


def test_rows_equal_those_of_export() -> None:
    blocks = small_journal()
    exported, streamed = decode(ion_binary(blocks)).rows, decoded(*records_of(blocks)).rows
    assert exported is not None
    assert streamed is not None
    # An export's come in the order of their keys.
    assert sorted(streamed.revisions.split(TUPLE)) == sorted(exported.revisions.split(TUPLE))
    assert (streamed.first_no, streamed.last_no) == (exported.first_no, exported.last_no)
    assert len(streamed.blocks) == len(exported.blocks)  # they differ in `complete`


@pytest.mark.parametrize("seed", range(3))
def test_rows_do_not_depend_on_order_packing_or_repetition(seed: int) -> None:
    records = records_of(small_journal()) * 2
    Random(seed).shuffle(records)
    packed = list(stream.aggregate([stream.UserRecord("0", data) for data in records], 2_000))
    result = decoded(*packed, gzip.compress(packed[0]))
    assert result.faults == []
    assert sorted(link.sequence_no for link in result.links) == list(range(9))
    assert result.revision_count == 6
    assert sum(result.records.values()) >= 30


def test_concatenated_records_are_split() -> None:
    result = decoded(b"".join(records_of(small_journal())))
    assert (len(result.links), result.revision_count, result.faults) == (9, 6, [])


def test_control_records_are_counted() -> None:
    result = decoded(*(stream.control_record(ARN, event).data for event in ("CREATED", "COMPLETED")))
    assert result.records == {"CONTROL CREATED": 1, "CONTROL COMPLETED": 1}
    assert (result.rows, result.faults) == (None, [])


def test_repeated_field_is_read_with_all_its_values() -> None:
    text = b'{name: "first", name: "second"}'
    value = next(iter(ion.read_typed(text)))
    payload = details()
    revision = {**payload["revision"], "data": value}
    from strandline.journal.check.merkle import dot
    from strandline.journal.ion.hash import ion_hash

    revision["hash"] = dot(ion_hash(revision["metadata"]), ion_hash(value))
    assert decoded(record("REVISION_DETAILS", {**payload, "revision": revision})).faults == []


def changed(**members: Any) -> dict[str, Any]:
    payload = details()
    return {**payload, "revision": {**payload["revision"], **members}}


FAULTY = [
    (record("REVISION_DETAILS", changed(data={"name": "Eve"})), (3, "revision-hash")),
    (record("REVISION_DETAILS", changed(data=None)), (3, "deletion-hash")),
    (record("REVISION_DETAILS", changed(metadata=None)), (None, "shape")),
    (record("REVISION_DETAILS", changed(hash=b64encode(details()["revision"]["hash"]).decode())), (None, "shape")),
    (record("REVISION_DETAILS", {**details(), "tableInfo": None}), (None, "shape")),
    (record("REVISION_DETAILS", {}), (None, "shape")),
    (record("BLOCK_SUMMARY", {}), (None, "shape")),
    (record("BLOCK_SUMMARY", {**stream.block_summary(small_journal()[3]), "revisionSummaries": []}), (3, "documents")),
    (record("OTHER", {}), (None, "unreadable")),
    (RAW[:-1], (None, "unreadable")),
    (records_of(small_journal())[3][:-9], (None, "unreadable")),
    (b"", (None, "unreadable")),
    (b"Eve, in a text file", (None, "unreadable")),
    (gzip.compress(RAW)[:-9], (None, "unreadable")),
]


@pytest.mark.parametrize(("data", "expected"), FAULTY)
def test_faulty_record_is_kept_without_rows(data: bytes, expected: tuple[int | None, str]) -> None:
    result = decoded(RAW, data)
    assert [(fault.sequence_no, fault.fault) for fault in result.faults] == [expected]
    ((fault, name, position, kept),) = result.refused
    assert (fault, name, position, kept) == (result.faults[0], "1.bin", 0, data)
    assert "Eve" not in fault.detail
    assert result.rows is not None
    assert (result.rows.first_no, result.rows.last_no) == (14, 14)


def test_only_faulty_record_of_file_is_kept() -> None:
    records = records_of(small_journal())
    bad = record("REVISION_DETAILS", changed(data={"name": "Eve"}))
    ((fault, _, position, kept),) = decoded(records[0] + bad + records[1]).refused
    assert (fault.fault, position) == ("revision-hash", 1)
    assert kept is not None
    assert stream.decode(kept).payload == stream.decode(bad).payload


def test_unsupported_value_refuses_only_its_own_record() -> None:
    first, *others = records_of(small_journal())
    time = bytes([0x80, 0x0F, 0x80 | 2020 & 0x7F])
    assert time in first

    result = decoded(b"".join([*others[:2], first.replace(time, b"\x80\x7f\xff"), *others[2:]]))

    assert [(refused.fault.fault, refused.position) for refused in result.refused] == [("unsupported-value", 2)]
    assert sum(result.records.values()) == len(others) + 1


def test_deletions_may_be_trusted() -> None:
    dropped = record("REVISION_DETAILS", changed(data=None))
    result = decoded(dropped, trust_deletions=True)
    assert (result.faults, result.deletions) == ([], {"trusted": 1})


def test_differences_between_record_and_block_are_faults() -> None:
    result = decoded(*records_of(small_journal()[3:4]))
    ((summary,), (revision,)) = result.summaries, result.arrived
    assert (revision.strand_id, revision.document_id) == (STRAND, ADA)

    def told(**other: Any) -> list[str]:
        return [fault.fault for fault in differences(summary, revision._replace(**other))]

    assert told() == []
    assert told(document_id="Other") == ["documents"]
    assert told(table=revision.table._replace(name="Other")) == ["tableInfo"]
    assert told(table=revision.table._replace(table_id="Other")) == ["tableInfo"]
    assert told(tx_id="Other") == ["transactionId"]
    late = revision._replace(tx_time=summary.block_time + 1)
    assert [warning.fault for warning in out_of_time(summary, late)] == ["blockTimestamp"]


@pytest.mark.parametrize("seed", range(30))
def test_damaged_bytes_never_raise(seed: int) -> None:
    chance = Random(seed)
    data = bytearray(chance.choice([RAW, *records_of(small_journal())]))
    for _ in range(chance.randint(1, 4)):
        data[chance.randrange(len(data))] = chance.randrange(256)
    result = decoded(bytes(data))
    assert len(result.refused) == len(result.faults)


def test_stream_record_is_decoded() -> None:
    with pytest.raises(UnreadableError):
        stream.as_record(7)
