"""Jobs: work that outlives the console."""

import time
from base64 import b64encode
from types import SimpleNamespace

import pytest

from strandline.console import job, jobs
from strandline.consumer.generations.rebuild import rebuild
from strandline.consumer.verification.digest import store_digest
from tests.console.samples import EVERY_RIGHT, PROJECTIONS, SAME_ORIGIN, Store

LOSE = "UPDATE console.job SET seen_at = now() - interval '1 minute'"
PARK = """
    INSERT INTO projection.parked (generation, key, version, sequence_no, reason)
    SELECT generation, 'DocumentOfNobody000000', 1, 3, 'a field is missing' FROM projection.generation
    WHERE projection = 'licence_register' AND state = 'live'"""


@pytest.fixture
def by_hand(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs are started, and the test runs them."""
    monkeypatch.setattr("strandline.console.jobs.subprocess.Popen", lambda *_, **__: SimpleNamespace(wait=int))
    monkeypatch.setenv("STRANDLINE_DATABASE_URL", store.url)


@pytest.mark.usefixtures("by_hand")
def test_rebuild_rollback_retry(store: Store) -> None:
    with store.client("reader", "operator") as client:
        started = client.post("/models/licence_register/rebuild", data={"accept": ""}, headers=SAME_ORIGIN)
        assert (started.status_code, started.headers["location"]) == (303, "/jobs/1")
        assert "running" in client.get("/jobs/1.json").text
        assert "disabled" in client.get("/models/licence_register").text
        before = client.get("/models/licence_register.json").json()["generation"]
        job.run_job(1)
        done = client.get("/jobs/1.json").json()
        assert done["state"] == "done"
        (served,) = done["result"]["projections"]
        assert served["generation"] > before
        assert client.get("/models/licence_register.json").json()["generation"] == served["generation"]
        back = client.post("/models/licence_register/rollback", headers=SAME_ORIGIN, data={"x": ""})
        assert f"generation {before} again" in back.text
        assert store.rows(PARK) == []
        again = client.post("/models/licence_register/retry", headers=SAME_ORIGIN, data={"x": ""})
        assert "Retried 1 parked document;" in again.text
    assert [row[0] for row in store.rows("SELECT action FROM console.audit ORDER BY id")] == [
        "rebuild",
        "rollback",
        "retry",
    ]


def test_one_parked_document_is_run_again(store: Store) -> None:
    (document, _), (other, _) = store.document("r.table_name = 'Licence'"), store.document("r.table_name = 'Contact'")
    store.rows(
        """INSERT INTO projection.parked (generation, key, version, sequence_no, reason)
        SELECT generation, key, 0, 3, 'a field is missing' FROM projection.generation, unnest(%s::text[]) AS key
        WHERE projection = 'licence_register' AND state = 'live'""",
        [document, other],
    )
    with store.client("reader", "operator") as client:
        assert client.get("/waiting").text.count("Run again") == 2
        again = client.post("/models/licence_register/retry", headers=SAME_ORIGIN, data={"document": document})
        assert "Retried 1 parked document; 0 of them are parked again" in again.text
        gone = client.post("/models/licence_register/retry", headers=SAME_ORIGIN, data={"document": document})
        assert gone.status_code == 404
    assert store.rows("SELECT key FROM projection.parked") == [(other,)]
    assert store.rows("SELECT action, document_id, detail FROM console.audit") == [
        ("retry", document, "licence_register")
    ]
    with store.client("reader") as client:
        assert "Run again" not in client.get("/waiting").text


def test_a_rebuild_by_the_command_shows_how_far_it_is(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed before it is shown, it leaves what it has filled: the read model's page says how much."""

    class Killed(BaseException): ...

    def kill(*_: object) -> None:
        raise Killed

    monkeypatch.setattr("strandline.consumer.generations.stages.CatchUp.run", kill)
    with pytest.raises(Killed):
        rebuild(store.url, PROJECTIONS, "licence_register")
    with store.client("reader") as client:
        building = client.get("/models/licence_register.json").json()["generations"][0]
        assert "documents, keys or blocks are filled" in client.get("/models/licence_register").text
    documents = store.rows("SELECT count(DISTINCT document_id) FROM journal.revision WHERE table_name = 'Licence'")[0][
        0
    ]
    assert building["state"] == "building"
    assert 0 < building["filled"] <= documents


@pytest.mark.usefixtures("by_hand")
def test_a_verification_is_kept_and_shown(store: Store) -> None:
    digest = b64encode(store_digest(store.url).digest).decode()
    with store.client("reader") as client:
        assert "No saved digest was compared" in client.get("/").text
        assert client.post("/verify", data={"digest": digest}, headers=SAME_ORIGIN).headers["location"] == "/jobs/1"
        job.run_job(1)
        assert client.get("/jobs/1.json").json()["result"]["answer"] == "holds"
        assert "A saved digest covers the blocks up to 149" in client.get("/").text
        wrong = b64encode(bytes(32)).decode()
        client.post("/verify", data={"digest": wrong, "tip": "100"}, headers=SAME_ORIGIN)
        job.run_job(2)
        assert client.get("/jobs/2.json").json()["state"] == "failed"
        assert "does not hold" in client.get("/").text
        checks = client.get("/health.json").json()["digest_checks"]
    assert [(one["answer"], one["tip"], one["checked_by"]) for one in checks] == [
        ("does not hold", 100, "ada"),
        ("holds", 149, "ada"),
    ]


@pytest.mark.usefixtures("by_hand")
def test_a_job_that_was_killed_is_lost_and_makes_room(store: Store) -> None:
    with store.client(*EVERY_RIGHT) as client:
        for number in (1, 2):
            started = client.post("/models/licence_register/rebuild", data={"accept": ""}, headers=SAME_ORIGIN)
            assert started.headers["location"] == f"/jobs/{number}"
            store.rows(LOSE)
            assert client.get(f"/jobs/{number}.json").json()["state"] == "lost"
        assert client.get("/jobs/1.json").json()["state"] == "failed"


@pytest.mark.usefixtures("by_hand")
def test_a_job_that_fails_says_why(store: Store) -> None:
    with store.client(*EVERY_RIGHT) as client:
        client.post("/models/wallet_balance/rebuild", data={"accept": ""}, headers=SAME_ORIGIN)
        job.run_job(1)
        assert "none of the tables of wallet_balance" in client.get("/jobs/1").text


def test_a_process_of_its_own(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRANDLINE_DATABASE_URL", store.url)
    with store.client("reader") as client:
        assert client.post("/verify", data={"digest": ""}, headers=SAME_ORIGIN).status_code == 303
        deadline = time.monotonic() + 60
        while (found := client.get("/jobs/1.json").json())["state"] == "running" and time.monotonic() < deadline:
            time.sleep(0.1)
    assert found["state"] == "done"
    assert found["result"]["blocks"] == 150
    assert jobs.LOST_AFTER.total_seconds() > 10 * job.BEAT_SECONDS
