"""A killed server: exports and streams are gone on with by the next one."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import boto3
import httpx2 as httpx
import pytest
from botocore.exceptions import ClientError

from strandline.consumer.intake.s3 import s3_sources
from strandline.consumer.verification.verify import verify_sources
from strandline.journal.decode.stream import decode
from strandline.ledger.publish.kinesis import unpacked
from tests.drivers.serving import serving
from tests.emulated_aws import emulated_aws
from tests.ledger.endpoint.client import Client
from tests.ledger.endpoint.control import ROLE, Api, until
from tests.ledger.streams import read_stream

KINESIS = "arn:aws:kinesis:eu-west-1:000000000000:stream/target"
EXPORTS, STREAMS = "/ledgers/people/journal-s3-exports", "/ledgers/people/journal-kinesis-streams"


@pytest.fixture(autouse=True)
def emulated(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with emulated_aws("eu-west-1") as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        yield


def test_export_and_stream_outlive_a_killed_server(database: str, tmp_path: Path) -> None:
    """Both are held up, by a bucket and a stream that are gone, when the server is killed."""
    s3, kinesis = boto3.client("s3"), boto3.client("kinesis")

    def make() -> None:
        s3.create_bucket(Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        kinesis.create_stream(StreamName="target", ShardCount=2)

    def sent() -> list[int]:
        records = [decode(one.data) for raw in read_stream(kinesis, "target") for one in unpacked(raw)]
        return sorted({one.payload["blockAddress"]["sequenceNo"] for one in records if one.type == "BLOCK_SUMMARY"})

    make()
    with ExitStack() as stack:
        url, _ = stack.enter_context(serving(database, tmp_path, kill=True, name="people"))
        api = Api(stack.enter_context(httpx.Client(base_url=url, trust_env=False)))
        client = Client(url, stack, "people")
        client.run("CREATE TABLE Person")
        for number in range(5):
            client.run("INSERT INTO Person {'n': ?}", number)
        stream = {
            "StreamName": "s", "RoleArn": ROLE, "InclusiveStartTime": 0, "KinesisConfiguration": {"StreamArn": KINESIS}
        }  # fmt: skip
        stream_id = api.call("POST", STREAMS, stream)["StreamId"]
        until(lambda: sent() == list(range(7)))
        kinesis.delete_stream(StreamName="target")
        client.run("INSERT INTO Person {'n': 5}")
        until(lambda: described(api, STREAMS, stream_id)["Status"] == "IMPAIRED")
        export_id = begin_held_up(api, s3)
    make()
    with ExitStack() as stack:
        url, _ = stack.enter_context(serving(database, tmp_path, kill=False, name="people"))
        api = Api(stack.enter_context(httpx.Client(base_url=url, trust_env=False)))
        until(lambda: described(api, EXPORTS, export_id)["Status"] == "COMPLETED")
        until(lambda: sent() == [7])
        assert described(api, STREAMS, stream_id)["Status"] == "ACTIVE"
        Client(url, stack, "people").run("INSERT INTO Person {'n': 6}")
        until(lambda: sent() == [7, 8])
    found = verify_sources(s3_sources("s3://bucket/p/"), workers=1)
    assert (found.ok, found.blocks) == (True, 8)


def take_away(s3: Any) -> bool:
    """Delete the bucket. Returns False if the server has written to it in the meantime."""
    for one in s3.list_objects_v2(Bucket="bucket").get("Contents", []):
        s3.delete_object(Bucket="bucket", Key=one["Key"])
    try:
        s3.delete_bucket(Bucket="bucket")
    except ClientError as error:
        if error.response["Error"]["Code"] != "BucketNotEmpty":
            raise
        return False
    return True


def begin_held_up(api: Api, s3: Any) -> str:
    """Begin an export, and take its bucket away before it is complete."""
    time.sleep(0.01)
    for _ in range(50):
        body = {
            "InclusiveStartTime": 0,
            "ExclusiveEndTime": time.time() - 0.001,
            "S3ExportConfiguration": {
                "Bucket": "bucket",
                "Prefix": "p",
                "EncryptionConfiguration": {"ObjectEncryptionType": "NO_ENCRYPTION"},
            },
            "RoleArn": ROLE,
        }
        export_id: str = api.call("POST", EXPORTS, body)["ExportId"]
        until(lambda: take_away(s3))
        time.sleep(0.3)
        if described(api, EXPORTS, export_id)["Status"] == "IN_PROGRESS":
            return export_id
        s3.create_bucket(Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    raise AssertionError("every export was complete at once")


def described(api: Api, path: str, name: str) -> Any:
    (found,) = api.call("GET", f"{path}/{name}").values()
    return found
