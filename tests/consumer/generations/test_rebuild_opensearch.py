"""Rebuilds and rollbacks of read models in OpenSearch, with a real node: what readers see, what a crash leaves."""

import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from opensearchpy import OpenSearch
from psycopg import errors

from strandline.consumer.database.connection import Connection, connect
from strandline.consumer.generations import exclusion, generation, rebuild, rollback, stages
from strandline.consumer.generations.rebuild import Served
from strandline.consumer.generations.state import parked, statuses
from strandline.consumer.generations.stores import Stores, open_stores
from strandline.consumer.projection.definition import BlockProjection, Column, Projection
from strandline.consumer.projector import backfill, lease
from strandline.consumer.projector.filler import BackfillBatch
from strandline.consumer.settings import Settings
from strandline.consumer.sinks.contract import StoreFailed
from strandline.consumer.sinks.opensearch import bulk, initial_writer
from strandline.consumer.sinks.opensearch.index_rows import IndexRows
from strandline.consumer.sinks.opensearch.sink import OpensearchSink
from strandline.consumer.sinks.patience import ReadersInTheWay
from strandline.journal.errors import StrandlineError, UsageError
from tests.consumer.generations.records import LIFT, check_records
from tests.consumer.projector.sample_orders import ORDERS, line, order, product
from tests.consumer.projector.sample_projections import BAD, CURRENT, HISTORY, good
from tests.definitions import redefine
from tests.empty_generations import follow
from tests.opensearch.node import node_of_its_own
from tests.opensearch.proxy import Passing, Proxy
from tests.strand_rows import StrandRows

NOW = replace(CURRENT, store="opensearch")
PAST = replace(HISTORY, store="opensearch")
BLOCKS = BlockProjection(
    "blocks", "Test.", "analysts", (Column("label", "text", ""),), lambda block: [{"label": str(block.sequence_no)}],
    store="opensearch",
)  # fmt: skip
COMPOSED = replace(ORDERS, store="opensearch")
ALL: dict[str, Projection] = {one.name: one for one in (NOW, PAST, BLOCKS, COMPOSED)}
Rows = list[dict[str, Any]]


@pytest.fixture
def stores(database: str, opensearch: OpenSearch) -> Stores:
    return Stores(database, opensearch)


@pytest.fixture
def redefined(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Says that the code at hand is another definition than the one before."""

    return lambda text: redefine(monkeypatch, lambda _: text)


def named(*projections: Projection) -> dict[str, Projection]:
    return {projection.name: projection for projection in projections}


def rebuilt(stores: Stores, *projections: Projection) -> Served:
    """The last of them."""
    for projection in projections:
        done = rebuild.rebuild(stores.url, named(*projections), projection.name, stores=stores)
    return done


def rolled_back(stores: Stores, projection: Projection, *, stale: bool = False) -> Served:
    return rollback.rollback(stores.url, named(projection), projection.name, stale=stale, stores=stores)


def shown(client: OpenSearch, name: str) -> Rows:
    """Return the rows that readers find, in the order of their sources."""
    client.indices.refresh(index=name)
    hits = client.search(index=name, body={"size": 1000})["hits"]["hits"]
    return sorted((hit["_source"] for hit in hits), key=repr)


def labels(client: OpenSearch, name: str = "now") -> list[str]:
    return sorted(row["label"] for row in shown(client, name))


def states(connection: Connection, name: str = "now") -> list[str]:
    statement = "SELECT state FROM projection.generation WHERE projection = %s ORDER BY generation"
    return [state for (state,) in connection.execute(statement, [name])]


def check_whole(connection: Connection, client: OpenSearch, *projections: Projection) -> None:
    """Every index has its row and every row its index, and readers are shown the one that is said to be live."""
    assert connection.execute("SELECT count(*) FROM projection.swap").fetchone() == (0,)
    check_records(connection)
    for projection in projections:
        statement = "SELECT relation, state FROM projection.generation WHERE projection = %s"
        found = dict(connection.execute(statement, [projection.name]).fetchall())
        assert set(client.indices.get(index=f"{projection.name}_*")) == set(found)
        live = {relation for relation, state in found.items() if state == "live"}
        assert set(client.indices.get_alias(name=projection.name)) == live
        refreshed = client.indices.get_settings(index=f"{projection.name}_*")
        assert {one["settings"]["index"]["refresh_interval"] for one in refreshed.values()} == {"200ms"}
        durable = [one["settings"]["index"].get("translog", {}).get("durability") for one in refreshed.values()]
        assert "async" not in durable


def history(strand: StrandRows) -> None:
    strand.block(("a", 0, "T", good("a0")), ("b", 0, "T", good("b0")), ("c", 0, "T", BAD))
    strand.block(("a", 1, "T", good("a1")), ("c", 1, "T", good("c1")), ("d", 0, "T", good("d0")))
    strand.block(("d", 1, "T", BAD))
    strand.block(("b", 1, "T", None))
    strand.block(redact=("a", 0))
    strand.block(order("o1", "A"), line("l1", "A", "x"), product("p1", "x"))


class TestRebuild:
    @pytest.mark.parametrize("name", ALL)
    def test_rebuilt_generation_equals_the_served_one(
        self, connection: Connection, strand: StrandRows, stores: Stores, opensearch: OpenSearch, name: str
    ) -> None:
        history(strand)
        one = named(ALL[name])
        follow(stores.url, one, stores=stores)
        strand.block(("e", 0, "T", good("e0")), order("o2", "B"), line("l2", "B", "x"))  # it does not have this yet
        told: list[tuple[str, int, int | None]] = []
        done = rebuild.rebuild(stores.url, one, name, progress=lambda *step: told.append(step), stores=stores)
        after = shown(opensearch, name)
        assert (done.name, done.swapped, done.difference, done.rows) == (name, True, None, len(after))
        assert told
        assert states(connection, name) == ["kept", "live"]
        # What is served now is what the one before would have been.
        rolled_back(stores, ALL[name])
        assert shown(opensearch, name) == after
        assert len({(one.key, one.reason) for one in parked(connection)}) == len(parked(connection)) / 2
        check_whole(connection, opensearch, ALL[name])

    def test_only_the_last_generation_is_kept(
        self, connection: Connection, strand: StrandRows, stores: Stores, opensearch: OpenSearch
    ) -> None:
        history(strand)
        follow(stores.url, ALL, stores=stores)
        for _ in range(3):
            assert rebuilt(stores, *ALL.values()).swapped
        assert states(connection) == ["kept", "live"]
        check_whole(connection, opensearch, *ALL.values())

    def test_difference_refuses_the_cut_over(
        self, connection: Connection, strand: StrandRows, stores: Stores, opensearch: OpenSearch
    ) -> None:
        history(strand)
        follow(stores.url, named(NOW, COMPOSED), stores=stores)
        opensearch.indices.refresh(index="orders")
        for projection, row in ((NOW, "a"), (COMPOSED, opensearch.search(index="orders")["hits"]["hits"][0]["_id"])):
            (live,) = opensearch.indices.get_alias(name=projection.name)
            opensearch.update(index=live, id=row, body={"doc": {"label": "tampered"}})
            done = rebuilt(stores, projection)
            assert not done.swapped
            assert done.difference == f"{done.rows} rows in both, but with other contents"
            opensearch.delete(index=live, id=row)
            assert rebuilt(stores, projection).difference == f"{done.rows - 1} rows served, {done.rows} rebuilt"
            assert states(connection, projection.name) == ["live"]
            check_whole(connection, opensearch, projection)
        connection.execute("DELETE FROM projection.parked WHERE key = 'd'")
        difference = rebuilt(stores, NOW).difference
        assert difference
        assert difference.endswith("parked: 0 only in the one served, 1 only in the rebuilt one")

    def test_writes_to_the_served_generation_during_a_rebuild_are_compared(
        self, strand: StrandRows, stores: Stores, opensearch: OpenSearch, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        history(strand)
        follow(stores.url, named(NOW), stores=stores)
        (live,) = opensearch.indices.get_alias(name="now")
        complete = OpensearchSink.complete

        def tampering(sink: OpensearchSink) -> None:
            complete(sink)
            opensearch.update(index=live, id="a", body={"doc": {"label": "tampered"}})

        monkeypatch.setattr(OpensearchSink, "complete", tampering)
        assert not rebuilt(stores, NOW).swapped

    @pytest.mark.parametrize("projection", [NOW, COMPOSED], ids=lambda one: one.name)
    def test_all_rows_are_recorded_whatever_the_batch_size(
        self, connection: Connection, strand: StrandRows, stores: Stores, monkeypatch: pytest.MonkeyPatch,
        projection: Projection,
    ) -> None:  # fmt: skip
        for number in range(7):
            strand.block((f"d{number}", 0, "T", good("x")), order(f"o{number}", f"A{number}"))
        strand.block(*[line(f"l{number}", f"A{number}", "x") for number in range(7)], product("p", "x"))
        follow(stores.url, named(projection), stores=stores)
        monkeypatch.setattr(backfill, "KEYS", 3)
        monkeypatch.setattr(backfill, "KEYS_AT_ONCE", 1)
        monkeypatch.setattr(initial_writer, "RECORDED_AT_ONCE", 3)
        assert rebuilt(stores, projection).swapped
        of_state = "WHERE generation = (SELECT generation FROM projection.generation WHERE state = %s) ORDER BY 1, 2, 3"
        for columns in (
            "document, version, row_id FROM projection.outside_row",
            "key, document_id, version FROM projection.source",
        ):
            statement = f"SELECT {columns} {of_state}".encode()
            before, after = (connection.execute(statement, [state]).fetchall() for state in ("kept", "live"))
            assert before == after
            assert len(after) == (7 if "row_id" in columns else 21 if projection is COMPOSED else 0)

    def test_generation_that_cannot_be_dropped_keeps_its_row_and_record(
        self, connection: Connection, strand: StrandRows, stores: Stores, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        history(strand)
        follow(stores.url, named(NOW), stores=stores)
        rebuilt(stores, NOW)
        kept = generation.retired(connection, NOW)[0]

        def fail(_: IndexRows) -> None:
            raise StoreFailed("It does not answer.")

        with monkeypatch.context() as patch:
            patch.setattr(IndexRows, "drop", fail)
            with pytest.raises(StoreFailed, match="It does not answer"):
                exclusion.drop(connection, kept, stores)
        assert states(connection) == ["kept", "live"]
        recorded = "SELECT count(*) FROM projection.outside_row WHERE generation = %s"
        assert connection.execute(recorded, [kept.generation]).fetchone() == (2,)
        exclusion.drop(connection, kept, stores)
        assert states(connection) == ["live"]
        assert connection.execute(recorded, [kept.generation]).fetchone() == (0,)

    def test_generation_whose_record_is_being_read_is_dropped_later(
        self, connection: Connection, strand: StrandRows, database: str, stores: Stores
    ) -> None:
        history(strand)
        follow(stores.url, named(NOW), stores=stores)
        rebuilt(stores, NOW)
        kept = generation.retired(connection, NOW)[0]
        with connect(database) as reading:
            reading.execute("SELECT FROM projection.outside_row")
            with pytest.raises(ReadersInTheWay, match=f"Generation {kept.generation} of now was in use"):
                exclusion.drop(connection, kept, stores, patience=0.2)
            assert states(connection) == ["kept", "live"]
        exclusion.drop(connection, kept, stores)
        assert states(connection) == ["live"]

    def test_nobody_takes_over_a_generation_that_is_being_dropped(
        self, connection: Connection, strand: StrandRows, database: str, stores: Stores,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        """However long that takes: a lease alone would have run out."""
        history(strand)
        follow(stores.url, named(NOW), stores=stores)
        rebuilt(stores, NOW)
        kept = generation.retired(connection, NOW)[0]
        drop = IndexRows.drop

        def slow(sink: IndexRows) -> None:
            with connect(database, autocommit=True) as other:
                other.execute("SET lock_timeout = '100ms'")
                with pytest.raises(errors.LockNotAvailable):
                    lease.take(other, kept.generation)
            drop(sink)

        monkeypatch.setattr(IndexRows, "drop", slow)
        monkeypatch.setattr(lease, "SECONDS", 0)
        monkeypatch.setattr(lease, "OUTSIDE_SECONDS", 0)
        exclusion.drop(connection, kept, stores)
        assert states(connection) == ["live"]

    @pytest.mark.parametrize("back", [False, True])
    def test_node_killed_during_a_backfill_loses_only_that_index(
        self, connection: Connection, strand: StrandRows, database: str, tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch, back: bool,
    ) -> None:  # fmt: skip
        """A new index is not durable before it is complete: one that is back in time is found to have lost its rows."""
        history(strand)
        with node_of_its_own(tmp_path) as node:
            stores = open_stores(Settings(opensearch_url=node.url), database)
            client = stores.opensearch
            assert client
            follow(database, named(NOW), stores=stores)
            before = labels(client)
            complete = OpensearchSink.complete

            def crash(sink: OpensearchSink) -> None:
                node.stop(signal.SIGKILL)
                if back:
                    node.start()
                    client.cluster.health(
                        params={"wait_for_status": "yellow", "wait_for_no_initializing_shards": "true"}
                    )
                complete(sink)

            monkeypatch.setattr(OpensearchSink, "complete", crash)
            with pytest.raises(StoreFailed, match="has lost rows" if back else "not reachable"):
                rebuilt(stores, NOW)
            monkeypatch.undo()
            if not back:
                node.start()
            assert labels(client) == before
            assert rebuilt(stores, NOW).swapped
            assert labels(client) == before
            check_whole(connection, client, NOW)
            client.close()

    def test_another_definition_may_differ(
        self, connection: Connection, strand: StrandRows, stores: Stores, opensearch: OpenSearch,
        redefined: Callable[[str], None],
    ) -> None:  # fmt: skip
        history(strand)
        follow(stores.url, named(NOW), stores=stores)
        redefined("second")
        (status,) = statuses(connection, [NOW], stores)
        assert status.state == "needs_rebuild"
        wider = (*NOW.columns, Column("extra", "text", ""))
        new = replace(NOW, columns=wider, rows=lambda revision: [{"label": "new", "extra": revision.state}])
        done = rebuilt(stores, new)
        assert (done.swapped, done.difference) == (True, None)
        assert {(row["label"], row["extra"]) for row in shown(opensearch, "now")} == {("new", "normal")}
        assert states(connection) == ["frozen", "live"]
        check_whole(connection, opensearch, new)

    def test_generation_with_newly_parked_documents_is_refused(
        self, connection: Connection, strand: StrandRows, stores: Stores, opensearch: OpenSearch,
        redefined: Callable[[str], None],
    ) -> None:  # fmt: skip
        history(strand)
        follow(stores.url, named(NOW), stores=stores)
        before = shown(opensearch, "now")
        redefined("second")
        done = rebuilt(stores, replace(NOW, rows=lambda revision: [{"label": revision.data["nope"]}]))
        assert (done.swapped, done.rows, done.rows_before, done.newly_parked) == (False, 0, 2, 1)
        assert shown(opensearch, "now") == before
        assert states(connection) == ["live"]

    def test_change_during_a_rebuild_is_not_missed(
        self, connection: Connection, strand: StrandRows, stores: Stores, opensearch: OpenSearch,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        history(strand)
        follow(stores.url, named(NOW), stores=stores)
        once = []
        batches = backfill.RowBackfill.batches

        def changing(*parameters: Any) -> Iterator[BackfillBatch]:
            yield from batches(*parameters)
            if not once:
                once.append(1)
                connection.execute(LIFT)
                connection.execute("INSERT INTO journal.change (sequence_no, kind) VALUES (1, 'upgraded')")

        monkeypatch.setattr(backfill.RowBackfill, "batches", changing)
        assert rebuilt(stores, NOW).swapped
        assert "upgraded" in labels(opensearch)
        check_whole(connection, opensearch, NOW)

    def test_concurrent_rebuild_is_refused(self, strand: StrandRows, stores: Stores) -> None:
        history(strand)
        follow(stores.url, named(NOW), stores=stores)
        with exclusion.alone(stores.url, "now"):
            for again in (rebuilt, rolled_back):
                with pytest.raises(StrandlineError, match="now is being built or rolled back already"):
                    again(stores, NOW)

    def test_rebuild_needs_its_store(self, strand: StrandRows, stores: Stores) -> None:
        history(strand)
        with pytest.raises(UsageError, match="STRANDLINE_OPENSEARCH_URL"):
            rebuild.rebuild(stores.url, named(NOW), "now")
        follow(stores.url, named(CURRENT), stores=stores)
        with pytest.raises(StrandlineError, match="a read model stays in its store"):
            rebuilt(stores, NOW)

    @pytest.mark.parametrize("noticed", [True, False])
    def test_generation_whose_index_is_missing_is_replaced(
        self, connection: Connection, strand: StrandRows, stores: Stores, opensearch: OpenSearch, noticed: bool
    ) -> None:
        history(strand)
        follow(stores.url, named(NOW), stores=stores)
        (live,) = opensearch.indices.get_alias(name="now")
        opensearch.indices.delete(index=live)
        if noticed:
            strand.block(("e", 0, "T", good("e0")))
            follow(stores.url, named(NOW), stores=stores)
            (status,) = statuses(connection, [NOW], stores)
            assert status.state == "failing"
        assert rebuilt(stores, NOW).swapped
        assert states(connection) == ["live"]
        assert labels(opensearch) == ["a1", "d0", *(["e0"] if noticed else [])]
        check_whole(connection, opensearch, NOW)

    def test_readers_never_fail_and_never_see_a_part(
        self, strand: StrandRows, stores: Stores, opensearch: OpenSearch, opensearch_url: str
    ) -> None:
        for number in range(60):
            strand.block((f"d{number}", 0, "T", good("x")), order(f"o{number}", f"A{number}"))
        strand.block(*[line(f"l{number}", f"A{number}", "x") for number in range(60)], product("p", "x"))
        follow(stores.url, named(NOW, COMPOSED), stores=stores)
        opensearch.indices.refresh(index="now,orders")
        stop = threading.Event()
        seen: set[tuple[str, int]] = set()
        failures: list[BaseException] = []

        def read() -> None:
            reader = OpenSearch(hosts=[opensearch_url], timeout=30, max_retries=0)
            try:
                while not stop.is_set():
                    for name in ("now", "orders"):
                        found = reader.search(index=name, body={"size": 100})["hits"]
                        seen.add((name, found["total"]["value"]))
                        seen.add((name, len(found["hits"])))
            except BaseException as exc:
                failures.append(exc)
            finally:
                reader.close()

        readers = [threading.Thread(target=read) for _ in range(2)]
        for reader in readers:
            reader.start()
        try:
            for _ in range(2):
                for projection in (NOW, COMPOSED):
                    assert rebuilt(stores, projection).swapped
                    assert rolled_back(stores, projection).swapped
        finally:
            stop.set()
            for reader in readers:
                reader.join()
        assert failures == []
        assert seen == {("now", 60), ("orders", 60)}


class Cut(BaseException):
    """The process ends here."""


def cut(*_: Any, **__: Any) -> None:
    raise Cut


# Where a rebuild ends, as a name to replace; what is released by Python's own means, a kill would leave to its lease.
ENDS: dict[str, tuple[Any, str]] = {
    "before the index is made": (OpensearchSink, "create"),
    "in the fill": (bulk.Bulk, "send"),
    "after the fill": (OpensearchSink, "complete"),
    "before it is compared": (stages.Compare, "run"),
    "before the alias is moved": (OpensearchSink, "show"),
    "before the old ones are dropped": (stages.Retire, "run"),
}


class TestCrashes:
    @pytest.mark.parametrize(
        ("end", "projection", "first"),
        [
            ("before the index is made", NOW, "rebuild"),
            ("before the index is made", PAST, "projector"),
            ("in the fill", PAST, "rebuild"),
            ("in the fill", COMPOSED, "projector"),
            ("after the fill", COMPOSED, "rebuild"),
            ("after the fill", NOW, "projector"),
            ("before it is compared", NOW, "rebuild"),
            ("before it is compared", PAST, "projector"),
            ("before the alias is moved", PAST, "rebuild"),
            ("before the alias is moved", COMPOSED, "projector"),
            ("before the old ones are dropped", COMPOSED, "rebuild"),
        ],
        ids=lambda one: one if isinstance(one, str) else one.name,
    )
    def test_interrupted_rebuild_is_resumed(
        self, connection: Connection, strand: StrandRows, stores: Stores, opensearch: OpenSearch,
        monkeypatch: pytest.MonkeyPatch, end: str, projection: Projection, first: str,
    ) -> None:  # fmt: skip
        history(strand)
        follow(stores.url, named(projection), stores=stores)
        before = shown(opensearch, projection.name)
        with monkeypatch.context() as patch:
            patch.setattr(*ENDS[end], cut)
            with pytest.raises(Cut):
                rebuilt(stores, projection)
        assert shown(opensearch, projection.name) == before
        if first == "projector":
            follow(stores.url, named(projection), stores=stores)
            assert shown(opensearch, projection.name) == before
        assert rebuilt(stores, projection).difference is None
        assert states(connection, projection.name) == ["kept", "live"]
        assert shown(opensearch, projection.name) == before
        check_whole(connection, opensearch, projection)

    def test_redaction_after_an_interrupted_cut_over_reaches_both_generations(
        self, connection: Connection, strand: StrandRows, stores: Stores, opensearch: OpenSearch,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        """The swap is ended by whoever comes next: by then the one to be served must have met what the other has."""
        history(strand)
        follow(stores.url, named(PAST), stores=stores)
        with monkeypatch.context() as patch:
            patch.setattr(OpensearchSink, "show", cut)
            with pytest.raises(Cut):
                rebuilt(stores, PAST)
        strand.block(("a", 2, "T", good("a2")))
        strand.block(redact=("a", 1))
        seen: list[list[str]] = []
        show = OpensearchSink.show

        def watched(sink: OpensearchSink) -> None:
            show(sink)
            seen.append(labels(opensearch, "past"))

        monkeypatch.setattr(OpensearchSink, "show", watched)
        follow(stores.url, named(PAST), stores=stores)
        assert len(seen) == 1
        assert "a1" not in seen[0]
        assert states(connection, "past") == ["kept", "live"]
        for _ in range(2):
            assert "a1" not in str(shown(opensearch, "past"))
            rolled_back(stores, PAST)
        check_whole(connection, opensearch, PAST)

    @pytest.mark.parametrize("passed_on", [True, False])
    def test_unanswered_alias_request_is_finished(
        self, connection: Connection, strand: StrandRows, stores: Stores, opensearch: OpenSearch, opensearch_url: str,
        monkeypatch: pytest.MonkeyPatch, passed_on: bool,
    ) -> None:  # fmt: skip
        monkeypatch.setattr(lease, "OUTSIDE_SECONDS", 12)  # how long it is waited for
        history(strand)
        follow(stores.url, named(NOW), stores=stores)
        before = shown(opensearch, "now")
        with Proxy(opensearch_url).running() as proxy:
            through = open_stores(Settings(opensearch_url=proxy.url), stores.url)

            def lose(passing: Passing) -> tuple[int, bytes] | None:
                if not passing.path.startswith("/_aliases"):
                    return None
                if passed_on:
                    passing.onward()
                return 0, b""

            proxy.meddle = lose
            with pytest.raises(StoreFailed, match="not reachable"):
                rebuilt(through, NOW)
            assert through.opensearch
            through.opensearch.close()
        # Nobody fills either while something may be under way.
        busy = connection.execute("SELECT count(*) FROM projection.generation WHERE expires_at > now()").fetchone()
        assert busy == (2,)
        assert shown(opensearch, "now") == before
        follow(stores.url, named(NOW), stores=stores)
        assert states(connection) == ["kept", "live"]
        assert shown(opensearch, "now") == before
        check_whole(connection, opensearch, NOW)

    def test_refused_alias_request_changes_nothing(
        self, connection: Connection, strand: StrandRows, stores: Stores, opensearch: OpenSearch, opensearch_url: str
    ) -> None:
        history(strand)
        follow(stores.url, named(NOW), stores=stores)
        with Proxy(opensearch_url).running() as proxy:
            through = open_stores(Settings(opensearch_url=proxy.url), stores.url)
            proxy.meddle = lambda passing: (403, b"{}") if passing.path.startswith("/_aliases") else None
            with pytest.raises(StoreFailed, match="status 403"):
                rebuilt(through, NOW)
            assert through.opensearch
            through.opensearch.close()
        assert connection.execute("SELECT count(*) FROM projection.swap").fetchone() == (0,)
        assert states(connection) == ["live", "building"]
        assert rebuilt(stores, NOW).swapped
        check_whole(connection, opensearch, NOW)

    def test_cut_over_whose_definition_is_gone_is_taken_back(
        self, connection: Connection, strand: StrandRows, stores: Stores, opensearch: OpenSearch,
        monkeypatch: pytest.MonkeyPatch, redefined: Callable[[str], None],
    ) -> None:  # fmt: skip
        history(strand)
        follow(stores.url, named(NOW), stores=stores)
        (before,) = opensearch.indices.get_alias(name="now")
        show = OpensearchSink.show

        def late(sink: OpensearchSink) -> None:
            show(sink)
            raise Cut

        with monkeypatch.context() as patch:
            patch.setattr(OpensearchSink, "show", late)
            with pytest.raises(Cut):
                rebuilt(stores, NOW)
        assert set(opensearch.indices.get_alias(name="now")) != {before}
        redefined("second")
        follow(stores.url, named(NOW), stores=stores)
        assert set(opensearch.indices.get_alias(name="now")) == {before}
        assert rebuilt(stores, NOW).swapped
        assert states(connection) == ["frozen", "live"]
        check_whole(connection, opensearch, NOW)

    def test_failing_store_leaves_the_served_generation(
        self, connection: Connection, strand: StrandRows, stores: Stores, opensearch: OpenSearch, opensearch_url: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        monkeypatch.setattr(bulk, "PATIENCE_SECONDS", 0.3)
        history(strand)
        follow(stores.url, named(NOW), stores=stores)
        before = shown(opensearch, "now")
        with Proxy(opensearch_url).running() as proxy:
            through = open_stores(Settings(opensearch_url=proxy.url), stores.url)
            proxy.meddle = lambda passing: (503, b"{}") if passing.is_bulk else None
            with pytest.raises(StoreFailed, match="status 503"):
                rebuilt(through, NOW)
            assert through.opensearch
            through.opensearch.close()
        assert shown(opensearch, "now") == before
        (status,) = statuses(connection, [NOW], stores)
        assert (status.state, status.lag_blocks) == ("live", 0)
        assert rebuilt(stores, NOW).swapped
        check_whole(connection, opensearch, NOW)

    def test_index_is_dropped_only_when_nobody_writes_to_it(
        self, connection: Connection, strand: StrandRows, stores: Stores, opensearch: OpenSearch,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        """A bulk write to an index that is gone would make one anew, with mappings guessed."""
        history(strand)
        follow(stores.url, named(NOW), stores=stores)
        rebuilt(stores, NOW)
        kept = generation.retired(connection, NOW)[0]
        monkeypatch.setattr(lease, "SECONDS", 120)
        held = lease.take(connection, kept.generation)
        assert held
        refused = threading.Event()
        take = lease.take

        def watched(own: Connection, number: int) -> lease.Lease | None:
            found = take(own, number)
            if number == kept.generation and found is None:
                refused.set()
            return found

        monkeypatch.setattr(lease, "take", watched)
        dropping = threading.Thread(target=rebuilt, args=(stores, NOW))
        dropping.start()
        while not refused.wait(0.1) and dropping.is_alive():
            pass
        there = bool(opensearch.indices.exists(index=kept.relation))
        lease.release(connection, held)
        dropping.join()
        assert (refused.is_set(), there) == (True, True)
        check_whole(connection, opensearch, NOW)


class TestRollback:
    def test_kept_generation_catches_up_and_serves_again(
        self, connection: Connection, strand: StrandRows, stores: Stores, opensearch: OpenSearch
    ) -> None:
        history(strand)
        follow(stores.url, ALL, stores=stores)
        rebuilt(stores, *ALL.values())
        strand.block(("e", 0, "T", good("e0")), order("o2", "A"))
        follow(stores.url, ALL, stores=stores)
        at = connection.execute("SELECT DISTINCT position FROM projection.generation").fetchall()
        assert at == [(strand.next_no - 1,)]
        for projection in ALL.values():
            before = shown(opensearch, projection.name)
            done = rolled_back(stores, projection)
            assert (done.swapped, done.rows) == (True, len(before))
            assert shown(opensearch, projection.name) == before
            assert states(connection, projection.name) == ["live", "kept"]
        check_whole(connection, opensearch, *ALL.values())

    def test_failing_kept_generation_stops_nothing(
        self, connection: Connection, strand: StrandRows, stores: Stores, opensearch: OpenSearch
    ) -> None:
        history(strand)
        follow(stores.url, named(NOW), stores=stores)
        (gone,) = opensearch.indices.get_alias(name="now")
        rebuilt(stores, NOW)
        opensearch.indices.delete(index=gone)
        strand.block(("e", 0, "T", good("e0")))
        follow(stores.url, named(NOW), stores=stores)
        (status,) = statuses(connection, [NOW], stores)
        assert (status.state, status.lag_blocks) == ("live", 0)
        failures = connection.execute("SELECT failure FROM projection.generation ORDER BY generation").fetchall()
        assert failures == [("OpenSearch does not have the index of this read model.",), (None,)]

    @pytest.mark.parametrize("projection", [NOW, PAST, COMPOSED], ids=lambda one: one.name)
    def test_frozen_generation_is_purged_and_served_only_if_stale(
        self, connection: Connection, strand: StrandRows, stores: Stores, opensearch: OpenSearch,
        redefined: Callable[[str], None], projection: Projection,
    ) -> None:  # fmt: skip
        history(strand)
        follow(stores.url, named(projection), stores=stores)
        (index,) = opensearch.indices.get_alias(name=projection.name)
        redefined("second")
        rebuilt(stores, projection)
        strand.block(("a", 2, "T", good("a2")), product("p1", "x", 1))
        strand.block(redact=("a", 1))
        strand.block(redact=("p1", 0))
        follow(stores.url, named(projection), stores=stores)
        kept = shown(opensearch, index)
        assert "a1" not in str(kept)
        assert "p1" not in str(kept)
        statement = "SELECT position, clean_no FROM projection.generation WHERE state = 'frozen'"
        assert connection.execute(statement).fetchall() == [(5, 8)]
        with pytest.raises(StrandlineError, match=rf"`strandline rollback {projection.name} --stale`"):
            rolled_back(stores, projection)
        done = rolled_back(stores, projection, stale=True)
        assert (done.swapped, done.rows) == (True, len(kept))
        assert shown(opensearch, projection.name) == kept
        (status,) = statuses(connection, [projection], stores)
        assert status.state == "needs_rebuild"
        # What was served before the rollback is of the definition at hand, goes on, and is the way back.
        strand.block(("f", 0, "T", good("f0")))
        follow(stores.url, named(projection), stores=stores)
        assert rolled_back(stores, projection).swapped
        check_whole(connection, opensearch, projection)
