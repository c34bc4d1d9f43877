"""Exports and streams that the control API begins: what they write, their states, and that they outlive the server."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import httpx2 as httpx
import pytest
from moto import mock_aws

from strandline.consumer.database.connection import connect
from strandline.consumer.intake.s3 import s3_sources
from strandline.consumer.verification.verify import verify_sources
from strandline.journal.decode.stream import decode
from strandline.journal.errors import StrandlineError
from strandline.journal.ion.values import read_one
from strandline.ledger import Ledger
from strandline.ledger.publish import export
from strandline.ledger.publish.export import Exporter
from strandline.ledger.publish.kinesis import unpacked
from strandline.ledger.publish.period_export import Export, begin_export, read_export, run_export
from strandline.ledger.publish.stream import Streamer
from strandline.ledger.publish.target import BucketTarget, FolderTarget
from tests.ledger.endpoint.client import Client, Refused
from tests.ledger.endpoint.control import ROLE, Api, until
from tests.ledger.streams import open_stream, read_stream

REGION = "eu-west-1"
KINESIS = f"arn:aws:kinesis:{REGION}:000000000000:stream"
EXPORTS, STREAMS = "/ledgers/people/journal-s3-exports", "/ledgers/people/journal-kinesis-streams"


@pytest.fixture(autouse=True)
def emulated(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    with mock_aws():
        yield


@pytest.fixture
def s3() -> Any:
    client = boto3.client("s3", region_name=REGION)
    client.create_bucket(Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": REGION})
    return client


@pytest.fixture
def api(named: str) -> Iterator[Api]:
    with httpx.Client(base_url=named, trust_env=False) as http:
        yield Api(http)


@pytest.fixture
def people(named: str) -> Iterator[Client]:
    """A client of a ledger with 7 blocks."""
    with ExitStack() as stack:
        client = Client(named, stack, "people")
        client.run("CREATE TABLE Person")
        insert(client, 5)
        time.sleep(0.01)  # the end of an export's period excludes its last moment
        yield client


def insert(client: Client, count: int) -> None:
    for number in range(count):
        client.run("INSERT INTO Person {'n': ?}", number)


def request(**more: Any) -> dict[str, Any]:
    return {
        "InclusiveStartTime": 0,
        "ExclusiveEndTime": time.time() - 0.001,
        "S3ExportConfiguration": {
            "Bucket": "bucket", "Prefix": "a/b", "EncryptionConfiguration": {"ObjectEncryptionType": "SSE_S3"}
        },
        "RoleArn": ROLE,
        **more,
    }  # fmt: skip


def refused(status: int, code: str) -> Any:
    return pytest.raises(Refused, match=f"^{status} {code} ")


class TestExport:
    def test_writes_what_the_command_writes(
        self, api: Api, people: Client, database: str, s3: Any, tmp_path: Path
    ) -> None:
        export_id = api.call("POST", EXPORTS, request())["ExportId"]
        done = until(lambda: self.ended(api, export_id))
        assert done["Status"] == "COMPLETED"
        assert done["S3ExportConfiguration"] == request()["S3ExportConfiguration"]
        Exporter(database, FolderTarget(tmp_path)).run()
        expected = {
            f"a/b/{path.relative_to(tmp_path)}": path.read_bytes() for path in tmp_path.rglob("*.ion") if path.is_file()
        }
        found = {one["Key"]: s3.get_object(Bucket="bucket", Key=one["Key"]) for one in self.listed(s3)}
        assert {k: v["Body"].read() for k, v in found.items() if k.endswith(".ion")} == expected
        assert {v["ServerSideEncryption"] for v in found.values()} == {"AES256"}
        manifest = next(key for key in found if key.endswith("completed.manifest"))
        body = s3.get_object(Bucket="bucket", Key=manifest)["Body"].read()
        assert read_one(body)["keys"] == sorted(expected)
        assert manifest.startswith(f"a/b/{export_id}.")
        assert verify_sources(s3_sources("s3://bucket/a/b/"), workers=1).blocks == 7

    def test_has_the_blocks_of_its_period(self, api: Api, people: Client, s3: Any) -> None:
        time.sleep(0.01)
        middle = time.time()
        time.sleep(0.01)
        insert(people, 2)
        time.sleep(0.01)
        end = time.time()
        for format in ("ION_BINARY", "JSON"):
            body = request(InclusiveStartTime=middle, ExclusiveEndTime=end, OutputFormat=format)
            export_id = api.call("POST", EXPORTS, body)["ExportId"]
            assert until(lambda one=export_id: self.ended(api, one))["OutputFormat"] == format
        keys = [one["Key"] for one in self.listed(s3)]
        assert sorted(key.rpartition(".7-8.")[2] for key in keys if ".7-8." in key) == ["ion", "json"]
        listed = api.call("GET", EXPORTS, max_results=1)
        assert len(listed["JournalS3Exports"]) == 1
        rest = api.call("GET", "/journal-s3-exports", next_token=listed["NextToken"])
        assert [one["ExportId"] for one in rest["JournalS3Exports"]] == [export_id]

    def test_is_refused(self, api: Api, people: Client, s3: Any) -> None:
        nowhere = {**request()["S3ExportConfiguration"], "Bucket": "nowhere"}
        for body in (
            {}, request(InclusiveStartTime=time.time() + 60), request(ExclusiveEndTime=time.time() + 60),
            request(InclusiveStartTime="x"), request(OutputFormat="CSV"), request(RoleArn="x"),
            request(S3ExportConfiguration=nowhere),
        ):  # fmt: skip
            with refused(400, "InvalidParameterException"):
                api.call("POST", EXPORTS, body)
        with refused(404, "ResourceNotFoundException"):
            api.call("POST", "/ledgers/none/journal-s3-exports", request())
        with refused(404, "ResourceNotFoundException"):
            api.call("GET", f"{EXPORTS}/{'0' * 22}")
        assert api.call("GET", EXPORTS) == {"JournalS3Exports": []}

    def test_of_an_empty_ledger_is_refused(self, api: Api, s3: Any) -> None:
        with refused(412, "ResourcePreconditionNotMetException"):
            api.call("POST", EXPORTS, request())

    def test_two_at_once(self, api: Api, people: Client, s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("strandline.ledger.endpoint.jobs.run_export", lambda *_: False)
        for _ in range(2):
            api.call("POST", EXPORTS, request())
        with refused(400, "LimitExceededException"):
            api.call("POST", EXPORTS, request())

    def test_resumes_where_a_process_died(
        self, licences: Ledger, database: str, s3: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It had written an object, and not yet its position."""
        monkeypatch.setattr(export, "OBJECT_BLOCKS", 3)
        for number in range(8):
            licences.execute(lambda txn, n=number: txn.insert("Licence", {"licenceId": n}))
        made = Export(
            "1" * 22, "x", datetime.now(UTC), datetime.fromtimestamp(0, UTC), datetime.now(UTC), "bucket", "p",
            "NO_ENCRYPTION", None, ROLE, "ION_TEXT",
        )  # fmt: skip
        time.sleep(0.01)
        with connect(database) as connection:
            begin_export(connection, made)
        put = BucketTarget.put

        def killing(self: BucketTarget, name: str, data: bytes) -> None:
            put(self, name, data)
            if ".3-5." in name:
                raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(BucketTarget, "put", killing)
            with pytest.raises(KeyboardInterrupt):
                run_export(database, made, lambda: False)
        with connect(database) as connection:
            assert getattr(read_export(connection, made.id), "status", None) == "IN_PROGRESS"
        assert run_export(database, made, lambda: False)
        assert verify_sources(s3_sources("s3://bucket/p/"), workers=1).blocks == 10
        keys = [one["Key"] for one in self.listed(s3)]
        body = s3.get_object(Bucket="bucket", Key=next(key for key in keys if "completed" in key))["Body"].read()
        assert read_one(body)["keys"] == sorted(key for key in keys if key.endswith(".ion"))

    def test_block_that_does_not_verify_cancels_it(
        self, api: Api, people: Client, s3: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(*_: Any) -> Any:
            raise StrandlineError("Block 1 in the store does not verify")

        monkeypatch.setattr("strandline.ledger.endpoint.jobs.run_export", broken)
        export_id = api.call("POST", EXPORTS, request())["ExportId"]
        assert until(lambda: self.ended(api, export_id))["Status"] == "CANCELLED"

    @staticmethod
    def ended(api: Api, export_id: str) -> Any:
        found = api.call("GET", f"{EXPORTS}/{export_id}")["ExportDescription"]
        return None if found["Status"] == "IN_PROGRESS" else found

    @staticmethod
    def listed(s3: Any) -> Any:
        return s3.list_objects_v2(Bucket="bucket").get("Contents", [])


class TestStream:
    def request(self, **more: Any) -> dict[str, Any]:
        return {
            "StreamName": "to-kinesis",
            "RoleArn": ROLE,
            "InclusiveStartTime": "2019-06-13T21:36:34Z",
            "KinesisConfiguration": {"StreamArn": f"{KINESIS}/target"},
            **more,
        }

    def test_sends_what_the_command_sends(self, api: Api, people: Client, database: str) -> None:
        client = open_stream("target")
        open_stream("other")
        stream_id = api.call("POST", STREAMS, self.request(Tags={"a": "b"}))["StreamId"]
        found = self.described(api, stream_id)
        assert (found["Status"], found["StreamName"]) == ("ACTIVE", "to-kinesis")
        assert api.tags(found["Arn"]) == {"a": "b"}
        until(lambda: self.kinds(client, "target")["BLOCK_SUMMARY"] == 7)
        insert(people, 2)
        until(lambda: self.kinds(client, "target")["BLOCK_SUMMARY"] == 9)
        Streamer(database, client, "other").run()
        sent, expected = self.payloads(client, "target"), self.payloads(client, "other")
        assert sent == expected
        assert {one.stream_arn for one in self.records(client, "target")} == {found["Arn"]}

        assert api.call("DELETE", f"{STREAMS}/{stream_id}") == {"StreamId": stream_id}
        assert self.described(api, stream_id)["Status"] == "CANCELED"
        with refused(412, "ResourcePreconditionNotMetException"):
            api.call("DELETE", f"{STREAMS}/{stream_id}")
        assert self.kinds(client, "target")["CONTROL"] == 1  # no COMPLETED

    def test_completes_at_its_end(self, api: Api, people: Client) -> None:
        client = open_stream("target")
        end = time.time() + 1
        stream_id = api.call("POST", STREAMS, self.request(ExclusiveEndTime=end))["StreamId"]
        found = until(lambda: self.in_state(api, stream_id, "COMPLETED"))
        assert found["ExclusiveEndTime"] == pytest.approx(end, abs=0.001)
        assert self.kinds(client, "target") == {"CONTROL": 2, "BLOCK_SUMMARY": 7, "REVISION_DETAILS": 6}

    def test_begins_at_its_time_unaggregated(self, api: Api, people: Client) -> None:
        client = open_stream("target")
        time.sleep(0.01)
        start = time.time()
        time.sleep(0.01)
        insert(people, 1)
        kinesis = {"StreamArn": f"{KINESIS}/target", "AggregationEnabled": False}
        api.call("POST", STREAMS, self.request(InclusiveStartTime=start, KinesisConfiguration=kinesis))
        until(lambda: self.kinds(client, "target") == {"CONTROL": 1, "BLOCK_SUMMARY": 1, "REVISION_DETAILS": 1})
        assert len(list(read_stream(client, "target"))) == 3

    def test_is_impaired_and_recovers(self, api: Api, people: Client) -> None:
        client = open_stream("target")
        stream_id = api.call("POST", STREAMS, self.request())["StreamId"]
        until(lambda: self.kinds(client, "target")["BLOCK_SUMMARY"] == 7)
        client.delete_stream(StreamName="target")
        insert(people, 1)
        assert until(lambda: self.in_state(api, stream_id, "IMPAIRED"))["ErrorCause"] == "KINESIS_STREAM_NOT_FOUND"
        open_stream("target")
        until(lambda: self.in_state(api, stream_id, "ACTIVE"))
        until(lambda: self.kinds(client, "target")["BLOCK_SUMMARY"] == 1)

    def test_waits_for_the_first_block(self, api: Api, named: str) -> None:
        client = open_stream("target")
        api.call("POST", STREAMS, self.request())
        with ExitStack() as stack:
            Client(named, stack, "people").run("CREATE TABLE Person")
        until(lambda: self.kinds(client, "target")["BLOCK_SUMMARY"] == 2)

    def test_is_refused(self, api: Api, people: Client) -> None:
        open_stream("target")
        for body in (
            {}, self.request(StreamName="a--b"), self.request(InclusiveStartTime=time.time() + 60),
            self.request(ExclusiveEndTime="2019-06-13T21:36:34Z"),
            self.request(KinesisConfiguration={"StreamArn": f"{KINESIS}/nowhere"}),
            self.request(KinesisConfiguration={"StreamArn": "arn:aws:s3:::bucket-of-a-test"}),
        ):  # fmt: skip
            with refused(400, "InvalidParameterException"):
                api.call("POST", STREAMS, body)
        api.call("POST", STREAMS, self.request())
        with refused(409, "ResourceAlreadyExistsException"):
            api.call("POST", STREAMS, self.request())
        for number in range(4):
            api.call("POST", STREAMS, self.request(StreamName=f"s{number}x"))
        with refused(400, "LimitExceededException"):
            api.call("POST", STREAMS, self.request(StreamName="one-more"))
        with refused(404, "ResourceNotFoundException"):
            api.call("DELETE", f"{STREAMS}/{'0' * 22}")
        assert len(api.call("GET", STREAMS)["Streams"]) == 5

    @staticmethod
    def described(api: Api, stream_id: str) -> Any:
        return api.call("GET", f"{STREAMS}/{stream_id}")["Stream"]

    def in_state(self, api: Api, stream_id: str, state: str) -> Any:
        found = self.described(api, stream_id)
        return found if found["Status"] == state else None

    @staticmethod
    def records(client: Any, name: str) -> Any:
        return [decode(one.data) for raw in read_stream(client, name) for one in unpacked(raw)]

    def kinds(self, client: Any, name: str) -> Counter[str]:
        return Counter(one.type for one in self.records(client, name))

    def payloads(self, client: Any, name: str) -> list[tuple[str, str]]:
        return sorted((one.type, repr(one.payload)) for one in self.records(client, name))
