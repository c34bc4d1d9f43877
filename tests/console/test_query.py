"""Queries: exact values, links, downloads, the end of long ones."""

import http.client
import urllib.error
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest

from strandline.console.pages import query
from tests.console.samples import SAME_ORIGIN, As, Store, client_of, running, wait_for

RUNNING = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name LIKE 'strandline console %%' AND state = 'active'"""


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
        none = "SELECT n FROM generate_series(1, 0) AS n"
        assert client.post("/query/csv", data={"sql": none}, headers=SAME_ORIGIN).text == "n\r\n"
        found = client.post("/query/file", data={"sql": none}, headers=SAME_ORIGIN).json()
        assert found == {"columns": ["n"], "rows": []}


def test_a_download_is_sent_as_it_is_read(store: Store) -> None:
    """The first part is there long before the query has ended, and the query ends when the client goes."""
    endless = "SELECT n, pg_sleep(CASE WHEN n > 50000 THEN 0.01 END) FROM generate_series(1, 1000000) AS n"
    with running(store.console(As(("reader", "analyst")))) as url:
        body = urllib.parse.urlencode({"sql": endless}).encode()
        request = urllib.request.Request(f"{url}/query/csv", body, {"sec-fetch-site": "same-origin"})
        with urllib.request.urlopen(request) as answer:
            assert answer.read(14) == b"n,pg_sleep\r\n1,"
            assert store.rows(RUNNING) == [(1,)]
        wait_for(lambda: store.rows(RUNNING) == [(0,)])


def test_a_download_that_fails_is_cut_and_says_nothing(store: Store, capfd: pytest.CaptureFixture[str]) -> None:
    failing = "SELECT CASE WHEN n = 90000 THEN ('secret' || n)::int ELSE n END FROM generate_series(1, 90000) AS n"
    with running(store.console(As(("reader", "analyst")))) as url:
        body = urllib.parse.urlencode({"sql": failing}).encode()
        request = urllib.request.Request(f"{url}/query/csv", body, {"sec-fetch-site": "same-origin"})
        with urllib.request.urlopen(request) as answer, pytest.raises(http.client.IncompleteRead):
            answer.read()
        early = urllib.parse.urlencode({"sql": failing.replace("90000", "9")}).encode()
        with pytest.raises(urllib.error.HTTPError, match="409"):
            urllib.request.urlopen(urllib.request.Request(request.full_url, early, request.headers))
    said = capfd.readouterr()
    assert "secret" not in said.out + said.err


def test_statements_can_be_taken_up_again(store: Store) -> None:
    with store.client("reader", "analyst") as client:
        client.post("/query", data={"sql": "SELECT 'first' AS a"}, headers=SAME_ORIGIN)
        client.post("/query", data={"sql": "SELECT 'second' AS a"}, headers=SAME_ORIGIN)
        assert "&#39;second&#39; AS a</textarea>" in client.get("/query?statement=0").text
        assert "&#39;first&#39; AS a</textarea>" in client.get("/query?statement=1").text


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
