"""Searches the journal and each read model for redacted data."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

from strandline.consumer.database.connection import Connection
from strandline.consumer.generations.stores import Stores
from strandline.consumer.projection.definition import BlockProjection, Projection, Revision, RowProjection
from strandline.consumer.projection.fingerprint import fingerprint
from strandline.consumer.projector.row_batch import prepare_each
from strandline.consumer.sinks.contract import Fields, Key, MadeRows
from strandline.consumer.store.redactions import erased_info

# The numbers of the blocks, as constants in what follows, say in which partitions the revisions are. A block has few.
READ_NUMBERS = """
    SELECT DISTINCT d.sequence_no FROM journal.redaction d
    JOIN unnest(%s::text[], %s::bigint[]) AS erased (document_id, version) USING (document_id, version)"""
READ_DATA = """
    SELECT document_id, version FROM journal.revision
    WHERE sequence_no = ANY (%s) AND (state = 'normal' OR data IS NOT NULL OR data_ion IS NOT NULL)"""
READ_TEXTS = """
    SELECT sequence_no, level, transaction_info, entries_hashes FROM journal.block
    WHERE sequence_no = ANY (%s) AND transaction_info IS NOT NULL
      AND sequence_no <= (SELECT sequence_no FROM journal.mark)"""
READ_KEYS_OF_BLOCKS = "SELECT document_id, version FROM journal.redaction WHERE sequence_no = ANY (%s)"
READ_GENERATIONS = """
    SELECT generation, projection, relation, fingerprint, store FROM projection.generation ORDER BY generation"""
# A redaction that took effect after the generation was filled was purged from it by source, with all its rows.
READ_AFTER = """
    SELECT d.document_id, d.version FROM journal.redaction d
    JOIN unnest(%s::text[], %s::bigint[]) AS erased (document_id, version) USING (document_id, version)
    WHERE d.effective_no > (SELECT position FROM projection.generation WHERE generation = %s)"""
READ_REVISIONS = """
    SELECT r.document_id, r.version, r.table_name, r.sequence_no, r.tx_id, r.tx_time, r.state, r.data, r.hash
    FROM journal.redaction d
    JOIN unnest(%s::text[], %s::bigint[]) AS erased (document_id, version) USING (document_id, version)
    CROSS JOIN LATERAL journal.revision_at(d.sequence_no, d.document_id, d.version) r
    WHERE r.sequence_no IS NOT NULL"""

JOURNAL = "the journal"


class Residue(NamedTuple):
    """Redacted data that is still in a place: the journal, or a generation of a read model."""

    where: str
    document_id: str
    version: int

    def as_dict(self) -> dict[str, object]:
        """Return the finding in the form of `--json`."""
        return {"where": self.where, "documentId": self.document_id, "version": self.version}


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
    numbers = [number for (number,) in connection.execute(READ_NUMBERS, columns)]
    with_data = set(connection.execute(READ_DATA, [numbers], prepare=False).fetchall())
    for document_id, version in {*with_data.intersection(keys), *_in_statements(connection, numbers)}:
        yield Residue(JOURNAL, document_id, version)
    for row in connection.execute(READ_GENERATIONS).fetchall():
        generation = _Generation(*row)
        for document_id, version in _in_generation(connection, projections, stores, generation, keys):
            yield Residue(f"{generation.projection}, generation {generation.generation}", document_id, version)


def _in_statements(connection: Connection, numbers: Sequence[int]) -> list[Key]:
    """Return the redactions of these blocks whose statement texts still have literals."""
    rows = connection.execute(READ_TEXTS, [list(numbers)]).fetchall()
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
        keys = connection.execute(READ_AFTER, [*key_columns(keys), generation.generation]).fetchall()
        return {key for key, _ in _rows(connection, stores, generation, keys)} if keys else set()
    if isinstance(projection, BlockProjection):
        return set()
    rows = list(_rows(connection, stores, generation, keys))
    if not (isinstance(projection, RowProjection) and projection.keeps == "history"):
        return {key for key, _ in rows}
    known = [(key, fields) for key, fields in rows if fields is not None]
    if not known:
        return set()
    without_data = _rows_without_data(connection, stores, projection, generation, keys)
    return {key for key, fields in known if fields not in without_data.get(key, ())}


def _rows(
    connection: Connection, stores: Stores, generation: _Generation, keys: Sequence[Key]
) -> Iterator[tuple[Key, Fields | None]]:
    return stores.rows_of(connection, generation.store, generation.generation, generation.relation, keys)


def _rows_without_data(
    connection: Connection, stores: Stores, projection: RowProjection, generation: _Generation, keys: Sequence[Key]
) -> dict[Key, list[Fields]]:
    """Return the rows that a history has for redacted revisions; none for one that parks."""
    sink = stores.sink(connection, projection, generation.generation, generation.relation)
    made: list[tuple[Key, MadeRows]] = []
    for revision in [Revision(*row) for row in connection.execute(READ_REVISIONS, key_columns(keys))]:
        with suppress(Exception):
            made.append(((revision.document_id, revision.version), list(projection.rows(revision))))
    prepared = prepare_each(projection, [rows for _, rows in made], sink.prepare_all)
    return {
        key: sink.as_stored(rows) for (key, _), rows in zip(made, prepared, strict=True) if not isinstance(rows, str)
    }


def key_columns(keys: Sequence[Key]) -> list[list[Any]]:
    """Return the documents and the versions, as unnest takes them."""
    return [[document_id for document_id, _ in keys], [version for _, version in keys]]
