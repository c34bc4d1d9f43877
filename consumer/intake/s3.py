"""Journals in S3, read with boto3 and its own settings (`AWS_…` in the environment, `AWS_ENDPOINT_URL` among them)."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache, partial
from io import BytesIO
from threading import Lock
from typing import Any

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config

from strandline.consumer.intake.aws_errors import describe_aws_errors
from strandline.journal.errors import StrandlineError, UsageError
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
_making = Lock()  # boto3's session is not for several threads; its clients are


def client() -> Any:
    """Return this process's client of S3, another one if the settings in the environment have changed."""
    settings = tuple(sorted(one for one in os.environ.items() if one[0].startswith("AWS_")))
    with _making:
        return _client(settings)


@lru_cache(maxsize=1)
def _client(_settings: tuple[tuple[str, str], ...]) -> Any:
    return boto3.Session().client("s3", config=_CONFIG)


@dataclass(frozen=True)
class S3File:
    """An object of a bucket: a plain reference, which other processes can read too."""

    bucket: str
    key: str
    name: str = field(compare=False)
    size: int = field(compare=False)
    version: str = field(compare=False)

    @property
    def address(self) -> str:
        return f"{SCHEME}{self.bucket}/{self.key}"

    def read(self) -> bytes:
        """Return the object's bytes. Raises StrandlineError if S3 refuses, does not answer, or has other bytes now."""
        data = BytesIO()
        with _errors(self.address):
            client().download_fileobj(self.bucket, self.key, data, Config=_TRANSFER)
        if data.tell() != self.size:
            raise StrandlineError(f"{self.address}: was replaced after it was listed: run the command again")
        return data.getvalue()


@dataclass(frozen=True)
class Bucket:
    """The objects of a bucket under a prefix; names begin after it. The listing is fetched once."""

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
            pages = client().get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.prefix)
            for item in (item for page in pages for item in page.get("Contents", ())):
                key, name = item["Key"], item["Key"].removeprefix(self.prefix)
                if not key.endswith("/"):  # the console writes such an object to show a folder
                    files[name] = S3File(self.bucket, key, name, item["Size"], item["ETag"])
        return files


def s3_sources(address: str) -> list[Source]:
    """The sources at `s3://bucket/prefix`: a prefix, a folder (its `/` may be left out), a manifest or an object.

    Raises like `local_sources`, and StrandlineError if S3 does not answer or refuses.
    """
    bucket, _, key = address.removeprefix(SCHEME).partition("/")
    if not bucket:
        raise UsageError(f"{address}: names no bucket; write {SCHEME}bucket/prefix")
    if key and not key.endswith("/"):
        named = Bucket(bucket, key)
        if (file := named.find("")) is not None:
            folder, slash, name = key.rpartition("/")
            return [source_of(replace(file, name=name), Bucket(bucket, folder + slash), address)]
        if not any(file.name.startswith("/") for file in named.files()):
            return sources_in(named)
        key += "/"
    return sources_in(Bucket(bucket, key))
