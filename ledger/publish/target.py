"""The destination of an export: a folder, or a prefix in a bucket."""

import os
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from strandline.consumer.intake.aws_errors import describe_aws_errors
from strandline.consumer.intake.s3 import SCHEME
from strandline.journal.errors import StrandlineError, UsageError

_errors = partial(describe_aws_errors, "S3", needs="s3:ListBucket and s3:PutObject are needed")


class Target(Protocol):
    """A destination of files, by name. Writing a file is atomic."""

    prefix: str  # of a file's full key

    def names(self) -> Iterator[str]:
        """Yield the names of the files."""

    def read(self, name: str) -> bytes:
        """Return the contents of a file."""

    def put(self, name: str, data: bytes) -> None:
        """Write or replace a file. Raises StrandlineError."""


class FolderTarget:
    """A folder on this machine."""

    prefix = ""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        if folder.exists() and not folder.is_dir():
            raise UsageError(f"{folder}: not a folder; name a folder, or s3://bucket/prefix")

    def names(self) -> Iterator[str]:
        return (path.relative_to(self._folder).as_posix() for path in self._folder.rglob("*") if path.is_file())

    def read(self, name: str) -> bytes:
        return (self._folder / name).read_bytes()

    def put(self, name: str, data: bytes) -> None:
        path = self._folder / name
        partial = path.with_name(f".{path.name}.partial")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with partial.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except OSError as error:
            raise StrandlineError(f"{path}: cannot be written ({error.strerror})") from None


class BucketTarget:
    """A prefix in a bucket. S3 shows an object only when it is complete.

    `more` are further arguments of PutObject, such as for encryption.
    """

    def __init__(self, client: Any, bucket: str, prefix: str, more: Mapping[str, str] | None = None) -> None:
        self._client = client
        self._bucket = bucket
        self.prefix = prefix if not prefix or prefix.endswith("/") else f"{prefix}/"
        self._more = more or {}

    def names(self) -> Iterator[str]:
        with _errors(self._address("")):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=self.prefix)
            for page in pages:
                yield from (item["Key"].removeprefix(self.prefix) for item in page.get("Contents", ()))

    def read(self, name: str) -> bytes:
        with _errors(self._address(name)):
            data: bytes = self._client.get_object(Bucket=self._bucket, Key=self.prefix + name)["Body"].read()
            return data

    def put(self, name: str, data: bytes) -> None:
        with _errors(self._address(name)):
            self._client.put_object(Bucket=self._bucket, Key=self.prefix + name, Body=data, **self._more)

    def _address(self, name: str) -> str:
        return f"{SCHEME}{self._bucket}/{self.prefix}{name}"


def target(address: str) -> Target:
    """Return the target at an address: a folder, or `s3://bucket/prefix`."""
    if not address.startswith(SCHEME):
        return FolderTarget(Path(address))
    import boto3

    bucket, _, prefix = address.removeprefix(SCHEME).partition("/")
    if not bucket:
        raise UsageError(f"{address}: names no bucket; write {SCHEME}bucket/prefix")
    with _errors(address):
        client = boto3.client("s3")
    return BucketTarget(client, bucket, prefix)
