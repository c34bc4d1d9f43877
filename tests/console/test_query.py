"""Queries: exact values, links, downloads, the end of long ones."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from strandline.console.pages import query
from tests.console.samples import SAME_ORIGIN, As, Store, client_of

RUNNING = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name LIKE 'strandline console %%' AND state = 'active'"""


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert condition()


def test_values_are_exact(store: Store) -> None:
    with store.client("reader", "analyst") as client:
        data = client.post(
            "/query.json",
            data={"sql": "SELECT 14.00 AS a, '{\"b\": 1.10}'::jsonb AS b, NULL AS c, true AS d, ARRAY[1, 2] AS e"},
            headers=SAME_ORIGIN,
        ).json()
        page = client.post("/query", data={"sql": "SELECT 14.00 AS a, '<b>' AS b"}, headers=SAME_ORIGIN).text
    assert data["columns"] == ["a", "b", "c", "d", "e"]
    assert data["rows"] == [["14.00", '{"b": 1.10}', None, True, ["1", "2"]]]
    assert "14.00" in page
    assert "&lt;b&gt;" in page


def test_many_rows_are_cut_and_downloads_have_all(store: Store) -> None:
    text = "SELECT n, 'a,b' AS t FROM generate_series(1, 1500) AS n"
    with store.client("reader", "analyst") as client:
        data = client.post("/query.json", data={"sql": text}, headers=SAME_ORIGIN).json()
        assert (len(data["rows"]), data["more"]) == (query.ROWS, True)
        table = client.post("/query/csv", data={"sql": text}, headers=SAME_ORIGIN)
        assert table.text.splitlines()[:2] == ["n,t", '1,"a,b"']
        assert len(table.text.splitlines()) == 1501
        assert len(client.post("/query/file", data={"sql": text}, headers=SAME_ORIGIN).json()["rows"]) == 1500


def test_answers_lead_to_documents_and_blocks(store: Store) -> None:
    with store.client("reader", "analyst") as client:
        text = "SELECT source_document, source_block FROM read.licence_register LIMIT 1"
        page = client.post("/query", data={"sql": text}, headers=SAME_ORIGIN).text
    assert 'href="/documents/' in page
    assert 'href="/blocks/' in page


def test_what_is_no_query(store: Store) -> None:
    with store.client("reader", "analyst") as client:
        for text in (
            "",
            "SELECT 1; SELECT 2",
            "SELECT nothing",
            "INSERT INTO read.licence_register DEFAULT VALUES",
            "x" * 200_000,
        ):
            assert client.post("/query", data={"sql": text}, headers=SAME_ORIGIN).status_code == 409, text[:40]


def test_a_long_query_is_cancelled_by_its_reader_only(store: Store) -> None:
    console = store.console(As(("reader", "analyst")))
    with client_of(console) as one, client_of(console) as other, ThreadPoolExecutor(1) as pool:
        running = pool.submit(one.post, "/query", data={"sql": "SELECT pg_sleep(25)"}, headers=SAME_ORIGIN)
        wait_for(lambda: store.rows(RUNNING) == [(1,)])
        done = other.post("/query/cancel", data={"x": ""}, headers=SAME_ORIGIN)
        assert "Cancelled 1 running queries" in done.text
        answer = running.result(20)
    assert answer.status_code == 409
    assert "57014" in answer.text


def test_a_query_ends_after_its_time(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query, "QUERY_SECONDS", 1)
    with store.client("reader", "analyst") as client:
        answer = client.post("/query", data={"sql": "SELECT pg_sleep(20)"}, headers=SAME_ORIGIN)
    assert answer.status_code == 409
    assert "57014" in answer.text
