"""The storage that holds a journal's files: a local folder here, a bucket in consumer/intake/s3.py."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from strandline.journal.errors import StrandlineError


class File(Protocol):
    """A readable file; hashable, and equal to another object for the same file."""

    @property
    def name(self) -> str:
        """Its path below the place, with slashes; its full address if the user named the file itself."""

    @property
    def size(self) -> int:
        """Bytes, as stored."""

    @property
    def address(self) -> str:
        """The address under which the same file is found from any folder."""

    @property
    def version(self) -> str:
        """Whatever changes when the contents do: the time of the last change, or an ETag."""

    def read(self) -> bytes:
        """Return the contents; raises StrandlineError if that fails. Safe to call from any thread."""


class Place(Protocol):
    """A folder, or a bucket's contents under a prefix."""

    @property
    def address(self) -> str:
        """The name that the user would give."""

    def files(self) -> Iterator[File]:
        """Yield all files below it, sorted by name."""

    def find(self, name: str) -> File | None:
        """Return the file with that path below it, or None."""


def address_of(place: Place, file: File) -> str:
    """Return the full address of a file in a place."""
    return f"{place.address.rstrip('/')}/{file.name}"


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A local file; equal to itself under any other name."""

    path: Path
    name: str = field(compare=False)
    size: int = field(compare=False)
    version: str = field(compare=False)

    @property
    def address(self) -> str:
        return str(self.path)

    def read(self) -> bytes:
        try:
            return self.path.read_bytes()
        except OSError as error:
            raise StrandlineError(f"{self.path}: cannot be read ({error.strerror})") from None


@dataclass(frozen=True, slots=True)
class Folder:
    """A local folder; links in it are followed."""

    path: Path

    @property
    def address(self) -> str:
        return str(self.path)

    def files(self) -> Iterator[LocalFile]:
        names = sorted(path.relative_to(self.path).as_posix() for path in self.path.rglob("*") if path.is_file())
        return (local_file(self.path / name, name) for name in names)

    def find(self, name: str) -> LocalFile | None:
        path = self.path / name
        try:
            return local_file(path, name) if path.is_file() else None
        except OSError:  # a name that no file can have
            return None


def local_file(path: Path, name: str) -> LocalFile:
    """Return the file at an existing path. Raises StrandlineError if it is not accessible."""
    try:
        resolved = path.resolve()
        found = resolved.stat()
        return LocalFile(resolved, name, found.st_size, str(found.st_mtime_ns))
    except OSError as error:
        raise StrandlineError(f"{path}: cannot be read ({error.strerror})") from None
