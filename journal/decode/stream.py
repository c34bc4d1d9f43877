"""QLDB's stream records in Kinesis: makes them from blocks, aggregates them in the KPL's format, and reads them.

A record is one binary Ion struct {qldbStreamArn, recordType, payload}; tests/vectors/stream holds two of QLDB's own.
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
    """A record as QLDB gives it to Kinesis: partition key (hex of the record's own hash) and the Ion struct's bytes."""

    partition_key: str
    data: bytes


@dataclass(frozen=True, slots=True)
class StreamRecord:
    """A decoded stream record; `payload` as QLDB wrote it."""

    type: RecordType
    payload: Mapping[str, Any]
    stream_arn: str | None


def control_record(stream_arn: str, event: Literal["CREATED", "COMPLETED"]) -> UserRecord:
    """Make the record that opens a stream, or the one that closes it at its end time."""
    return _user_record(stream_arn, "CONTROL", {"controlRecordType": event}, stream_arn.rpartition("/")[2])


def block_records(stream_arn: str, block: dict[str, Any]) -> Iterator[UserRecord]:
    """Make the records of a block: its summary, then the details of each revision that is not the system's."""
    yield _user_record(stream_arn, "BLOCK_SUMMARY", block_summary(block), block["blockHash"].hex())
    for details in revision_details(block):
        yield _user_record(stream_arn, "REVISION_DETAILS", details, details["revision"]["hash"].hex())


def block_summary(block: dict[str, Any]) -> dict[str, Any]:
    """Return the payload of a block's BLOCK_SUMMARY: the block with revisionSummaries instead of revisions."""
    summary = {name: value for name, value in block.items() if name != "revisions"}
    if "revisions" in block:
        summary["revisionSummaries"] = [_revision_summary(revision) for revision in block["revisions"]]
    return summary


def revision_details(block: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the payloads of a block's REVISION_DETAILS; a system revision has none."""
    documents = block.get("transactionInfo", block.get(ERASED, {})).get("documents", {})
    return [
        {"tableInfo": _table_info(documents[revision["metadata"]["id"]]), "revision": revision}
        for revision in block.get("revisions", ())
        if "metadata" in revision
    ]


def aggregate(records: Iterable[UserRecord], size: int = _PACKED_SIZE) -> Iterator[bytes]:
    """Return only the bytes of `pack`'s records."""
    return (record.data for record in pack(records, size))


def pack(records: Iterable[UserRecord], size: int = _PACKED_SIZE) -> Iterator[UserRecord]:
    """Aggregate user records, in order, into Kinesis records of at most `size` bytes, keyed as their first user record.

    A user record that does not fit is written unaggregated. Format: aggregation-format.md of amazon-kinesis-producer.
    """
    packed = AggRecord(size)
    for record in records:
        # The framing and the partition key's index take fewer than 64 bytes.
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
    """Return the user records in a raw Kinesis record; one that is not aggregated is itself a user record.

    Raises UnreadableError if an aggregated record's checksum or framing is wrong. The library's own deaggregator is not
    used because it writes such a record, including payload, to standard error.
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
    """Decode a user record. Raises UnreadableError if it is not one of QLDB's."""
    return as_record(ion.read_one(data))


def as_record(value: Any) -> StreamRecord:
    """Read an Ion value as a StreamRecord. Raises UnreadableError if it is not one of QLDB's."""
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
