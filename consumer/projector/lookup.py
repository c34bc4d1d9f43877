"""Finds documents of the journal by the text in a field, as of one position."""

from collections.abc import Collection, Mapping

from psycopg.sql import SQL, Composed

from strandline.consumer.database.connection import Connection, columns_of
from strandline.consumer.projection.definition import (
    ComposedProjection,
    KeyLookup,
    Projection,
    Revision,
    RowProjection,
)
from strandline.consumer.projector.composition import Documents
from strandline.consumer.projector.revision_reader import RevisionReader, reader_for

ENSURE_INDEX = "SELECT journal.ensure_found_by(%s::text[], %s::text[])"

# Candidates are documents that have, or had, a text of this hash; the caller checks that the document's current
# revision has the text.
FIND = """
    SELECT r.* FROM (
        SELECT DISTINCT document_id FROM journal.found_text
        WHERE table_name = %(table)s AND field = %(field)s AND text_hash = ANY (
            ARRAY(SELECT hashtextextended(value, 0) FROM unnest(%(values)s::text[]) AS value))
    ) AS candidate CROSS JOIN LATERAL (
        SELECT * FROM journal.document_version
        WHERE document_id = candidate.document_id AND sequence_no <= %(position)s
        ORDER BY version DESC LIMIT 1
    ) AS v CROSS JOIN LATERAL (
        SELECT {columns} FROM journal.revision_at(v.sequence_no, v.document_id, v.version)
    ) AS r
    WHERE r.state = 'normal'
    ORDER BY r.document_id"""

# A few documents out of very many: a planner without statistics would read the entire journal.
BY_INDEX = "SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off"


def ensure_indexes(connection: Connection, projection: Projection) -> None:
    """Let documents be found by the projection's look-ups, and people by its subjects.

    Intake waits while the texts are added the first time.
    """
    fields: list[tuple[str, str]] = []
    if isinstance(projection, ComposedProjection):
        fields = [(table, field) for table, named in projection.lookups.items() for field in named]
    elif isinstance(projection, RowProjection):
        fields = [(table, field) for table, _, field in (one.partition(".") for one in projection.subjects)]
    if fields:
        connection.execute(ENSURE_INDEX, columns_of(fields))


def find(
    connection: Connection, projection: ComposedProjection, wanted: Collection[KeyLookup], position: int
) -> Mapping[KeyLookup, Documents]:
    """Return the documents of each look-up, in the order of their ids; runs one statement a field."""
    reader = reader_for(projection)
    found: dict[KeyLookup, list[Revision]] = {one: [] for one in wanted}
    for table, field in sorted({(one.table, one.field) for one in wanted}):
        values = [one.value for one in wanted if (one.table, one.field) == (table, field)]
        parameters = {"table": table, "field": field, "values": values, "position": position}
        rows = connection.execute(_find(reader), parameters, binary=True).fetchall()
        for revision in reader.revisions(rows):
            value = revision.text(field)
            if value is not None and (documents := found.get(KeyLookup(table, field, value))) is not None:
                documents.append(revision)
    return found


def _find(reader: RevisionReader) -> Composed:
    return SQL(FIND).format(columns=reader.columns)
