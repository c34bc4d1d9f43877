"""Two stores that share one OpenSearch: neither takes over or deletes the other's indexes."""

from collections.abc import Iterator

import psycopg
import pytest
from opensearchpy import OpenSearch

from strandline.consumer.database.connection import connect
from strandline.consumer.generations.lifecycle import project
from strandline.consumer.generations.state import ProjectionStatus, statuses
from strandline.consumer.generations.stores import Stores
from strandline.consumer.projection.discovery import discover
from tests import databases
from tests.consumer.worker.projecting import ingest

NAME = "licence_search"
PROJECTIONS = {NAME: discover(("strandline.projections",))[NAME]}
REFUSED = "belongs to another Strandline store: set STRANDLINE_OPENSEARCH_PREFIX"


@pytest.fixture
def other(postgres_url: str, migrated_template: str) -> Iterator[str]:
    """Another store with the same journal."""
    with databases.migrated_database(postgres_url, migrated_template) as url:
        with psycopg.connect(url) as connection:  # a copy of the template has its identity
            connection.execute("UPDATE projection.store SET id = gen_random_uuid()")
        ingest(url)
        yield url


@pytest.fixture
def first(database: str, opensearch: OpenSearch) -> dict[str, object]:
    """A store that has filled its index; returns what readers find."""
    ingest(database)
    assert fill(database, Stores(database, opensearch)).state == "live"
    found = shown(opensearch, NAME)
    assert found
    return found


def fill(url: str, stores: Stores) -> ProjectionStatus:
    project(url, PROJECTIONS, stores=stores)
    with connect(url) as connection:
        [status] = statuses(connection, PROJECTIONS.values(), stores)
    return status


def shown(client: OpenSearch, alias: str) -> dict[str, object]:
    client.indices.refresh(index=alias)
    hits = client.search(index=alias, body={"size": 100})["hits"]["hits"]
    return {f"{hit['_index']} {hit['_id']}": hit["_source"] for hit in hits}


@pytest.mark.parametrize("generation", [1, 100])
def test_index_or_alias_of_another_store_is_refused(
    opensearch: OpenSearch, first: dict[str, object], other: str, generation: int
) -> None:
    """Generation 1 has the index's name, 100 only the alias."""
    with psycopg.connect(other) as connection:
        connection.execute(
            "SELECT setval(pg_get_serial_sequence('projection.generation', 'generation'), %s, false)", [generation]
        )
    for _ in range(2):
        status = fill(other, Stores(other, opensearch))
        assert (status.state, status.generation) == ("failing", None)
        assert status.failure is not None
        assert REFUSED in status.failure
    assert shown(opensearch, NAME) == first


def test_stores_with_different_prefixes_share_one_opensearch(
    opensearch: OpenSearch, first: dict[str, object], other: str
) -> None:
    stores = Stores(other, opensearch, "other-")
    assert fill(other, stores).state == "live"
    found = shown(opensearch, f"other-{NAME}")
    assert list(found.values()) == list(first.values())
    assert all(name.startswith(f"other-{NAME}_") for name in found)
    assert shown(opensearch, NAME) == first
    with connect(other) as connection:
        assert stores.count(connection, PROJECTIONS[NAME]) == len(first)
