"""Reads the journal's revisions for a projection: of their documents only the fields that it names.

PostgreSQL extracts the fields, so that the rest is neither sent nor decoded. A document is sent as one text, which
costs less than a column a field.
"""

import json
from collections.abc import Sequence
from functools import cache, partial
from typing import Any

from psycopg.sql import SQL, Composable, Literal

from strandline.consumer.database.connection import read_json
from strandline.consumer.projection.definition import NarrowRevision, Projection, Revision, fields_read

_METADATA = "document_id, version, table_name, sequence_no, tx_id, tx_time, state, hash"
_STATE, _DATA = 6, 8  # places in a row
_FIELD = "{label} || (data -> {name})::text"
# A field that a document lacks is NULL, and left out.
_NAMED = "'{{' || array_to_string(ARRAY[{fields}]::text[], ',') || '}}'"
_WHOLE = "data::text"


class RevisionReader:
    """Reads revisions with these fields of their documents; with all if None."""

    def __init__(self, fields: frozenset[str] | None) -> None:
        names = sorted(fields or ())
        parts: list[Composable] = [
            SQL(_FIELD).format(label=_literal(json.dumps(name) + ":"), name=_literal(name)) for name in names
        ]
        data = SQL(_WHOLE) if fields is None else SQL(_NAMED).format(fields=SQL(", ").join(parts))
        self.columns = SQL(", ").join([SQL(_METADATA), data])
        """The columns to select from `journal.revision`."""
        self._make = partial(tuple.__new__, Revision if fields is None else _narrow(fields))

    def revisions(self, rows: Sequence[Sequence[Any]]) -> list[Revision]:
        """Return the revisions of rows that begin with `columns`."""
        return self.make(rows, self.json(rows)) if rows else []

    def json(self, rows: Sequence[Sequence[Any]]) -> str:
        """Return the documents of at least one such row as a JSON array; null for a revision without data."""
        return f"[{','.join([row[_DATA] if row[_STATE] == 'normal' else 'null' for row in rows])}]"

    def make(self, rows: Sequence[Sequence[Any]], documents: str) -> list[Revision]:
        """Return the revisions of such rows and of their `json`."""
        columns = list(zip(*rows, strict=True))
        return list(map(self._make, zip(*columns[: _DATA - 1], read_json(documents), columns[_DATA - 1], strict=True)))


def _literal(text: str) -> Literal:
    """Double the per cent signs: the statement has parameters."""
    return Literal(text.replace("%", "%%"))


def _narrow(fields: frozenset[str]) -> type[NarrowRevision]:
    return type("NarrowRevision", (NarrowRevision,), {"__slots__": (), "of": fields})


@cache
def _reader(fields: frozenset[str] | None) -> RevisionReader:
    return RevisionReader(fields)


def narrow(projection: Projection, revision: Revision) -> Revision:
    """Return a revision as it is read for the projection: with no other fields than those that it names."""
    fields = fields_read(projection)
    if fields is None:
        return revision
    data = revision.data and {name: value for name, value in revision.data.items() if name in fields}
    return _narrow(fields)._make(revision._replace(data=data))


def reader_for(projection: Projection) -> RevisionReader:
    """Return the reader of the fields that the projection names."""
    return _reader(fields_read(projection))
