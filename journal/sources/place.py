"""Where the files of a journal lie: a folder here, a bucket in consumer/s3.py."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from strandline.journal.errors import StrandlineError


class File(Protocol):
    """Something to read; equal to another one that is the same file, and hashable."""

    @property
    def name(self) -> str:
        """Its path below the place, with slashes; its whole address where it was named by itself."""

    @property
    def size(self) -> int:
        """Bytes, as they lie."""

    def read(self) -> bytes:
        """All of it; StrandlineError where that fails. May be called from any thread."""


class Place(Protocol):
    """A folder, or what a bucket holds under a prefix."""

    @property
    def address(self) -> str:
        """As the user would name it."""

    def files(self) -> Iterator[File]:
        """Everything below it, in the order of the names."""

    def find(self, name: str) -> File | None:
        """The file of that path below it, if it is there."""


def address_of(place: Place, file: File) -> str:
    """The whole address of a file in a place."""
    return f"{place.address.rstrip('/')}/{file.name}"


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file on this machine, the same one by whatever name it was found."""

    path: Path
    name: str = field(compare=False)
    size: int = field(compare=False)

    def read(self) -> bytes:
        try:
            return self.path.read_bytes()
        except OSError as error:
            raise StrandlineError(f"{self.path}: cannot be read ({error.strerror})") from None


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder on this machine; links in it are followed."""

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
    """The file at a path, which must be there; StrandlineError where it may not be looked at."""
    try:
        resolved = path.resolve()
        return LocalFile(resolved, name, resolved.stat().st_size)
    except OSError as error:
        raise StrandlineError(f"{path}: cannot be read ({error.strerror})") from None
