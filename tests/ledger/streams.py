"""Kinesis streams of an emulator in this process: to open and to read back."""

from collections.abc import Iterator
from typing import Any

import boto3

from strandline.journal.decode.stream import UserRecord


def open_stream(name: str, shards: int = 4) -> Any:
    """Return a client, with a stream of this name."""
    client = boto3.client("kinesis", region_name="eu-west-1")
    client.create_stream(StreamName=name, ShardCount=shards)
    return client


def read_shards(client: Any, name: str) -> Iterator[tuple[dict[str, Any], list[UserRecord]]]:
    """Yield each shard with its raw records."""
    for shard in client.list_shards(StreamName=name)["Shards"]:
        iterator = client.get_shard_iterator(
            StreamName=name, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        raw: list[UserRecord] = []
        while answer := client.get_records(ShardIterator=iterator, Limit=1000):
            raw += [UserRecord(one["PartitionKey"], one["Data"]) for one in answer["Records"]]
            iterator = answer["NextShardIterator"]
            if not answer["Records"]:
                break
        yield shard, raw


def read_stream(client: Any, name: str) -> list[bytes]:
    """Return the raw records of all shards, as an archive has them."""
    return [one.data for _, raw in read_shards(client, name) for one in raw]
