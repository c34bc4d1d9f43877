"""Journals in S3, over a server of moto's on the loopback."""

import gzip
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, ResponseStreamingError

from strandline.consumer.intake import s3
from strandline.consumer.intake.replay import replay_sources
from strandline.consumer.intake.shard import Shard
from strandline.consumer.intake.sources import open_sources
from strandline.consumer.intake.writer import ForeignStrand
from strandline.consumer.settings import Settings
from strandline.consumer.verification.digest import store_digest
from strandline.consumer.verification.verify import Verification, verify_sources
from strandline.journal.errors import StrandlineError, UsageError
from strandline.journal.make.format import Format
from strandline.journal.simulation.simulate import simulate
from strandline.journal.simulation.strand import Simulated
from tests import databases
from tests.consumer.intake.replays import contents, query
from tests.emulated_aws import emulated_aws

BUCKET = "licences-journal"


@pytest.fixture(scope="module")
def aws() -> Iterator[dict[str, str]]:
    """The environment with which S3 is reached."""
    with emulated_aws() as environment:
        yield environment


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Simulated]:
    folder = tmp_path_factory.mktemp("journal")
    return folder, simulate(folder, 120, seed=3, format=Format.ION_TEXT)


@pytest.fixture
def client(aws: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Any:
    for name, value in aws.items():
        monkeypatch.setenv(name, value)
    client = s3.client()
    client.create_bucket(Bucket=BUCKET)
    yield client
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET):
        for item in page.get("Contents", ()):
            client.delete_object(Bucket=BUCKET, Key=item["Key"])
    client.delete_bucket(Bucket=BUCKET)


def upload(client: Any, folder: Path, prefix: str) -> None:
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        client.put_object(Bucket=BUCKET, Key=prefix + path.relative_to(folder).as_posix(), Body=path.read_bytes())


def verify(*addresses: str) -> Verification:
    return verify_sources(open_sources(addresses), workers=1)


@pytest.mark.parametrize("prefix", ["full/", "a.b/copied elsewhere/", ""])
def test_export_is_found_under_a_prefix(client: Any, journal: tuple[Path, Simulated], prefix: str) -> None:
    folder, made = journal
    upload(client, folder / "full", prefix)
    client.put_object(Bucket=BUCKET, Key=f"{prefix}folder/", Body=b"")
    for address in {f"s3://{BUCKET}/{prefix}", f"s3://{BUCKET}/{prefix}".rstrip("/")}:
        found = verify(address)
        assert found.ok
        assert (found.blocks, found.digest) == (120, made.digest)


def test_manifest_and_object_are_found_by_name(client: Any, journal: tuple[Path, Simulated]) -> None:
    folder, made = journal
    upload(client, folder / "full", "full/")
    (manifest,) = (folder / "full").glob("*.completed.manifest")
    assert verify(f"s3://{BUCKET}/full/{manifest.name}").digest == made.digest
    first = next(path for path in (folder / "full").rglob("*.0-*.ion"))
    name = first.relative_to(folder).as_posix()
    assert verify(f"s3://{BUCKET}/{name}").blocks == 21


def test_prefix_that_is_no_folder_is_not_its_neighbour(client: Any, journal: tuple[Path, Simulated]) -> None:
    folder, made = journal
    upload(client, folder / "early", "journal/")
    upload(client, folder / "full", "journal-2/")
    assert verify(f"s3://{BUCKET}/journal").blocks == 60
    assert verify(f"s3://{BUCKET}/journal-").digest == made.digest


def test_raw_records_are_read(client: Any, journal: tuple[Path, Simulated]) -> None:
    folder, made = journal
    for path in (folder / "stream").iterdir():
        client.put_object(Bucket=BUCKET, Key=f"stream/{path.name}.gz", Body=gzip.compress(path.read_bytes()))
    found = verify(f"s3://{BUCKET}/stream")
    assert found.ok
    assert (found.digest, found.records["CONTROL CREATED"]) == (made.digest, 1)


def test_listing_of_several_pages_is_read(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(25):
        client.put_object(Bucket=BUCKET, Key=f"x/{number:04d}", Body=b"")
    paginator = client.get_paginator("list_objects_v2")
    monkeypatch.setattr(
        client, "get_paginator", lambda _: _Pages(lambda **names: paginator.paginate(**names, MaxKeys=10))
    )
    assert len(list(s3.Bucket(BUCKET, "x/").files())) == 25


class _Pages:
    def __init__(self, paginate: Any) -> None:
        self.paginate = paginate


def test_missing_object_is_a_fault(client: Any, journal: tuple[Path, Simulated]) -> None:
    folder, _ = journal
    upload(client, folder / "full", "full/")
    gone = next(path for path in (folder / "full").rglob("*.0-*.ion")).relative_to(folder).as_posix()
    client.delete_object(Bucket=BUCKET, Key=gone)
    found = verify(f"s3://{BUCKET}/full")
    assert not found.ok
    assert (None, "object") in [(fault.sequence_no, fault.fault) for fault in found.faults]


def test_body_that_breaks_off_is_read_again(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    client.put_object(Bucket=BUCKET, Key="x", Body=b"complete")
    (file,) = s3.Bucket(BUCKET, "x").files()
    get_object, bodies = client.get_object, []

    def get(**names: Any) -> Any:
        answer = get_object(**names)
        bodies.append(answer["Body"])
        if len(bodies) < 3:
            answer["Body"] = Broken()
        return answer

    monkeypatch.setattr(client, "get_object", get)
    assert file.read() == b"complete"
    assert len(bodies) == 3


def test_body_that_always_breaks_off_is_an_error(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    client.put_object(Bucket=BUCKET, Key="x", Body=b"complete")
    (file,) = s3.Bucket(BUCKET, "x").files()
    monkeypatch.setattr(client, "get_object", lambda **_: {"Body": Broken()})
    with pytest.raises(StrandlineError, match="x: S3 cannot be reached"):
        file.read()


def test_file_is_a_plain_reference_for_another_process(client: Any) -> None:
    client.put_object(Bucket=BUCKET, Key="x", Body=b"complete")
    (file,) = s3.Bucket(BUCKET, "x").files()
    sent = pickle.dumps(file)
    assert b"testing" not in sent  # the credentials
    assert pickle.loads(sent).read() == b"complete"


def test_file_that_was_replaced_meanwhile_is_an_error(client: Any) -> None:
    client.put_object(Bucket=BUCKET, Key="x", Body=b"complete")
    (file,) = s3.Bucket(BUCKET, "x").files()
    client.put_object(Bucket=BUCKET, Key="x", Body=b"another")
    with pytest.raises(StrandlineError, match="x: was replaced after it was listed"):
        file.read()


class Broken:
    def read(self, *_: Any, **__: Any) -> bytes:
        raise ResponseStreamingError(error="lost")


class TestErrors:
    def test_bucket_must_be_named(self) -> None:
        with pytest.raises(UsageError, match="names no bucket"):
            open_sources(["s3:///x"])

    def test_unknown_bucket_is_told(self, client: Any) -> None:
        with pytest.raises(StrandlineError, match="s3://elsewhere/x: there is no such bucket"):
            open_sources(["s3://elsewhere/x"])

    def test_empty_prefix_is_told(self, client: Any) -> None:
        with pytest.raises(StrandlineError, match=f"s3://{BUCKET}/x.*holds no export objects"):
            open_sources([f"s3://{BUCKET}/x"])

    def test_denied_access_is_told_without_keys(self, client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_: object, **__: object) -> None:
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "AKIASECRET"}}, "GetObject")

        client.put_object(Bucket=BUCKET, Key="x", Body=b"")
        (file,) = s3.Bucket(BUCKET, "x").files()
        monkeypatch.setattr(client, "get_object", refuse)
        with pytest.raises(StrandlineError, match="x: access is denied: s3:ListBucket") as caught:
            file.read()
        assert "AKIA" not in str(caught.value)

    def test_missing_credentials_are_told(self, client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        with pytest.raises(StrandlineError, match=r"no AWS credentials; set AWS_ACCESS_KEY_ID"):
            open_sources([f"s3://{BUCKET}/x"])

    def test_unreachable_endpoint_is_told(self, client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        monkeypatch.setattr(s3, "_CONFIG", s3.Config(retries={"mode": "standard", "total_max_attempts": 2}))
        with pytest.raises(StrandlineError, match=r"S3 cannot be reached.*AWS_ENDPOINT_URL"):
            open_sources([f"s3://{BUCKET}/x"])


def test_shards_in_processes_store_what_a_plain_replay_stores(
    client: Any, journal: tuple[Path, Simulated], database: str, empty_copy: str
) -> None:
    """One is killed and run again; an object is tampered with, and replaced after it was rejected."""
    folder, made = journal
    upload(client, folder / "full", "full/")
    address = f"s3://{BUCKET}/full/"
    replay_sources(empty_copy, open_sources([address]), Settings())
    good, key = tampered(client)
    environment = {**os.environ, "STRANDLINE_DATABASE_URL": database}

    def start(*arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "strandline.cli", "replay", *arguments, "--json"]
        return subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def end(process: subprocess.Popen[str]) -> tuple[int, Any]:
        out, err = process.communicate(timeout=120)
        assert out, err
        return process.returncode, json.loads(out)

    running = [start(address, "--shard", f"{index}/3") for index in (2, 1, 0)]
    running[0].kill()
    running[0].communicate()
    results = [end(process) for process in running[1:]]
    results.append(end(start(address, "--shard", "2/3")))
    assert sorted(status for status, _ in results) == [0, 0, 1]
    assert query(database, "SELECT sequence_no FROM journal.mark") == [(-1,)]
    status, found = end(start("--finish"))
    assert status == 1
    assert len(found["gaps"]) == 1
    client.put_object(Bucket=BUCKET, Key=key, Body=good)
    assert [end(start(address, "--shard", f"{index}/3"))[0] for index in range(3)] == [0, 0, 0]
    _, found = end(start("--finish"))
    assert (found["mark"], found["gaps"]) == (119, [])
    assert contents(database) == contents(empty_copy)
    assert store_digest(database).digest == made.digest


def tampered(client: Any) -> tuple[bytes, str]:
    """Change a byte of an object in the bucket. Returns what it was, and its key."""
    keys = [item["Key"] for item in client.list_objects_v2(Bucket=BUCKET)["Contents"] if item["Key"].endswith(".ion")]
    good = client.get_object(Bucket=BUCKET, Key=keys[1])["Body"].read()
    bad = good.replace(b"blockHash:{{", b"blockHash:{{A", 1)
    assert bad != good
    client.put_object(Bucket=BUCKET, Key=keys[1], Body=bad)
    return good, keys[1]


@pytest.fixture
def empty_copy(postgres_url: str, migrated_template: str) -> Iterator[str]:
    with databases.migrated_database(postgres_url, migrated_template) as url:
        yield url


def test_shard_of_another_ledger_is_refused(
    client: Any, journal: tuple[Path, Simulated], database: str, tmp_path: Path
) -> None:
    folder, _ = journal
    simulate(tmp_path / "other", 60, seed=4, format=Format.ION_TEXT)
    upload(client, folder / "full", "a/")
    upload(client, tmp_path / "other" / "full", "b/")
    replay_sources(database, open_sources([f"s3://{BUCKET}/a"]), Settings(), shard=Shard(0, 2))
    with pytest.raises(ForeignStrand):
        replay_sources(database, open_sources([f"s3://{BUCKET}/b"]), Settings(), shard=Shard(1, 2))
