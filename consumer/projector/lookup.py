"""Documents of the journal, found by the text in a field, as they were at one position."""

from collections.abc import Collection, Mapping
from typing import Any

import psycopg
from psycopg.sql import SQL, Composed, Literal

from strandline.consumer.projection.definition import ComposedProjection, KeyLookup, Revision
from strandline.consumer.projector.composition import Documents
from strandline.consumer.projector.revision_reader import Reading, read_for

Connection = psycopg.Connection[tuple[Any, ...]]

ENSURE_INDEX = "SELECT journal.ensure_found_by(%s, %s)"

# Table and field are written out, as the index has them: with parameters the planner could not tell that it fits. The
# index leads to any revision that had the text's hash; whether the document's current one has the text is asked of it.
FIND = """
    SELECT r.* FROM (
        SELECT DISTINCT document_id FROM journal.revision
        WHERE table_name = {table} AND sequence_no <= %(position)s AND hashtextextended(data ->> {field}, 0) = ANY (
            ARRAY(SELECT hashtextextended(value, 0) FROM unnest(%(values)s::text[]) AS value))
    ) AS candidate CROSS JOIN LATERAL (
        SELECT {columns} FROM journal.revision
        WHERE document_id = candidate.document_id AND sequence_no <= %(position)s
        ORDER BY version DESC LIMIT 1
    ) AS r
    WHERE r.state = 'normal'
    ORDER BY r.document_id"""

# A few documents out of very many: a planner without statistics would rather read the whole journal.
BY_INDEX = "SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off"


def ensure_indexes(connection: Connection, projection: ComposedProjection) -> None:
    """Make the indexes of the projection's look-ups that are not there yet; intake waits meanwhile."""
    for table, fields in projection.lookups.items():
        for field in fields:
            connection.execute(ENSURE_INDEX, [table, field])


def find(
    connection: Connection, projection: ComposedProjection, wanted: Collection[KeyLookup], position: int
) -> Mapping[KeyLookup, Documents]:
    """The documents of each look-up, in the order of their ids: one statement for all of a field."""
    read = read_for(projection)
    found: dict[KeyLookup, list[Revision]] = {one: [] for one in wanted}
    for table, field in sorted({(one.table, one.field) for one in wanted}):
        values = [one.value for one in wanted if (one.table, one.field) == (table, field)]
        parameters = {"values": values, "position": position}
        rows = connection.execute(_find(read, table, field), parameters, binary=True).fetchall()
        for revision in read.revisions(rows):
            value = revision.text(field)
            if value is not None and (documents := found.get(KeyLookup(table, field, value))) is not None:
                documents.append(revision)
    return found


def _find(read: Reading, table: str, field: str) -> Composed:
    table, field = (name.replace("%", "%%") for name in (table, field))  # it is written where parameters are looked for
    return SQL(FIND).format(columns=read.columns, table=Literal(table), field=Literal(field))
