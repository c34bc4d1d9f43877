"""Putting QLDB's stream records into Kinesis, as QLDB did it: packed by the Kinesis Producer Library's format.

KCL drops a packed record, in silence, if the key of one record in it hashes outside the record's shard. So records are
packed shard by shard, and the shards are asked for anew each time: after a reshard they are others.
"""

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import boto3
from aws_kinesis_agg import DIGEST_SIZE, MAGIC
from aws_kinesis_agg.aggregator import AggRecord
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from journal import stream
from journal.errors import StrandlineError
from journal.stream import UserRecord

# Of PutRecords, as Kinesis limits a call.
MOST_RECORDS, MOST_BYTES = 500, 5 * 1024 * 1024
AT_ONCE = 2_000  # user records for which the shards are asked once
LONGEST_PAUSE = 5.0


def feed(name: str, records: Iterable[UserRecord], progress: Callable[[int], None] = lambda _: None) -> int:
    """Put user records into a stream, in their order within each shard; gives how many. Raises `StrandlineError`."""
    try:
        client = boto3.client("kinesis", config=Config(retries={"mode": "standard", "max_attempts": 5}))
        return _feed(client, name, iter(records), progress)
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "unknown")
        raise StrandlineError(
            f"Kinesis refuses stream {name} ({code}): check its name, the region and your rights."
        ) from None
    except BotoCoreError as error:
        raise StrandlineError(
            f"Kinesis cannot be used ({type(error).__name__}): check AWS_REGION, the credentials and AWS_ENDPOINT_URL."
        ) from None


def archived(folder: Path) -> Iterator[UserRecord]:
    """The user records in a folder of raw Kinesis records, a file each, in the order of the files' names."""
    for file in sorted(folder.iterdir()):
        yield from unpacked(file.read_bytes())


def unpacked(raw: bytes) -> Iterator[UserRecord]:
    """The user records in a raw record, with their keys; of one that is not packed the key is its own hash."""
    if not raw.startswith(MAGIC):
        yield UserRecord(hashlib.sha256(raw).hexdigest(), raw)
        return
    packed = AggRecord().agg_record
    packed.ParseFromString(raw[len(MAGIC) : -DIGEST_SIZE])
    for record in packed.records:
        yield UserRecord(packed.partition_key_table[record.partition_key_index], bytes(record.data))


def _feed(client: Any, name: str, records: Iterator[UserRecord], progress: Callable[[int], None]) -> int:
    count = 0
    while some := list(islice(records, AT_ONCE)):
        for entries in _calls(_packed(some, _shards(client, name))):
            _put(client, name, entries)
        count += len(some)
        progress(len(some))
    return count


def _shards(client: Any, name: str) -> list[tuple[int, int]]:
    """The hash ranges of the open shards."""
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
        key = int.from_bytes(hashlib.md5(record.partition_key.encode(), usedforsecurity=False).digest(), "big")
        next(group for (first, last), group in groups.items() if first <= key <= last).append(record)
    for (first, _), group in groups.items():
        for data in stream.aggregate(group):
            yield {"Data": data, "PartitionKey": "a", "ExplicitHashKey": str(first)}


def _calls(entries: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    call: list[dict[str, Any]] = []
    size = 0
    for entry in entries:
        if call and (len(call) == MOST_RECORDS or size + len(entry["Data"]) > MOST_BYTES):
            yield call
            call, size = [], 0
        call.append(entry)
        size += len(entry["Data"]) + len(entry["PartitionKey"])
    if call:
        yield call


def _put(client: Any, name: str, entries: list[dict[str, Any]]) -> None:
    pause = 0.1
    while entries:
        answer = client.put_records(StreamName=name, Records=entries)
        failed = [one for one, said in zip(entries, answer["Records"], strict=True) if said.get("ErrorCode")]
        if failed:
            time.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)
        entries = failed
