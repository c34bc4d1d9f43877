"""Redactions reach every generation: live, building, left by a killed rebuild, kept, and of another definition."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from opensearchpy import OpenSearch

from strandline.consumer.database.connection import connect
from strandline.consumer.erasure.receipt_check import check_receipts
from strandline.consumer.generations import stages
from strandline.consumer.generations.rebuild import rebuild
from strandline.consumer.generations.rollback import rollback
from strandline.consumer.generations.stores import Stores
from strandline.consumer.monitoring.status import read_status
from strandline.consumer.projection.definition import Projection
from strandline.consumer.projection.fingerprint import fingerprint
from tests.consumer.erasure.canaries import Canaries, canaries
from tests.consumer.erasure.conftest import Replayed
from tests.consumer.erasure.dump import relations_with
from tests.consumer.erasure.searched import COMPOSED, CURRENT, HERE, HISTORY, PROJECTIONS, searched
from tests.definitions import redefine

STATES = "SELECT state FROM projection.generation WHERE projection = %s ORDER BY generation"


@pytest.fixture
def store(database: str, opensearch: OpenSearch, new_store: Callable[[str], Replayed]) -> Replayed:
    made = new_store(database)
    made.projections, made.stores = PROJECTIONS, Stores(database, opensearch)
    return made


def rebuilt(store: Replayed, projection: Projection) -> None:
    assert rebuild(store.url, store.projections, projection.name, stores=store.stores).swapped


def nothing_is_left(store: Replayed, made: Canaries) -> None:
    with connect(store.url) as connection:
        counts = read_status(connection, store.projections.values(), store.stores).redactions
        checked = check_receipts(connection, store.projections, store.stores)
    assert (counts.open, counts.done) == (0, len(made.strings))
    assert checked.holds
    assert relations_with(store.url, made.strings) == {}
    assert store.stores.opensearch is not None
    assert searched(store.stores.opensearch, made.strings) == {}


KEPT = [HERE["licence_history"], COMPOSED, CURRENT, HISTORY]


@pytest.mark.parametrize("projection", KEPT, ids=lambda one: one.name)
def test_kept_generation_is_purged_and_can_serve_again(store: Replayed, projection: Projection) -> None:
    made = canaries(documents=2)
    store.replay(made.blocks[: made.first_redaction])
    rebuilt(store, projection)
    assert store.rows(STATES, projection.name) == [("kept",), ("live",)]
    store.replay(made.blocks)
    nothing_is_left(store, made)
    assert rollback(store.url, PROJECTIONS, projection.name, stores=store.stores).swapped
    nothing_is_left(store, made)
    # The live generation equals a rebuild from the redacted journal.
    assert rebuild(store.url, PROJECTIONS, projection.name, stores=store.stores).difference is None
    nothing_is_left(store, made)


@pytest.mark.parametrize("projection", KEPT, ids=lambda one: one.name)
def test_building_generation_is_purged(
    store: Replayed, projection: Projection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The redactions take effect after the backfill and before the cut-over."""
    made = canaries(documents=2)
    store.replay(made.blocks[: made.first_redaction])
    compare = stages.Compare.run

    def replay_first(*args: Any) -> None:
        store.take(made.blocks)
        compare(*args)

    monkeypatch.setattr(stages.Compare, "run", replay_first)
    rebuilt(store, projection)
    store.replay(made.blocks)
    nothing_is_left(store, made)


@pytest.mark.parametrize("projection", [HERE["licence_history"], HISTORY], ids=lambda one: one.name)
def test_generation_left_by_a_killed_rebuild_is_dropped(
    store: Replayed, projection: Projection, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = canaries(documents=2)
    store.replay(made.blocks[: made.first_redaction])

    def killed(*_: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(stages.Compare, "run", killed)
        with pytest.raises(KeyboardInterrupt):
            rebuilt(store, projection)
    assert store.rows(STATES, projection.name) == [("live",), ("building",)]
    store.replay(made.blocks[: made.first_redaction])
    assert store.rows(STATES, projection.name) == [("live",), ("building",)]  # the next rebuild could go on with it
    store.replay(made.blocks)
    assert store.rows(STATES, projection.name) == [("live",)]
    nothing_is_left(store, made)


def test_generation_of_an_unknown_projection_is_purged_after_an_hour(store: Replayed) -> None:
    """Another process may have the projection: until an hour has passed the redaction is open."""
    made = canaries(documents=2)
    store.replay(made.blocks[: made.first_redaction])
    gone = {"licence_history", HISTORY.name, COMPOSED.name}
    store.projections = {name: one for name, one in PROJECTIONS.items() if name not in gone}
    store.replay(made.blocks)
    with connect(store.url) as connection:
        assert read_status(connection, store.projections.values(), store.stores).redactions.done == 0
    assert relations_with(store.url, made.strings)["read.licence_history"] == set(made.strings)
    store.rows("UPDATE journal.redaction SET registered_at = now() - interval '2 h'", returns=False)
    store.replay(made.blocks)
    nothing_is_left(store, made)
    store.projections = PROJECTIONS
    store.replay(made.blocks)
    nothing_is_left(store, made)
    with connect(store.url) as connection:
        wanting = {one.name for one in read_status(connection, PROJECTIONS.values(), store.stores).projections
                   if one.needs_rebuild}  # fmt: skip
    assert wanting == gone


@pytest.mark.parametrize("projection", [HERE["licence_history"], COMPOSED, HISTORY], ids=lambda one: one.name)
def test_generation_of_another_definition_is_purged_by_source(
    store: Replayed, projection: Projection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A live generation of another definition needs a rebuild; until then it is purged by source."""
    made = canaries(documents=2)
    store.replay(made.blocks[: made.first_redaction])
    changed = replace(projection)
    store.projections = {**PROJECTIONS, projection.name: changed}
    known = fingerprint
    redefine(monkeypatch, lambda one: "changed" if one is changed else known(one))
    store.replay(made.blocks)
    nothing_is_left(store, made)
    with connect(store.url) as connection:
        (position, clean) = connection.execute(
            "SELECT position, clean_no FROM projection.generation WHERE projection = %s", [projection.name]
        ).fetchone() or (0, 0)
    assert position < made.first_redaction <= clean
