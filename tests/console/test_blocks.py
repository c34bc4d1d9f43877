"""Blocks: what each member of the entries hash is, and statements, whose texts are hidden until they are revealed."""

from strandline.ledger.ledger import Ledger
from strandline.ledger.redaction import redact_revision
from tests.console.samples import SAME_ORIGIN, Store

FRAGMENT = {**SAME_ORIGIN, "hx-request": "true"}
INSERT = "INSERT INTO Licence {'licenceId': 'L-of-somebody'}"


def test_statements_are_hidden_until_a_cleared_reader_reveals_them(store: Store) -> None:
    with Ledger(store.url) as ledger, ledger.begin() as transaction:
        list(transaction.execute(INSERT))
        number = transaction.commit()
    with store.client("reader", "operator") as client:
        assert "somebody" not in client.get(f"/blocks/{number}").text
        assert "somebody" not in client.get(f"/blocks/{number}.json").text
        assert client.post(f"/blocks/{number}/reveal", headers=SAME_ORIGIN, data={"x": ""}).status_code == 403
    with store.client("reader", "cleared") as client:
        assert "somebody" not in client.get(f"/blocks/{number}").text
        page = client.post(f"/blocks/{number}/reveal", headers=SAME_ORIGIN, data={"x": ""}).text
        assert "L-of-somebody" in page
        data = client.post(f"/blocks/{number}/reveal.json", headers=SAME_ORIGIN, data={"x": ""}).json()
        assert [one["text"] for one in data["statement_texts"]] == [INSERT]
        for _ in range(2):
            client.post(f"/blocks/{number}/reveal", headers=FRAGMENT, data={"x": ""})
    lines = store.rows("SELECT action, detail FROM console.audit")
    assert lines == [("reveal statements", f"block {number}")] * 2  # the open page extended the last one


def test_an_open_page_loses_a_statement_when_what_it_quotes_is_redacted(store: Store) -> None:
    with Ledger(store.url) as ledger:
        with ledger.begin() as transaction:
            ((made,),) = [list(transaction.execute(INSERT))]
            number = transaction.commit()
        with store.client("reader", "cleared") as client:
            revealed = client.post(f"/blocks/{number}/reveal", headers=FRAGMENT, data={"x": ""}).text
            assert "L-of-somebody" in revealed
            assert "<html" not in revealed
            with ledger.begin() as transaction:
                list(transaction.execute("DELETE FROM Licence AS l WHERE l.licenceId = ?", "L-of-somebody"))
                transaction.commit()
            redact_revision(ledger, made["documentId"], 0)
            gone = client.post(f"/blocks/{number}/reveal", headers=FRAGMENT, data={"x": ""}).text
            assert "somebody" not in gone
            assert "its text is erased" in gone
            (block,) = client.get(f"/blocks/{number}.json").json()["candidates"]
    assert "transactionInfo, whose texts are erased" in [one["is"] for one in block["entries"]]


def test_what_the_members_of_the_entries_hash_are(store: Store) -> None:
    redacting = store.rows("SELECT min(sequence_no) FROM journal.block WHERE redactions IS NOT NULL")[0][0]
    with store.client("reader") as client:
        (block,) = client.get(f"/blocks/{redacting}.json").json()["candidates"]
    kinds = {one["is"] for one in block["entries"]}
    assert {"transactionInfo", "redactionInfo"} <= kinds


def test_statements_of_a_block_that_came_as_json(store: Store) -> None:
    store.rows("""UPDATE journal.block SET level = 'chain', transaction_info = convert_to(
        '{"statements": [{"statement": "SELECT 1", "startTime": "2020-01-01T00:00:00Z", "statementDigest": "AA=="}]}',
        'UTF8') WHERE sequence_no = 7""")
    with store.client("reader", "cleared") as client:
        data = client.post("/blocks/7/reveal.json", headers=SAME_ORIGIN, data={"x": ""}).json()
    assert data["statement_texts"] == [{"kind": None, "text": "SELECT 1", "time": "2020-01-01T00:00:00Z"}]
