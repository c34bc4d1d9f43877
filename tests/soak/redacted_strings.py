"""Strings that the redactions of a simulated journal erased, and a search for them in a database."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from strandline.journal.decode import stream
from strandline.journal.ion import values as ion
from tests.consumer.erasure.dump import relations_with

_SHORTEST = 6  # characters; a shorter string may occur by chance


def redacted_strings(journal: Path) -> list[str]:
    """Return strings of revisions as streamed when written that no revision of the last export has (journal.simulate).
    An id is not personal data, though some contain it."""
    written = {string for data in _streamed(journal / "stream") for string in _strings(data)}
    kept = "\n".join({string for data in _exported(journal / "full") for string in _strings(data)})
    return sorted(string for string in written if len(string) >= _SHORTEST and string not in kept)


def resurrected(url: str, erased: list[str]) -> int:
    """Return how many of them are anywhere in a database; prints where. The people are simulated."""
    found = relations_with(url, erased)
    for relation, strings in found.items():
        sys.stderr.write(f"in {relation}: {sorted(strings)}\n")
    return len(set[str]().union(*found.values()))


def _streamed(folder: Path) -> Iterator[Any]:
    for file in folder.iterdir():
        for user_record in stream.deaggregate(file.read_bytes()):
            for record in ion.read(user_record):
                if record["recordType"] == "REVISION_DETAILS":
                    yield record["payload"]["revision"].get("data")


def _exported(folder: Path) -> Iterator[Any]:
    for file in folder.rglob("*.ion"):
        for block in ion.read(file.read_bytes()):
            for revision in block.get("revisions") or ():
                yield from (revision.get("data"), revision.get("metadata"))


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield str(value)
    elif isinstance(value, dict):
        for member in value.values():
            yield from _strings(member)
    elif isinstance(value, list):
        for member in value:
            yield from _strings(member)
