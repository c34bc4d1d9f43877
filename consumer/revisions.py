"""How the journal's revisions are read for a projection: of their documents only the fields that it names.

PostgreSQL takes the fields out, so that the rest is neither sent nor made into objects.
"""

import json
from collections.abc import Sequence
from functools import cache, partial
from itertools import compress
from typing import Any

from psycopg.sql import SQL, Composable, Literal

from consumer.database import read_json
from consumer.projection import NarrowRevision, Projection, Revision, fields_read

_METADATA = "document_id, version, table_name, sequence_no, tx_id, tx_time, state, hash"
_STATE, _DATA = 6, 8  # places in a row
_FIELD = "(data -> {name})::text"
_WHOLE = "data::text"


class Reading:
    """Reads revisions with these fields of their documents; None: with all."""

    def __init__(self, fields: frozenset[str] | None) -> None:
        names = sorted(fields or ())
        # A statement that has parameters has its per cent signs twice.
        parts: list[Composable] = [SQL(_FIELD).format(name=Literal(name.replace("%", "%%"))) for name in names]
        self.columns = SQL(", ").join([SQL(_METADATA), *([SQL(_WHOLE)] if fields is None else parts)])
        """What to select from `journal.revision`."""
        self._data = slice(_DATA, _DATA + (1 if fields is None else len(names)))
        self._members = None if fields is None else [json.dumps(name).replace("%", "%%") + ":%s" for name in names]
        self._objects: dict[tuple[bool, ...], str] = {}  # by which fields there are
        self._object = "{" + ",".join(self._members or ()) + "}"
        self._make = partial(tuple.__new__, Revision if fields is None else _narrow(fields))

    def revisions(self, rows: Sequence[Sequence[Any]]) -> list[Revision]:
        """The revisions of rows that begin with `columns`."""
        return self.made(rows, self.json(rows)) if rows else []

    def json(self, rows: Sequence[Sequence[Any]]) -> str:
        """The documents of such rows, of which there are some, as an array; null where there is no data."""
        if self._members is not None:
            columns = list(zip(*rows, strict=True))
            fields = columns[self._data]
            if set(columns[_STATE]) == {"normal"} and not any(None in values for values in fields):
                return f"[{','.join(map(self._object.__mod__, zip(*fields, strict=True)))}]"
        return f"[{','.join(map(self._document, rows))}]"

    def made(self, rows: Sequence[Sequence[Any]], documents: str) -> list[Revision]:
        """The revisions of such rows and what `json` gives of them."""
        columns = list(zip(*rows, strict=True))
        return list(map(self._make, zip(*columns[: _DATA - 1], read_json(documents), columns[_DATA - 1], strict=True)))

    def _document(self, row: Sequence[Any]) -> str:
        found = row[self._data]
        if row[_STATE] != "normal":
            return "null"
        if self._members is None:
            return str(*found)
        there = tuple([text is not None for text in found])
        if there not in self._objects:
            self._objects[there] = "{" + ",".join(compress(self._members, there)) + "}"
        return self._objects[there] % tuple(compress(found, there))


def _narrow(fields: frozenset[str]) -> type[NarrowRevision]:
    return type("NarrowRevision", (NarrowRevision,), {"__slots__": (), "of": fields})


@cache
def _reading(fields: frozenset[str] | None) -> Reading:
    return Reading(fields)


def read_for(projection: Projection) -> Reading:
    """How revisions are read for the projection."""
    return _reading(fields_read(projection))
