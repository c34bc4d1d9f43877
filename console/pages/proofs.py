"""Proofs and verification, as QLDB's console had them: a form, a result, and files to take away."""

import json
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from dataclasses import replace
from pathlib import Path
from typing import Any

from strandline.console import audit, jobs
from strandline.console.page import Answer, Asked, Download, Elsewhere, Missing, Page
from strandline.consumer.database.connection import Connection
from strandline.consumer.mark.mark import read_mark
from strandline.consumer.monitoring.status import CHECKS_SHOWN
from strandline.consumer.store.digest_checks import read_checks
from strandline.consumer.store.graft import read_graft
from strandline.consumer.verification.digest import store_digest
from strandline.consumer.verification.prove import prove
from strandline.journal.errors import UnreadableError, UsageError
from strandline.journal.proofs.check import CheckResult, check_json, check_proof
from strandline.journal.proofs.file import Proof, read_proof
from strandline.journal.proofs.saved_digest import SavedDigest, parse_saved_digest

# A proof reads every block's hash up to the tip: beyond so many blocks a process of its own does it.
BLOCKS_AT_ONCE = 50_000
JOBS_SHOWN = 10
VERIFY_PROOF = Path(__file__).parents[1] / "static" / "verify_proof.py"

READ_PLACE = """
    SELECT sequence_no FROM journal.document_version
    WHERE document_id = %s AND version = %s ORDER BY sequence_no LIMIT 1"""
# The number is a parameter: only its partition is planned for.
READ_REVISION = """
    SELECT r.sequence_no, encode(r.hash, 'hex'), r.state, r.level, r.tx_id, r.tx_time, r.table_name,
           encode(b.block_hash, 'hex'), b.transaction_id, b.block_time, b.statement_kinds, m.sequence_no
    FROM journal.revision r JOIN journal.block b USING (sequence_no) CROSS JOIN journal.mark m
    WHERE r.sequence_no = %s AND r.document_id = %s AND r.version = %s"""
READ_DATA = """
    SELECT r.data_ion FROM journal.document_version v
    CROSS JOIN LATERAL journal.revision_at(v.sequence_no, v.document_id, v.version) r
    WHERE v.document_id = %s AND v.version = %s AND r.state = 'normal'"""


def proof_form(asked: Asked) -> Page:
    return _proof_page(asked, None, None)


def make_proof(asked: Asked) -> Answer:
    """Prove the revision, and compare the proof with the digest that the form has."""
    saved = given_digest(asked)
    revision = _revision(asked)
    tip = _tip(asked, saved)
    document, version = _key(asked)
    if tip is not None and not revision["block"] <= tip <= revision["mark"]:
        raise UsageError(
            f"Give a tip from {revision['block']:,}, the revision's block, to {revision['mark']:,}, the mark."
        )
    audit.record(asked, "prove", document, [version])
    if (revision["mark"] if tip is None else tip) > BLOCKS_AT_ONCE:
        name = f"{document} {version}"
        arguments = {"document": document, "version": version, "tip": tip}
        return Elsewhere(f"/jobs/{jobs.start(asked, 'prove', name, arguments)}")
    proof = prove(asked.console.url, document, version, tip, with_data=False)
    return _proof_page(asked, proof, saved)


def proof_file(asked: Asked) -> Download:
    """The proof as a file without the data: their hash takes their place."""
    document, version = _key(asked)
    return Download(f"proof-{document}-{version}.json", _ready_proof(asked).to_json().encode())


def proof_file_with_data(asked: Asked) -> Download:
    """The proof as a file with the data, for a cleared reader. They are read now: a redacted revision has none."""
    asked.require("cleared")
    document, version = _key(asked)
    audit.record(asked, "proof with data", document, [version])
    proof = _ready_proof(asked)
    with asked.console.auditor() as connection, connection.transaction():
        row = connection.execute(READ_DATA, [document, version]).fetchone()
    if row is not None and row[0] is not None:
        proof = replace(proof, data=bytes(row[0]))
    return Download(f"proof-{document}-{version}-with-data.json", proof.to_json().encode())


def verifier(asked: Asked) -> Download:
    """The program with which an auditor checks a proof without Strandline."""
    return Download("verify_proof.py", VERIFY_PROOF.read_bytes(), "text/x-python")


def digest_file(asked: Asked) -> Download:
    """The store's digest up to the mark, to save as QLDB's console did: what comes later is checked against it."""
    found = store_digest(asked.console.url)
    return Download(f"digest-{found.tip}.json", (json.dumps(found.as_dict(), indent=2) + "\n").encode())


def verify(asked: Asked) -> Page:
    return _verify_page(asked)


def start_verification(asked: Asked) -> Answer:
    """Check every hash of the store again, and compare with the digest that the form has, in a process of its own."""
    saved = given_digest(asked)
    with asked.console.status() as connection:
        mark = read_mark(connection)
    digest = None
    if saved is not None:
        digest = {
            "digest": b64encode(saved.digest).decode(),
            "tip": saved.tip if saved.tip is not None else _given_tip(asked),
            "strand_id": saved.strand_id,
            "proof": None if saved.proof is None else [b64encode(one).decode() for one in saved.proof],
            "last_block": saved.last_block,
        }
    audit.record(asked, "verify", detail="the store" if saved is None else "the store, against a saved digest")
    arguments = {"digest": digest, "blocks": max(0, mark.sequence_no + 1 - mark.origin)}
    return Elsewhere(f"/jobs/{jobs.start(asked, 'verify', 'store', arguments)}")


def check_file(asked: Asked) -> Page:
    """Check a proof's file, without the store. The data in it are not shown: whoever has the file has them."""
    if not asked.upload:
        raise UsageError("Choose the file of a proof.")
    digest = _base64(asked.form.get("digest", ""))
    try:
        result = check_proof(asked.upload, digest, name="the file")
    except UnreadableError as error:
        return _verify_page(asked, {"ok": False, "answer": "cannot be checked", "reasons": [str(error)], "notes": []})
    checked = check_json(result)
    if result.content is not None:
        checked["content"] = {**_dict(checked["content"]), "data": None}
    return _verify_page(asked, checked)


def given_digest(asked: Asked) -> SavedDigest | None:
    """Return the digest of a form: a file in any of the saved forms, or base64; None if it has none."""
    if asked.upload:
        return parse_saved_digest(asked.upload, "the file")
    text = asked.form.get("digest", "").strip()
    return parse_saved_digest(text.encode(), "the digest given") if text else None


def _verify_page(asked: Asked, checked: dict[str, Any] | None = None) -> Page:
    with asked.console.status() as connection:
        done = jobs.read_jobs(connection, JOBS_SHOWN, "verify")
        with connection.transaction():
            checks = read_checks(connection, CHECKS_SHOWN)
    data = {
        "digest_checks": [one.as_dict() for one in checks],
        "jobs": [one.as_dict() for one in done],
        "checked": checked,
    }
    return Page("verify.html", data, {"checks": checks, "jobs": done, "checked": checked})


def _proof_page(asked: Asked, proof: Proof | None, saved: SavedDigest | None) -> Page:
    document, version = _key(asked)
    revision = _revision(asked)
    with asked.console.status() as connection:
        graft = read_graft(connection)
    result: CheckResult | None = None
    if proof is not None:
        result = check_proof(proof.to_json().encode(), saved.digest if saved else None, name="the proof")
    data = {
        "document": document,
        "version": version,
        "revision": {name: value for name, value in revision.items() if name != "mark"},
        "written_by": "qldb" if graft is None or revision["block"] < graft else "strandline",
        "checked": None if result is None else check_json(result),
        "against": "the digest given" if saved else "the digest of the store itself",
        "tip": None if proof is None else proof.tip,
        "path": None if proof is None else [b64encode(one).decode() for one in proof.path],
    }
    return Page("proof.html", data, {"proof": proof, "given": saved is not None, "id": document})


def _ready_proof(asked: Asked) -> Proof:
    """Return the proof without data: made now, or by a job if the chain is long."""
    document, version = _key(asked)
    tip = _given_tip(asked)
    mark = _revision(asked)["mark"]
    if (mark if tip is None else tip) <= BLOCKS_AT_ONCE:
        return prove(asked.console.url, document, version, tip, with_data=False)
    with asked.console.status() as connection:
        made = _made(connection, document, version, tip)
    if made is None:
        raise Missing("The chain is long: make the proof on the page of the revision first.")
    return made


def _made(connection: Connection, document: str, version: int, tip: int | None) -> Proof | None:
    for job in jobs.read_jobs(connection, JOBS_SHOWN, "prove", f"{document} {version}"):
        if job.state == "done" and job.result is not None:
            proof = read_proof(json.loads(job.result["proof"]), "the proof")
            if tip in (None, proof.tip):
                return proof
    return None


def _revision(asked: Asked) -> dict[str, Any]:
    document, version = _key(asked)
    with asked.console.status() as connection, connection.transaction():
        place = connection.execute(READ_PLACE, [document, version]).fetchone()
        row = place and connection.execute(READ_REVISION, [*place, document, version], prepare=False).fetchone()
    if row is None:
        raise Missing("The journal holds no such version of this document, up to the mark.")
    names = (
        "block", "hash", "state", "level", "transaction", "time", "table",
        "block_hash", "block_transaction", "block_time", "statement_kinds", "mark",
    )  # fmt: skip
    found = dict(zip(names, row, strict=True))
    found["time"] = found["time"].isoformat()
    found["block_time"] = found["block_time"].isoformat() if found["block_time"] else None
    return found


def _key(asked: Asked) -> tuple[str, int]:
    version = asked.path["version"]
    if not version.isdecimal() or len(version) > 17:
        raise Missing("A version is a number.")
    return asked.path["document"], int(version)


def _tip(asked: Asked, saved: SavedDigest | None) -> int | None:
    """Return the last block that the digest covers: as it says itself, or as the form says; None for the mark."""
    return saved.tip if saved is not None and saved.tip is not None else _given_tip(asked)


def _given_tip(asked: Asked) -> int | None:
    text = (asked.form.get("tip") or asked.query.get("tip") or "").strip().replace(",", "")
    if not text:
        return None
    if not text.isdecimal() or len(text) > 17:
        raise UsageError("The tip is the number of the last block that the digest covers.")
    return int(text)


def _base64(text: str) -> bytes | None:
    if not text.strip():
        return None
    try:
        digest = b64decode(text.strip(), validate=True)
    except (NotBase64, ValueError):
        digest = b""
    if len(digest) != 32:
        raise UsageError("A digest is 32 bytes in base64.")
    return digest


def _dict(value: object) -> dict[str, Any]:
    assert isinstance(value, dict)
    return value
