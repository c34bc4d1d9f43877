"""Rebuilds and first generations killed by SIGKILL: what is served is the same all through, and the next run leaves
nothing behind."""

from pathlib import Path
from random import Random

import pytest
from opensearchpy import OpenSearch

from strandline.consumer.generations.lifecycle import project
from strandline.consumer.generations.stores import DATABASE_ONLY, Stores
from strandline.consumer.projection.discovery import discover
from strandline.journal.make.format import Format
from strandline.journal.simulation.simulate import simulate
from tests.faults import kills, rebuilds

BLOCKS = 600
KILLS = 4


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    simulate(tmp_path / "journal", BLOCKS, 12, Format.ION_BINARY)
    return tmp_path / "journal" / "full"


def test_in_the_database(database: str, journal: Path) -> None:
    kills.take_in_whole(database, journal)
    project(database, discover(["strandline.projections"]))
    killed(database, None, rebuilds.IN_DATABASE)


def test_outside(
    database: str, journal: Path, opensearch: OpenSearch, opensearch_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STRANDLINE_OPENSEARCH_URL", opensearch_url)
    kills.take_in_whole(database, journal)
    project(database, discover(["strandline.projections"]), stores=Stores(database, opensearch))
    killed(database, opensearch, rebuilds.OUTSIDE)


def test_first_generations(
    database: str, journal: Path, opensearch: OpenSearch, opensearch_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In both stores. A rebuild finds no difference; those in the database are compared with others (test_kills.py)."""
    monkeypatch.setenv("STRANDLINE_OPENSEARCH_URL", opensearch_url)
    kills.take_in_whole(database, journal)
    at_work = kills.kill_often(
        kills.PROJECTING, database, Random(6), 1.5, KILLS, lambda: rebuilds.wait_for_leases(database)
    )
    assert any(at_work)
    kills.run(kills.PROJECTING, database)
    assert rebuilds.orphans(database, opensearch) == set()
    before = rebuilds.shown(database, opensearch)
    assert all(before[name] for name in (*rebuilds.IN_DATABASE, *rebuilds.OUTSIDE))
    kills.run(rebuilds.in_small_parts((*rebuilds.IN_DATABASE, *rebuilds.OUTSIDE)), database)
    assert rebuilds.shown(database, opensearch) == before


def killed(database: str, client: OpenSearch | None, names: tuple[str, ...]) -> None:
    before = rebuilds.shown(database, client)
    command = rebuilds.in_small_parts(names)

    def look() -> None:
        assert rebuilds.shown(database, client) == before
        rebuilds.wait_for_leases(database)

    seconds = kills.seconds_of(command, database)
    assert any(kills.kill_often(command, database, Random(5), seconds, KILLS, look))
    project(
        database, discover(["strandline.projections"]), stores=Stores(database, client) if client else DATABASE_ONLY
    )
    assert rebuilds.shown(database, client) == before
    kills.run(rebuilds.as_called(names), database)
    assert rebuilds.shown(database, client) == before
    assert rebuilds.orphans(database, client) == set()
