"""The OpenSearch sink against a real node: the promises of every sink, and those of a store outside."""

import datetime as dt
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from threading import Event
from typing import Any

import pytest
from opensearchpy import OpenSearch

from strandline.consumer.database.connection import connect
from strandline.consumer.projection.definition import Column, Projection, RowProjection, Unprojectable
from strandline.consumer.sinks import record_tables
from strandline.consumer.sinks.contract import LeaseLost, RejectedRow, Replacement, StoreFailed, Turn
from strandline.consumer.sinks.opensearch import bulk as search_bulk
from strandline.consumer.sinks.opensearch import initial_writer
from strandline.consumer.sinks.opensearch.client import count
from strandline.consumer.sinks.opensearch.search import rows_of
from strandline.consumer.sinks.opensearch.sink import OpensearchSink
from tests.consumer.sinks.contract import COMPOSED, CURRENT, HISTORY, KEYED, Row, SinkContract
from tests.opensearch.proxy import Passing, Proxy

INSERT_GENERATION = """
    INSERT INTO projection.generation (projection, store, state, fingerprint, relation, position)
    VALUES (%s, 'opensearch', 'building', '', %s, -1) RETURNING generation"""

# A field that takes what only OpenSearch knows to refuse.
ODD = (Column("label", "text", "", mapping={"type": "ip"}), *CURRENT.columns[1:])
ODD_CURRENT = replace(CURRENT, name="odd_current", columns=ODD)
ODD_HISTORY = replace(HISTORY, name="odd_history", columns=ODD)
ODD_KEYED = replace(KEYED, name="odd_keyed", columns=ODD)
ODD_COMPOSED = replace(COMPOSED, name="odd_composed", columns=ODD)
REASON = "OpenSearch refuses the row (mapper_parsing_exception)"

Label = tuple[Any, ...]


class Outside:
    """Sinks that take turns as a projector's do, and what stands in their indices."""

    @pytest.fixture(autouse=True)
    def _connect(self, database: str, opensearch: OpenSearch) -> Iterator[None]:
        self.url = database
        self.client = opensearch
        self.position = 0
        with connect(database, autocommit=True) as self.connection:
            yield

    def made(self, projection: Projection, *, bare: bool = False) -> OpensearchSink:
        sink = self.sink(projection, self.client, bare=bare)
        sink.create(bare=bare)
        if not bare:
            sink.show()
        return sink

    def sink(self, projection: Projection, client: OpenSearch, *, bare: bool = False) -> OpensearchSink:
        projection = replace(projection, shards=2)
        relation = f"{projection.name}_1"
        known = self.connection.execute("SELECT generation FROM projection.generation WHERE relation = %s", [relation])
        row = known.fetchone()
        if row is None:
            row = self.connection.execute(INSERT_GENERATION, [projection.name, relation]).fetchone()
            assert row
            record_tables.create(self.connection, replace(projection, store="opensearch"), row[0], bare=bare)
        return OpensearchSink(client, self.url, self.connection, projection, row[0], relation)

    @contextmanager
    def turn(self, sink: OpensearchSink, seconds: float = 20.0) -> Iterator[None]:
        self.position += 1
        sink.begin(Turn(0, lambda: self.position, time.monotonic() + seconds))
        with self.connection.transaction():
            yield
            sink.settle()

    def change(self, sink: OpensearchSink, *replacements: Replacement) -> list[RejectedRow]:
        with self.turn(sink):
            return sink.write(replacements)

    def one(self, sink: OpensearchSink, document: str, version: int, *labels: str) -> Replacement:
        return Replacement(document, version, version, sink.prepare([{"label": label} for label in labels]))

    def rows(self, projection: Projection) -> list[Row]:
        self.client.indices.refresh(index=projection.name)
        hits = self.client.search(index=projection.name, body={"size": 1000})["hits"]["hits"]
        return [hit["_source"] for hit in hits]

    def labels_of(self, projection: Projection) -> list[Label]:
        return sorted((row["source_document"], row["source_version"], row["label"]) for row in self.rows(projection))

    def recorded(self) -> list[Label]:
        rows = self.connection.execute("SELECT document, version, row_id FROM projection.outside_row ORDER BY 1, 2, 3")
        return rows.fetchall()


class _Turning:
    """A sink whose every write is a turn of its own: the tests of the contract know of none."""

    def __init__(self, outside: Outside, sink: OpensearchSink) -> None:
        self._outside, self._sink = outside, sink
        self.prepare, self.summary = sink.prepare, sink.summary
        self.create, self.complete, self.show, self.drop = sink.create, sink.complete, sink.show, sink.drop
        self.rows_of, self.as_stored = sink.rows_of, sink.as_stored

    def write(self, replacements: Sequence[Replacement]) -> list[RejectedRow]:
        with self._outside.turn(self._sink):
            return self._sink.write(replacements)

    def write_first(self, replacements: Sequence[Replacement]) -> list[RejectedRow]:
        with self._outside.turn(self._sink):
            return self._sink.write_first(replacements)

    def purge_sources(self, sources: Sequence[tuple[str, int]]) -> None:
        with self._outside.turn(self._sink):
            self._sink.purge_sources(sources)

    def purge(self, sources: Sequence[tuple[str, int]]) -> None:
        with self._outside.turn(self._sink):
            self._sink.purge(sources)


class TestOpensearchSink(Outside, SinkContract):
    def make(self, projection: Projection, *, bare: bool = False) -> Any:
        return _Turning(self, self.made(projection, bare=bare))

    def contents(self, sink: Any, projection: Projection) -> list[Row]:
        return [row | {"at": row["at"] and dt.datetime.fromisoformat(row["at"])} for row in self.rows(projection)]


class TestIndex(Outside):
    def test_index_is_strict_and_remembers_deletions(self) -> None:
        self.made(ODD_CURRENT)
        (found,) = self.client.indices.get(index="odd_current").values()
        assert found["settings"]["index"]["gc_deletes"] == "1h"
        assert found["mappings"]["dynamic"] == "strict"
        assert found["mappings"]["properties"]["label"] == {"type": "ip"}
        assert found["mappings"]["_meta"]["fields"]["label"] == ""

    def test_index_is_refreshed_soon_except_during_a_backfill(self) -> None:
        """Each index is told: one that is not stands still while nobody searches it."""

        def told(name: str) -> tuple[str, str]:
            (found,) = self.client.indices.get_settings(index=name).values()
            index = found["settings"]["index"]
            return index["refresh_interval"], index.get("translog", {}).get("durability", "request")

        self.made(CURRENT)
        assert told("current_1") == ("200ms", "request")
        sink = self.made(ODD_CURRENT, bare=True)
        assert told("odd_current_1") == ("1s", "async")
        sink.complete()
        assert told("odd_current_1") == ("200ms", "request")

    @pytest.mark.parametrize("lost", [False, True])
    def test_complete_index_is_durable_and_has_all_rows(self, lost: bool) -> None:
        sink = self.made(CURRENT, bare=True)
        with self.turn(sink):
            sink.write_first([self.one(sink, f"d{number}", 0, "a") for number in range(3)])
        if not lost:
            sink.complete()
            return
        self.client.delete(index="current_1", id="d1")  # as if OpenSearch had crashed before it was durable
        with pytest.raises(StoreFailed, match="has lost rows"):
            sink.complete()

    def test_backfill_failure_is_unanswered_if_any_request_is(self, monkeypatch: pytest.MonkeyPatch) -> None:
        sink = self.made(CURRENT, bare=True)
        refused = Event()

        def send(_: OpensearchSink, rows: Mapping[str, Any], *more: Any) -> dict[str, str]:
            if "d0" in rows:
                refused.set()
                raise StoreFailed("refused")
            refused.wait()
            raise StoreFailed("lost", unanswered=True)

        monkeypatch.setattr(initial_writer, "MOST_ACTIONS", 1)
        monkeypatch.setattr(OpensearchSink, "_send", send)
        with pytest.raises(StoreFailed, match="refused") as raised, self.turn(sink):
            sink.write_first([self.one(sink, f"d{number}", 0, "a") for number in range(2)])
        assert raised.value.unanswered

    def test_readers_find_the_index_under_the_stable_name(self) -> None:
        old = self.made(CURRENT)
        assert set(self.client.indices.get_alias(name="current")) == {"current_1"}
        later = OpensearchSink(self.client, self.url, self.connection, CURRENT, 2, "current_2")
        later.create()
        later.show()
        assert set(self.client.indices.get_alias(name="current")) == {"current_2"}
        old.show()
        old.show()
        assert set(self.client.indices.get_alias(name="current")) == {"current_1"}

    def test_index_has_the_shards_of_its_projection(self) -> None:
        self.made(CURRENT)
        settings = self.client.indices.get_settings(index=f"{CURRENT.name}_1")
        assert [one["settings"]["index"]["number_of_shards"] for one in settings.values()] == ["2"]

    def test_foreign_index_is_not_written(self) -> None:
        sink = self.made(CURRENT)
        self.client.indices.delete(index="current_1")
        with pytest.raises(StoreFailed, match="does not have the index"):
            self.change(sink, self.one(sink, "d", 0, "a"))
        self.client.indices.create(index="current_1")
        with pytest.raises(StoreFailed, match="not the one that was made"):
            self.change(sink, self.one(sink, "d", 0, "a"))

    def test_every_type_is_stored_exactly(self) -> None:
        types = ("text", "boolean", "integer", "bigint", "numeric", "date", "jsonb", "text[]", "bigint[]")
        columns = tuple(Column(f"c{n}", type_, "") for n, type_ in enumerate(types))
        projection = RowProjection("typed", "Test.", ("T",), "current", "analysts", columns, lambda _: [])
        sink = self.made(projection)
        nested = {"a": [Decimal("1.50"), 2, None, "\ufdd00000", "ü"]}
        text = '\ufdd00000 é "\\\n'
        values: list[Any] = [text, True, -(2**31), 2**63 - 1, Decimal("1.10"), dt.date(2020, 1, 2), nested, ["a"], [1]]
        rows = sink.prepare([{f"c{n}": value for n, value in enumerate(values)}])
        assert self.change(sink, Replacement("d", 0, 0, rows)) == []
        (found,) = self.rows(projection)
        expected = [*values[:4], 1.10, "2020-01-02", {"a": [1.5, 2, None, "\ufdd00000", "ü"]}, *values[7:]]
        assert [found[f"c{n}"] for n in range(len(values))] == expected
        with pytest.raises(Unprojectable, match=r"^column c4 does not take the value as a number$"):
            sink.prepare([{"c4": Decimal("1e400")}])


class TestRefusals(Outside):
    def test_refused_document_keeps_its_earlier_row(self) -> None:
        sink = self.made(ODD_CURRENT)
        self.change(sink, self.one(sink, "d", 0, "::1"))
        (refusal,) = self.change(sink, self.one(sink, "d", 1, "Ada"), self.one(sink, "e", 1, "::2"))
        assert (refusal.replacement.version, refusal.reason) == (1, REASON)
        assert self.labels_of(ODD_CURRENT) == [("d", 0, "::1"), ("e", 1, "::2")]
        assert self.recorded() == [("d", 0, "d"), ("e", 1, "e")]

    def test_refusal_of_one_row_keeps_all_earlier_rows(self) -> None:
        sink = self.made(ODD_KEYED)
        self.change(sink, self.one(sink, "d", 0, "::1", "::2"))
        (refusal,) = self.change(sink, self.one(sink, "d", 1, "::2", "::3", "Ada"))
        assert refusal.replacement.version == 1
        assert self.labels_of(ODD_KEYED) == [("d", 0, "::1"), ("d", 0, "::2")]
        assert {row[:2] for row in self.recorded()} == {("d", 0)}
        self.change(sink, self.one(sink, "d", 2, "::4"))
        assert self.labels_of(ODD_KEYED) == [("d", 2, "::4")]

    def test_later_versions_queue_behind_a_refused_one(self) -> None:
        sink = self.made(ODD_HISTORY)
        rows = [self.one(sink, "d", version, "Ada" if version == 1 else "::1") for version in range(4)]
        (refusal,) = self.change(sink, *rows, self.one(sink, "e", 0, "::1"))
        assert refusal.replacement.version == 1
        assert self.labels_of(ODD_HISTORY) == [("d", 0, "::1"), ("e", 0, "::1")]
        assert self.recorded() == [("d", 0, "d/0"), ("e", 0, "e/0")]

    def test_refused_key_of_a_first_fill_has_no_rows(self) -> None:
        sink = self.made(ODD_COMPOSED)
        keys = {"k": ["::1", "Ada"], "l": ["::2"]}
        rows = [
            Replacement(key, None, 1, sink.prepare([{"label": label} for label in labels]))
            for key, labels in keys.items()
        ]
        with self.turn(sink):
            (refusal,) = sink.write_first(rows)
        assert (refusal.replacement.document, refusal.reason) == ("k", REASON)
        assert [row["label"] for row in self.rows(ODD_COMPOSED)] == ["::2"]
        assert len(self.recorded()) == 1


class Proxied(Outside):
    @pytest.fixture
    def proxy(self, opensearch_url: str) -> Iterator[Proxy]:
        with Proxy(opensearch_url).running() as proxy:
            yield proxy

    @pytest.fixture
    def sent(self, proxy: Proxy) -> list[Passing]:
        """Every bulk write that passed, to send it once more, late."""
        sent: list[Passing] = []

        def note(passing: Passing) -> None:
            if passing.is_bulk:
                sent.append(passing)

        proxy.meddle = note
        return sent

    def through(self, proxy: Proxy, projection: Projection) -> OpensearchSink:
        self.made(projection)
        self.passed = OpenSearch(hosts=[proxy.url], max_retries=0, timeout=10)
        return self.sink(projection, self.passed)

    @pytest.fixture(autouse=True)
    def _close(self) -> Iterator[None]:
        yield
        if hasattr(self, "passed"):
            self.passed.close()


class TestVersions(Proxied):
    def test_late_write_does_not_restore_a_deleted_document(self, proxy: Proxy, sent: list[Passing]) -> None:
        """The mechanism: its version is of an older position, and the index remembers the deletion's for an hour, which
        is very much longer than anything sent under a lease can be under way."""
        sink = self.through(proxy, CURRENT)
        self.change(sink, self.one(sink, "d", 0, "secret"))
        self.change(sink, self.one(sink, "d", 1))
        assert statuses(sent[0].onward()) == [409]
        assert self.labels_of(CURRENT) == []
        # Without that memory it would be back.
        self.client.indices.put_settings(index="current_1", body={"index": {"gc_deletes": "0ms"}})
        self.change(sink, self.one(sink, "other", 0, "x"), self.one(sink, "d", 2))
        deadline = time.monotonic() + 20
        while statuses(sent[0].onward()) == [409] and time.monotonic() < deadline:
            time.sleep(0.3)  # its clock for this is a coarse one
            self.client.indices.refresh(index="current_1")
        assert self.labels_of(CURRENT) == [("d", 0, "secret"), ("other", 0, "x")]

    def test_late_attempt_at_the_same_position_undoes_nothing(self, proxy: Proxy, sent: list[Passing]) -> None:
        sink = self.through(proxy, CURRENT)
        self.change(sink, self.one(sink, "d", 0, "first attempt"))
        self.position -= 1
        self.change(sink, self.one(sink, "d", 1, "second attempt"))
        assert statuses(sent[0].onward()) == [409]
        assert self.labels_of(CURRENT) == [("d", 1, "second attempt")]

    def test_shorter_batch_after_a_crash_is_not_mistaken_for_a_late_one(self) -> None:
        """Cut off after it had sent its rows, with the journal then projected in shorter batches."""
        sink = self.made(CURRENT)
        self.position = 100
        sink.begin(Turn(0, lambda: self.position, time.monotonic() + 20))
        sink.write([self.one(sink, "d", 3, "as of 100")])
        self.position = 50
        self.change(sink, self.one(sink, "d", 1, "as of 51"))
        assert self.labels_of(CURRENT) == [("d", 1, "as of 51")]
        self.change(sink, self.one(sink, "d", 2))
        assert self.labels_of(CURRENT) == []
        assert self.recorded() == []

    def test_versions_are_of_positions(self) -> None:
        sink = self.made(CURRENT)
        self.position = 41
        self.change(sink, self.one(sink, "d", 0, "a"))
        assert self.client.get(index="current_1", id="d")["_version"] >> 20 == 42

    def test_row_of_a_higher_version_stays_and_a_missing_row_may_be_deleted(self) -> None:
        sink = self.made(CURRENT)
        self.change(sink, self.one(sink, "d", 0, "a"), self.one(sink, "e", 0, "a"))
        newer = {"version": 1 << 40, "version_type": "external"}
        body = self.client.get(index="current_1", id="d")["_source"] | {"label": "newer"}
        self.client.index(index="current_1", id="d", body=body, params=newer)
        self.client.delete(index="current_1", id="e")
        assert self.change(sink, self.one(sink, "d", 1, "older"), self.one(sink, "e", 1)) == []
        assert self.labels_of(CURRENT) == [("d", 0, "newer")]

    def test_row_is_recorded_before_it_is_sent(self, proxy: Proxy) -> None:
        sink = self.through(proxy, CURRENT)
        seen = []

        def look(passing: Passing) -> None:
            if passing.is_bulk:
                with connect(self.url) as other:
                    seen.extend(other.execute("SELECT row_id FROM projection.outside_row").fetchall())

        proxy.meddle = look
        self.change(sink, self.one(sink, "d", 0, "a"))
        assert seen == [("d",)]

    def test_another_holder_of_the_lease_ends_the_turn(self) -> None:
        sink = self.made(CURRENT)
        self.connection.execute("UPDATE projection.generation SET token = 1")
        with pytest.raises(LeaseLost):
            self.change(sink, self.one(sink, "d", 0, "a"))
        assert self.labels_of(CURRENT) == []
        assert self.recorded() == []


class TestFaults(Proxied):
    @pytest.mark.parametrize("status", [429, 502, 503, 0], ids=["429", "502", "503", "lost"])
    def test_passing_fault_is_retried(self, proxy: Proxy, status: int) -> None:
        sink = self.through(proxy, CURRENT)
        refuse = iter([True, True])
        proxy.meddle = lambda passing: (status, b"{}") if passing.is_bulk and next(refuse, False) else None
        assert self.change(sink, self.one(sink, "d", 0, "a")) == []
        assert self.labels_of(CURRENT) == [("d", 0, "a")]

    def test_deferred_actions_are_sent_again(self, proxy: Proxy) -> None:
        sink = self.through(proxy, CURRENT)
        sizes = []

        def put_off(passing: Passing) -> tuple[int, bytes] | None:
            if not passing.is_bulk:
                return None
            sizes.append(passing.body.count(b'"_id"'))
            status, answer = passing.onward()
            found = json.loads(answer)
            if len(sizes) == 1:
                for item in found["items"][:2]:
                    item["index"] = {"status": 429, "error": {"type": "rejected_execution_exception"}}
            return status, json.dumps(found).encode()

        proxy.meddle = put_off
        assert self.change(sink, *[self.one(sink, f"d{n}", 0, "a") for n in range(5)]) == []
        assert sizes == [5, 2]
        assert len(self.labels_of(CURRENT)) == 5

    def test_patience_ends(self, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
        sink = self.through(proxy, CURRENT)
        monkeypatch.setattr(search_bulk, "PATIENCE_SECONDS", 0.5)
        proxy.meddle = lambda passing: (503, b"{}") if passing.is_bulk else None
        with pytest.raises(StoreFailed, match="status 503") as caught:
            self.change(sink, self.one(sink, "d", 0, "a"))
        assert not caught.value.unanswered
        # Its row is recorded, and so it is found however this goes on.
        assert self.recorded() == [("d", 0, "d")]

    def test_refused_login_is_not_retried(self, proxy: Proxy) -> None:
        sink = self.through(proxy, CURRENT)
        asked = []
        proxy.meddle = lambda passing: (asked.append(1) or (403, b"{}")) if passing.is_bulk else None
        with pytest.raises(StoreFailed, match="status 403"):
            self.change(sink, self.one(sink, "d", 0, "a"))
        assert len(asked) == 1

    def test_nothing_is_sent_after_the_deadline(self, proxy: Proxy, sent: list[Passing]) -> None:
        sink = self.through(proxy, CURRENT)
        with pytest.raises(StoreFailed, match="within the time of a lease"), self.turn(sink, seconds=-1.0):
            sink.write([self.one(sink, "d", 0, "a")])
        assert sent == []

    def test_hanging_request_is_given_up_before_the_deadline(self, proxy: Proxy) -> None:
        sink = self.through(proxy, CURRENT)

        def hang(passing: Passing) -> tuple[int, bytes] | None:
            if not passing.is_bulk:
                return None
            time.sleep(3)
            return 0, b""

        proxy.meddle = hang
        started = time.monotonic()
        with pytest.raises(StoreFailed) as caught, self.turn(sink, seconds=1.5):
            sink.write([self.one(sink, "d", 0, "a")])
        assert time.monotonic() - started < 2.5
        assert caught.value.unanswered

    def test_requests_run_in_parallel(self, proxy: Proxy, sent: list[Passing]) -> None:
        sink = self.through(proxy, CURRENT)
        rows = [self.one(sink, f"d{n}", 0, "a") for n in range(search_bulk.MOST_ACTIONS * 3 + 1)]
        assert self.change(sink, *rows) == []
        assert len(sent) == 4
        self.client.indices.refresh(index="current")
        assert self.client.count(index="current")["count"] == len(rows)


def statuses(answer: tuple[int, bytes]) -> list[int]:
    return [next(iter(item.values()))["status"] for item in json.loads(answer[1])["items"]]


def test_bulk_failure_is_unanswered_if_any_request_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or the lease would be given back while something may still be written."""
    bulk = search_bulk.Bulk(OpenSearch(), "none")
    refused = Event()

    def send(_: search_bulk.Bulk, part: Sequence[Any], *more: Any) -> dict[str, str]:
        if part[0][0] == "d0":
            refused.set()
            raise StoreFailed("refused")
        refused.wait()
        raise StoreFailed("lost", unanswered=True)

    monkeypatch.setattr(search_bulk.Bulk, "_send_part", send)
    monkeypatch.setattr(search_bulk, "MOST_ACTIONS", 1)
    with pytest.raises(StoreFailed, match="refused") as raised:
        bulk.send({"d0": b"{}", "d1": b"{}"}, 1, time.monotonic() + 10)
    assert raised.value.unanswered


def test_answer_of_some_shards_alone_is_a_failure() -> None:
    """OpenSearch calls it a success. What was not asked may have redacted data."""

    class Indices:
        @staticmethod
        def refresh(index: str) -> dict[str, Any]:
            return {"_shards": {"total": 2, "successful": 2, "failed": 0}}

    class Partial:
        indices = Indices

        @staticmethod
        def search(**_: object) -> dict[str, Any]:
            return {"_shards": {"total": 2, "successful": 1, "failed": 1}, "hits": {"hits": []}}

        @staticmethod
        def count(**_: object) -> dict[str, Any]:
            return {"_shards": {"total": 2, "successful": 1, "failed": 1}, "count": 7}

    client: Any = Partial()
    for ask in (lambda: list(rows_of(client, "i", [("D", 0)])), lambda: count(client, "i")):
        with pytest.raises(StoreFailed, match="without some of the index's shards"):
            ask()
