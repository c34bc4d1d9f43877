"""Sources: which objects and streams the store was filled from, and what the ledger writes."""

import pytest

from strandline.console.pages import sources
from strandline.consumer.database.connection import connect
from strandline.consumer.store.restored import record_restored
from tests.console.samples import Store


def test_objects_page_by_page(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "ROWS", 1)
    store.rows(
        "INSERT INTO journal.object (digest, name, first_no, last_no, blocks, revisions) "
        "VALUES (sha256('x'), 'another.0-9.ion', 0, 9, 10, 12)"
    )
    met: list[str] = []
    path = "/sources.json"
    with store.client("reader") as client:
        while True:
            found = client.get(path).json()
            met += [one["name"] for one in found["objects"]]
            if found["below"] is None or not found["objects"]:
                break
            path = f"/sources.json?below={found['below']}"
        page = client.get("/sources").text
    assert sorted(met) == sorted(name for (name,) in store.rows("SELECT name FROM journal.object"))
    assert met[-1] == "another.0-9.ion"
    assert 'href="/blocks/' in page


def test_streams_and_what_was_restored(store: Store) -> None:
    store.rows("INSERT INTO journal.stream (name, heard_at) VALUES ('qldb-in', now())")
    store.rows("INSERT INTO journal.outbound_stream (name, sequence_no) VALUES ('ledger-out', 149)")
    store.rows("UPDATE journal.block SET level = 'chain' WHERE sequence_no = 20")
    with connect(store.url) as connection:
        record_restored(connection, {19: {"Licence": 3}, 20: {}}, [(20, "Licence", ("county",))])
    with store.client("reader") as client:
        page = client.get("/sources").text
        data = client.get("/sources.json").json()
    assert "qldb-in" in page
    assert "ledger-out: up to block" in page
    assert "Licence.county" in page
    assert data["restored"] == {
        "lifted": {"Licence": 3},
        "held_out": [{"table": "Licence", "field": "county", "revisions": 1}],
    }
