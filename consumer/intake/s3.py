"""Journals in S3: what a bucket holds under a prefix, read with boto3 (`AWS_…` in the environment, `AWS_ENDPOINT_URL`
and all)."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    IncompleteReadError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ReadTimeoutError,
    ResponseStreamingError,
)

from strandline.journal.errors import StrandlineError, UsageError
from strandline.journal.sources.source import Source, source_of, sources_in

SCHEME = "s3://"
# Throttling and lost connections are tried again, with a growing wait; a connection for each thread that reads ahead.
_CONFIG = Config(
    retries={"mode": "standard", "total_max_attempts": 5},
    connect_timeout=10,
    read_timeout=60,
    max_pool_connections=16,
    user_agent_extra="strandline",
)
_BROKEN_OFF = 4
_REASONS = {
    "NoSuchBucket": "there is no such bucket",
    "NoSuchKey": "there is no such object",
    "404": "there is no such object",
    "AccessDenied": "access is denied: s3:ListBucket on the bucket and s3:GetObject on its objects are needed",
    "403": "access is denied: s3:GetObject is needed",
    "InvalidAccessKeyId": "the access key is not known there: check AWS_ACCESS_KEY_ID",
    "SignatureDoesNotMatch": "the secret key is not that of the access key: check AWS_SECRET_ACCESS_KEY",
    "ExpiredToken": "the credentials have expired: get new ones",
    "InvalidObjectState": "the object is archived: restore it from Glacier first",
    "PermanentRedirect": "the bucket is in another region: set AWS_REGION",
}


@dataclass(frozen=True)
class S3File:
    """An object of a bucket."""

    client: Any = field(compare=False, repr=False)
    bucket: str
    key: str
    name: str = field(compare=False)
    size: int = field(compare=False)

    def read(self) -> bytes:
        with _told(f"{SCHEME}{self.bucket}/{self.key}"):
            for _ in range(_BROKEN_OFF):
                # boto3 tries requests again, but not what breaks off while the body comes.
                with suppress(IncompleteReadError, ReadTimeoutError, ResponseStreamingError):
                    return self._body()
            return self._body()

    def _body(self) -> bytes:
        body: bytes = self.client.get_object(Bucket=self.bucket, Key=self.key)["Body"].read()
        return body


@dataclass(frozen=True)
class Bucket:
    """What a bucket holds under a prefix; names begin after it. The listing is fetched once."""

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
        with _told(self.address):
            pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.prefix)
            for item in (item for page in pages for item in page.get("Contents", ())):
                key, name = item["Key"], item["Key"].removeprefix(self.prefix)
                if not key.endswith("/"):  # what the console writes to show a folder
                    files[name] = S3File(self.client, self.bucket, key, name, item["Size"])
        return files


def s3_sources(address: str) -> list[Source]:
    """The sources at `s3://bucket/prefix`: a prefix, a folder (its `/` may be left out), a manifest or an object.

    Raises as `local_sources` does, and StrandlineError where S3 does not answer or refuses.
    """
    bucket, _, key = address.removeprefix(SCHEME).partition("/")
    if not bucket:
        raise UsageError(f"{address}: names no bucket; write {SCHEME}bucket/prefix")
    with _told(address):
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


@contextmanager
def _told(address: str) -> Iterator[None]:
    """What S3 and boto3 fail with, in words; their own texts may quote a key or a signature."""
    try:
        yield
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", "unknown"))
        raise StrandlineError(f"{address}: {_REASONS.get(code, f'S3 refuses ({code})')}") from None
    except (NoCredentialsError, PartialCredentialsError):
        raise StrandlineError(
            f"{address}: no AWS credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
        ) from None
    except NoRegionError:
        raise StrandlineError(f"{address}: no AWS region; set AWS_REGION") from None
    except BotoCoreError as error:
        raise StrandlineError(
            f"{address}: S3 cannot be reached ({type(error).__name__}); check the network, AWS_REGION and "
            "AWS_ENDPOINT_URL"
        ) from None
