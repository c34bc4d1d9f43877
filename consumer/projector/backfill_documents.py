"""All current documents of a composed projection's tables, in memory while they are few enough: looked up at once.

A composed read model is built anew from all of them, and to ask the database for each costs more than all the rest.
"""

import gc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from operator import attrgetter

from strandline.consumer.projection.definition import ComposedProjection, KeyLookup, Revision
from strandline.consumer.projector.composition import Documents

# As the journal has them; in memory they are some five times as large.
MOST_BYTES = 32_000_000
_DOCUMENT_ID = attrgetter("document_id")


@contextmanager
def staying() -> Iterator[None]:
    """Python does not look through what is held, again and again, for garbage."""
    try:
        yield
    finally:
        gc.unfreeze()


class DocumentCache:
    """The documents by each field that they may be looked up by; only those that say their keys are to be added."""

    def __init__(self, projection: ComposedProjection) -> None:
        self._fields: dict[str, list[tuple[str, dict[str, list[Revision]]]]] = {
            table: [(field, {}) for field in fields] for table, fields in projection.lookups.items()
        }
        self._found = {(table, field): found for table, fields in self._fields.items() for field, found in fields}
        self.named: set[str | KeyLookup] = set()

    def add(self, revisions: Iterable[Revision], named: Iterable[str | KeyLookup]) -> None:
        """Add documents, and what they name."""
        self.named.update(named)
        for revision in revisions:
            for field, found in self._fields[revision.table]:
                value = revision.text(field)
                if value in found:
                    found[value].append(revision)
                elif value is not None:
                    found[value] = [revision]
        gc.freeze()

    def clear(self) -> None:
        """Let all of them go, one after the other, so that other threads come in between."""
        for found in self._found.values():
            while found:
                found.popitem()

    def keys(self) -> tuple[Iterator[str], int]:
        """The keys that the documents touch, in their order, and their number.

        All documents are here: those by which keys are found, too, and what they name.
        """
        found = sorted([one for one in self.named if isinstance(one, str)])
        return iter(found), len(found)

    def get(self, table: str, field: str, value: str) -> Documents | None:
        """Those that a look-up finds, in the order of their ids; None where it is of a field that is not declared."""
        by_value = self._found.get((table, field))
        if by_value is None:
            return None
        found = by_value.get(value, ())
        return found if len(found) < 2 else sorted(found, key=_DOCUMENT_ID)
