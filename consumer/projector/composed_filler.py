"""Fills a generation of a composed projection key by key, from the documents as of the batch's end.

The rows depend on the journal at that position alone, not on earlier batches. So a key that cannot be composed has no
rows, instead of those of before, and is composed again whenever one of its documents changes.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, LiteralString

from psycopg.sql import SQL
from psycopg.sql import Composed as Statement

from strandline.consumer.database.connection import Connection
from strandline.consumer.projection.definition import ComposedProjection, KeyLookup, Revision
from strandline.consumer.projector import feed, parking
from strandline.consumer.projector.composition import Composed, Documents, compose, follow_lookups, name_keys
from strandline.consumer.projector.feed import Batch
from strandline.consumer.projector.filler import BackfillBatch, Filler, Source
from strandline.consumer.projector.lookup import BY_INDEX, find
from strandline.consumer.projector.parking import UNPARK_DOCUMENTS, UNPARK_KEYS, Parked
from strandline.consumer.sinks import record_tables
from strandline.consumer.sinks.contract import RejectedRow, Replacement, Sink
from strandline.consumer.sinks.record_tables import SOURCE

# Keys that are composed at once: the documents of all of them are in memory.
KEYS = 2_000

KEYS_OF_DOCUMENTS = "SELECT DISTINCT key FROM {record} WHERE document_id = ANY(%s)"
KEYS_OF_VERSIONS = """
    SELECT DISTINCT key FROM {record}
    JOIN unnest(%s::text[], %s::bigint[]) AS gone (document, erased) ON document_id = document AND version = erased"""
FORGET_SOURCES = "DELETE FROM {record} WHERE key = ANY(%s)"
COPY_SOURCES = "COPY {record} (generation, key, document_id, version) FROM STDIN (FORMAT binary)"
SOURCE_TYPES = ("bigint", "text", "text", "bigint")


class ComposedFiller(Filler):
    """Fills a generation of a composed projection."""

    def __init__(self, connection: Connection, projection: ComposedProjection, generation: int, sink: Sink) -> None:
        super().__init__(connection, generation, sink)
        self._projection = projection

    def fill(self, batch: Batch) -> None:
        latest: dict[str, Revision] = {}
        for chunk in batch:
            latest.update({item.document_id: item for item in chunk if isinstance(item, Revision)})
        erased = feed.erased(self._connection, self._projection, batch.after, batch.last)
        # A document whose parked revision has been redacted has no data left to project.
        versions = {(revision.document_id, revision.version) for revision in erased}
        unparked = [one for one in self._waiting(document for document, _ in versions).items() if one in versions]
        keys = self._keys(KEYS_OF_VERSIONS, *_columns(versions)) if versions else set()
        self._compose(list(latest.values()), [document for document, _ in unparked], keys, batch.last)

    def again(self, parked: Sequence[tuple[str, int | None]], position: int) -> None:
        documents = [key for key, version in parked if version is not None]
        revisions = feed.current(self._connection, self._projection, documents, position)
        self._compose(revisions, [], {key for key, version in parked if version is None}, position)

    def write_first(self, batch: BackfillBatch) -> None:
        parking.park(self._connection, self._generation, batch.parked)
        self._record_sources(batch.sources)
        self._park(self._sink.write_first(batch.replacements))

    def complete(self) -> None:
        record_tables.index(self._connection, SOURCE, self._generation)
        super().complete()

    def _compose(self, revisions: Sequence[Revision], unparked: Sequence[str], keys: set[str], position: int) -> None:
        """Compose, as of the position, these keys and those that the documents touch, or touched before."""

        def find_documents(lookups: Collection[KeyLookup]) -> Mapping[KeyLookup, Documents]:
            return find(self._connection, self._projection, lookups, position)

        self._connection.execute(BY_INDEX)
        documents = [revision.document_id for revision in revisions]
        names, refused = name_keys(self._projection, [one for one in revisions if one.data is not None])
        keys = keys | follow_lookups(self._projection, names, find_documents)
        keys |= self._keys(KEYS_OF_DOCUMENTS, documents)
        keys |= self._sink.unsettled()
        parking.unpark(self._connection, self._generation, [*documents, *unparked], UNPARK_DOCUMENTS)
        parking.park(self._connection, self._generation, refused)
        order = sorted(keys)
        for start in range(0, len(order), KEYS):
            part = order[start : start + KEYS]
            self._connection.execute(self._of(FORGET_SOURCES), [part])
            parking.unpark(self._connection, self._generation, part, UNPARK_KEYS)
            batch = composed_batch(compose(self._projection, part, self._sink.prepare_all, find_documents))
            parking.park(self._connection, self._generation, batch.parked)
            self._record_sources(batch.sources)
            self._withdraw(self._sink.write(batch.replacements))

    def _withdraw(self, refusals: Sequence[RejectedRow]) -> None:
        """Park the keys that the store refuses; none of their rows is left."""
        self._sink.write([one.replacement._replace(rows=()) for one in refusals])
        self._park(refusals)

    def _park(self, refusals: Sequence[RejectedRow]) -> None:
        parked = [Parked(one.replacement.key, None, one.replacement.sequence_no, one.reason) for one in refusals]
        parking.park(self._connection, self._generation, parked)

    def _record_sources(self, sources: Sequence[Source]) -> None:
        with self._connection.cursor() as cursor, cursor.copy(self._of(COPY_SOURCES)) as copy:
            copy.set_types(SOURCE_TYPES)
            for source in sources:
                copy.write_row((self._generation, *source))

    def _keys(self, statement: LiteralString, *parameters: Any) -> set[str]:
        return {key for (key,) in self._connection.execute(self._of(statement), parameters)}

    def _of(self, statement: LiteralString) -> Statement:
        return SQL(statement).format(record=record_tables.table(SOURCE, self._generation))

    def _waiting(self, documents: Iterable[str]) -> dict[str, int | None]:
        return parking.waiting(self._connection, self._generation, set(documents))


def composed_batch(composed: Sequence[Composed], done: int = 0, total: int = 0) -> BackfillBatch:
    """Return the rows of keys to write, and the keys to park: these have none."""
    return BackfillBatch(
        replacements=[Replacement(one.key, None, one.sequence_no, one.rows) for one in composed],
        parked=[Parked(one.key, None, one.sequence_no, one.fault) for one in composed if one.fault is not None],
        sources=[(one.key, document, version) for one in composed for document, version in one.sources],
        done=done,
        total=total,
    )


def _columns(pairs: Iterable[tuple[str, int]]) -> list[list[Any]]:
    return [list(column) for column in zip(*pairs, strict=True)]
