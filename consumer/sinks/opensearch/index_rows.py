"""The rows of a generation in OpenSearch, whichever definition made them: its index, and its record in the database.

A row is recorded first, over another connection that commits; then it is sent; then the control transaction moves the
position. Versions keep a request that arrives late from undoing what came after it.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from opensearchpy import OpenSearch
from opensearchpy.exceptions import NotFoundError

from strandline.consumer.database.connection import Connection, connect
from strandline.consumer.sinks import record_tables, row_records
from strandline.consumer.sinks.contract import Fields, Key, LeaseLost, StoredRows, StoreFailed, StoreLacks, Turn
from strandline.consumer.sinks.opensearch import search
from strandline.consumer.sinks.opensearch.bulk import Bulk
from strandline.consumer.sinks.opensearch.client import LIMITS, asked
from strandline.consumer.sinks.opensearch.index import SOURCE_FIELDS, is_ours, others
from strandline.consumer.sinks.opensearch.rows import short_hash
from strandline.consumer.sinks.row_records import Source

READ_STORE = "SELECT id FROM projection.store"


class IndexRows(StoredRows):
    """A generation's index, named by its relation; `url` is the database's, `connection` the control transaction's."""

    outside = True

    def __init__(
        self,
        client: OpenSearch,
        url: str,
        connection: Connection,
        generation: int,
        relation: str,
        *,
        prefix: str = "",
    ) -> None:
        self._client = client
        self._url = url
        self._connection = connection
        self._generation = generation
        self._relation = relation
        self._prefix = prefix  # of aliases; an index has it in its name
        self._bulk = Bulk(client, relation)
        self._turn: Turn | None = None
        self._forgotten: set[Source] = set()  # rows of the record that this turn has deleted from the index

    def check(self) -> None:
        mapping = asked(lambda: self._client.indices.get_mapping(index=self._relation))
        if not is_ours(mapping, self._relation, self._store):
            raise StoreLacks(f"The index {self._relation} is not the one that was made for this read model.")

    def begin(self, turn: Turn) -> None:
        self.check()
        self._turn = turn
        self._forgotten = set()

    def settle(self) -> None:
        row_records.forget(self._connection, self._generation, self._forgotten)
        row_records.settle_keys(self._connection, self._generation)

    def unsettled(self) -> set[str]:
        return row_records.unsettled_keys(self._connection, self._generation)

    def rows_of(self, keys: Sequence[Key]) -> Iterator[tuple[Key, Fields | None]]:
        for key in record_tables.recorded_keys(self._connection, self._generation, keys):
            yield key, None
        for key, row in search.rows_of(self._client, self._relation, keys):
            yield key, {name: value for name, value in row.items() if name not in SOURCE_FIELDS}

    def purge(self, sources: Sequence[Key]) -> None:
        with self._recording() as recording:
            found = set(row_records.of_versions(recording, self._generation, sources)) - self._forgotten
            version = self._next_version(recording) if found else 0
            row_records.count_purged(recording, self._generation, found)
        self._send({source.row_id: None for source in found}, version)
        self._forgotten |= found

    def purge_sources(self, sources: Sequence[Key]) -> None:
        if sources:
            self.purge(sources)
        # Nobody knows what a failed turn has written of a composed key.
        keys = self.unsettled()
        keys.update(record_tables.forget_keys_of(self._connection, self._generation, sources))
        if keys:
            self.purge([(short_hash(key), 0) for key in keys])

    def show_as_before(self, name: str) -> None:
        alias = self._prefix + name
        self._refuse_others(alias)

        def point() -> None:
            try:
                former = set(self._client.indices.get_alias(name=alias)) - {self._relation}
            except NotFoundError:
                former = set()
            actions: list[dict[str, Any]] = [{"remove": {"index": one, "alias": alias}} for one in sorted(former)]
            actions.append({"add": {"index": self._relation, "alias": alias}})
            # In one request: readers see one index or the other.
            self._client.indices.update_aliases(body={"actions": actions}, params=LIMITS)

        asked(point)

    def drop(self) -> None:
        self._refuse_others(self._relation)
        ignoring = {**LIMITS, "ignore_unavailable": "true"}
        asked(lambda: self._client.indices.delete(index=self._relation, params=ignoring))

    @cached_property
    def _store(self) -> str:
        """The identity of this store."""
        with self._connection.transaction():
            (found,) = self._connection.execute(READ_STORE).fetchone() or ("",)
        return str(found)

    def _refuse_others(self, name: str) -> None:
        """Raise `StoreFailed` if an index of this name, or behind this alias, belongs to another store."""
        try:
            mapping = asked(lambda: self._client.indices.get_mapping(index=name))
        except StoreLacks:
            return
        if found := others(mapping, self._store):
            raise StoreFailed(
                f"The index {found[0]} in OpenSearch belongs to another Strandline store: "
                "set STRANDLINE_OPENSEARCH_PREFIX to a name of this store's own."
            )

    @contextmanager
    def _recording(self) -> Iterator[Connection]:
        """A connection that commits what is recorded of rows before they are sent."""
        with connect(self._url, application_name="strandline outside") as own, own.transaction():
            yield own

    def _next_version(self, recording: Connection) -> int:
        assert self._turn is not None
        position = self._turn.position()
        version = row_records.next_version(recording, self._generation, self._turn.token, position)
        if version is None:
            raise LeaseLost
        return version

    def _send(self, actions: dict[str, Any], version: int) -> dict[str, str]:
        assert self._turn is not None
        return self._bulk.send(actions, version, self._turn.deadline)
