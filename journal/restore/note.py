"""The note that a restored copy carries: what came as JSON and has its types again, by table, and what holds out.

It is the restoring program's word; no hash covers it. The blocks themselves are verified without it.
"""

import json
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from strandline.journal.errors import UnreadableError
from strandline.journal.sources.source import NOTE, Source

_MOST_BYTES = 4 * 1024 * 1024


class Note(NamedTuple):
    """Revisions lifted by table, and (table, field) that hold out, with the number of documents."""

    lifted: Counter[str]
    held_out: Counter[tuple[str, str]]


def write_note(note: Note) -> bytes:
    """Return the file's bytes."""
    value = {
        "lifted": dict(sorted(note.lifted.items())),
        "held_out": [[table, field, number] for (table, field), number in sorted(note.held_out.items())],
    }
    return f"{json.dumps(value, ensure_ascii=False, indent=2)}\n".encode("utf-8", "backslashreplace")


def read_note(data: bytes) -> Note:
    """Read a note. Raises UnreadableError."""
    try:
        if len(data) > _MOST_BYTES:
            raise ValueError
        value = json.loads(data)
        lifted = Counter({str(table): _count(number) for table, number in value["lifted"].items()})
        fields = Counter({(str(table), str(field)): _count(number) for table, field, number in value["held_out"]})
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise UnreadableError(f"not a note of a restoration ({NOTE})") from None
    return Note(lifted, fields)


def notes_of(sources: Iterable[Source]) -> Note | None:
    """Return the sum of the notes that sources have; None without one. Raises UnreadableError."""
    files = {source.note for source in sources if source.note is not None}
    if not files:
        return None
    total = Note(Counter(), Counter())
    for note in (read_note(file.read()) for file in files):
        total.lifted.update(note.lifted)
        total.held_out.update(note.held_out)
    return total


def _count(value: object) -> int:
    if type(value) is not int or not 0 <= value < 2**53:
        raise ValueError
    return value
