"""Read models in OpenSearch, from the journal to what an analyst finds, with a real node that also goes down."""

import random
import signal
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from opensearchpy import OpenSearch

from strandline.consumer.database.connection import Connection, connect
from strandline.consumer.generations.first_generation import ensure_served
from strandline.consumer.generations.generation import Generation
from strandline.consumer.generations.lifecycle import project, retry
from strandline.consumer.generations.state import ProjectionStatus, parked, statuses
from strandline.consumer.generations.stores import DATABASE_ONLY, Stores, open_stores
from strandline.consumer.projection.definition import Column, Projection, Revision, RowProjection, Unprojectable
from strandline.consumer.projection.discovery import discover
from strandline.consumer.projector import lease
from strandline.consumer.projector.feed import Limits
from strandline.consumer.projector.projector import Projector
from strandline.consumer.settings import Settings, load_settings
from strandline.consumer.sinks.opensearch import bulk
from strandline.consumer.sinks.opensearch.sink import OpensearchSink
from strandline.journal.errors import UsageError
from tests.empty_generations import ensure_generation
from tests.opensearch.node import node_of_its_own
from tests.opensearch.proxy import Passing, Proxy
from tests.strand_rows import StrandRows

LICENSING = discover(["strandline.projections"])
SEARCH = LICENSING["endorsement_search"]
REGISTER = LICENSING["licence_register"]
BOTH = {one.name: one for one in (SEARCH, REGISTER)}


def endorsement(number: str, **other: object) -> dict[str, Any]:
    data = {"endorsementId": number, "licenceId": "L-1", "points": 3, "userId": "u", "events": [{"by": "Ada"}],
            "issueDtm": "2020-01-01T00:00:00.000Z", "expiryDtm": "2024-01-01T00:00:00+00:00"}  # fmt: skip
    return {**data, **other}


@pytest.fixture
def connection(database: str) -> Iterator[Connection]:
    with connect(database, autocommit=True) as connection:
        yield connection


@pytest.fixture
def stores(database: str, opensearch: OpenSearch) -> Stores:
    return Stores(database, opensearch)


def status(connection: Connection, projection: Projection, stores: Stores) -> ProjectionStatus:
    (found,) = statuses(connection, [projection], stores)
    return found


def found(client: OpenSearch, name: str) -> list[dict[str, Any]]:
    client.indices.refresh(index=name)
    hits = client.search(index=name, body={"size": 1000})["hits"]["hits"]
    return sorted(
        (hit["_source"] for hit in hits), key=lambda row: (row["source_document"], row["source_version"], str(row))
    )


def test_endorsements_can_be_searched(
    connection: Connection, strand: StrandRows, database: str, stores: Stores, opensearch: OpenSearch
) -> None:
    strand.block(("e", 0, "Endorsement", endorsement("E-1")), ("f", 0, "Endorsement", endorsement("E-2")))
    strand.block(("g", 0, "Endorsement", endorsement("E-3", points="3", issueDtm="spring", expiryDtm=None)))
    strand.block(("e", 1, "Endorsement", endorsement("E-1", points=8)), ("f", 1, "Endorsement", None))
    strand.block(("h", 0, "Endorsement", {"points": 3}))
    project(database, BOTH, stores=stores)
    assert [(row["endorsement_id"], row["points"], row["issued_at"]) for row in found(opensearch, SEARCH.name)] == [
        ("E-1", 8, "2020-01-01T00:00:00+00:00"),
        ("E-3", None, None),
    ]
    query = {
        "query": {"bool": {"filter": [{"term": {"licence_id": " l-1 "}}, {"range": {"expires_at": {"gte": "2023"}}}]}}
    }
    assert opensearch.search(index=SEARCH.name, body=query)["hits"]["total"]["value"] == 1
    assert "Ada" not in str(found(opensearch, SEARCH.name))
    one = status(connection, SEARCH, stores)
    assert (one.store, one.state, one.position, one.parked) == ("opensearch", "live", 3, 1)
    assert stores.count(connection, SEARCH) == 2


def test_licences_can_be_searched_by_their_endorsements(
    strand: StrandRows, database: str, stores: Stores, opensearch: OpenSearch
) -> None:
    search = LICENSING["licence_search"]
    kent = {"licenceId": "L-1", "status": "ACTIVE", "county": "East Kent", "lastName": "Byron"}
    strand.block(("a", 0, "Licence", kent), ("b", 0, "Licence", {**kent, "licenceId": "L-2"}))
    for number, points, expiry in (("E-1", 3, "2030-01-01"), ("E-2", 8, "2010-01-01"), ("E-3", 8, "2030-01-01")):
        strand.block((number, 0, "Endorsement", endorsement(number, points=points, expiryDtm=expiry)))
    for licence, number in (("L-1", "E-1"), ("L-1", "E-2"), ("L-2", "E-3")):
        strand.block((f"m{number}", 0, "Mapping", {"licenceId": licence, "endorsementId": number}))
    project(database, {search.name: search}, stores=stores)
    opensearch.indices.refresh(index=search.name)

    def licences(points: int) -> list[str]:
        """In Kent, with so many points of one endorsement that is in force in 2020."""
        one = [{"term": {"endorsements.points": points}}, {"range": {"endorsements.expires_at": {"gte": "2020"}}}]
        nested = {"nested": {"path": "endorsements", "query": {"bool": {"filter": one}}}}
        query = {"query": {"bool": {"filter": [nested, {"match": {"county": "KENT"}}]}}}
        hits = opensearch.search(index=search.name, body=query)["hits"]["hits"]
        return [hit["_source"]["licence_id"] for hit in hits]

    assert (licences(3), licences(8)) == (["L-1"], ["L-2"])
    assert "Byron" not in str(found_sources := opensearch.search(index=search.name)["hits"]["hits"])
    assert len(found_sources) == 2
    strand.block(("mE-1", 1, "Mapping", None))
    project(database, {search.name: search}, stores=stores)
    opensearch.indices.refresh(index=search.name)
    assert licences(3) == []


def test_read_model_is_off_without_opensearch(
    connection: Connection, strand: StrandRows, database: str, stores: Stores
) -> None:
    strand.block(("e", 0, "Endorsement", endorsement("E-1")), ("a", 0, "Licence", {"licenceId": "L-1"}))
    project(database, BOTH)
    off = status(connection, SEARCH, DATABASE_ONLY)
    assert (off.state, off.generation, off.failure) == ("off", None, None)
    assert status(connection, REGISTER, DATABASE_ONLY).state == "live"
    with pytest.raises(UsageError, match="STRANDLINE_OPENSEARCH_URL"):
        retry(database, BOTH, SEARCH.name)
    project(database, BOTH, stores=stores)
    assert status(connection, SEARCH, DATABASE_ONLY).state == "off"
    assert status(connection, SEARCH, stores).state == "live"


def test_unreachable_node_stops_only_its_read_models(
    connection: Connection, strand: StrandRows, database: str, opensearch: OpenSearch, stores: Stores
) -> None:
    strand.block(("e", 0, "Endorsement", endorsement("E-1")), ("a", 0, "Licence", {"licenceId": "L-1"}))
    away = open_stores(Settings(opensearch_url="http://127.0.0.1:9"), database)
    project(database, BOTH, stores=away)
    failing = status(connection, SEARCH, away)
    assert (failing.state, failing.generation) == ("failing", None)
    assert failing.failure == "OpenSearch is not reachable (ConnectionError)."
    assert failing.failed_at is not None
    assert status(connection, REGISTER, away).state == "live"
    project(database, BOTH, stores=away)
    assert status(connection, SEARCH, away).failed_at == failing.failed_at
    project(database, BOTH, stores=stores)
    assert (status(connection, SEARCH, stores).state, len(found(opensearch, SEARCH.name))) == ("live", 1)


def test_index_catches_up_after_a_node_restarts(
    connection: Connection, strand: StrandRows, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "PATIENCE_SECONDS", 1.0)
    with node_of_its_own(tmp_path) as node:
        stores = open_stores(Settings(opensearch_url=node.url), database)
        assert stores.opensearch
        strand.block(("e", 0, "Endorsement", endorsement("E-1")))
        project(database, BOTH, stores=stores)
        node.stop(signal.SIGKILL)
        strand.block(("e", 1, "Endorsement", None), ("f", 0, "Endorsement", endorsement("E-2")))
        strand.block(("a", 0, "Licence", {"licenceId": "L-1"}))
        project(database, BOTH, stores=stores)
        failing = status(connection, SEARCH, stores)
        assert (failing.state, failing.position, failing.lag_blocks) == ("failing", 0, 2)
        assert status(connection, REGISTER, stores).lag_blocks == 0
        node.start()
        project(database, BOTH, stores=stores)
        assert status(connection, SEARCH, stores).state == "live"
        assert [row["endorsement_id"] for row in found(stores.opensearch, SEARCH.name)] == ["E-2"]
        stores.opensearch.close()


def test_lease_is_kept_while_a_request_may_be_under_way(
    connection: Connection, strand: StrandRows, database: str, opensearch_url: str, stores: Stores,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(bulk, "PATIENCE_SECONDS", 0.5)
    strand.block(("e", 0, "Endorsement", endorsement("E-1")))
    project(database, BOTH, stores=stores)
    strand.block(("e", 1, "Endorsement", endorsement("E-1")))
    with Proxy(opensearch_url).running() as proxy:
        through = open_stores(Settings(opensearch_url=proxy.url), database)
        for status_code, held in ((503, False), (0, True)):
            proxy.meddle = lambda passing, code=status_code: (code, b"{}") if passing.is_bulk else None
            project(database, BOTH, stores=through)
            left = "SELECT expires_at > now() FROM projection.generation WHERE projection = 'endorsement_search'"
            assert bool((connection.execute(left).fetchone() or (None,))[0]) is held
        assert through.opensearch
        through.opensearch.close()


def test_index_is_created_by_the_next_run_after_a_failure(
    connection: Connection, strand: StrandRows, stores: Stores, opensearch: OpenSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    strand.block(("e", 0, "Endorsement", endorsement("E-1")))
    with monkeypatch.context() as patch:
        patch.setattr(OpensearchSink, "show", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            ensure_served(stores.url, connection, SEARCH, stores)
    generation = ensure_served(stores.url, connection, SEARCH, stores)
    assert generation
    assert set(opensearch.indices.get(index="endorsement_search_*")) == {generation.relation}
    assert connection.execute("SELECT state FROM projection.generation").fetchall() == [("live",)]


def rows(revision: Revision) -> Iterator[Mapping[str, object]]:
    data = revision.data or {}
    if data.get("bad"):
        raise Unprojectable("it says so")
    for label in data.get("labels", [revision.state]):
        yield {"label": label, "amount": 1}


COLUMNS = (Column("label", "text", ""), Column("amount", "integer", ""))
NOW = RowProjection("now", "Test.", ("T",), "current", "analysts", COLUMNS, rows, key=("label",))
PAST = replace(NOW, name="past", keeps="history")


def outside(projection: RowProjection) -> RowProjection:
    return replace(projection, name=f"{projection.name}_outside", store="opensearch")


def filled(
    connection: Connection, projection: Projection, stores: Stores, limits: Limits
) -> tuple[Projector, Generation]:
    generation = ensure_generation(connection, projection, stores)
    assert generation
    sink = stores.sink(connection, projection, generation.generation, generation.relation)
    return Projector(connection, projection, generation.generation, sink, limits), generation


@pytest.mark.parametrize("seed", range(4))
def test_both_stores_have_the_same_rows_for_any_batches_and_crashes(
    connection: Connection, strand: StrandRows, stores: Stores, opensearch: OpenSearch, seed: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Batches of any size, some cut off after they were sent; between them revisions are redacted or run again."""
    chance = random.Random(seed)
    versions: dict[str, int] = {}
    strand.block(("z", 0, "T", {"labels": ["z"]}))
    settle = OpensearchSink.settle

    def cut_off(sink: OpensearchSink) -> None:
        if chance.random() < 0.3:
            raise ConnectionAbortedError
        settle(sink)

    monkeypatch.setattr(OpensearchSink, "settle", cut_off)
    for _ in range(8):
        for _ in range(chance.randrange(1, 6)):
            step(chance, strand, versions)
        for projection in (NOW, PAST):
            limits = Limits(chance.randrange(1, 6), chance.randrange(1, 6))
            try:
                projector, _ = filled(connection, outside(projection), stores, limits)
                projector.run_to_mark()
                projector.retry()
            except ConnectionAbortedError:
                continue
    monkeypatch.setattr(OpensearchSink, "settle", settle)
    for projection in (NOW, PAST):
        for one in (projection, outside(projection)):
            filled(connection, one, stores, Limits())[0].run_to_mark()
        inside = connection.execute(
            f"SELECT source_document, source_version, source_block, label FROM read.{projection.name} ORDER BY 1, 2, 4"
        ).fetchall()
        names = ("source_document", "source_version", "source_block", "label")
        there = sorted(tuple(row[name] for name in names) for row in found(opensearch, outside(projection).name))
        assert there == sorted(inside)
    by_name: dict[str, set[Any]] = {}
    for one in parked(connection):
        by_name.setdefault(one.projection, set()).add((one.key, one.version, one.reason))
    for projection in (NOW, PAST):
        assert by_name.get(projection.name) == by_name.get(outside(projection).name)


def step(chance: random.Random, strand: StrandRows, versions: dict[str, int]) -> None:
    document = chance.choice("abcd")
    version = versions.get(document, -1)
    if version > 0 and chance.random() < 0.3:
        strand.block(redact=(document, chance.randrange(version)))
        return
    versions[document] = version + 1
    if chance.random() < 0.15:
        data: dict[str, Any] | None = None if version >= 0 else {"bad": True}
    else:
        data = {"labels": chance.sample("uvwxyz", chance.randrange(1, 4))} | (
            {"bad": True} if chance.random() < 0.1 else {}
        )
    strand.block((document, version + 1, "T", data))


def test_refused_row_parks_without_its_value_and_is_retried(
    connection: Connection, strand: StrandRows, database: str, stores: Stores, opensearch: OpenSearch
) -> None:
    odd = RowProjection(
        "odd", "Test.", ("T",), "current", "analysts", (Column("label", "text", "", mapping={"type": "ip"}),),
        lambda revision: [{"label": (revision.data or {})["label"]}], store="opensearch",
    )  # fmt: skip
    strand.block(("a", 0, "T", {"label": "::1"}), ("b", 0, "T", {"label": "::2"}))
    project(database, {"odd": odd}, stores=stores)
    strand.block(("a", 1, "T", {"label": "Ada Byron"}))
    project(database, {"odd": odd}, stores=stores)
    (waiting,) = parked(connection)
    assert (waiting.key, waiting.reason) == ("a", "OpenSearch refuses the row (mapper_parsing_exception)")
    assert [(row["source_document"], row["label"]) for row in found(opensearch, "odd")] == [("a", "::1"), ("b", "::2")]
    result = retry(database, {"odd": odd}, "odd", stores)
    assert (result.retried, result.parked) == (1, 1)
    strand.block(("a", 2, "T", {"label": "::3"}))
    project(database, {"odd": odd}, stores=stores)
    assert len(parked(connection)) == 1
    connection.execute('UPDATE journal.revision SET data = \'{"label": "::2"}\' WHERE version = 1')
    result = retry(database, {"odd": odd}, "odd", stores)
    assert (result.retried, result.parked) == (1, 0)
    assert [(row["source_document"], row["label"]) for row in found(opensearch, "odd")] == [("a", "::3"), ("b", "::2")]
    assert connection.execute("SELECT expires_at FROM projection.generation").fetchall() == [(None,)]


def test_redacted_data_leaves_the_index(
    connection: Connection, strand: StrandRows, database: str, stores: Stores, opensearch: OpenSearch
) -> None:
    one = {"past_outside": outside(PAST)}
    strand.block(("a", 0, "T", {"labels": ["Ada", "Byron"]}))
    strand.block(("a", 1, "T", {"labels": ["now"]}))
    project(database, one, stores=stores)
    strand.block(redact=("a", 0))
    project(database, one, stores=stores)
    assert [(row["source_version"], row["label"]) for row in found(opensearch, "past_outside")] == [
        (0, "redacted"),
        (1, "now"),
    ]
    kept = connection.execute("SELECT version FROM projection.outside_row").fetchall()
    assert sorted(kept) == [(0,), (1,)]


def test_projector_without_lease_writes_nothing(
    connection: Connection, strand: StrandRows, stores: Stores, opensearch: OpenSearch
) -> None:
    strand.block(("e", 0, "Endorsement", endorsement("E-1")))
    projector, generation = filled(connection, SEARCH, stores, Limits())
    held = lease.take(connection, generation.generation)
    assert held
    connection.execute("UPDATE projection.generation SET token = token + 1")
    with pytest.raises(lease.LeaseLost):
        projector.step(held)
    assert found(opensearch, SEARCH.name) == []


@pytest.mark.parametrize("next_licence_id", [None, "L-2"])
@pytest.mark.parametrize("redacted", [False, True])
def test_key_of_a_lost_batch_is_removed_when_no_document_names_it(
    connection: Connection, strand: StrandRows, stores: Stores, opensearch: OpenSearch, redacted: bool,
    next_licence_id: str | None, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    search, settle = LICENSING["licence_search"], OpensearchSink.settle
    strand.block(("a", 0, "Licence", {"licenceId": "L-1", "status": "ACTIVE"}))
    projector, _ = filled(connection, search, stores, Limits())

    def cut_off(_: OpensearchSink) -> None:
        raise ConnectionAbortedError

    monkeypatch.setattr(OpensearchSink, "settle", cut_off)
    with pytest.raises(ConnectionAbortedError):
        projector.run_to_mark()
    assert [row["licence_id"] for row in searched(opensearch, search.name)] == ["L-1"]
    monkeypatch.setattr(OpensearchSink, "settle", settle)
    # The next batch has both versions, and the first one says nothing any more.
    strand.block(("a", 1, "Licence", next_licence_id and {"licenceId": next_licence_id, "status": "ACTIVE"}))
    if redacted:
        strand.block(redact=("a", 0))
    filled(connection, search, stores, Limits())[0].run_to_mark()
    left = [row["licence_id"] for row in searched(opensearch, search.name)]
    assert left == ([next_licence_id] if next_licence_id else [])
    assert connection.execute("SELECT FROM projection.outside_key").fetchall() == []


def searched(client: OpenSearch, name: str) -> list[dict[str, Any]]:
    client.indices.refresh(index=name)
    return [hit["_source"] for hit in client.search(index=name)["hits"]["hits"]]


def test_error_has_no_data_of_the_batch(
    connection: Connection, strand: StrandRows, database: str, opensearch_url: str, opensearch: OpenSearch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    strand.block(("e", 0, "Endorsement", endorsement("Ada Byron")))
    with Proxy(opensearch_url).running() as proxy:
        stores = open_stores(Settings(opensearch_url=proxy.url), database)

        def echo(passing: Passing) -> tuple[int, bytes] | None:
            return (
                (400, b'{"error": {"reason": "Ada Byron", "type": "Ada Byron"}, "status": 400}')
                if passing.is_bulk
                else None
            )

        proxy.meddle = echo
        with caplog.at_level("DEBUG"):
            project(database, {SEARCH.name: SEARCH}, stores=stores)
        failure = status(connection, SEARCH, stores).failure
        assert failure == "OpenSearch is not able to write (status 400)."
        assert "Ada" not in caplog.text
        assert stores.opensearch
        stores.opensearch.close()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"readers": "cleared"}, "restricted"),
        ({"indexes": (("points",),)}, "for store='postgresql' only"),
        ({"store": "postgresql"}, "for store='opensearch' only"),
    ],
)
def test_invalid_declaration_for_opensearch_is_refused(
    changes: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from strandline.projections.licensing import endorsement_search

    monkeypatch.setattr(endorsement_search, "PROJECTION", replace(endorsement_search.PROJECTION, **changes))
    with pytest.raises(UsageError, match=message):
        discover(["strandline.projections.licensing.endorsement_search"])


class TestSettings:
    @pytest.fixture(autouse=True)
    def _url(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("STRANDLINE_OPENSEARCH_URL", "https://user:secret@search.example:9200/")

    def test_login_in_the_url_is_not_shown(self) -> None:
        settings = load_settings()
        assert settings.shown_opensearch_url == "https://search.example:9200"
        assert "secret" not in repr(settings)

    def test_user_without_password_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("STRANDLINE_OPENSEARCH_USER", "strandline")
        with pytest.raises(UsageError, match="go together"):
            load_settings()
        monkeypatch.setenv("STRANDLINE_OPENSEARCH_PASSWORD", "secret")
        settings = load_settings()
        assert "secret" not in repr(settings)
        assert open_stores(settings, "").opensearch
        monkeypatch.setenv("STRANDLINE_OPENSEARCH_REGION", "eu-west-1")
        with pytest.raises(UsageError, match="exclude each other"):
            load_settings()

    def test_missing_certificate_file_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("STRANDLINE_OPENSEARCH_CA", "/nowhere/ca.pem")
        with pytest.raises(UsageError, match=r"no file /nowhere/ca\.pem"):
            open_stores(load_settings(), "")

    def test_requests_are_signed_for_aws(self, monkeypatch: pytest.MonkeyPatch, opensearch_url: str) -> None:
        """By opensearch-py's signer, over HTTP here; no AWS domain was tried."""
        for name, value in {"ACCESS_KEY_ID": "AKIDEXAMPLE", "SECRET_ACCESS_KEY": "example"}.items():
            monkeypatch.setenv(f"AWS_{name}", value)
        monkeypatch.setenv("STRANDLINE_OPENSEARCH_REGION", "eu-west-1")
        seen = []
        with Proxy(opensearch_url).running() as proxy:
            monkeypatch.setenv("STRANDLINE_OPENSEARCH_URL", proxy.url)
            proxy.meddle = lambda passing: seen.append(passing.headers.get("Authorization", ""))
            client = open_stores(load_settings(), "").opensearch
            assert client
            assert client.info()["version"]
            client.close()
        assert seen[0].startswith("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/")
        assert "/eu-west-1/es/aws4_request" in seen[0]
