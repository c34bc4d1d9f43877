"""All current documents of a composed projection's tables, in memory, by the fields that they are looked up by.

A composed read model is rebuilt from all of them: to ask the database for each costs more than everything else.
"""

from collections.abc import Iterable
from operator import attrgetter

from strandline.consumer.projection.definition import ComposedProjection, Revision
from strandline.consumer.projector.composition import Documents, Names

_DOCUMENT_ID = attrgetter("document_id")


class DocumentCache:
    """The documents that name their keys, and the `keys` that they name.

    A document that names keys by a look-up is found by that look-up itself: all documents are here.
    """

    def __init__(self, projection: ComposedProjection) -> None:
        self._fields: dict[str, list[tuple[str, dict[str, list[Revision]]]]] = {
            table: [(field, {}) for field in fields] for table, fields in projection.lookups.items()
        }
        self._found = {(table, field): found for table, fields in self._fields.items() for field, found in fields}
        self.keys: set[str] = set()

    def add(self, revisions: Iterable[Revision], names: Names) -> None:
        """Add documents, and what they name."""
        self.keys.update(one for one in names if isinstance(one, str))
        for revision in revisions:
            for field, found in self._fields[revision.table]:
                value = revision.text(field)
                if value is not None:
                    found.setdefault(value, []).append(revision)

    def get(self, table: str, field: str, value: str) -> Documents | None:
        """Return the documents of a look-up, in the order of their ids; None if its field is not declared."""
        by_value = self._found.get((table, field))
        if by_value is None:
            return None
        found = by_value.get(value, ())
        return found if len(found) < 2 else sorted(found, key=_DOCUMENT_ID)
