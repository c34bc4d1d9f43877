"""Exports to S3, over a server of moto's on the loopback: a deletion leaves no version behind."""

import urllib.request
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError

from strandline.consumer.exports.place import S3Place
from strandline.journal.errors import StrandlineError
from tests.commands import Run
from tests.emulated_aws import emulated_aws

BUCKET = "copies"


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    with emulated_aws() as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        made = boto3.client("s3")
        made.create_bucket(Bucket=BUCKET)
        made.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        yield made
        url = f"{environment['AWS_ENDPOINT_URL']}/moto-api/reset"
        urllib.request.urlopen(url, data=b"").close()


def keys(client: Any) -> list[str]:
    return sorted(item["Key"] for item in client.list_objects_v2(Bucket=BUCKET).get("Contents", ()))


def test_object_and_folder_are_written_replaced_and_deleted(client: Any, run: Run, tmp_path: Any) -> None:
    assert run("simulate", str(tmp_path), "--blocks", "60").status == 0
    assert run("replay", str(tmp_path / "full")).status == 0
    client.put_object(Bucket=BUCKET, Key="day/activity.csv.md5", Body=b"another's")
    for options in ((), ("--overwrite",)):
        assert run("export-model", "ledger_activity", f"s3://{BUCKET}/day/activity.csv", *options).status == 0
    body = client.get_object(Bucket=BUCKET, Key="day/activity.csv")["Body"].read()
    assert len(body.splitlines()) == 61
    many = f"s3://{BUCKET}/many.parquet"
    assert run("export-model", "ledger_activity", many, "--rows-per-file", "25").status == 0
    parts = [f"many.parquet/part-0000{number}.parquet" for number in range(3)]
    assert keys(client) == ["day/activity.csv", "day/activity.csv.md5", *parts]
    assert run("export-model", "ledger_activity", many).status == 2  # there is something
    assert run("export-model", "ledger_activity", many, "--overwrite").status == 0
    assert keys(client) == ["day/activity.csv", "day/activity.csv.md5", "many.parquet"]

    numbers = [str(one["export"]) for one in run("exports", "--json").json["exports"]]
    assert numbers == ["2", "4"]
    assert run("exports", "--delete", "2", "--delete", "4").status == 0
    left = client.list_object_versions(Bucket=BUCKET)
    assert [item["Key"] for item in left["Versions"]] == ["day/activity.csv.md5"]
    assert "DeleteMarkers" not in left


@pytest.mark.parametrize("bucket", [BUCKET, "without-versions"])
def test_replacing_keeps_what_is_there_until_all_is_written(
    client: Any, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.create_bucket(Bucket="without-versions")
    place = S3Place(f"s3://{bucket}/a.csv")
    with place.staged(1) as path:
        path.write_bytes(b"first")
    with pytest.raises(StrandlineError), place.staged(2) as path:  # noqa: PT012
        path.write_bytes(b"second")
        monkeypatch.setattr(place._client, "upload_file", refuse)
    assert client.get_object(Bucket=bucket, Key="a.csv")["Body"].read() == b"first"
    again = S3Place(f"s3://{bucket}/a.csv")
    with again.staged(3) as path:
        path.write_bytes(b"third")
    assert client.get_object(Bucket=bucket, Key="a.csv")["Body"].read() == b"third"
    assert len(client.list_object_versions(Bucket=bucket)["Versions"]) == 1


def refuse(*_: object) -> None:
    raise EndpointConnectionError(endpoint_url="x")


def test_bucket_that_is_not_there_is_said(client: Any, run: Run) -> None:
    outcome = run("export-model", "ledger_activity", "s3://no-such-bucket/a.csv")
    assert (outcome.status, outcome.err) == (1, "error: s3://no-such-bucket/a.csv: there is no such bucket\n")
    assert S3Place(f"s3://{BUCKET}/a.csv").delete() is False
