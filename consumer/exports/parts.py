"""The files of an export: one, or several in a folder with so many rows each."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol, TypeVar

from strandline.consumer.exports.place import PART

T_contra = TypeVar("T_contra", contravariant=True)


class Writer(Protocol[T_contra]):
    """One open file."""

    def write(self, chunk: T_contra) -> None: ...

    def close(self) -> None: ...


class Parts:
    """Names the files: `path` itself, or `path/part-00000.SUFFIX` and so on if `rows` limits the rows of each."""

    def __init__(self, path: Path, suffix: str, rows: int | None) -> None:
        self._path = path
        self._suffix = suffix
        self.rows = rows
        self._count = 0

    def next(self) -> Path:
        """Create the next file, for its owner alone: it may hold personal data."""
        path = self._path
        if self.rows is not None:
            self._path.mkdir(mode=0o700, exist_ok=True)
            path /= f"{PART}{self._count:05d}{self._suffix}"
        self._count += 1
        path.touch(mode=0o600)
        return path


def write_all(
    parts: Parts, open_file: Callable[[Path], Writer[T_contra]], chunks: Iterable[tuple[T_contra, int]]
) -> int:
    """Write chunks, each with its number of rows; begins another file when one is full. Returns the number of rows.

    A chunk is never divided: the caller makes none with more rows than a file may have.
    """
    total = in_file = 0
    writer = open_file(parts.next())
    try:
        for chunk, rows in chunks:
            if parts.rows is not None and in_file and in_file + rows > parts.rows:
                writer.close()
                writer, in_file = open_file(parts.next()), 0
            writer.write(chunk)
            in_file += rows
            total += rows
    finally:
        writer.close()
    return total
