"""The PartiQL tab: for cleared readers only, read-only, and nothing of it is kept but a hash."""

import json
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from strandline.console import job
from strandline.console.pages import partiql
from strandline.consumer.database.connection import connect
from strandline.journal.ion import values as ion
from strandline.ledger.ledger import Ledger
from strandline.ledger.redaction import redact_revision
from tests.console.samples import SAME_ORIGIN, As, Store, client_of, seen, wait_for

EVERY = "SELECT * FROM Licence AS l BY id"
SLOW = "SELECT COUNT(*) FROM Licence AS a, Licence AS b, Licence AS c, Licence AS d"


def test_rows_plan_and_counts(store: Store) -> None:
    document, version = store.document("r.state = 'normal' AND r.table_name = 'Licence'")
    with store.client("reader", "cleared") as client:
        statement = "SELECT h.metadata, h.blockAddress, h.data FROM history(Licence) AS h WHERE h.metadata.id = ?"
        form = {"statement": statement, "values": f'"{document}"'}
        result = client.post("/query/partiql.json", data=form, headers=SAME_ORIGIN).json()["result"]
        page = client.post("/query/partiql", data=form, headers=SAME_ORIGIN).text
    assert result["plan"] == ["h: history of Licence by document id"]
    assert result["reads"] == len(result["rows"]) == len(result["ion"]) > version
    assert result["block"] == 149
    (data,) = store.rows("SELECT data FROM journal.revision WHERE document_id = %s AND version = 0", document)[0]
    first = next(one for one in result["rows"] if one["metadata"]["version"] == 0)
    assert first["data"]["licenceId"] == data["licenceId"]
    assert ion.read_one(result["ion"][0].encode())["metadata"]["id"] == document
    assert f'href="/documents/{document}"' in page
    assert 'href="/blocks/' in page
    assert "history of Licence by document id" in page


def test_indexes_are_brought_up_to_date_by_an_operator(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("strandline.console.jobs.subprocess.Popen", lambda *_, **__: SimpleNamespace(wait=int))
    monkeypatch.setenv("STRANDLINE_DATABASE_URL", store.url)
    blocks = store.rows("SELECT count(*) FROM journal.block")
    form = {"statement": "SELECT VALUE l.licenceId FROM Licence AS l WHERE l.licenceId = 'x'"}
    with store.client("reader", "cleared", "operator") as client:
        behind = client.post("/query/partiql", data=form, headers=SAME_ORIGIN).text
        assert "The indexes are behind" in behind
        started = client.post("/query/partiql/indexes", data={"x": ""}, headers=SAME_ORIGIN)
        assert started.headers["location"] == "/jobs/1"
        job.run_job(1)
        assert "The indexes are up to date" in client.get("/jobs/1").text
        result = client.post("/query/partiql.json", data=form, headers=SAME_ORIGIN).json()["result"]
    assert result["plan"] == ["l: documents of Licence by the index on licenceId"]
    assert store.rows("SELECT count(*) FROM journal.block") == blocks


def test_the_tree_has_names_and_no_values(store: Store) -> None:
    with store.client("reader", "cleared") as client:
        page = client.get("/query/partiql").text
        tables = {one["name"]: one for one in client.get("/query/partiql.json").json()["tables"]}
    assert "licenceId string" in tables["Licence"]["fields"]
    assert "licenceId" in tables["Licence"]["indexes"]
    assert seen(store.payload, page) == []


@pytest.mark.parametrize("rights", [("reader",), ("reader", "analyst"), ("reader", "operator", "analyst")])
def test_only_a_cleared_reader_may_ask(store: Store, rights: tuple[str, ...]) -> None:
    with store.client(*rights) as client:
        page = client.get("/query/partiql")
        assert "needs the right cleared" in page.text
        assert "Licence" not in page.text
        for path in ("/query/partiql", "/query/partiql.json", "/query/partiql/ion", "/query/partiql/file"):
            assert client.post(path, data={"statement": EVERY}, headers=SAME_ORIGIN).status_code == 403
    assert store.rows("SELECT action FROM console.audit") == []


def test_without_the_login_of_cleared_readers_it_is_off(store: Store) -> None:
    with client_of(store.console(As(("reader", "cleared")), logins=False)) as client:
        assert "STRANDLINE_CONSOLE_CLEARED_URL" in client.get("/query/partiql").text
        assert client.post("/query/partiql", data={"statement": EVERY}, headers=SAME_ORIGIN).status_code == 403


def test_nothing_is_written(store: Store) -> None:
    counts = "SELECT (SELECT count(*) FROM journal.block), (SELECT count(*) FROM journal.lookup)"
    before = store.rows(counts)
    with store.client("reader", "cleared") as client:
        assert client.post("/query/partiql", data={"statement": EVERY}, headers=SAME_ORIGIN).status_code == 200
        for text in (
            "",
            "INSERT INTO Licence {'a': 1}",
            "DELETE FROM Licence",
            "SELECT * FROM Nothing",
            "SELECT",
            "x" * 200_000,
        ):
            answer = client.post("/query/partiql", data={"statement": text}, headers=SAME_ORIGIN)
            assert answer.status_code in (400, 409), text[:40]
        wrong = client.post(
            "/query/partiql", data={"statement": f"{EVERY} WHERE id = ?", "values": "Ada ("}, headers=SAME_ORIGIN
        )
        assert wrong.status_code == 400
    assert store.rows(counts) == before


def test_the_audit_has_a_hash_and_the_history_is_the_readers_own(store: Store) -> None:
    text = "SELECT VALUE l.licenceId FROM Licence AS l WHERE l.licenceId = 'of-somebody'"
    console = store.console(As(("reader", "cleared")))
    with client_of(console) as client:
        client.post("/query/partiql", data={"statement": text}, headers=SAME_ORIGIN)
        assert "of-somebody" in client.get("/query/partiql").text
        assert "of-somebody" in client.get("/query/partiql?statement=0").text
        assert "of-somebody" not in client.get("/query").text
        assert "of-somebody" not in client.get("/seen").text
    ((detail,),) = store.rows("SELECT detail FROM console.audit")
    assert detail.startswith("in PartiQL: sha256 ")
    assert "of-somebody" not in detail
    assert console.history.of("ada", "PartiQL") == [text]
    assert console.history.of("eve", "PartiQL") == []
    # Who may no longer ask sees no statement of before.
    with client_of(store.console(As(("reader",)), history=console.history)) as client:
        assert "of-somebody" not in client.get("/query/partiql?statement=0").text


def test_downloads_have_all_rows(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partiql, "ROWS", 3)
    with store.client("reader", "cleared") as client:
        form = {"statement": "SELECT VALUE l FROM Licence AS l"}
        shown = client.post("/query/partiql.json", data=form, headers=SAME_ORIGIN).json()["result"]
        as_ion = client.post("/query/partiql/ion", data=form, headers=SAME_ORIGIN)
        as_json = client.post("/query/partiql/file", data=form, headers=SAME_ORIGIN)
    assert (len(shown["rows"]), shown["more"]) == (3, True)
    assert as_ion.headers["content-disposition"] == "attachment; filename*=UTF-8''answer.ion"
    rows = list(ion.read(as_ion.content))
    assert len(rows) == len(as_json.text.splitlines()) > 3
    assert [one["licenceId"] for one in rows] == [json.loads(line)["licenceId"] for line in as_json.text.splitlines()]


def test_an_answer_goes_when_something_was_redacted(store: Store) -> None:
    with store.client("reader", "cleared") as client:
        page = client.post("/query/partiql", data={"statement": EVERY}, headers=SAME_ORIGIN).text
        still = page.partition('hx-get="')[2].partition('"')[0]
        assert still.startswith("/query/still?redactions=")
        asking = {"hx-request": "true"}
        assert client.get(still, headers=asking).status_code == 204
        document, version = store.changed_document()
        with Ledger(store.url) as ledger:
            redact_revision(ledger, document, version - 1)
        gone = client.get(still, headers=asking)
        assert gone.status_code == 200
        assert "run the query again" in gone.text
        assert "<html" not in gone.text


def test_a_long_query_is_cancelled(store: Store) -> None:
    console = store.console(As(("reader", "cleared")))
    with client_of(console) as one, client_of(console) as other, ThreadPoolExecutor(1) as pool:
        running = pool.submit(one.post, "/query/partiql", data={"statement": SLOW}, headers=SAME_ORIGIN)
        wait_for(lambda: bool(console.running._cancels))
        assert "Cancelled 1 running" in other.post("/query/cancel", data={"x": ""}, headers=SAME_ORIGIN).text
        answer = running.result(20)
    assert answer.status_code == 409
    assert "cancelled" in answer.text
    assert console.running._cancels == {}


def test_a_query_ends_after_its_time(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partiql, "QUERY_SECONDS", 0.5)
    with store.client("reader", "cleared") as client:
        answer = client.post("/query/partiql", data={"statement": SLOW}, headers=SAME_ORIGIN)
    assert answer.status_code == 409
    assert "narrow it" in answer.text


def test_values_that_came_as_json_are_shown(store: Store) -> None:
    """A revision of level chain has no Ion: its JSON values are shown."""
    document, _ = store.document("r.state = 'normal' AND r.table_name = 'Licence'")
    with connect(store.url) as connection, connection.transaction():
        connection.execute(
            "UPDATE journal.revision SET data_ion = NULL, level = 'chain' WHERE document_id = %s", [document]
        )
    with store.client("reader", "cleared") as client:
        form = {"statement": "SELECT VALUE l.licenceId FROM Licence AS l BY id WHERE id = ?", "values": f'"{document}"'}
        assert client.post("/query/partiql", data=form, headers=SAME_ORIGIN).status_code == 200
