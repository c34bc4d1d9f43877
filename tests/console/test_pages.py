"""Each page, for each right, in each state of the store: it answers, and shows no value that was not asked for."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from starlette.testclient import TestClient

from strandline.console.security import HEADERS
from strandline.consumer.database.connection import connect
from strandline.consumer.store.rejected import Refusal, reject
from tests.console.samples import SAME_ORIGIN, As, Store, client_of, links, seen

RIGHTS = [("reader",), ("analyst",), ("cleared",), ("operator",)]
JSON = " as JSON"

GAP = """
    INSERT INTO journal.block SELECT sequence_no + 5, decode(repeat('ab', 32), 'hex'), block_hash, level, complete,
        transaction_id, block_time, entries_hashes, revision_hashes, revision_documents, transaction_info,
        redaction_info, NULL, statement_kinds, definitions, tables
    FROM journal.block ORDER BY sequence_no DESC LIMIT 1"""
PARK = """
    INSERT INTO projection.parked (generation, key, version, sequence_no, reason)
    SELECT generation, key, version, 3, 'a field is missing' FROM projection.generation,
        (VALUES ('DocumentOfNobody000000', 1), ('composed-key-of-somebody', NULL)) AS waiting (key, version)
    WHERE projection = 'licence_points' AND state = 'live'"""
FAIL = "UPDATE projection.generation SET failure = 'DiskFull (SQLSTATE 53100)', failed_at = now()"
BUILD = """
    INSERT INTO console.job (kind, name, arguments, started_by, step, done, total)
    VALUES ('rebuild', 'licence_register', '{"accept": false}', 'ada', 'licence_register', 40, 100)"""


def _empty(_: Store) -> None: ...


def _reject(store: Store) -> None:
    with connect(store.url) as connection, connection.transaction():
        reject(
            connection, [Refusal(4, bytes(32), "an-object.ion", None, "hash", "block 4: its hash differs", b"bytes")]
        )


def _run(statement: str) -> Callable[[Store], None]:
    def act(store: Store) -> None:
        assert store.rows(statement) == []

    return act


STATES: dict[str, Callable[[Store], None]] = {
    "demo": _empty,
    "gap": _run(GAP),
    "rejected": _reject,
    "parked": _run(PARK),
    "failing": _run(FAIL),
    "rebuild running": _run(BUILD),
}


@pytest.mark.parametrize("state", STATES)
def test_every_page_answers_and_shows_no_value(store: Store, state: str) -> None:
    STATES[state](store)
    assert len(store.payload) > 100
    for rights in RIGHTS if state in ("demo", "parked") else RIGHTS[-2:]:
        with store.client(*rights) as client:
            pages = dict(crawl(client, 2 if state == "demo" else 1))
        assert len({kind(path) for path in pages}) >= 17, sorted(pages)
        for path, html in pages.items():
            assert seen(store.payload, html) == [], (rights, path)
            assert ("composed-key-of-somebody" in html) == (
                state == "parked" and "cleared" in rights and kind(path) == "/waiting"
            )


def test_pages_of_an_empty_store(empty: Store) -> None:
    for rights in RIGHTS:
        with empty.client(*rights) as client:
            pages = dict(crawl(client))
            assert {"/", "/documents", "/blocks", "/redactions", "/receipts", "/waiting", "/models"} <= pages.keys()
            assert "strandline replay SOURCE" in pages["/"]
            assert "No redaction has taken effect" in pages["/receipts"]


def test_nobody_sees_anything(store: Store) -> None:
    with store.client() as client:
        for path in (
            "/",
            "/health.json",
            "/documents",
            f"/documents/{store.document()[0]}",
            "/query",
            "/seen",
            "/jobs/1",
        ):
            answer = client.get(path)
            assert answer.status_code == 403
            assert "nav" not in answer.text
        assert client.get("/livez").text == client.get("/readyz").text == "ok\n"


def test_a_store_that_is_gone(store: Store) -> None:
    away = store.console(As(("reader",)))
    with client_of(replace(away, url="postgresql://127.0.0.1:1/nothing")) as client:
        assert client.get("/livez").status_code == 200
        assert client.get("/readyz").status_code == 503
        page = client.get("/")
        assert page.status_code == 409
        assert "cannot be reached" in page.text


def test_states_are_shown(store: Store) -> None:
    """Everything that somebody must look at is on the pages that name it."""
    for act in STATES.values():
        act(store)
    with store.client("reader") as client:
        health, waiting, models = (client.get(path).text for path in ("/", "/waiting", "/models"))
    assert "missing: blocks 150 to 153" in health
    assert "licence_register has failed: DiskFull" in health
    assert "its hash differs" in waiting
    assert "a field is missing" in waiting
    assert "150 to 153" in waiting
    assert "40 of 100" in models


@pytest.mark.parametrize(
    "path", ["/models/nothing", "/jobs/99", "/documents/NoSuchDocument", "/blocks/999", "/receipts/0"]
)
def test_what_is_not_there(store: Store, path: str) -> None:
    with store.client("reader") as client:
        assert client.get(path).status_code == 404
        assert json.loads(client.get(f"{path}.json").text)["error"]["status"] == 404


def test_prefix(store: Store) -> None:
    with store.client("reader", prefix="/strandline") as client:
        assert client.get("/").status_code == 404
        page = client.get("/strandline/")
        assert page.status_code == 200
        assert all(path.startswith("/strandline/") for path in links(page.text))
        assert client.get("/strandline/static/console.css").status_code == 200
        assert client.get("/strandline/health.json").json()["head"] == 149
        gone = client.post("/strandline/go", data={"to": "3"}, headers=SAME_ORIGIN)
        assert gone.headers["location"] == "/strandline/blocks/3"


def crawl(client: TestClient, of_a_kind: int = 1) -> Iterator[tuple[str, str]]:
    """Yield the pages that links lead to, and the JSON of each; so many of a kind."""
    waiting, met, looked = ["/"], {"/"}, dict[str, int]()
    while waiting:
        path = waiting.pop(0)
        answer = client.get(path)
        assert answer.status_code == 200, (path, answer.text)
        assert answer.headers.items() >= HEADERS.items()
        yield path, answer.text
        if "text/html" not in answer.headers["content-type"]:
            continue
        if "/proof/file" not in path and not path.endswith(".py"):
            base, _, query = path.partition("?")
            twin = "/health.json" if base == "/" else f"{base}.json"
            data: Any = client.get(f"{twin}?{query}")
            assert data.status_code == 200
            assert isinstance(data.json(), dict)
            yield f"{path}{JSON}", data.text
        for link in links(answer.text):
            if link not in met and looked.get(kind(link), 0) < of_a_kind:
                met.add(link)
                looked[kind(link)] = looked.get(kind(link), 0) + 1
                waiting.append(link)


def kind(path: str) -> str:
    """Return a page's kind: its path without what is named in it."""
    first, *rest = path.removesuffix(JSON).removesuffix(".json").partition("?")[0].strip("/").split("/")
    named = "/*" if rest else ""
    return f"/{first}{named}{'/' + rest[-1] if len(rest) > 1 else ''}"
