"""Searches the journal and each read model for redacted data."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

import psycopg
from psycopg.sql import SQL, Identifier
from psycopg.types.json import Jsonb

from strandline.consumer.generations.stores import OPENSEARCH, Stores
from strandline.consumer.projection.definition import (
    SOURCE_COLUMNS,
    BlockProjection,
    ComposedProjection,
    Projection,
    Revision,
    RowProjection,
)
from strandline.consumer.projection.fingerprint import fingerprint
from strandline.consumer.sinks.row_check import RowCheck
from strandline.consumer.store.redactions import erased_info

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
# A redaction that took effect after the generation was filled was purged from it by source, with all its rows.
READ_AFTER = """
    SELECT d.document_id, d.version FROM journal.redaction d
    JOIN unnest(%s::text[], %s::bigint[]) AS erased (document_id, version) USING (document_id, version)
    WHERE d.effective_no > (SELECT position FROM projection.generation WHERE generation = %s)"""
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
HAS_SOURCES = """
    SELECT EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attname = 'source_version')"""
READ_REVISIONS = """
    SELECT document_id, version, table_name, sequence_no, tx_id, tx_time, state, data, hash FROM journal.revision
    JOIN unnest(%s::text[], %s::bigint[]) AS erased (document_id, version) USING (document_id, version)"""

JOURNAL = "the journal"


class Residue(NamedTuple):
    """Redacted data that is still in a place: the journal, or a generation of a read model."""

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


def probe(
    connection: Connection, projections: Mapping[str, Projection], stores: Stores, keys: Sequence[Key]
) -> Iterator[Residue]:
    """Yield the residue of redacted revisions in the journal and the read models, in the caller's transaction.

    Indexes are searched if their store is on. If a generation's definition is gone, nothing tells which rows have data:
    then any row counts of a revision that was redacted after the generation was filled. Raises `StoreFailed`.
    """
    columns = key_columns(keys)
    for document_id, version in {*connection.execute(READ_DATA, columns), *_in_statements(connection, columns)}:
        yield Residue(JOURNAL, document_id, version)
    for row in connection.execute(READ_GENERATIONS).fetchall():
        generation = _Generation(*row)
        for document_id, version in _in_generation(connection, projections, stores, generation, keys):
            yield Residue(f"{generation.projection}, generation {generation.generation}", document_id, version)


def _in_statements(connection: Connection, columns: list[list[Any]]) -> list[Key]:
    """Return the redactions whose block still has literals in its statement texts."""
    rows = connection.execute(READ_TEXTS, columns).fetchall()
    numbers = [number for number, *block in rows if erased_info(block[1], block[0], block[2]) is not None]
    return connection.execute(READ_KEYS_OF_BLOCKS, [numbers]).fetchall() if numbers else []


def _in_generation(
    connection: Connection,
    projections: Mapping[str, Projection],
    stores: Stores,
    generation: _Generation,
    keys: Sequence[Key],
) -> set[Key]:
    projection = projections.get(generation.projection)
    if projection is None or generation.fingerprint != fingerprint(projection):
        after = connection.execute(READ_AFTER, [*key_columns(keys), generation.generation]).fetchall()
        return _of_unknown(connection, stores, generation, after) if after else set()
    if isinstance(projection, BlockProjection):
        return set()
    if isinstance(projection, ComposedProjection):
        return set(connection.execute(READ_SOURCES, [*key_columns(keys), generation.generation]))
    if generation.store == OPENSEARCH:
        held = _outside(connection, stores, generation, keys)
        convert = _as_searched(projection)
    else:
        held = _here(connection, generation, keys, [column.name for column in projection.columns])
        convert = _as_held(projection)
    if projection.keeps == "current" or not held:
        return {key for key, _ in held}
    meant = _meant(connection, projection, keys, convert)
    return {key for key, row in held if row is not None and row not in meant.get(key, ())}


def _of_unknown(connection: Connection, stores: Stores, generation: _Generation, keys: Sequence[Key]) -> set[Key]:
    found = set(connection.execute(READ_SOURCES, [*key_columns(keys), generation.generation]))
    if generation.store == OPENSEARCH:
        return found | {key for key, _ in _outside(connection, stores, generation, keys)}
    table = Identifier("generation", generation.relation).as_string(connection)
    if connection.execute(HAS_SOURCES, [table]).fetchone() == (True,):
        found |= {key for key, _ in _here(connection, generation, keys, ["source_block"])}
    return found


def _here(
    connection: Connection, generation: _Generation, keys: Sequence[Key], names: Sequence[str]
) -> list[tuple[Key, Any]]:
    statement = SQL(READ_ROWS).format(
        columns=SQL(", ").join(map(Identifier, names)), table=Identifier("generation", generation.relation)
    )
    rows = connection.execute(statement, key_columns(keys)).fetchall()
    return [((document_id, version), tuple(row)) for document_id, version, *row in rows]


def _outside(
    connection: Connection, stores: Stores, generation: _Generation, keys: Sequence[Key]
) -> list[tuple[Key, Any]]:
    """What an index is found to hold; where it cannot be asked, None for each row that it is recorded to hold."""
    if stores.opensearch is None:
        return [(key, None) for key in connection.execute(READ_OUTSIDE, [*key_columns(keys), generation.generation])]
    from strandline.consumer.sinks.opensearch.search import rows_of

    rows = rows_of(stores.opensearch, generation.relation, keys)
    return [(key, {name: row[name] for name in row if name not in SOURCE_COLUMNS}) for key, row in rows]


def _meant(
    connection: Connection, projection: RowProjection, keys: Sequence[Key], convert: Callable[[Any], list[Any]]
) -> dict[Key, list[Any]]:
    """The rows of a history that revisions mean without their data; none where they park."""
    meant: dict[Key, list[Any]] = {}
    for revision in [Revision(*row) for row in connection.execute(READ_REVISIONS, key_columns(keys))]:
        with suppress(Exception):
            meant[revision.document_id, revision.version] = convert(projection.rows(revision))
    return meant


def _as_held(projection: RowProjection) -> Callable[[Any], list[Any]]:
    check = RowCheck(projection)
    return lambda rows: [tuple(map(_plain, row)) for row in check([rows])[0]]


def _as_searched(projection: RowProjection) -> Callable[[Any], list[Any]]:
    from strandline.consumer.sinks.opensearch.rows import SearchRows

    prepare = SearchRows(projection)
    return lambda rows: [json.loads(b"{%b}" % fields) for _, fields in prepare([rows])[0]]


def _plain(value: Any) -> Any:
    return value.obj if isinstance(value, Jsonb) else value


def key_columns(keys: Sequence[Key]) -> list[list[Any]]:
    """Return the documents and the versions, as unnest takes them."""
    return [[document_id for document_id, _ in keys], [version for _, version in keys]]
