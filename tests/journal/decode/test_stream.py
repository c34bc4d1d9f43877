"""Stream records, compared with a raw Kinesis record of QLDB's own."""

from hashlib import md5
from pathlib import Path

import pytest

from strandline.journal.decode import stream
from strandline.journal.errors import UnreadableError
from strandline.journal.ion import values as ion
from strandline.journal.make.block import BlockMaker, Statement, timestamp

VECTORS = Path(__file__).parents[2] / "vectors" / "stream"
RAW = (VECTORS / "evidence-store_kpl_0.bin").read_bytes()
SUMMARY = (VECTORS / "00_BLOCK_SUMMARY.10n").read_bytes()
DETAILS = (VECTORS / "01_REVISION_DETAILS.10n").read_bytes()
ARN = "arn:aws:qldb:eu-west-2:123456789012:stream/licences/AYj8gSIUcxiHijsjEKob30"


def test_qldbs_record_is_deaggregated() -> None:
    assert stream.deaggregate(RAW) == [SUMMARY, DETAILS]
    summary, details = map(stream.decode, stream.deaggregate(RAW))
    assert (summary.type, details.type) == ("BLOCK_SUMMARY", "REVISION_DETAILS")
    assert summary.payload["blockAddress"] == details.payload["revision"]["blockAddress"]
    assert summary.stream_arn == details.stream_arn
    assert str(summary.stream_arn).startswith("arn:aws:qldb:")


def test_block_records_equal_qldbs_bytes() -> None:
    summary, details = stream.decode(SUMMARY), stream.decode(DETAILS)
    block = {name: value for name, value in summary.payload.items() if name != "revisionSummaries"}
    block["revisions"] = [details.payload["revision"]]
    records = list(stream.block_records(str(summary.stream_arn), block))
    assert [record.data for record in records] == [SUMMARY, DETAILS]
    assert list(stream.aggregate(records)) == [RAW]


def test_unaggregated_record_is_returned_unchanged() -> None:
    assert stream.deaggregate(SUMMARY) == [SUMMARY]


def test_packing_keeps_order_and_size_limit() -> None:
    records = [stream.UserRecord(f"{n:064x}", bytes([n]) * 300 * (n + 1)) for n in range(40)]
    raws = list(stream.aggregate(records, 8_000))
    assert all(len(raw) <= 8_000 for raw in raws if raw.startswith(b"\xf3\x89\x9a\xc2"))
    assert sorted(data for raw in raws for data in stream.deaggregate(raw)) == sorted(r.data for r in records)
    assert records[39].data in raws


def test_system_revisions_have_a_summary_and_no_details() -> None:
    block = BlockMaker("KmA3ZZca7vAIiJAK9S5Iwl").make(
        transaction_id="FnQeJBAicTX0Ah32ZnVtSX",
        tx_time=timestamp(0),
        block_time=timestamp(3),
        statements=[Statement("CREATE TABLE Licence", timestamp(0))],
        system_revisions=[bytes(32)],
    )
    assert stream.revision_details(block) == []
    assert stream.block_summary(block)["revisionSummaries"] == [{"hash": bytes(32)}]
    assert [stream.decode(record.data).type for record in stream.block_records(ARN, block)] == ["BLOCK_SUMMARY"]


def test_read_only_block_has_no_revision_summaries() -> None:
    block = BlockMaker("KmA3ZZca7vAIiJAK9S5Iwl").make(
        transaction_id="FnQeJBAicTX0Ah32ZnVtSX",
        tx_time=timestamp(0),
        block_time=timestamp(3),
        statements=[Statement("SELECT * FROM Licence", timestamp(0))],
    )
    assert "revisionSummaries" not in stream.block_summary(block)


@pytest.mark.parametrize("event", ["CREATED", "COMPLETED"])
def test_control_records_are_read(event: str) -> None:
    record = stream.decode(stream.control_record(ARN, event).data)  # type: ignore[arg-type]
    assert (record.type, record.payload) == ("CONTROL", {"controlRecordType": event})


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (RAW[:-1], "checksum"),
        (RAW[:100] + b"\x00" + RAW[101:], "checksum"),
        (RAW[:4], "checksum"),
    ],
)
def test_damaged_packed_record_is_refused(raw: bytes, message: str) -> None:
    with pytest.raises(UnreadableError, match=message):
        stream.deaggregate(raw)


def test_wrong_framing_of_packed_record_is_refused() -> None:
    message = b"\xff\xff\xff"
    with pytest.raises(UnreadableError, match="framed"):
        stream.deaggregate(RAW[:4] + message + md5(message).digest())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not { ion",
        SUMMARY[:-10],
        ion.write([1]),
        ion.write({"recordType": "OTHER", "payload": {}}),
        ion.write({"recordType": 7, "payload": {}}),
        ion.write({"recordType": "BLOCK_SUMMARY"}),
        ion.write({"recordType": "BLOCK_SUMMARY", "payload": None}),
    ],
)
def test_foreign_record_is_refused(data: bytes) -> None:
    with pytest.raises(UnreadableError):
        stream.decode(data)
