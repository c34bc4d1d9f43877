"""All current documents of a composed projection's tables, in memory while they are few enough: looked up at once.

A composed read model is built anew from all of them, and to ask the database for each costs more than all the rest.
"""

import gc
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager

from consumer.composition import Documents, followed
from consumer.projection import ComposedProjection, Revision, Through

# As the journal has them; in memory they are some five times as large.
MOST_BYTES = 32_000_000


@contextmanager
def staying() -> Iterator[None]:
    """Python does not look through what is held, again and again, for garbage."""
    try:
        yield
    finally:
        gc.unfreeze()


class Held:
    """The documents by each field that they may be looked up by; only those that say their keys are to be added."""

    def __init__(self, projection: ComposedProjection) -> None:
        self._projection = projection
        self._lookups = projection.lookups
        self._found: dict[Through, list[Revision]] = {}
        self.named: set[str | Through] = set()

    def add(self, revisions: Iterable[Revision], named: Iterable[str | Through]) -> None:
        """Add documents, and what they name."""
        self.named.update(named)
        for revision in revisions:
            for field in self._lookups[revision.table]:
                value = revision.text(field)
                if value is not None:
                    self._found.setdefault(Through(revision.table, field, value), []).append(revision)
        gc.freeze()

    def keys(self) -> tuple[Iterator[str], int]:
        """The keys that the documents touch, in their order, and their number."""
        found = sorted(followed(self._projection, self.named, self.find))
        return iter(found), len(found)

    def get(self, wanted: Through) -> Documents:
        """Those that a look-up finds, in the order of their ids."""
        found = self._found.get(wanted, [])
        return found if len(found) < 2 else sorted(found, key=lambda revision: revision.document_id)

    def find(self, wanted: Collection[Through]) -> Mapping[Through, Documents]:
        return {one: self.get(one) for one in wanted}
