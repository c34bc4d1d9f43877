"""A real worker with KCL's real daemon, on emulators."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import boto3
import psutil
import psycopg

from strandline.consumer.database.connection import connect
from strandline.consumer.generations.lifecycle import project
from strandline.consumer.intake.writer import JournalWriter
from strandline.consumer.mark.mark import advance
from strandline.consumer.projection.discovery import discover
from strandline.consumer.worker.daemon import SHARD_MODULE
from strandline.journal.decode.objects import decode
from tests.emulators import Emulators, free_port

STREAM = "licences"
# The emulator of Kinesis cuts large answers off, and KCL then requests the same again without end. So a shard that is
# far behind reads few raw records at a time. The first argument is the module of the shards' processes.
_READING = """
import sys
from strandline.cli import main
from strandline.consumer.worker import daemon
daemon.SHARD_MODULE = sys.argv[1]
daemon.PROPERTIES["maxRecords"] = "50"
sys.exit(main(["worker"]))
"""
WAIT_SECONDS = 90.0
STOP_SECONDS = 300.0  # beyond the drain of any of them


@contextmanager
def blocked(database: str, projection: str) -> Iterator[None]:
    """Block its projector's writes by a lock."""
    relation = scalar(database, f"SELECT relation FROM projection.generation WHERE projection = '{projection}'")
    with psycopg.connect(database) as locking:
        locking.execute(f"LOCK TABLE generation.{relation} IN ACCESS EXCLUSIVE MODE")
        yield


class Cloud:
    """A stream with its lease table, seeded so that KCL need not wait for its own first look at the shards."""

    def __init__(self, running: Emulators, shards: int = 2, application: str = "strandline") -> None:
        self.environment = {**running.environment, "STRANDLINE_STREAM": STREAM, "STRANDLINE_APPLICATION": application}
        keys = {"region_name": "us-east-1", "aws_access_key_id": "test", "aws_secret_access_key": "test"}
        self.kinesis: Any = boto3.client("kinesis", endpoint_url=running.kinesis, **keys)
        self._dynamodb: Any = boto3.client("dynamodb", endpoint_url=running.dynamodb, **keys)
        self._table = application
        self.kinesis.create_stream(StreamName=STREAM, ShardCount=shards)
        self.wait_until_active()
        self._seed()

    def wait_until_active(self) -> None:
        while self.kinesis.describe_stream(StreamName=STREAM)["StreamDescription"]["StreamStatus"] != "ACTIVE":
            time.sleep(0.1)

    def shards(self) -> list[dict[str, Any]]:
        return list(self.kinesis.list_shards(StreamName=STREAM)["Shards"])

    def consumers(self) -> list[str]:
        arn = self.kinesis.describe_stream(StreamName=STREAM)["StreamDescription"]["StreamARN"]
        return [one["ConsumerName"] for one in self.kinesis.list_stream_consumers(StreamARN=arn)["Consumers"]]

    def leases(self) -> dict[str, dict[str, str]]:
        items = self._dynamodb.scan(TableName=self._table, ConsistentRead=True)["Items"]
        plain = [{name: next(iter(value.values())) for name, value in item.items()} for item in items]
        return {item["leaseKey"]: item for item in plain}

    def delete(self) -> None:
        self.kinesis.delete_stream(StreamName=STREAM, EnforceConsumerDeletion=True)
        for table in self._dynamodb.list_tables()["TableNames"]:
            self._dynamodb.delete_table(TableName=table)
        while STREAM in self.kinesis.list_streams()["StreamNames"]:
            time.sleep(0.1)

    def _seed(self) -> None:
        self._dynamodb.create_table(
            TableName=self._table,
            KeySchema=[{"AttributeName": "leaseKey", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "leaseKey", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        for shard in self.shards():
            self._dynamodb.put_item(
                TableName=self._table,
                Item={
                    "leaseKey": {"S": shard["ShardId"]},
                    "checkpoint": {"S": "TRIM_HORIZON"},
                    "checkpointSubSequenceNumber": {"N": "0"},
                    "leaseCounter": {"N": "0"},
                    "ownerSwitchesSinceCheckpoint": {"N": "0"},
                    "startingHashKey": {"S": shard["HashKeyRange"]["StartingHashKey"]},
                    "endingHashKey": {"S": shard["HashKeyRange"]["EndingHashKey"]},
                },
            )


class Worker:
    """`strandline worker` as a process, with `shard` as the module of its shards' processes; its log is in `log`."""

    def __init__(
        self,
        cloud: Cloud,
        url: str,
        folder: Path,
        name: str = "one",
        shard: str = SHARD_MODULE,
        **settings: str,
    ) -> None:
        self.port = free_port()
        self.log_file = folder / f"{name}-{time.monotonic_ns()}.log"
        environment = {
            **os.environ,
            **cloud.environment,
            "STRANDLINE_DATABASE_URL": url,
            "STRANDLINE_HOME": str(folder / "home"),
            "STRANDLINE_WORKER_ID": name,
            "STRANDLINE_LISTEN": f"127.0.0.1:{self.port}",
            **settings,
        }
        with self.log_file.open("w") as file:
            command = [sys.executable, "-c", _READING, shard]
            self.process = subprocess.Popen(command, env=environment, stderr=file, stdout=file)

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urlopen(f"http://127.0.0.1:{self.port}/{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as error:
            return error.code, error.read().decode()

    def log(self) -> list[dict[str, Any]]:
        """Every line must be JSON."""
        return [json.loads(line) for line in self.log_file.read_text().splitlines()]

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(STOP_SECONDS)

    def kill(self) -> None:
        """Kill the worker with all processes that it started, as the loss of a machine does."""
        for one in family(self):
            with suppress(psutil.NoSuchProcess):  # it ends with the one before
                one.send_signal(signal.SIGKILL)
        self.process.wait(10)


def family(one: Worker) -> list[psutil.Process]:
    """Return the worker, then its daemon and the shards' processes; nothing if it does not run."""
    try:
        itself = psutil.Process(one.process.pid)
        return [itself, *itself.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


@contextmanager
def worker(cloud: Cloud, url: str, folder: Path, name: str = "one", **settings: str) -> Iterator[Worker]:
    """A worker, killed at the end if it runs."""
    made = Worker(cloud, url, folder, name, **settings)
    try:
        yield made
    finally:
        if made.process.poll() is None:
            made.kill()


def wait_for(what: Callable[[], bool], workers: Sequence[Worker] = (), seconds: float = WAIT_SECONDS) -> float:
    """Wait until `what` is true. Returns the seconds. Fails if one of the workers ends."""
    started = time.monotonic()
    while not what():
        for one in workers:
            assert one.process.poll() is None, one.log_file.read_text()
        assert time.monotonic() - started < seconds, [one.log_file.read_text() for one in workers]
        time.sleep(0.05)
    return time.monotonic() - started


def scalar(url: str, query: str) -> Any:
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(query.encode()).fetchone()
        assert row is not None
        return row[0]


def mark(url: str) -> int:
    return int(scalar(url, "SELECT sequence_no FROM journal.mark"))


READ_MODELS = ("licence_register", "licence_history", "contact_directory", "ledger_activity")


def in_read_models(url: str, names: Sequence[str] = READ_MODELS) -> int:
    """Return the block that all of these read models have reached; -2 while one does not exist."""
    named = ", ".join(f"'{name}'" for name in names)
    return int(
        scalar(
            url,
            f"SELECT CASE count(*) WHEN {len(names)} THEN min(position) ELSE -2 END "
            f"FROM projection.generation WHERE state = 'live' AND projection IN ({named})",
        )
    )


def contents(url: str) -> dict[str, list[Any]]:
    """Return everything that must not depend on how the journal was ingested."""
    queries = {name: f"SELECT t::text FROM read.{name} t ORDER BY 1" for name in READ_MODELS} | {
        "revisions": "SELECT r::text FROM journal.revision r ORDER BY sequence_no, hash",
        "blocks": "SELECT sequence_no, block_hash, level FROM journal.block ORDER BY 1, 2",
        "redactions": "SELECT document_id, version, sequence_no, redacted_by FROM journal.redaction ORDER BY 1, 2",
    }
    with psycopg.connect(url, autocommit=True) as connection:
        return {name: connection.execute(query.encode()).fetchall() for name, query in queries.items()}


def replay(url: str, folder: Path) -> None:
    """Ingest a folder's export, as `replay` does, and project it."""
    with connect(url) as connection:
        store = JournalWriter(connection)
        for file in sorted(folder.rglob("*.ion")):
            decoded = decode(file.read_bytes())
            assert decoded.rows is not None
            store.begin_strand(decoded.links[0].strand_id, 0)
            store.intake([decoded.rows], source=file.name)
        advance(connection)
    project(url, discover(("strandline.projections",)))
