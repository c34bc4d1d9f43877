"""The export of the journal: once, resumed, followed; to a folder and to S3."""

from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread
from typing import Any

import boto3
import pytest
from moto import mock_aws

from strandline.consumer.intake.s3 import s3_sources
from strandline.consumer.verification.verify import verify_sources
from strandline.journal.errors import StrandlineError, UsageError
from strandline.journal.make.export import encode
from strandline.journal.make.format import Format
from strandline.journal.sources.source import local_sources
from strandline.ledger import Ledger
from strandline.ledger.publish import export
from strandline.ledger.publish.export import Exporter
from strandline.ledger.publish.target import BucketTarget, FolderTarget, target


@pytest.fixture
def grow(licences: Ledger) -> Callable[[], None]:
    def insert() -> None:
        for number in range(7):
            licences.execute(lambda txn, n=number: txn.insert("Licence", {"licenceId": n}))

    insert()
    return insert


@pytest.mark.parametrize("format", list(Format))
def test_export_resumes_at_its_destination(
    database: str, grow: Callable[[], None], tmp_path: Path, format: Format
) -> None:
    first = Exporter(database, FolderTarget(tmp_path), format).run()
    assert (first.blocks, first.objects, first.last_no) == (9, 1, 8)
    grow()
    again = Exporter(database, FolderTarget(tmp_path), format).run()
    assert (again.blocks, again.objects, again.last_no) == (7, 1, 15)
    found = verify_sources(local_sources(str(tmp_path)), workers=1)
    assert found.ok
    assert (found.blocks, found.level) == (16, "chain" if format is Format.JSON else "full")
    assert len(list(tmp_path.glob("*.manifest"))) == 2
    assert not list(tmp_path.rglob("*.partial"))


def test_export_resumes_after_an_object_without_a_manifest(
    database: str, grow: Callable[[], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "OBJECT_BLOCKS", 4)
    put = FolderTarget.put

    def broken(self: FolderTarget, name: str, data: bytes) -> None:
        if "4-7" in name:
            raise StrandlineError("full")
        put(self, name, data)

    with monkeypatch.context() as patched:
        patched.setattr(FolderTarget, "put", broken)
        with pytest.raises(StrandlineError, match="full"):
            Exporter(database, FolderTarget(tmp_path)).run()
    done = Exporter(database, FolderTarget(tmp_path)).run()
    assert (done.blocks, done.objects) == (5, 2)
    assert verify_sources(local_sources(str(tmp_path)), workers=1).blocks == 9


def test_export_follows_the_journal(
    database: str, grow: Callable[[], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "_QUIET_SECONDS", 0.1)
    stop, exporter = Event(), Exporter(database, FolderTarget(tmp_path))
    thread = Thread(target=exporter.follow, args=[stop.is_set])
    thread.start()
    grow()
    stop.set()
    thread.join(30)
    assert exporter.exported.last_no == 15
    assert verify_sources(local_sources(str(tmp_path)), workers=1).blocks == 16


def test_destination_with_another_journal_or_format_is_refused(
    database: str, grow: Callable[[], None], tmp_path: Path
) -> None:
    Exporter(database, FolderTarget(tmp_path / "a")).run()
    with pytest.raises(UsageError, match="ION_TEXT"):
        Exporter(database, FolderTarget(tmp_path / "a"), Format.JSON)
    other = tmp_path / "b" / "OtherStrand.0-5.ion"
    other.parent.mkdir()
    other.write_bytes(b"")
    with pytest.raises(UsageError, match="another strand"):
        Exporter(database, FolderTarget(tmp_path / "b"))


@pytest.mark.parametrize("format", [Format.ION_TEXT, Format.ION_BINARY])
def test_object_that_does_not_read_back_with_its_hashes_is_not_written(
    database: str, grow: Callable[[], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: Format
) -> None:
    def rounds(blocks: list[dict[str, Any]], format: Format) -> bytes:
        *others, last = blocks
        [revision] = last["revisions"]
        return encode([*others, {**last, "revisions": [{**revision, "data": {"licenceId": 7}}]}], format)

    monkeypatch.setattr(export, "encode", rounds)
    with pytest.raises(StrandlineError, match=r"block 8 would not have its hash .*\(revision-hash\)"):
        Exporter(database, FolderTarget(tmp_path), format).run()
    assert not list(tmp_path.rglob("*.ion"))


def test_object_that_lacks_a_block_is_not_written(
    database: str, grow: Callable[[], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "encode", lambda blocks, format: encode(blocks[:-1], format))
    with pytest.raises(StrandlineError, match="would not have its hash"):
        Exporter(database, FolderTarget(tmp_path), Format.JSON).run()
    assert not list(tmp_path.rglob("*.json"))


def test_empty_store_has_nothing_to_export(database: str, tmp_path: Path) -> None:
    with pytest.raises(StrandlineError, match="no blocks"):
        Exporter(database, FolderTarget(tmp_path))


@mock_aws
def test_export_to_s3(database: str, grow: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    boto3.client("s3").create_bucket(Bucket="archive")
    there = target("s3://archive/ledger")
    assert isinstance(there, BucketTarget)
    assert Exporter(database, there).run().blocks == 9
    grow()
    assert Exporter(database, target("s3://archive/ledger/")).run().blocks == 7
    found = verify_sources(s3_sources("s3://archive/ledger/"), workers=1)
    assert (found.ok, found.blocks) == (True, 16)
    with pytest.raises(StrandlineError, match="nowhere/x/: there is no such bucket"):
        Exporter(database, target("s3://nowhere/x"))
