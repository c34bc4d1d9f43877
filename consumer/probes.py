"""Looking for redacted data where it must no longer be: in the journal, and in each read model of PostgreSQL."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

import psycopg
from psycopg.sql import SQL, Identifier
from psycopg.types.json import Jsonb

from consumer.erasure import erased_info
from consumer.projection import BlockProjection, ComposedProjection, Projection, Revision, RowProjection, fingerprint
from consumer.sinks.sql_rows import RowCheck

Connection = psycopg.Connection[tuple[Any, ...]]
Key = tuple[str, int]  # document, version

READ_DATA = """
    SELECT r.document_id, r.version FROM journal.revision r
    JOIN unnest(%s::text[], %s::bigint[]) AS erased (document_id, version) USING (document_id, version)
    WHERE r.state = 'normal' OR r.data IS NOT NULL OR r.data_ion IS NOT NULL"""
READ_TEXTS = """
    SELECT DISTINCT b.sequence_no, b.level, b.transaction_info, b.entries_hashes
    FROM journal.block b JOIN journal.redaction d USING (sequence_no)
    JOIN unnest(%s::text[], %s::bigint[]) AS erased (document_id, version) USING (document_id, version)
    WHERE b.transaction_info IS NOT NULL AND b.sequence_no <= (SELECT sequence_no FROM journal.mark)"""
READ_KEYS_OF_BLOCKS = "SELECT document_id, version FROM journal.redaction WHERE sequence_no = ANY (%s)"
READ_GENERATIONS = """
    SELECT generation, projection, relation, fingerprint, store FROM projection.generation ORDER BY generation"""
READ_SOURCES = """
    SELECT DISTINCT document_id, version FROM projection.source
    JOIN unnest(%s::text[], %s::bigint[]) AS erased (document_id, version) USING (document_id, version)
    WHERE generation = %s"""
READ_OUTSIDE = """
    SELECT DISTINCT o.document, o.version FROM projection.outside_row o
    JOIN unnest(%s::text[], %s::bigint[]) AS erased (document, version) USING (document, version)
    WHERE o.generation = %s"""
READ_ROWS = """
    SELECT source_document, source_version, {columns} FROM {table}
    JOIN unnest(%s::text[], %s::bigint[]) AS erased (document_id, version)
        ON source_document = document_id AND source_version = version"""
READ_REVISIONS = """
    SELECT document_id, version, table_name, sequence_no, tx_id, tx_time, state, data, hash FROM journal.revision
    JOIN unnest(%s::text[], %s::bigint[]) AS erased (document_id, version) USING (document_id, version)"""

JOURNAL = "the journal"


class Found(NamedTuple):
    """Something of a redacted revision that is there still: where, by the name of a read model."""

    where: str
    document_id: str
    version: int


@dataclass(frozen=True)
class _Generation:
    generation: int
    projection: str
    relation: str
    fingerprint: str
    store: str


def probe(connection: Connection, projections: Mapping[str, Projection], keys: Sequence[Key]) -> Iterator[Found]:
    """What is there still of redacted revisions, in the journal and the read models, in the caller's transaction.

    Of what is in OpenSearch, the rows that are recorded as sent there. A generation whose definition is gone is not
    asked: nobody can tell which of its rows hold data.
    """
    columns = [list(column) for column in zip(*keys, strict=True)] or [[], []]
    for document_id, version in {*connection.execute(READ_DATA, columns), *_with_texts(connection, columns)}:
        yield Found(JOURNAL, document_id, version)
    for row in connection.execute(READ_GENERATIONS).fetchall():
        generation = _Generation(*row)
        projection = projections.get(generation.projection)
        if projection is not None:
            for document_id, version in _in_generation(connection, projection, generation, columns):
                yield Found(f"{projection.name}, generation {generation.generation}", document_id, version)


def _with_texts(connection: Connection, columns: list[list[Any]]) -> list[Key]:
    """Redactions whose block says literals still."""
    rows = connection.execute(READ_TEXTS, columns).fetchall()
    numbers = [number for number, *block in rows if erased_info(block[1], block[0], block[2]) is not None]
    return connection.execute(READ_KEYS_OF_BLOCKS, [numbers]).fetchall() if numbers else []


def _in_generation(
    connection: Connection, projection: Projection, generation: _Generation, columns: list[list[Any]]
) -> list[Key]:
    if isinstance(projection, BlockProjection) or generation.fingerprint != fingerprint(projection):
        return []
    if isinstance(projection, ComposedProjection):
        return connection.execute(READ_SOURCES, [*columns, generation.generation]).fetchall()
    names = [column.name for column in projection.columns]
    if generation.store != "postgresql":
        held = connection.execute(READ_OUTSIDE, [*columns, generation.generation]).fetchall()
        return held if projection.keeps == "current" else []
    if projection.keeps == "current":
        names = ["source_block"]
    statement = SQL(READ_ROWS).format(
        columns=SQL(", ").join(map(Identifier, names)), table=Identifier("generation", generation.relation)
    )
    held = connection.execute(statement, columns).fetchall()
    if projection.keeps == "current" or not held:
        return [(document_id, version) for document_id, version, *_ in held]
    meant = _meant(connection, projection, columns)
    return [(id_, version) for id_, version, *row in held if tuple(row) not in meant.get((id_, version), ())]


def _meant(connection: Connection, projection: RowProjection, columns: list[list[Any]]) -> dict[Key, list[Any]]:
    """The rows of a history that revisions mean without their data; none where they park."""
    check = RowCheck(projection)
    meant: dict[Key, list[Any]] = {}
    for revision in [Revision(*row) for row in connection.execute(READ_REVISIONS, columns)]:
        with suppress(Exception):
            rows = [tuple(map(_plain, row)) for row in check(projection.rows(revision))]
            meant[revision.document_id, revision.version] = rows
    return meant


def _plain(value: Any) -> Any:
    return value.obj if isinstance(value, Jsonb) else value
