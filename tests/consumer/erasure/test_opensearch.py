"""Redactions in read models in OpenSearch: not found, merged away, and shown by receipts of that store."""

import time
from collections.abc import Callable

import pytest
from opensearchpy import OpenSearch

from strandline.consumer.database.connection import connect
from strandline.consumer.erasure.expunge import expunge
from strandline.consumer.erasure.receipt_check import check_receipts
from strandline.consumer.erasure.receipts import issue_hidden
from strandline.consumer.generations.lifecycle import project
from strandline.consumer.generations.stores import DATABASE_ONLY, Stores, open_stores
from strandline.consumer.settings import Settings
from strandline.consumer.sinks.opensearch import merge as search_merge
from strandline.consumer.sinks.opensearch.merge import LOWERED, PERIOD, merge
from tests.consumer.erasure.canaries import WITHHELD, canaries
from tests.consumer.erasure.conftest import Replayed
from tests.consumer.erasure.dump import relations_with
from tests.consumer.erasure.searched import CURRENT, OUTSIDE, PROJECTIONS, files, in_files, indexes, searched
from tests.opensearch.proxy import Passing, Proxy

RECEIPTS = "SELECT store, level, count(*) FROM projection.receipt GROUP BY 1, 2 ORDER BY 1, 2"
PATIENCE = 120


@pytest.fixture
def store(database: str, opensearch: OpenSearch, new_store: Callable[[str], Replayed]) -> Replayed:
    made = new_store(database)
    made.projections, made.stores = PROJECTIONS, Stores(database, opensearch)
    return made


def test_search_finds_no_redacted_data(store: Replayed, opensearch: OpenSearch) -> None:
    made = canaries()
    store.replay(made.blocks[: made.first_redaction])
    before = searched(opensearch, made.strings)
    assert len(before) == 1  # only a history has what is not current
    assert next(iter(before.values())) == set(made.strings)
    store.replay(made.blocks)
    assert searched(opensearch, made.strings) == {}
    assert len(searched(opensearch, [WITHHELD])) == len(OUTSIDE)
    assert relations_with(store.url, made.strings) == {}
    assert store.rows(RECEIPTS) == [("opensearch", "hidden", 12), ("postgresql", "hidden", 12)]
    told = store.rows("SELECT body::json -> 'readModels' FROM projection.receipt WHERE store = 'opensearch'")
    replaced = [{model["name"]: model["rowsReplaced"] for model in models} for (models,) in told]
    assert replaced == [{"searched_by_name": 0, "searched_now": 0, "searched_past": 1}] * 12


def test_row_that_is_back_in_an_index_is_residue(store: Replayed, opensearch: OpenSearch) -> None:
    store.replay(canaries(documents=1).blocks)
    with connect(store.url) as connection:
        assert check_receipts(connection, PROJECTIONS, store.stores).holds
        (index, past) = indexes(opensearch)[1:]
        document = {"name": "A bird", "seen": True, "source_document": "Document00000000000000", "source_block": 1}
        opensearch.index(index=index, id="late", body={**document, "source_version": 0})
        opensearch.index(index=past, id="late", body={**document, "source_version": 1})
        found = check_receipts(connection, PROJECTIONS, store.stores).residue
        assert {(one.where.partition(",")[0], one.version) for one in found} == {
            ("searched_now", 0),
            ("searched_past", 1),
        }
        # Equal to what the history has for the revision without its data, though in another row.
        opensearch.index(index=past, id="late", body={**document, "name": None, "source_version": 1})
        opensearch.delete(index=index, id="late")
        assert check_receipts(connection, PROJECTIONS, store.stores).holds


def test_store_that_is_off_gets_no_receipts(store: Replayed, opensearch: OpenSearch) -> None:
    made = canaries(documents=1)
    store.replay(made.blocks[: made.first_redaction + 1])
    store.take(made.blocks)
    project(store.url, PROJECTIONS, stores=store.stores)
    store.stores = DATABASE_ONLY
    store.replay(made.blocks)
    with connect(store.url) as connection:
        assert issue_hidden(connection, PROJECTIONS, DATABASE_ONLY).receipts == 0
        checked = check_receipts(connection, PROJECTIONS, DATABASE_ONLY)
    assert (checked.receipts, checked.unsearched, checked.holds) == (2, ["opensearch"], False)
    done = expunge(store.url, PROJECTIONS)
    assert [(one.table, one.reason) for one in done.skipped] == [
        ("OpenSearch", "it is off: set STRANDLINE_OPENSEARCH_URL")
    ]
    assert (done.receipts, store.rows(RECEIPTS)[-2:]) == (
        1, [("postgresql", "expunged", 1), ("postgresql", "hidden", 1)],
    )  # fmt: skip


def test_merged_files_have_no_redacted_data(
    store: Replayed, opensearch: OpenSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One test, because OpenSearch needs up to half a minute to release deleted rows."""
    made = canaries()
    store.replay(made.blocks[: made.first_redaction])
    # Positive controls: the files have them, and a redaction alone leaves them there.
    assert in_files(opensearch, made.strings) == set(made.strings)
    store.replay(made.blocks)
    assert searched(opensearch, made.strings) == {}
    assert in_files(opensearch, made.strings) == set(made.strings)
    past = indexes(opensearch)[-1]
    opensearch.indices.put_settings(index=past, body={PERIOD: "6h"})
    scroll = opensearch.search(index=past, params={"scroll": "10m"}, body={"size": 1})["_scroll_id"]
    with monkeypatch.context() as patch:
        patch.setattr(search_merge, "PATIENCE_SECONDS", 0.0)
        deadline = time.monotonic() + PATIENCE
        while "a search that began before" not in (reason := _left(store, past)):
            assert "deleted rows: it is being written to" in reason
            assert time.monotonic() < deadline
            opensearch.indices.put_settings(index=past, body={PERIOD: LOWERED})
            time.sleep(0.5)
    assert dict(store.rows("SELECT store, max(level) FROM projection.receipt GROUP BY 1"))["opensearch"] == "hidden"
    opensearch.clear_scroll(scroll_id=scroll)
    opensearch.indices.put_settings(index=past, body={PERIOD: "6h"})
    done = expunge(store.url, PROJECTIONS, stores=store.stores, physical=True)
    assert (done.skipped, done.residue) == ([], [])
    assert in_files(opensearch, made.strings) == set()
    assert in_files(opensearch, [WITHHELD]) == {WITHHELD}
    assert len({name.partition(".")[0].partition("_L")[0] for name in files(opensearch) if name.endswith(".si")}) >= 1
    settings = {index: _period(opensearch, index) for index in indexes(opensearch)}
    assert settings == {index: "6h" if index == past else None for index in indexes(opensearch)}
    assert store.rows(RECEIPTS) == [
        (name, level, 12) for name in ("opensearch", "postgresql") for level in ("expunged", "hidden", "physical")
    ]
    with connect(store.url) as connection:
        assert check_receipts(connection, PROJECTIONS, store.stores).holds
    assert expunge(store.url, PROJECTIONS, stores=store.stores, physical=True).cleaned == []


def _left(store: Replayed, index: str) -> str:
    left = expunge(store.url, PROJECTIONS, stores=store.stores, physical=True).skipped
    return next(one.reason for one in left if one.table == f"index {index}")


def _period(client: OpenSearch, index: str) -> str | None:
    found = client.indices.get_settings(index=index, params={"flat_settings": "true"})
    value: str | None = found[index]["settings"].get(PERIOD)
    return value


def test_setting_lowered_by_a_killed_merge_is_restored(store: Replayed, opensearch: OpenSearch) -> None:
    store.replay(canaries(documents=1).blocks[:3])
    index = indexes(opensearch)[0]
    opensearch.indices.put_settings(index=index, body={PERIOD: LOWERED})
    assert merge(opensearch, [index, "searched_long_gone"], physical=True) == {}
    assert _period(opensearch, index) is None


def test_merge_is_not_begun_without_time_or_disk_space(
    store: Replayed, opensearch: OpenSearch, opensearch_url: str
) -> None:
    store.replay(canaries(documents=1).blocks[:3])
    (index,) = [name for name in indexes(opensearch) if name.startswith(CURRENT.name)]
    assert merge(opensearch, [index], physical=False, ends=time.monotonic()) == {index: "the time was over"}

    def full(passing: Passing) -> tuple[int, bytes] | None:
        told = b'{"nodes": {"a": {"fs": {"total": {"available_in_bytes": 7}}}}}'
        return (200, told) if "/_nodes" in passing.path else None

    with Proxy(opensearch_url).running() as proxy:
        proxy.meddle = full
        through = open_stores(Settings(opensearch_url=proxy.url), store.url)
        assert through.opensearch is not None
        assert "a disk of OpenSearch has 7 free" in merge(through.opensearch, [index], physical=False)[index]
        through.opensearch.close()
    assert _period(opensearch, index) is None
