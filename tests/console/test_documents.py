"""Documents: hidden until revealed, the audit, and what a redaction takes away."""

import pytest

from strandline.console.pages import documents
from strandline.ledger.ledger import Ledger
from strandline.ledger.redaction import redact_revision
from tests.console.samples import EVERY_RIGHT, SAME_ORIGIN, Store, seen

FRAGMENT = {**SAME_ORIGIN, "hx-request": "true"}


def values_of(store: Store, document: str, version: int) -> list[str]:
    """Return the texts in one revision."""
    found = store.rows(
        "SELECT DISTINCT leaf #>> '{}' FROM journal.revision, jsonb_path_query(data, 'strict $.**') AS leaf "
        "WHERE jsonb_typeof(leaf) = 'string' AND document_id = %s AND version = %s",
        document,
        version,
    )
    return [text for (text,) in found if text in store.payload]


def contact(store: Store) -> tuple[str, int]:
    return store.document("r.state = 'normal' AND r.table_name = 'Contact'")


def test_a_reveal_shows_every_value_and_is_recorded_first(store: Store) -> None:
    document, version = contact(store)
    values = values_of(store, document, version)
    assert len(values) > 2
    with store.client("reader", "cleared") as client:
        hidden = client.get(f"/documents/{document}").text
        assert seen(store.payload, hidden) == []
        shown = client.post(f"/documents/{document}/reveal", data={"versions": str(version)}, headers=SAME_ORIGIN)
        assert seen(values, shown.text) == values
        data = client.post(f"/documents/{document}/reveal.json", data={"versions": "all"}, headers=SAME_ORIGIN).json()
    (one,) = (each for each in data["versions"] if each["version"] == version)
    assert {each["path"] for each in one["values"]} >= {"email", "mobile"}
    rows = store.rows("SELECT reader, action, document_id, versions FROM console.audit ORDER BY id")
    assert rows[0] == ("ada", "reveal", document, [version])
    stored = store.rows("SELECT string_agg(a::text, ' ') FROM console.audit a")[0][0]
    assert seen(store.payload, stored) == []


def test_the_difference_between_versions(store: Store) -> None:
    document, version = store.changed_document()
    with store.client("reader", "cleared") as client:
        data = client.post(f"/documents/{document}/reveal.json", data={"versions": "all"}, headers=SAME_ORIGIN).json()
    (one,) = (each for each in data["versions"] if each["version"] == version)
    assert one["compared_with"] == version - 1
    assert {each["kind"] for each in one["values"]} & {"changed", "added", "removed"}
    before, after = store.rows(
        "SELECT a.data, b.data FROM journal.revision a JOIN journal.revision b USING (document_id) "
        "WHERE document_id = %s AND a.version = %s AND b.version = %s",
        document,
        version - 1,
        version,
    )[0]
    for name in after:
        if not isinstance(after[name], dict | list):
            (field,) = (each for each in one["values"] if each["path"] == name)
            assert field["kind"] == (
                "added" if name not in before else "same" if before[name] == after[name] else "changed"
            )


def test_a_difference_never_reaches_across_an_erased_version(store: Store) -> None:
    document, version = store.document("r.state = 'redacted' AND EXISTS (SELECT FROM journal.revision l "
        "WHERE l.document_id = r.document_id AND l.version = r.version + 1 AND l.state = 'normal')")  # fmt: skip
    with store.client("reader", "cleared") as client:
        data = client.get(f"/documents/{document}.json").json()
        page = client.get(f"/documents/{document}").text
    (one,) = (each for each in data["versions"] if each["version"] == version + 1)
    assert one["compared_with"] is None
    assert one["not_compared"] == f"cannot be compared: version {version}'s data is erased"
    assert "is erased" in page
    (erased,) = (each for each in data["versions"] if each["version"] == version)
    assert erased["receipts"][0]["level"] == "hidden"
    assert erased["redacted_by"] is not None


def test_a_page_that_is_open_loses_what_is_redacted(store: Store) -> None:
    document, changed = store.changed_document()
    version = changed - 1  # QLDB redacts former versions only
    values = values_of(store, document, version)
    only = [one for one in values if one not in values_of(store, document, version + 1)]
    with store.client("reader", "cleared") as client:
        path, data = f"/documents/{document}/reveal", {"versions": f"{version},{version + 1}"}
        first = client.post(path, data=data, headers=SAME_ORIGIN).text
        assert seen(values, first) == values
        again = client.post(path, data=data, headers=FRAGMENT).text
        assert "<html" not in again
        assert seen(values, again) == values
        assert len(store.rows("SELECT id FROM console.audit")) == 1  # the page that stays open is one showing
        with Ledger(store.url) as ledger:
            redact_revision(ledger, document, version)
        after = client.post(path, data=data, headers=FRAGMENT).text
        assert seen(only, after) == []
        assert "The data are erased" in after
        assert "open" in client.get("/redactions").text


def test_go(store: Store) -> None:
    document, _ = store.document()
    with store.client("reader") as client:
        assert (
            client.post("/go", data={"to": document}, headers=SAME_ORIGIN).headers["location"]
            == f"/documents/{document}"
        )
        assert client.post("/go", data={"to": "1,000"}, headers=SAME_ORIGIN).headers["location"] == "/blocks/1000"
        nobody = client.post("/go", data={"to": "Ada Lovelace"}, headers=SAME_ORIGIN)
    assert nobody.status_code == 404
    assert "Ada" not in nobody.text


def test_documents_page_by_page(store: Store) -> None:
    met: list[tuple[str, int]] = []
    with store.client("reader") as client:
        path = "/documents.json"
        while path:
            data = client.get(path).json()
            met += [(one["document"], one["version"]) for one in data["documents"]]
            path = "" if data["below"] is None else f"/documents.json?below={data['below']}"
    assert set(met) == set(store.rows("SELECT document_id, version FROM journal.revision"))


def test_find_a_person(store: Store) -> None:
    (value,) = store.rows(
        "SELECT data ->> 'email' FROM journal.revision WHERE table_name = 'Contact' AND state = 'normal' LIMIT 1"
    )[0]
    with store.client(*EVERY_RIGHT) as client:
        form = {"field": "Contact.email", "value": value}
        found = client.post("/redactions/find", data=form, headers=SAME_ORIGIN)
        wrong = client.post("/redactions/find", data={"field": "Contact.x", "value": value}, headers=SAME_ORIGIN)
    assert found.status_code == 200
    assert "/documents/" in found.text
    assert seen([value], found.text + wrong.text) == []
    assert wrong.status_code == 400
    assert store.rows("SELECT action, detail FROM console.audit") == [
        ("find subject", "Contact.email"),
        ("find subject", "a field that is not declared"),
    ]


def test_the_latest_revisions_are_found_in_any_range(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = (
        "SELECT sequence_no, encode(hash, 'hex') FROM journal.revision r {} ORDER BY sequence_no DESC, hash LIMIT 50"
    )
    of_table = "WHERE r.table_name = 'Contact' AND sequence_no < 100"
    for first_blocks in (documents.FIRST_BLOCKS, 1, 7):
        monkeypatch.setattr(documents, "FIRST_BLOCKS", first_blocks)
        with store.client("reader") as client:
            for query, condition in (
                ("", ""),
                ("?table=Contact&below=100", of_table),
                ("?table=NoSuchTable", "WHERE false"),
            ):
                listed = client.get(f"/documents.json{query}").json()["documents"]
                assert [(one["block"], one["hash"]) for one in listed] == store.rows(stored.format(condition))
