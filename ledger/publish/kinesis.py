"""Sends stream records to Kinesis as QLDB does: packed in the format of the Kinesis Producer Library.

KCL drops a packed record silently if the key of one record in it hashes outside the record's shard. So records are
packed shard by shard. The shards are listed again each time, because a reshard changes them.
"""

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from itertools import islice
from pathlib import Path
from typing import Any

import boto3
from aws_kinesis_agg import DIGEST_SIZE, MAGIC
from aws_kinesis_agg.aggregator import AggRecord
from botocore.config import Config

from strandline.consumer.intake.aws_errors import AwsError, describe_aws_errors
from strandline.journal.decode import stream
from strandline.journal.decode.stream import UserRecord

# Kinesis limits a call of PutRecords to these.
MOST_RECORDS, MOST_BYTES = 500, 5 * 1024 * 1024
AT_ONCE = 2_000  # user records after which the shards are listed again
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
ATTEMPTS = 12  # in a row in which Kinesis accepts no record: three quarters of a minute


def feed(name: str, records: Iterable[UserRecord], progress: Callable[[int], None] = lambda _: None) -> int:
    """Send user records to a stream, in their order within each shard. Returns how many. Raises `StrandlineError`."""
    with _errors(name):
        client = kinesis()
        count, left = 0, iter(records)
        while some := list(islice(left, AT_ONCE)):
            put(client, name, some)
            count += len(some)
            progress(len(some))
        return count


def kinesis(region: str | None = None) -> Any:
    """Return boto3's client, which retries calls that fail in transit; of the environment's region, or of another."""
    return boto3.client("kinesis", region, config=Config(retries={"mode": "standard", "max_attempts": 5}))


def check_stream(client: Any, name: str) -> None:
    """Raises AwsError if the stream is not there or may not be used."""
    with _errors(name):
        _shards(client, name)


def put(client: Any, name: str, records: Iterable[UserRecord], *, aggregated: bool = True) -> int:
    """Send all of the user records to a stream. Returns the number of raw records that they were packed into.

    Each raw record has user records of one shard only, under the first one's partition key; one each unless
    `aggregated`. Raises `AwsError`; some of the records may be in the stream then.
    """
    count = 0
    with _errors(name):
        entries = _packed(records, _shards(client, name)) if aggregated else _single(records)
        for call in _calls(entries):
            _put(client, name, call)
            count += len(call)
    return count


def archived(folder: Path) -> Iterator[UserRecord]:
    """Yield the user records in a folder of raw Kinesis records, one a file, in the order of the files' names."""
    for file in sorted(folder.iterdir()):
        yield from unpacked(file.read_bytes())


def unpacked(raw: bytes) -> Iterator[UserRecord]:
    """Yield the user records in a raw record, with their keys. The key of an unpacked record is its own hash."""
    if not raw.startswith(MAGIC):
        yield UserRecord(hashlib.sha256(raw).hexdigest(), raw)
        return
    packed = AggRecord().agg_record
    packed.ParseFromString(raw[len(MAGIC) : -DIGEST_SIZE])
    for record in packed.records:
        yield UserRecord(packed.partition_key_table[record.partition_key_index], bytes(record.data))


def _errors(name: str) -> AbstractContextManager[None]:
    needs = "kinesis:ListShards and kinesis:PutRecords are needed"
    return describe_aws_errors("Kinesis", f"stream {name}", needs=needs)


def _shards(client: Any, name: str) -> list[tuple[int, int]]:
    """Return the hash ranges of the open shards."""
    pages = client.get_paginator("list_shards").paginate(StreamName=name)
    shards = [shard for page in pages for shard in page["Shards"]]
    return [
        (int(shard["HashKeyRange"]["StartingHashKey"]), int(shard["HashKeyRange"]["EndingHashKey"]))
        for shard in shards
        if "EndingSequenceNumber" not in shard["SequenceNumberRange"]
    ]


def _packed(records: Iterable[UserRecord], shards: Iterable[tuple[int, int]]) -> Iterator[dict[str, Any]]:
    groups: dict[tuple[int, int], list[UserRecord]] = {shard: [] for shard in shards}
    for record in records:
        key = hash_key(record.partition_key)
        next(group for (first, last), group in groups.items() if first <= key <= last).append(record)
    for group in groups.values():
        for raw in stream.pack(group):
            yield {"Data": raw.data, "PartitionKey": raw.partition_key}


def _single(records: Iterable[UserRecord]) -> Iterator[dict[str, Any]]:
    for record in records:
        yield {"Data": record.data, "PartitionKey": record.partition_key}


def hash_key(partition_key: str) -> int:
    """Return the hash of a partition key, which lies in one shard's range."""
    return int.from_bytes(hashlib.md5(partition_key.encode(), usedforsecurity=False).digest(), "big")


def _calls(entries: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    call: list[dict[str, Any]] = []
    size = 0
    for entry in entries:
        length = len(entry["Data"]) + len(entry["PartitionKey"])
        if call and (len(call) == MOST_RECORDS or size + length > MOST_BYTES):
            yield call
            call, size = [], 0
        call.append(entry)
        size += length
    if call:
        yield call


def _put(client: Any, name: str, entries: list[dict[str, Any]]) -> None:
    """Send entries. Those that Kinesis refuses are sent again after a growing pause, as long as it accepts any."""
    pause, attempts = FIRST_PAUSE, 0
    while True:
        answer = client.put_records(StreamName=name, Records=entries)
        failed = [one for one, said in zip(entries, answer["Records"], strict=True) if said.get("ErrorCode")]
        if not failed:
            return
        attempts = attempts + 1 if len(failed) == len(entries) else 0
        if attempts == ATTEMPTS:
            raise AwsError(
                f"Kinesis stream {name} accepts no more records (throttled, or too few shards): run the command again."
            )
        entries = failed
        time.sleep(pause)
        pause = min(pause * 2, LONGEST_PAUSE)
