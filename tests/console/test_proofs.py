"""Proofs: made, compared, taken away, and checked with nothing of Strandline."""

import json
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from strandline.console.pages import proofs
from strandline.consumer.verification.digest import store_digest
from strandline.ledger.ledger import Ledger
from strandline.ledger.redaction import redact_revision
from tests.console.samples import SAME_ORIGIN, Store, seen

VERIFY_PROOF = Path(__file__).parents[2] / "docs/verify_proof.py"
FORMS: dict[str, Callable[[str, int, str], bytes]] = {
    "get-digest": lambda digest, tip, strand: json.dumps(
        {"Digest": digest, "DigestTipAddress": {"IonText": f'{{strandId:"{strand}",sequenceNo:{tip}}}'}}
    ).encode(),
    "console": lambda digest, tip, strand: (
        f'{{digest:"{digest}",digestTipAddress:{{strandId:"{strand}",sequenceNo:{tip}}},ledger:"x",date:2023-01-01T}}'
    ).encode(),
    "base64 in a file": lambda digest, tip, strand: digest.encode(),
}


def saved(store: Store) -> tuple[str, int, str]:
    found = store_digest(store.url)
    return b64encode(found.digest).decode(), found.tip, found.strand_id


def prove(store: Store, form: str, document: str, version: int, *, change: bool = False) -> Any:
    digest, tip, strand = saved(store)
    if change:
        digest = b64encode(bytes(32)).decode()
    file = FORMS[form](digest, tip, strand)
    with store.client("reader") as client:
        path = f"/documents/{document}/{version}/proof"
        page = client.post(path, files={"file": ("digest", file)}, headers=SAME_ORIGIN)
        assert page.status_code == 200, page.text
        assert seen(store.payload, page.text) == []
        return client.post(f"{path}.json", files={"file": ("digest", file)}, headers=SAME_ORIGIN).json()


@pytest.mark.parametrize("form", FORMS)
def test_a_revision_leads_to_a_saved_digest(store: Store, form: str) -> None:
    document, version = store.document("r.state = 'normal'")
    data = prove(store, form, document, version)
    assert data["checked"]["answer"] == "holds"
    assert data["against"] == "the digest given"
    assert data["written_by"] == "qldb"


def test_another_digest_does_not_hold(store: Store) -> None:
    data = prove(store, "base64 in a file", *store.document(), change=True)
    assert data["checked"]["answer"] == "does not hold"
    assert data["checked"]["content"] is None


def check(file: bytes, folder: Path, digest: str) -> subprocess.CompletedProcess[str]:
    (folder / "proof.json").write_bytes(file)
    command = [sys.executable, str(VERIFY_PROOF), str(folder / "proof.json"), "--digest", digest]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_files_to_take_away(store: Store, tmp_path: Path) -> None:
    document, version = store.changed_document()
    version -= 1  # QLDB redacts former versions only
    (data,) = store.rows(
        "SELECT data FROM journal.revision WHERE document_id = %s AND version = %s", document, version
    )[0]
    digest, tip, _ = saved(store)
    path = f"/documents/{document}/{version}/proof"
    with store.client("reader", "cleared") as client:
        bare = client.get(f"{path}/file?tip={tip}")
        full = client.post(f"{path}/with-data?tip={tip}", headers=SAME_ORIGIN, data={"x": ""})
        assert client.get("/verify/verify_proof.py").content == VERIFY_PROOF.read_bytes()
        for answer in (bare, full):
            assert "attachment" in answer.headers["content-disposition"]
        first = next(str(value) for value in data.values() if isinstance(value, str))
        without, done = check(bare.content, tmp_path, digest), check(full.content, tmp_path, digest)
        assert (without.returncode, done.returncode) == (0, 0), without.stdout + done.stdout
        assert first in done.stdout
        assert first not in without.stdout
        assert check(full.content, tmp_path, b64encode(bytes(32)).decode()).returncode == 1
        assert store.rows("SELECT action, versions FROM console.audit") == [("proof with data", [version])]
        uploaded = client.post(
            "/verify/proof", files={"file": ("p", full.content)}, data={"digest": digest}, headers=SAME_ORIGIN
        )
        assert "holds" in uploaded.text
        assert first not in uploaded.text
        with Ledger(store.url) as ledger:
            redact_revision(ledger, document, version)
        gone = client.post(f"{path}/with-data?tip={tip}", headers=SAME_ORIGIN, data={"x": ""})
        assert "data" not in gone.json()["revision"]
        assert check(gone.content, tmp_path, digest).returncode == 0


def test_a_long_chain_is_proved_by_a_job(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    from strandline.console import job

    monkeypatch.setattr(proofs, "BLOCKS_AT_ONCE", 10)
    monkeypatch.setattr("strandline.console.jobs.subprocess.Popen", lambda *_, **__: SimpleNamespace(wait=int))
    monkeypatch.setenv("STRANDLINE_DATABASE_URL", store.url)
    document, version = store.document("r.state = 'normal'")
    path = f"/documents/{document}/{version}/proof"
    with store.client("reader") as client:
        assert client.get(f"{path}/file").status_code == 404
        started = client.post(path, headers=SAME_ORIGIN, data={"digest": ""})
        assert started.headers["location"] == "/jobs/1"
        assert client.post(path, headers=SAME_ORIGIN, data={"digest": ""}).status_code == 409  # one at a time
        job.run_job(1)
        assert client.get("/jobs/1.json").json()["state"] == "done"
        assert client.get(f"{path}/file").json()["documentId"] == document
    stored = store.rows("SELECT result::text FROM console.job")[0][0]
    assert '"data\\"' not in stored.replace("dataHash", "")
    assert "dataHash" in stored


@pytest.mark.parametrize("tip", ["x", "-1", "99999"])
def test_a_wrong_tip(store: Store, tip: str) -> None:
    document, version = store.document()
    with store.client("reader") as client:
        answer = client.post(f"/documents/{document}/{version}/proof", data={"tip": tip}, headers=SAME_ORIGIN)
    assert answer.status_code in (400, 409)


def test_a_file_that_is_no_proof(store: Store) -> None:
    with store.client("reader") as client:
        answer = client.post("/verify/proof", files={"file": ("p", b"nonsense")}, headers=SAME_ORIGIN)
        assert "cannot be checked" in answer.text
        large = client.post("/verify/proof", files={"file": ("p", bytes(18 << 20))}, headers=SAME_ORIGIN)
        assert large.status_code == 413


def test_a_digest_that_was_saved_is_checked_later(store: Store) -> None:
    document, version = store.changed_document()
    with store.client("reader") as client:
        saved = client.get("/verify/digest")
        assert saved.headers["content-disposition"] == "attachment; filename*=UTF-8''digest-149.json"
        page = client.post(
            f"/documents/{document}/{version}/proof.json", files={"file": saved.content}, headers=SAME_ORIGIN
        )
    assert page.json()["checked"]["answer"] == "holds"
    assert page.json()["against"] == "the digest given"
