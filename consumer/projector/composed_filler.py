"""How a generation of a composed projection is filled: key by key, from the documents as of the batch's end.

What is written depends on the journal at that position alone, and not on the way to it. So a key that cannot be
composed has no rows, rather than those of before, and is composed again whenever one of its documents changes.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, LiteralString

import psycopg
from psycopg.sql import SQL
from psycopg.sql import Composed as Statement

from strandline.consumer.projection.definition import ComposedProjection, KeyLookup, Revision
from strandline.consumer.projector import feed, parking
from strandline.consumer.projector.composition import Composed, Documents, Find, Known, compose, compose_known, touched
from strandline.consumer.projector.feed import Batch
from strandline.consumer.projector.lookup import BY_INDEX, find
from strandline.consumer.projector.parking import UNPARK_DOCUMENTS, UNPARK_KEYS, Parked
from strandline.consumer.projector.row_filler import Filler
from strandline.consumer.sinks import record_tables
from strandline.consumer.sinks.contract import ExternalSink, RejectedRow, Replacement, Sink
from strandline.consumer.sinks.record_tables import SOURCE

Connection = psycopg.Connection[tuple[Any, ...]]

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
        self.projection = projection

    def fill(self, batch: Batch) -> None:
        latest: dict[str, Revision] = {}
        for chunk in batch:
            latest.update({item.document_id: item for item in chunk if isinstance(item, Revision)})
        erased = feed.erased(self._connection, self.projection, batch.after, batch.last)
        # Whoever waited by what is erased now waits no longer: there is nothing to take.
        gone = {(revision.document_id, revision.version) for revision in erased}
        freed = [one for one in self._waiting(document for document, _ in gone).items() if one in gone]
        keys = self._keys(KEYS_OF_VERSIONS, *_columns(gone)) if gone else set()
        self._settle(list(latest.values()), [document for document, _ in freed], keys, batch.last)

    def again(self, parked: Sequence[tuple[str, int | None]], position: int) -> None:
        documents = [key for key, version in parked if version is not None]
        revisions = feed.current(self._connection, self.projection, documents, position)
        self._settle(revisions, [], {key for key, version in parked if version is None}, position)

    def touched(self, revisions: Sequence[Revision], find_there: Find) -> tuple[set[str], list[Parked]]:
        """The keys that current revisions touch, and the documents that do not say which."""
        return touched(self.projection, [one for one in revisions if one.data is not None], find_there)

    def compose(self, keys: Sequence[str], find_there: Find) -> list[Composed]:
        """The rows of keys; nothing is written."""
        return compose(self.projection, keys, find_there, self._sink.prepare)

    def compose_known(self, keys: Sequence[str], known: Known) -> list[Composed]:
        """The same, where all that they look up is known."""
        return compose_known(self.projection, keys, known, self._sink.prepare, self._sink.prepare_all)

    def park(self, silent: Sequence[Parked]) -> None:
        parking.park(self._connection, self._generation, silent)

    def write_first(self, parts: Iterable[Sequence[Composed]], whole: Callable[[], bool]) -> None:
        """Write keys that have no rows yet; each part is made while those before it are under way.

        `whole` says after them whether they were the last: then what is recorded of all is indexed.
        """
        unrecorded: list[Composed] = []

        def replacements() -> Iterator[list[Replacement]]:
            for composed in parts:
                yield self._replacements(composed)
                unrecorded.extend(composed)
                if len(unrecorded) >= KEYS:  # many at once cost PostgreSQL less
                    self._record_sources(unrecorded)
                    unrecorded.clear()
            self._record_sources(unrecorded)
            if whole():  # here, for what has been sent is under way still
                record_tables.index(self._connection, SOURCE, self._generation)

        self._park_refused(self._sink.write_first(replacements()))

    def _settle(self, revisions: Sequence[Revision], freed: Sequence[str], keys: set[str], position: int) -> None:
        """Compose, as of the position, these keys and those that the documents touch, or touched before."""

        def find_there(wanted: Collection[KeyLookup]) -> Mapping[KeyLookup, Documents]:
            return find(self._connection, self.projection, wanted, position)

        self._connection.execute(BY_INDEX)
        documents = [revision.document_id for revision in revisions]
        named, silent = self.touched(revisions, find_there)
        keys = keys | named | self._keys(KEYS_OF_DOCUMENTS, documents)
        if isinstance(self._sink, ExternalSink):
            keys |= self._sink.unsettled()
        parking.unpark(self._connection, self._generation, [*documents, *freed], UNPARK_DOCUMENTS)
        self.park(silent)
        order = sorted(keys)
        for start in range(0, len(order), KEYS):
            part = order[start : start + KEYS]
            self._connection.execute(self._of(FORGET_SOURCES), [part])
            parking.unpark(self._connection, self._generation, part, UNPARK_KEYS)
            composed = self.compose(part, find_there)
            self._record_sources(composed)
            self._withdraw(self._sink.write(self._replacements(composed)))

    def _replacements(self, composed: Sequence[Composed]) -> list[Replacement]:
        """What is to be written of keys; those that could not be composed are parked."""
        self.park([Parked(one.key, None, one.sequence_no, one.fault) for one in composed if one.fault is not None])
        return [Replacement(one.key, None, one.sequence_no, one.rows) for one in composed]

    def _withdraw(self, refusals: Sequence[RejectedRow]) -> None:
        """Park the keys that the store refuses; none of their rows is left."""
        refused = [one.replacement._replace(rows=()) for one in refusals]
        self._sink.write(refused)
        self._park_refused(refusals)

    def _park_refused(self, refusals: Sequence[RejectedRow]) -> None:
        self.park([Parked(one.replacement.key, None, one.replacement.sequence_no, one.reason) for one in refusals])

    def _record_sources(self, composed: Sequence[Composed]) -> None:
        with self._connection.cursor() as cursor, cursor.copy(self._of(COPY_SOURCES)) as copy:
            copy.set_types(SOURCE_TYPES)
            for one in composed:
                for document, version in one.sources:
                    copy.write_row((self._generation, one.key, document, version))

    def _keys(self, statement: LiteralString, *parameters: Any) -> set[str]:
        return {key for (key,) in self._connection.execute(self._of(statement), parameters)}

    def _of(self, statement: LiteralString) -> Statement:
        return SQL(statement).format(record=record_tables.table(SOURCE, self._generation))

    def _waiting(self, documents: Iterable[str]) -> dict[str, int | None]:
        return parking.waiting(self._connection, self._generation, set(documents))


def _columns(pairs: Iterable[tuple[str, int]]) -> list[list[Any]]:
    return [list(column) for column in zip(*pairs, strict=True)]
