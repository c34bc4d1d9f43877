"""The JSON of a page is that of the command."""

from typing import Any

from strandline.consumer.database.connection import connect
from strandline.consumer.erasure.receipt_chain import read_head
from tests.commands import Run
from tests.console.samples import EVERY_RIGHT, SAME_ORIGIN, Store


def test_pages_and_commands_say_the_same(store: Store, run: Run, monkeypatch: Any) -> None:
    monkeypatch.setenv("STRANDLINE_DATABASE_URL", store.url)
    document, version = store.document("r.state = 'redacted'")
    status = run("status", "--json").json
    receipts = run("receipts", "--json").json
    with store.client(*EVERY_RIGHT) as client:
        assert client.get("/health.json").json() == status
        models = client.get("/models.json").json()
        assert models == {name: status[name] for name in ("projections", "other_generations")}
        assert client.get("/receipts.json").json() == receipts
        checked = client.post("/receipts/check.json", headers=SAME_ORIGIN, data={"x": ""}).json()
        assert checked == run("receipts", "--verify", "--json").json
        assert (
            client.get(f"/documents/{document}/receipts.json").json()
            == run("receipts", "--document", document, "--json").json
        )
        assert client.get("/verify/digest").json() == run("digest", "--json").json
        first = receipts["receipts"][0]
        assert client.get(f"/receipts/{first['receipt']}.json").json() == first
        waiting = client.get("/waiting.json").json()
        rejected = run("rejected", "--json").json
        assert {name: waiting[name] for name in ("rejected", "reasons", "records")} == {
            name: rejected[name] for name in ("rejected", "reasons", "records")
        }
        assert waiting["parked"] == run("parked", "--json").json["parked"]
        query = "SELECT * FROM read.licence_register ORDER BY 1 LIMIT 3"
        file = client.post("/query/file", data={"sql": query}, headers=SAME_ORIGIN)
        assert file.json() == run("sql", query, "--json").json
        form = {"field": "Contact.licenceId", "value": "nobody"}
        found = client.post("/redactions/find.json", data=form, headers=SAME_ORIGIN).json()["subject"]
        assert found == run("find-subject", form["field"], form["value"], "--json").json
    with connect(store.url) as connection:
        assert str(read_head(connection)) in checked["verified"]["head"]
    assert version >= 0
