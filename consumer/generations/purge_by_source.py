"""Generations whose definition is gone: no code can fill them, but what is redacted is purged from them, by source."""

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg.sql import SQL, Identifier

from strandline.consumer.projection.definition import Projection
from strandline.consumer.projection.fingerprint import fingerprint

Connection = psycopg.Connection[tuple[Any, ...]]

READ_UNFILLED = """
    SELECT generation, relation, position, clean_no FROM projection.generation
    WHERE projection = %s AND fingerprint <> %s AND state <> 'building' AND store = 'postgresql'
      AND clean_no < (SELECT sequence_no FROM journal.mark)
    ORDER BY generation FOR NO KEY UPDATE"""
READ_MARK = "SELECT sequence_no FROM journal.mark"
READ_ERASED = """
    SELECT document_id, version FROM journal.redaction
    WHERE redacted_by > %(after)s AND redacted_by <= %(last)s AND sequence_no <= %(position)s"""
HAS_KEYS = """
    SELECT EXISTS (SELECT FROM pg_attribute WHERE attrelid = %s::regclass AND attname = 'source_key' AND attnum > 0)"""
PURGE = """
    DELETE FROM {table} kept USING unnest(%(documents)s::text[], %(versions)s::bigint[]) AS gone (document, version)
    WHERE kept.source_document = gone.document AND kept.source_version = gone.version"""
FORGET_KEYS = """
    DELETE FROM projection.source WHERE generation = %(generation)s AND key IN (
        SELECT key FROM projection.source
        JOIN unnest(%(documents)s::text[], %(versions)s::bigint[]) AS gone (document, erased)
            ON document_id = document AND version = erased
        WHERE generation = %(generation)s)
    RETURNING key"""
PURGE_KEYS = f"""
    WITH reached AS ({FORGET_KEYS})
    DELETE FROM {{table}} WHERE source_key IN (SELECT key FROM reached)"""
MOVE = "UPDATE projection.generation SET purged_no = %s WHERE generation = %s"


def purge(connection: Connection, projection: Projection) -> None:
    """Purge, up to the mark, the projection's generations that another definition filled; nothing where there is none.

    A row goes whole, and of a composed projection all rows of the key: there is no code to make them anew.
    """
    with connection.transaction():
        for generation, relation, position, after in connection.execute(
            READ_UNFILLED, [projection.name, fingerprint(projection)]
        ).fetchall():
            (last,) = connection.execute(READ_MARK).fetchone() or (after,)
            between = {"after": after, "last": last, "position": position}
            if erased := connection.execute(READ_ERASED, between).fetchall():
                _purge(connection, generation, relation, erased)
            connection.execute(MOVE, [last, generation])


def _purge(connection: Connection, generation: int, relation: str, erased: Sequence[tuple[str, int]]) -> None:
    table = Identifier("generation", relation)
    parameters = {
        "generation": generation,
        "documents": [one[0] for one in erased],
        "versions": [one[1] for one in erased],
    }
    composed = connection.execute(HAS_KEYS, [table.as_string(connection)]).fetchone() == (True,)
    connection.execute(SQL(PURGE_KEYS if composed else PURGE).format(table=table), parameters)
