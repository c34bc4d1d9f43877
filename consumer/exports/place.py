"""The place of an export: a file or folder on this machine, or in S3. It appears there complete, or not at all."""

import os
import shutil
import socket
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, unquote, urlsplit

from strandline.consumer.intake.aws_errors import describe_aws_errors
from strandline.journal.errors import StrandlineError, UsageError

S3 = "s3://"
FILE = "file://"
PART = "part-"
UNVERSIONED = "null"  # the version of an object that was written without versioning
_errors = partial(
    describe_aws_errors,
    "S3",
    needs="s3:ListBucket, s3:ListBucketVersions, s3:PutObject, s3:DeleteObject and s3:DeleteObjectVersion are needed",
)


class Place(Protocol):
    """A place for one file, or for a folder of files named `part-…`."""

    address: str  # as it is registered

    def exists(self) -> bool:
        """Return whether something is there."""

    def staged(self, export: int) -> "Any":
        """Give a path for the file or folder; what is there at the end appears at the place, replacing what was."""

    def delete(self) -> bool:
        """Delete what is there, in a bucket all its versions; returns whether there was anything."""


class LocalPlace:
    """A path on this machine."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.address = f"{FILE}{socket.gethostname()}{quote(str(path))}"

    def exists(self) -> bool:
        return self._path.exists()

    @contextmanager
    def staged(self, export: int) -> Iterator[Path]:
        partial_path = self._partial(export)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            yield partial_path
            for file in _files(partial_path):
                _sync(file)
            if self._path.is_dir():
                self._check_is_export()
                shutil.rmtree(self._path)
            partial_path.replace(self._path)
            _sync(self._path.parent)
        except BaseException as error:
            _remove(partial_path)
            if isinstance(error, OSError):
                raise StrandlineError(f"{self._path}: cannot be written ({error.strerror}).") from None
            raise

    def delete(self) -> bool:
        found = False
        if self._path.is_dir():
            self._check_is_export()
        for path in (self._path, *self._path.parent.glob(f".{self._path.name}.*.partial")):
            found |= path.exists()
            _remove(path)
        return found

    def _partial(self, export: int) -> Path:
        return self._path.with_name(f".{self._path.name}.{export}.partial")

    def _check_is_export(self) -> None:
        """Refuse a folder with other files than an export's: it is not ours to delete."""
        if any(not file.name.startswith(PART) for file in self._path.iterdir()):
            raise StrandlineError(f"{self._path} has other files than an export's: move them away first.")


class S3Place:
    """A key, or for a folder of files the prefix before their names."""

    def __init__(self, address: str) -> None:
        import boto3

        self.address = address
        self._bucket, _, self._key = address.removeprefix(S3).partition("/")
        if not self._bucket or not self._key:
            raise UsageError(f"{address}: write {S3}bucket/key.")
        with _errors(address):
            self._client = boto3.Session().client("s3")

    def exists(self) -> bool:
        return any(self._versions(latest=True))

    @contextmanager
    def staged(self, export: int) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix="strandline-export-") as folder:
            path = Path(folder) / "export"
            yield path
            before = list(self._versions())
            written = set()
            with _errors(self.address):
                for file in _files(path):
                    key = f"{self._key}/{file.name}" if path.is_dir() else self._key
                    self._client.upload_file(os.fspath(file), self._bucket, key)
                    written.add(key)
            # What was there goes last. Without versioning, what was written has replaced it already.
            self._delete((key, version) for key, version in before if version != UNVERSIONED or key not in written)

    def delete(self) -> bool:
        found = list(self._versions())
        self._delete(found)
        return bool(found)

    def _delete(self, versions: Iterable[tuple[str, str]]) -> None:
        with _errors(self.address):
            for key, version in versions:
                self._client.delete_object(Bucket=self._bucket, Key=key, VersionId=version)

    def _versions(self, *, latest: bool = False) -> Iterator[tuple[str, str]]:
        """Yield the key and id of each version: in a versioned bucket, deleting the key alone would leave the data."""
        with _errors(self.address):
            pages = self._client.get_paginator("list_object_versions")
            for page in pages.paginate(Bucket=self._bucket, Prefix=self._key):
                for item in [*page.get("Versions", ()), *(() if latest else page.get("DeleteMarkers", ()))]:
                    ours = item["Key"] == self._key or item["Key"].startswith(f"{self._key}/{PART}")
                    if ours and (item["IsLatest"] or not latest):
                        yield item["Key"], item["VersionId"]


def place(address: str) -> Place:
    """Return the place that a person or the register names: a path, `file://host/path`, or `s3://bucket/key`.

    Raises `UsageError` if it is on another machine.
    """
    if address.startswith(S3):
        return S3Place(address)
    if not address.startswith(FILE):
        return LocalPlace(Path(address).absolute())
    parts = urlsplit(address)
    if parts.netloc != socket.gethostname():
        raise UsageError(f"{address} is on another machine: delete it there, then run `strandline exports --gone ID`.")
    return LocalPlace(Path(unquote(parts.path)))


def _files(path: Path) -> list[Path]:
    return sorted(path.iterdir()) if path.is_dir() else [path]


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
