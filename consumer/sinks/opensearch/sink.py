"""Read models in OpenSearch: an index a generation, behind an alias."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from opensearchpy import OpenSearch

from strandline.consumer.database.connection import Connection
from strandline.consumer.projection.definition import BlockProjection, ComposedProjection, Projection
from strandline.consumer.sinks import row_records
from strandline.consumer.sinks.contract import (
    Fields,
    MadeRows,
    PreparedRows,
    RejectedRow,
    Replacement,
    Sink,
    StoreFailed,
    Summary,
)
from strandline.consumer.sinks.opensearch.bulk import REQUEST_SECONDS
from strandline.consumer.sinks.opensearch.client import LIMITS, asked, count, of_all_shards, summary
from strandline.consumer.sinks.opensearch.index import COMPLETED, index_body, source_names
from strandline.consumer.sinks.opensearch.index_rows import IndexRows
from strandline.consumer.sinks.opensearch.initial_writer import InitialWriter
from strandline.consumer.sinks.opensearch.placement import Former, Write, placement
from strandline.consumer.sinks.opensearch.rows import SearchRows, json_source, short_hash
from strandline.consumer.sinks.row_records import Source


class OpensearchSink(IndexRows, Sink):
    """A generation's index, filled by the definition of its projection."""

    def __init__(
        self,
        client: OpenSearch,
        url: str,
        connection: Connection,
        projection: Projection,
        generation: int,
        relation: str,
        *,
        prefix: str = "",
    ) -> None:
        super().__init__(client, url, connection, generation, relation, prefix=prefix)
        self._projection = projection
        self._search_rows = SearchRows(projection)
        self._source_names = source_names(projection)
        self._placement = placement(projection)

    def create(self, *, bare: bool = False) -> None:
        self.drop()
        body = index_body(self._projection, self._relation, self._store, bare=bare)
        asked(lambda: self._client.indices.create(index=self._relation, body=body, params=LIMITS))

    def complete(self) -> None:
        indices = self._client.indices
        row_records.index_first(self._connection, self._generation)
        asked(lambda: indices.put_settings(index=self._relation, body=COMPLETED, params=LIMITS))
        waiting = {"wait_if_ongoing": "true", "request_timeout": REQUEST_SECONDS}
        of_all_shards(asked(lambda: indices.flush(index=self._relation, params=waiting)))
        recorded_rows = row_records.count(self._connection, self._generation) - len(self._forgotten)
        if count(self._client, self._relation) != recorded_rows:
            raise StoreFailed("OpenSearch has lost rows that it had accepted, or has others.")

    def show(self) -> None:
        self.show_as_before(self._projection.name)

    def prepare_all(self, many: Sequence[MadeRows]) -> list[PreparedRows]:
        return self._search_rows(many)

    def as_stored(self, rows: PreparedRows) -> list[Fields]:
        return [msgspec.json.decode(b"{%b}" % fields) for _, fields in rows]

    def write(self, replacements: Sequence[Replacement]) -> list[RejectedRow]:
        writes = [self._plan(one) for one in replacements]
        if not writes:
            return []
        with self._recording() as recording:
            version = self._next_version(recording)
            former = self._former(recording, writes)
            row_records.add(recording, self._generation, _sources(writes))
            if isinstance(self._projection, ComposedProjection):
                row_records.begin_keys(recording, self._generation, [one.replacement.key for one in writes])
        faults = self._send({row_id: body for one in writes for row_id, body in one.rows.items()}, version)
        self._forgotten.difference_update(_sources(writes))
        refused, gone = self._outcome(writes, former, faults)
        self._send(dict.fromkeys(gone), version + 1)
        return refused

    def write_first(self, replacements: Sequence[Replacement]) -> list[RejectedRow]:
        version = self._next_version(self._connection)
        writer = InitialWriter(self._connection, self._generation, lambda rows: self._send(dict(rows), version))
        refused = writer.write(map(self._plan, replacements))
        self._forgotten.update(_sources([write for write, _ in refused]))
        self._send({row_id: None for write, _ in refused for row_id in write.rows}, version + 1)
        return [RejectedRow(write.replacement, reason) for write, reason in refused]

    def summary(self) -> Summary:
        return summary(self._client, self._relation)

    def _former(self, recording: Connection, writes: Sequence[Write]) -> Former:
        former: dict[Any, list[Source]] = {}
        for source in self._placement.find(recording, self._generation, writes):
            if source not in self._forgotten:
                former.setdefault(self._placement.scope(source.document, source.version), []).append(source)
        return former

    def _outcome(
        self, writes: Iterable[Write], former: Former, faults: Mapping[str, str]
    ) -> tuple[list[RejectedRow], list[str]]:
        """Return the refusals, and the ids to delete: of earlier rows, and of rows that must not stay after a
        refusal."""
        refused: dict[str, RejectedRow] = {}
        gone: list[str] = []
        for one in writes:
            earlier = former.get(self._placement.scope(one.document, one.version), [])
            key = one.replacement.key
            fault = next((faults[row_id] for row_id in one.rows if row_id in faults), None)
            if key not in refused and fault is None:
                self._forgotten.update(set(earlier) - set(one.sources))
                gone += [source.row_id for source in earlier if source.row_id not in one.rows]
                continue
            refused.setdefault(key, RejectedRow(one.replacement, fault or ""))
            forgotten, ids = self._placement.withdraw(one, earlier, faults)
            self._forgotten.update(forgotten)
            gone += ids
        return list(refused.values()), gone

    def _plan(self, one: Replacement) -> Write:
        values: tuple[object, ...] = (one.document, one.version, one.sequence_no)
        if isinstance(self._projection, BlockProjection):
            document, version = "", one.sequence_no
        elif isinstance(self._projection, ComposedProjection):
            document, version = short_hash(one.document or ""), 0
            values = (one.document, one.sequence_no)
        else:
            document, version = one.document or "", one.version or 0
        prefix = self._placement.id_prefix(document, version)
        ending = json_source(self._source_names, values)
        rows = {f"{prefix}/{key}" if key else prefix: b"{%b,%b}" % (fields, ending) for key, fields in one.rows}
        return Write(one, document, version, rows)


def _sources(writes: Iterable[Write]) -> list[Source]:
    return [source for one in writes for source in one.sources]
