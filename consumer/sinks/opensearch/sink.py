"""Read models in OpenSearch: an index a generation, behind an alias.

What is written is recorded first, by a connection of its own that commits; then it is sent; then the control
transaction moves the position. Versions keep whatever arrives late from undoing what came after it. Only a first fill
is recorded in the control transaction: where that is lost, the whole index is dropped.
"""

import json
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from threading import Event
from typing import Any, NamedTuple

import psycopg
from opensearchpy import OpenSearch
from opensearchpy.exceptions import NotFoundError

from strandline.consumer.database.connection import connect
from strandline.consumer.projection.definition import BlockProjection, ComposedProjection, Projection, Rows
from strandline.consumer.sinks import row_records
from strandline.consumer.sinks.contract import (
    ExternalSink,
    LeaseLost,
    PreparedRows,
    RejectedRow,
    Replacement,
    StoreFailed,
    StoreLacks,
    Turn,
)
from strandline.consumer.sinks.opensearch.bulk import MOST_ACTIONS, PARALLEL, REQUEST_SECONDS, Bulk, any_unanswered
from strandline.consumer.sinks.opensearch.client import LIMITS, asked, count, row_hash, summary, written
from strandline.consumer.sinks.opensearch.index import COMPLETED, index_body, is_ours, source_names
from strandline.consumer.sinks.opensearch.rows import SearchRows, json_source, short_hash
from strandline.consumer.sinks.row_records import Source

Connection = psycopg.Connection[tuple[Any, ...]]

# Rows of a first fill that are recorded together, which costs PostgreSQL less than few at a time.
RECORDED_AT_ONCE = 2_000


class _Write(NamedTuple):
    """A replacement, its source, and its rows by their ids."""

    replacement: Replacement
    document: str
    version: int
    rows: dict[str, bytes]

    @property
    def sources(self) -> list[Source]:
        return [Source(self.document, self.version, row_id) for row_id in self.rows]


class OpensearchSink(ExternalSink):
    """A generation's index, named by its relation; `url` is the database's, `connection` the control transaction's."""

    def __init__(
        self,
        client: OpenSearch,
        url: str,
        connection: Connection,
        projection: Projection,
        generation: int,
        relation: str,
    ) -> None:
        self._client = client
        self._url = url
        self._connection = connection
        self._projection = projection
        self._generation = generation
        self._relation = relation
        self._prepare = SearchRows(projection)
        self._source_names = source_names(projection)
        self._bulk = Bulk(client, relation)
        self._turn: Turn | None = None
        self._first = False
        self._sent = (0, 0)  # the rows of a first fill, and the sum of their hashes
        self._forgotten: set[Source] = set()
        self._composed = composed = isinstance(projection, ComposedProjection)
        self._replaces_all = composed or (
            not isinstance(projection, BlockProjection | ComposedProjection) and projection.keeps == "current"
        )
        # A row that is one with its document is overwritten. Where there are several, new ones stand beside the old
        # until all are in: a refusal then takes nothing away.
        self._in_place = composed or (self._replaces_all and not projection.key)

    def create(self, *, bare: bool = False) -> None:
        self.drop()
        body = index_body(self._projection, self._relation, bare=bare)
        asked(lambda: self._client.indices.create(index=self._relation, body=body, params=LIMITS))

    def complete(self) -> None:
        indices = self._client.indices
        waiting = {"wait_if_ongoing": "true", "request_timeout": REQUEST_SECONDS}
        with ThreadPoolExecutor(2, thread_name_prefix="complete") as pool:
            flushed = pool.submit(asked, lambda: indices.flush(index=self._relation, params=waiting))
            set_up = pool.submit(
                asked, lambda: indices.put_settings(index=self._relation, body=COMPLETED, params=LIMITS)
            )
            row_records.index_first(self._connection, self._generation)
        set_up.result()
        if flushed.result()["_shards"]["failed"]:
            raise StoreFailed("OpenSearch could not make durable what it has taken.")
        recorded_rows = row_records.count(self._connection, self._generation) - len(self._forgotten)
        if count(self._client, self._relation) != recorded_rows:
            raise StoreFailed("OpenSearch has lost rows that it had taken, or holds others.")

    def drop(self) -> None:
        gone = {**LIMITS, "ignore_unavailable": "true"}
        asked(lambda: self._client.indices.delete(index=self._relation, params=gone))

    def serve(self) -> None:
        def point() -> None:
            name = self._projection.name
            try:
                others = set(self._client.indices.get_alias(name=name)) - {self._relation}
            except NotFoundError:
                others = set()
            actions: list[dict[str, Any]] = [{"remove": {"index": other, "alias": name}} for other in sorted(others)]
            actions.append({"add": {"index": self._relation, "alias": name}})
            # One call: readers see one or the other.
            self._client.indices.update_aliases(body={"actions": actions}, params=LIMITS)

        asked(point)

    def prepare(self, rows: Rows) -> PreparedRows:
        return self._prepare(rows)

    def prepare_all(self, many: Sequence[Sequence[Mapping[str, object]]]) -> list[PreparedRows] | None:
        return self._prepare.all(many)

    def check(self) -> None:
        mapping = asked(lambda: self._client.indices.get_mapping(index=self._relation))
        if not is_ours(mapping, self._relation):
            raise StoreLacks(f"The index {self._relation} is not the one that was made for this read model.")

    def begin(self, turn: Turn) -> None:
        self.check()
        self._turn = turn
        self._first = False
        self._forgotten = set()

    def write(self, replacements: Sequence[Replacement]) -> list[RejectedRow]:
        writes = [self._plan(one) for one in replacements]
        if not writes:
            return []
        with self._recording() as recording:
            version = self._next_version(recording)
            held = self._held(recording, writes)
            row_records.add(recording, self._generation, _sources(writes))
            if self._composed:
                row_records.begin_keys(recording, self._generation, [one.replacement.key for one in writes])
        return self._settled(writes, version, held, self._send(_rows(writes), version))

    def write_first(self, parts: Iterable[Iterable[Replacement]]) -> list[RejectedRow]:
        self._first = True
        version = self._next_version(self._connection)
        refusals: list[RejectedRow] = []
        unrecorded: list[Source] = []
        under_way: deque[tuple[list[_Write], dict[str, bytes], Future[dict[str, str]]]] = deque()

        def settle() -> None:
            writes, rows, answer = under_way[0]
            faults = answer.result()
            under_way.popleft()
            self._add_to_sent(rows, faults)
            refusals.extend(self._settled(writes, version, {}, faults))

        try:
            # Whatever happens, all requests have ended after it.
            with ThreadPoolExecutor(PARALLEL, thread_name_prefix="send") as pool:
                for replacements in parts:
                    left = iter(replacements)
                    while writes := [self._plan(one) for one in islice(left, MOST_ACTIONS)]:
                        rows = _rows(writes)
                        under_way.append((writes, rows, pool.submit(self._send, rows, version)))
                        unrecorded += _sources(writes)
                        if len(unrecorded) >= RECORDED_AT_ONCE:
                            row_records.add_first(self._connection, self._generation, unrecorded)
                            unrecorded.clear()
                        if len(under_way) > PARALLEL:
                            settle()
                row_records.add_first(self._connection, self._generation, unrecorded)
                while under_way:
                    settle()
        except StoreFailed as exc:
            # The answer to another request may never have come.
            exc.unanswered |= any_unanswered(answer.exception() for *_, answer in under_way)
            raise
        return refusals

    def summary(self, stop: Event | None = None) -> tuple[int, int]:
        rows, digest = self._sent
        # All that was ever done to the index is what this sink has sent, each row once: so it need not be read back.
        if rows and rows == self._bulk.done and rows == count(self._client, self._relation):
            found = written(self._client, self._relation)
            if found is not None and found.operations == rows:
                return rows, digest
        return summary(self._client, self._relation, stop)

    def state(self) -> str | None:
        found = written(self._client, self._relation)
        return None if found is None else json.dumps(found)

    def purge(self, sources: Sequence[tuple[str, int]]) -> None:
        with self._recording() as recording:
            held = set(row_records.of_versions(recording, self._generation, sources)) - self._forgotten
            version = self._next_version(recording) if held else 0
            row_records.count_purged(recording, self._generation, held)
        self._send({source.row_id: None for source in held}, version)
        self._forgotten |= held

    def purge_keys(self, keys: Collection[str]) -> None:
        self.purge([(short_hash(key), 0) for key in keys])

    def settle(self) -> None:
        row_records.forget(self._connection, self._generation, self._forgotten)
        if self._composed:
            row_records.settle_keys(self._connection, self._generation)

    def unsettled(self) -> set[str]:
        return row_records.unsettled_keys(self._connection, self._generation)

    @contextmanager
    def _recording(self) -> Iterator[Connection]:
        """Records what is about to be sent, and has committed that at the end.

        But for what a turn of a first fill writes: that commits with the turn, for a first fill that is cut off is
        dropped whole.
        """
        if self._first:
            yield self._connection
            return
        with connect(self._url, application_name="strandline outside") as own, own.transaction():
            yield own

    def _add_to_sent(self, rows: Mapping[str, bytes], faults: Mapping[str, str]) -> None:
        hashes = [row_hash(row_id, body) for row_id, body in rows.items() if row_id not in faults]
        sent, digest = self._sent
        self._sent = sent + len(hashes), digest + sum(hashes)

    def _settled(
        self, writes: Sequence[_Write], version: int, held: dict[Any, list[Source]], faults: dict[str, str]
    ) -> list[RejectedRow]:
        """What was refused of all that was sent, with this version; `held` are the rows that there were."""
        if self._forgotten:
            self._forgotten.difference_update(_sources(writes))
        if not held and not faults:
            return []
        refusals, gone = self._outcome(writes, held, faults)
        self._send(dict.fromkeys(gone, None), version + 1)
        return refusals

    def _outcome(
        self, writes: Iterable[_Write], held: dict[Any, list[Source]], faults: dict[str, str]
    ) -> tuple[list[RejectedRow], list[str]]:
        """What was refused, and the ids that have to go: of former rows, and of what must not stand after a refusal."""
        refusals: dict[str, RejectedRow] = {}
        gone: list[str] = []
        for one in writes:
            former = held.get(self._scope(one.document, one.version), [])
            key = one.replacement.key
            fault = next((faults[row_id] for row_id in one.rows if row_id in faults), None)
            if key not in refusals and fault is None:
                self._forgotten.update(set(former) - set(one.sources))
                gone += [source.row_id for source in former if source.row_id not in one.rows]
                continue
            if key not in refusals:
                refusals[key] = RejectedRow(one.replacement, fault or "")
            if self._in_place:
                absent = [source for source in one.sources if source.row_id in faults]
                self._forgotten.update(set(absent) - set(former))
            else:
                self._forgotten.update(one.sources)
                gone += list(one.rows)
        return list(refusals.values()), gone

    def _held(self, own: Connection, writes: Iterable[_Write]) -> dict[Any, list[Source]]:
        if self._replaces_all:
            found = row_records.of_documents(own, self._generation, [one.document for one in writes])
        else:
            found = row_records.of_versions(own, self._generation, [(one.document, one.version) for one in writes])
        held: dict[Any, list[Source]] = {}
        for source in found:
            if source not in self._forgotten:
                held.setdefault(self._scope(source.document, source.version), []).append(source)
        return held

    def _scope(self, document: str, version: int) -> Any:
        return document if self._replaces_all else (document, version)

    def _plan(self, one: Replacement) -> _Write:
        values: tuple[object, ...] = (one.document, one.version, one.sequence_no)
        if isinstance(self._projection, BlockProjection):
            document, version, base = "", one.sequence_no, str(one.sequence_no)
        elif isinstance(self._projection, ComposedProjection):
            document, version = short_hash(one.document or ""), 0
            base, values = document, (one.document, one.sequence_no)
        else:
            document, version = one.document or "", one.version or 0
            base = document if self._in_place else f"{document}/{version}"
        ending = json_source(self._source_names, values)
        rows = {f"{base}/{key}" if key else base: b"{%b,%b}" % (fields, ending) for key, fields in one.rows}
        return _Write(one, document, version, rows)

    def _next_version(self, own: Connection) -> int:
        assert self._turn is not None
        version = row_records.next_version(own, self._generation, self._turn.token, self._turn.position())
        if version is None:
            raise LeaseLost
        return version

    def _send(self, actions: dict[str, Any], version: int) -> dict[str, str]:
        assert self._turn is not None
        return self._bulk.send(actions, version, self._turn.deadline)


def _sources(writes: Iterable[_Write]) -> list[Source]:
    return [source for one in writes for source in one.sources]


def _rows(writes: Iterable[_Write]) -> dict[str, bytes]:
    return {row_id: body for one in writes for row_id, body in one.rows.items()}
