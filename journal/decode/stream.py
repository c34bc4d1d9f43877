"""QLDB's stream records in Kinesis: made from blocks, packed by the Kinesis Producer Library's format, and read again.

A record is one binary Ion struct {qldbStreamArn, recordType, payload}; tests/vectors/stream holds two that QLDB wrote.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, cast, get_args

from aws_kinesis_agg import DIGEST_SIZE, MAGIC
from aws_kinesis_agg.aggregator import AggRecord
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from strandline.journal.check.statements import ERASED
from strandline.journal.errors import UnreadableError
from strandline.journal.ion import values as ion

RecordType = Literal["CONTROL", "BLOCK_SUMMARY", "REVISION_DETAILS"]
_RECORD_TYPES: frozenset[str] = frozenset(get_args(RecordType))
# AggregationMaxSize of the Kinesis Producer Library, by default.
_PACKED_SIZE = 51_200


class UserRecord(NamedTuple):
    """What QLDB hands to Kinesis: the partition key (hex of the record's own hash) and the Ion struct's bytes."""

    partition_key: str
    data: bytes


@dataclass(frozen=True, slots=True)
class StreamRecord:
    """A stream record, decoded; `payload` as QLDB wrote it."""

    type: RecordType
    payload: Mapping[str, Any]
    stream_arn: str | None


def control_record(stream_arn: str, event: Literal["CREATED", "COMPLETED"]) -> UserRecord:
    """The record that opens a stream, or the one that closes it when its end time is reached."""
    return _user_record(stream_arn, "CONTROL", {"controlRecordType": event}, stream_arn.rpartition("/")[2])


def block_records(stream_arn: str, block: dict[str, Any]) -> Iterator[UserRecord]:
    """The records of a block: its summary, then the details of each revision that is not the system's."""
    yield _user_record(stream_arn, "BLOCK_SUMMARY", block_summary(block), block["blockHash"].hex())
    for details in revision_details(block):
        yield _user_record(stream_arn, "REVISION_DETAILS", details, details["revision"]["hash"].hex())


def block_summary(block: dict[str, Any]) -> dict[str, Any]:
    """The payload of a block's BLOCK_SUMMARY: the block with revisionSummaries in the place of its revisions."""
    summary = {name: value for name, value in block.items() if name != "revisions"}
    if "revisions" in block:
        summary["revisionSummaries"] = [_revision_summary(revision) for revision in block["revisions"]]
    return summary


def revision_details(block: dict[str, Any]) -> list[dict[str, Any]]:
    """The payloads of a block's REVISION_DETAILS; a system revision has none."""
    documents = block.get("transactionInfo", block.get(ERASED, {})).get("documents", {})
    return [
        {"tableInfo": _table_info(documents[revision["metadata"]["id"]]), "revision": revision}
        for revision in block.get("revisions", ())
        if "metadata" in revision
    ]


def aggregate(records: Iterable[UserRecord], size: int = _PACKED_SIZE) -> Iterator[bytes]:
    """The bytes of `pack`'s records."""
    return (record.data for record in pack(records, size))


def pack(records: Iterable[UserRecord], size: int = _PACKED_SIZE) -> Iterator[UserRecord]:
    """Raw Kinesis records of at most `size` bytes that hold the user records in their order, under the first one's key.

    A user record that does not fit goes as it is, unpacked. Format: aggregation-format.md of amazon-kinesis-producer.
    """
    packed = AggRecord(size)
    for record in records:
        # 64 bytes are more than the framing and the partition key's index take.
        if len(record.data) + len(record.partition_key) + len(MAGIC) + DIGEST_SIZE + 64 > size:
            yield record
        elif not packed.add_user_record(record.partition_key, record.data):
            yield _contents(packed)
            packed = AggRecord(size)
            packed.add_user_record(record.partition_key, record.data)
    if packed.get_num_user_records():
        yield _contents(packed)


def _contents(packed: AggRecord) -> UserRecord:
    partition_key, _, data = packed.get_contents()
    return UserRecord(partition_key, data)


def deaggregate(raw: bytes) -> list[bytes]:
    """The user records in a raw Kinesis record, which itself is one where it is not packed.

    Raises UnreadableError for a packed record whose checksum or framing is wrong. The library's own deaggregator is not
    used because it writes such a record, payload and all, to standard error.
    """
    if not raw.startswith(MAGIC):
        return [raw]
    message, checksum = raw[len(MAGIC) : -DIGEST_SIZE], raw[-DIGEST_SIZE:]
    if hashlib.md5(message, usedforsecurity=False).digest() != checksum:
        raise UnreadableError(f"an aggregated Kinesis record of {len(raw)} bytes does not match its checksum")
    packed = AggRecord().agg_record
    try:
        packed.ParseFromString(message)
    except DecodeError:
        raise UnreadableError(f"an aggregated Kinesis record of {len(raw)} bytes is not framed as one") from None
    return [bytes(record.data) for record in packed.records]


def decode(data: bytes) -> StreamRecord:
    """A user record's bytes as a StreamRecord; UnreadableError where they are not one of QLDB's."""
    return as_record(ion.read_one(data))


def as_record(value: Any) -> StreamRecord:
    """An Ion value as a StreamRecord; UnreadableError where it is none of QLDB's."""
    if not isinstance(value, Mapping):
        raise UnreadableError("a stream record is not an Ion struct")
    kind, payload, stream_arn = value.get("recordType"), value.get("payload"), value.get("qldbStreamArn")
    if not isinstance(kind, str) or kind not in _RECORD_TYPES:
        raise UnreadableError("a stream record has no recordType that QLDB writes")
    if not isinstance(payload, Mapping):
        raise UnreadableError(f"a {kind} stream record has no payload")
    return StreamRecord(cast(RecordType, kind), payload, stream_arn if isinstance(stream_arn, str) else None)


def _user_record(stream_arn: str, kind: RecordType, payload: dict[str, Any], key: str) -> UserRecord:
    value = {"qldbStreamArn": stream_arn, "recordType": kind, "payload": payload}
    return UserRecord(key, ion.write(value))


def _revision_summary(revision: dict[str, Any]) -> dict[str, Any]:
    if "metadata" not in revision:
        return {"hash": revision["hash"]}
    return {"hash": revision["hash"], "documentId": revision["metadata"]["id"]}


def _table_info(document: dict[str, Any]) -> dict[str, Any]:
    return {"tableName": document["tableName"], "tableId": document["tableId"]}
