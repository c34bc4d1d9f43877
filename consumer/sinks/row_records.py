"""The record of the rows that a generation has outside the database, and of the versions it wrote them with.

A row is recorded, and that is committed, before it is sent (in a first fill with what was sent, for one that is cut off
is dropped whole); it is forgotten in the transaction that moves the position.
So is a composed key whose rows are written: one that is still there was begun by a batch that came to nothing.
"""

from collections.abc import Collection, Iterable
from typing import Any, LiteralString, NamedTuple

import psycopg
from psycopg.sql import SQL, Composed

from strandline.consumer.sinks import record_tables
from strandline.consumer.sinks.contract import Summary
from strandline.consumer.sinks.record_tables import OUTSIDE_ROW

Connection = psycopg.Connection[tuple[Any, ...]]

# A version says where the position was, then which of the writes at that position it was.
VERSIONS_A_POSITION = 1 << 20

NEXT_VERSION = """
    WITH gone AS (DELETE FROM projection.outside_summary WHERE generation = %(generation)s)
    INSERT INTO projection.outside_version AS last (generation, version)
    SELECT generation, %(least)s FROM projection.generation WHERE generation = %(generation)s AND token = %(token)s
    ON CONFLICT (generation) DO UPDATE SET version = greatest(last.version + 2, excluded.version)
    RETURNING version"""
FIND_DOCUMENTS = "SELECT document, version, row_id FROM {record} WHERE document = ANY(%s)"
FIND_VERSIONS = """
    SELECT document, version, row_id FROM {record}
    JOIN unnest(%s::text[], %s::bigint[]) AS wanted (document, version) USING (document, version)"""
ADD = """
    INSERT INTO {record} (generation, document, version, row_id)
    SELECT %s, * FROM unnest(%s::text[], %s::bigint[], %s::text[]) ON CONFLICT DO NOTHING"""
COUNT = "SELECT count(*) FROM {record}"
COPY = "COPY {record} (generation, document, version, row_id) FROM STDIN (FORMAT binary)"
TYPES = ("bigint", "text", "bigint", "text")
# What a redaction removes is counted for its receipt, once.
COUNT_PURGED = """
    INSERT INTO projection.purge (generation, document_id, version, rows)
    SELECT %s, gone.document, gone.version, count(*)
    FROM unnest(%s::text[], %s::bigint[]) AS gone (document, version)
    JOIN journal.redaction d ON d.document_id = gone.document AND d.version = gone.version
    GROUP BY gone.document, gone.version
    ON CONFLICT (generation, document_id, version) DO NOTHING"""
FORGET = """
    DELETE FROM {record} AS kept
    USING unnest(%s::text[], %s::bigint[], %s::text[]) AS gone (document, version, row_id)
    WHERE (kept.document, kept.version, kept.row_id) = (gone.document, gone.version, gone.row_id)"""

BEGIN_KEYS = """
    INSERT INTO projection.outside_key (generation, key) SELECT %s, * FROM unnest(%s::text[]) ON CONFLICT DO NOTHING"""
READ_KEYS = "SELECT key FROM projection.outside_key WHERE generation = %s"
SETTLE_KEYS = "DELETE FROM projection.outside_key WHERE generation = %s"
READ_SUMMARY = "SELECT state, rows, digest FROM projection.outside_summary WHERE generation = %s"
NOTE_SUMMARY = """
    INSERT INTO projection.outside_summary (generation, state, rows, digest) VALUES (%s, %s, %s, %s)
    ON CONFLICT (generation) DO UPDATE
    SET state = excluded.state, rows = excluded.rows, digest = excluded.digest"""


class Source(NamedTuple):
    """A row and the revision that it comes from; of a block '' and its number, of a composed key its hash and 0."""

    document: str
    version: int
    row_id: str


def next_version(connection: Connection, generation: int, token: int, position: int) -> int | None:
    """Two versions, this and the one above it, higher than all that the generation was written with.

    What its rows were summed up to is forgotten. None where the lease is another's by now.
    """
    parameters = {"generation": generation, "token": token, "least": position * VERSIONS_A_POSITION}
    row = connection.execute(NEXT_VERSION, parameters).fetchone()
    return int(row[0]) if row else None


def of_documents(connection: Connection, generation: int, documents: Collection[str]) -> list[Source]:
    """The rows that come from any version of these documents."""
    return [Source(*row) for row in connection.execute(_of(FIND_DOCUMENTS, generation), [list(documents)])]


def of_versions(connection: Connection, generation: int, versions: Collection[tuple[str, int]]) -> list[Source]:
    """The rows that come from exactly these (document, version)s."""
    return [Source(*row) for row in connection.execute(_of(FIND_VERSIONS, generation), _columns(versions, 2))]


def count(connection: Connection, generation: int) -> int:
    """How many rows there are."""
    (rows,) = connection.execute(_of(COUNT, generation)).fetchone() or (0,)
    return int(rows)


def add(connection: Connection, generation: int, sources: Collection[Source]) -> None:
    """Record rows to come; what is recorded already stays."""
    connection.execute(_of(ADD, generation), [generation, *_columns(sources, 3)])


def add_first(connection: Connection, generation: int, sources: Iterable[Source]) -> None:
    """Record rows to come of sources that have none yet."""
    with connection.cursor() as cursor, cursor.copy(_of(COPY, generation)) as copy:
        copy.set_types(TYPES)
        for source in sources:
            copy.write_row((generation, *source))


def index_first(connection: Connection, generation: int) -> None:
    """Index the record, after all of a first fill was added."""
    record_tables.index(connection, OUTSIDE_ROW, generation)


def count_purged(connection: Connection, generation: int, sources: Iterable[Source]) -> None:
    """Note how many rows of redacted revisions are to go."""
    connection.execute(COUNT_PURGED, [generation, *_columns([source[:2] for source in sources], 2)])


def forget(connection: Connection, generation: int, sources: Collection[Source]) -> None:
    """Take rows that are gone out of the record."""
    if sources:
        connection.execute(_of(FORGET, generation), _columns(sources, 3))


def begin_keys(connection: Connection, generation: int, keys: Collection[str]) -> None:
    """Composed keys whose rows are about to be written."""
    connection.execute(BEGIN_KEYS, [generation, list(keys)])


def unsettled_keys(connection: Connection, generation: int) -> set[str]:
    """Composed keys that were begun and not settled."""
    return {key for (key,) in connection.execute(READ_KEYS, [generation])}


def settle_keys(connection: Connection, generation: int) -> None:
    """All keys that were begun are as they are to be."""
    connection.execute(SETTLE_KEYS, [generation])


def summed_up(connection: Connection, generation: int) -> tuple[str, Summary] | None:
    """The state of the generation's index in which its rows were summed up last, and to what."""
    row = connection.execute(READ_SUMMARY, [generation]).fetchone()
    return (row[0], (int(row[1]), int(row[2]))) if row else None


def note_summary(connection: Connection, generation: int, state: str, summary: Summary) -> None:
    """What its rows are summed up to while its index is in this state; by whoever has its lease."""
    connection.execute(NOTE_SUMMARY, [generation, state, *summary])


def _of(statement: LiteralString, generation: int) -> Composed:
    return SQL(statement).format(record=record_tables.table(OUTSIDE_ROW, generation))


def _columns(rows: Iterable[tuple[Any, ...]], count: int) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)] or [[] for _ in range(count)]
