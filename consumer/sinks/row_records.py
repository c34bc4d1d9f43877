"""The record of a generation's rows outside the database, and of the versions they were written with.

A row is recorded, and the record committed, before it is sent; it is deleted from the record in the transaction that
moves the position. The same holds for a composed key whose rows are written: one on record was begun by a batch that
failed. A backfill is recorded in its own transaction: an index whose backfill fails is dropped.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Any, LiteralString, NamedTuple

from psycopg.sql import SQL, Composed

from strandline.consumer.database.connection import Connection
from strandline.consumer.sinks import record_tables
from strandline.consumer.sinks.contract import Key
from strandline.consumer.sinks.record_tables import OUTSIDE_ROW

# A version is the position, then the number of the write at that position.
VERSIONS_A_POSITION = 1 << 20

NEXT_VERSION = """
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
# As in record_tables: each revision is looked up by itself.
RECORDED = """
    SELECT document, version FROM unnest(%s::text[], %s::bigint[]) AS wanted (document, version)
    WHERE (
        SELECT true FROM projection.outside_row o
        WHERE o.document = wanted.document AND o.version = wanted.version AND o.generation = %s LIMIT 1
    ) IS NOT NULL"""
COUNT = "SELECT count(*) FROM {record}"
COPY = "COPY {record} (generation, document, version, row_id) FROM STDIN (FORMAT binary)"
TYPES = ("bigint", "text", "bigint", "text")
# A receipt names how many rows a redaction removed; they are counted once.
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


class Source(NamedTuple):
    """A row and its revision: of a block '' and its number, of a composed key its hash and 0."""

    document: str
    version: int
    row_id: str


def next_version(connection: Connection, generation: int, token: int, position: int) -> int | None:
    """Return a version; it and the next are higher than all versions that the generation was written with.

    Returns None if another projector has the lease.
    """
    parameters = {"generation": generation, "token": token, "least": position * VERSIONS_A_POSITION}
    row = connection.execute(NEXT_VERSION, parameters).fetchone()
    return int(row[0]) if row else None


def of_documents(connection: Connection, generation: int, documents: Collection[str]) -> list[Source]:
    """Return the rows that come from any version of these documents."""
    return [Source(*row) for row in connection.execute(_of(FIND_DOCUMENTS, generation), [list(documents)])]


def of_versions(connection: Connection, generation: int, versions: Collection[tuple[str, int]]) -> list[Source]:
    """Return the rows that come from exactly these revisions."""
    return [Source(*row) for row in connection.execute(_of(FIND_VERSIONS, generation), _columns(versions, 2))]


def recorded(connection: Connection, generation: int, keys: Sequence[Key]) -> list[Key]:
    """Return those of the revisions that a row of the generation comes from, as far as the records say."""
    rows = connection.execute(RECORDED, [*_columns(keys, 2), generation]).fetchall()
    return list({*rows, *record_tables.recorded_keys(connection, generation, keys)})


def count(connection: Connection, generation: int) -> int:
    """Return the number of rows."""
    (rows,) = connection.execute(_of(COUNT, generation)).fetchone() or (0,)
    return int(rows)


def add(connection: Connection, generation: int, sources: Collection[Source]) -> None:
    """Record rows that are about to be sent; those already on record stay."""
    connection.execute(_of(ADD, generation), [generation, *_columns(sources, 3)])


def add_first(connection: Connection, generation: int, sources: Iterable[Source]) -> None:
    """Record rows of sources that have none on record."""
    with connection.cursor() as cursor, cursor.copy(_of(COPY, generation)) as copy:
        copy.set_types(TYPES)
        for source in sources:
            copy.write_row((generation, *source))


def index_first(connection: Connection, generation: int) -> None:
    """Index the record, after a backfill."""
    record_tables.index(connection, OUTSIDE_ROW, generation)


def count_purged(connection: Connection, generation: int, sources: Iterable[Source]) -> None:
    """Count the rows of redacted revisions that are about to be deleted."""
    connection.execute(COUNT_PURGED, [generation, *_columns([source[:2] for source in sources], 2)])


def forget(connection: Connection, generation: int, sources: Collection[Source]) -> None:
    """Delete rows from the record."""
    if sources:
        connection.execute(_of(FORGET, generation), _columns(sources, 3))


def begin_keys(connection: Connection, generation: int, keys: Collection[str]) -> None:
    """Record composed keys whose rows are about to be written."""
    connection.execute(BEGIN_KEYS, [generation, list(keys)])


def unsettled_keys(connection: Connection, generation: int) -> set[str]:
    """Return composed keys that were begun and not settled."""
    return {key for (key,) in connection.execute(READ_KEYS, [generation])}


def settle_keys(connection: Connection, generation: int) -> None:
    """Delete the record of begun keys: all are written."""
    connection.execute(SETTLE_KEYS, [generation])


def _of(statement: LiteralString, generation: int) -> Composed:
    return SQL(statement).format(record=record_tables.table(OUTSIDE_ROW, generation))


def _columns(rows: Iterable[tuple[Any, ...]], count: int) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)] or [[] for _ in range(count)]
