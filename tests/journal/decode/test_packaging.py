"""Archived files of records, in each form that people have them."""

import gzip
import json
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import pytest

from strandline.journal.decode import stream
from strandline.journal.decode.archives import decode_records
from strandline.journal.decode.packaging import user_records
from strandline.journal.errors import StrandlineError, UnreadableError
from strandline.journal.sources.source import local_sources
from tests.journals import small_journal

ARN = "arn:aws:qldb:eu-west-2:123456789012:stream/licences/AYj8gSIUcxiHijsjEKob30"
RECORDS = [record for block in small_journal() for record in stream.block_records(ARN, block)]
PLAIN = [record.data for record in RECORDS]
PACKED = list(stream.aggregate(RECORDS, 4_000))


def encoded(data: bytes) -> str:
    return b64encode(data).decode()


def get_records(records: list[bytes]) -> bytes:
    listed = [{"SequenceNumber": "49", "Data": encoded(data), "PartitionKey": "a"} for data in records]
    return json.dumps({"NextShardIterator": "AAAA", "Records": listed}).encode()


def lambda_event(records: list[bytes]) -> bytes:
    listed = [{"kinesis": {"partitionKey": "a", "data": encoded(data)}, "awsRegion": "x"} for data in records]
    return json.dumps({"Records": listed}, indent=1).encode()


def wrapped(data: bytes) -> str:
    text = encoded(data)
    return "\n".join(text[at : at + 76] for at in range(0, len(text), 76))


FORMS: dict[str, Callable[[], bytes]] = {
    "concatenated": lambda: b"".join(PLAIN),
    "newlines": lambda: b"".join(data + b"\n" for data in PLAIN),
    "packed": lambda: b"".join(PACKED),
    "packed with newlines": lambda: b"".join(data + b"\n" for data in PACKED),
    "packed with CRLF": lambda: b"".join(data + b"\r\n" for data in PACKED),
    "base64 lines": lambda: "\n".join(map(encoded, PACKED)).encode(),
    "base64 lines of plain records": lambda: "\r\n".join(map(encoded, PLAIN)).encode(),
    "wrapped base64": lambda: "\n".join(map(wrapped, PACKED)).encode(),
    "get-records": lambda: get_records(PACKED),
    "get-records pages": lambda: get_records(PACKED[:1]) + b"\n" + get_records(PACKED[1:]),
    "get-records of plain records": lambda: get_records(PLAIN),
    "lambda event": lambda: lambda_event(PACKED),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("compress", [False, True])
def test_form_holds_all_records(form: str, compress: bool, tmp_path: Path) -> None:
    data = FORMS[form]()
    data = gzip.compress(data, mtime=0) if compress else data
    (tmp_path / "archive").write_bytes(data)

    (source,) = local_sources(str(tmp_path / "archive"))
    decoded = decode_records([("archive", data)])

    assert source.kind == "records"
    assert decoded.faults == []
    assert decoded.records == {"BLOCK_SUMMARY": 9, "REVISION_DETAILS": 6}
    assert {link.sequence_no for link in decoded.links} == set(range(9))


def test_gzip_within_json_is_decompressed() -> None:
    assert list(user_records(get_records([gzip.compress(PACKED[0])]))) == stream.deaggregate(PACKED[0])


def test_newline_within_a_record_is_kept() -> None:
    """A version marker behind a newline byte within a value is not the end of a record."""
    data = stream.control_record(f"a\n{chr(0xE0)}", "CREATED").data + b"\n"

    assert list(user_records(data)) == [data[:-1]]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (PACKED[0][:-1], "checksum"),
        (PACKED[0] + PACKED[1][:-3], "checksum"),
        (b'{"Records":[{"Data":"84maw"}]}', "base64"),
        (b'{"Records":[{"x":1}]}', "no data"),
        (b'{"Records":1}', "without the Records"),
        (b"84mawA=A", "base64"),
    ],
)
def test_damaged_form_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(UnreadableError, match=message):
        list(user_records(data))


def test_splitting_takes_one_pass() -> None:
    """Many magic numbers without an end are hashed once, not once for each."""
    with pytest.raises(UnreadableError, match="checksum"):
        list(user_records(stream.MAGIC * 1_000_000))


@pytest.mark.parametrize("content", [b"%PDF-1.7\n", b"name,age\nx,1\n", b"{}", b'{"a":1}', b"PK\x03\x04", b""])
def test_file_without_journal_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "report").write_bytes(content)

    with pytest.raises(StrandlineError, match=r"report: holds neither blocks of an export nor Kinesis records"):
        local_sources(str(tmp_path / "report"))
