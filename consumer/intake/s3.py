"""Journals in S3, read with boto3 and its own settings (`AWS_…` in the environment, `AWS_ENDPOINT_URL` among them)."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from io import BytesIO
from typing import Any

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config

from strandline.consumer.intake.aws_errors import describe_aws_errors
from strandline.journal.errors import UsageError
from strandline.journal.sources.source import Source, source_of, sources_in

SCHEME = "s3://"
# Requests that are throttled or lost are tried again, with a growing wait. One connection for each reading thread.
_CONFIG = Config(
    retries={"mode": "standard", "total_max_attempts": 5},
    connect_timeout=10,
    read_timeout=60,
    max_pool_connections=16,
    user_agent_extra="strandline",
)
_errors = partial(
    describe_aws_errors, "S3", needs="s3:ListBucket on the bucket and s3:GetObject on its objects are needed"
)
# A part whose body breaks off is read again (5 attempts); each object on the thread that reads it.
_TRANSFER = TransferConfig(use_threads=False)


@dataclass(frozen=True)
class S3File:
    """An object of a bucket."""

    client: Any = field(compare=False, repr=False)
    bucket: str
    key: str
    name: str = field(compare=False)
    size: int = field(compare=False)
    version: str = field(compare=False)

    @property
    def address(self) -> str:
        return f"{SCHEME}{self.bucket}/{self.key}"

    def read(self) -> bytes:
        """Return the object's bytes. Raises StrandlineError if S3 refuses or cannot be reached."""
        data = BytesIO()
        with _errors(self.address):
            self.client.download_fileobj(self.bucket, self.key, data, Config=_TRANSFER)
        return data.getvalue()


@dataclass(frozen=True)
class Bucket:
    """The objects of a bucket under a prefix; names begin after it. The listing is fetched once."""

    client: Any = field(repr=False)
    bucket: str
    prefix: str

    @property
    def address(self) -> str:
        return f"{SCHEME}{self.bucket}/{self.prefix}"

    def files(self) -> Iterator[S3File]:
        return iter(self._listing.values())

    def find(self, name: str) -> S3File | None:
        return self._listing.get(name)

    @cached_property
    def _listing(self) -> dict[str, S3File]:
        files = {}
        with _errors(self.address):
            pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.prefix)
            for item in (item for page in pages for item in page.get("Contents", ())):
                key, name = item["Key"], item["Key"].removeprefix(self.prefix)
                if not key.endswith("/"):  # the console writes such an object to show a folder
                    files[name] = S3File(self.client, self.bucket, key, name, item["Size"], item["ETag"])
        return files


def s3_sources(address: str) -> list[Source]:
    """The sources at `s3://bucket/prefix`: a prefix, a folder (its `/` may be left out), a manifest or an object.

    Raises like `local_sources`, and StrandlineError if S3 does not answer or refuses.
    """
    bucket, _, key = address.removeprefix(SCHEME).partition("/")
    if not bucket:
        raise UsageError(f"{address}: names no bucket; write {SCHEME}bucket/prefix")
    with _errors(address):
        client = boto3.Session().client("s3", config=_CONFIG)
    if key and not key.endswith("/"):
        named = Bucket(client, bucket, key)
        if (file := named.find("")) is not None:
            folder, slash, name = key.rpartition("/")
            return [source_of(replace(file, name=name), Bucket(client, bucket, folder + slash), address)]
        if not any(file.name.startswith("/") for file in named.files()):
            return sources_in(named)
        key += "/"
    return sources_in(Bucket(client, bucket, key))
