"""What the redactions of a simulated journal erased, and whether any of it is still, or again, to be found."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from strandline.journal.decode import stream
from strandline.journal.ion import values as ion
from tests.consumer.erasure.dump import relations_with

_TELLING = 6  # characters from which on a string is hardly found by chance


def erased_strings(journal: Path) -> list[str]:
    """Strings that stand in revisions as streamed when written, and in none as exported last (journal.simulate). An id
    is no personal data, though it may stand in some."""
    written = {string for data in _streamed(journal / "stream") for string in _strings(data)}
    kept = "\n".join({string for data in _exported(journal / "full") for string in _strings(data)})
    return sorted(string for string in written if len(string) >= _TELLING and string not in kept)


def resurrected(url: str, erased: list[str]) -> int:
    """How many of them (of made-up people) stand in a database, wherever; says where."""
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
