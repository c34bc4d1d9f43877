"""QLDB's own bytes (tests/vectors/PROVENANCE.md): each verifies, or is refused, as expected."""

import json
from pathlib import Path

import pytest

from strandline.journal.check import merkle
from strandline.journal.check.block import check_block, check_revision
from strandline.journal.decode.objects import decode
from strandline.journal.ion import values as ion
from strandline.journal.ion.hash import ion_hash

VECTORS = Path(__file__).parent.parent / "vectors"
WHOLE_BLOCK = VECTORS / "blocks/aws-cli_get-block_seq100.ion"


def base64s(text: str) -> list[bytes]:
    return ion.read_one(text.encode())


def test_real_block_verifies_with_every_hash() -> None:
    decoded = decode(WHOLE_BLOCK.read_bytes())

    assert decoded.faults == []
    assert decoded.warnings == []
    assert [(link.sequence_no, link.full, link.revisions) for link in decoded.links] == [(100, True, 1)]


@pytest.mark.parametrize("name", ["stream/00_BLOCK_SUMMARY.10n", "stream/00_BLOCK_SUMMARY.ion"])
def test_block_summary_of_the_stream_verifies(name: str) -> None:
    block = check_block(ion.read_one((VECTORS / name).read_bytes())["payload"])

    assert block.faults == []
    assert not block.complete
    assert block.revision_documents == ["6WXz9wdajiY7K5u6YwGUN4"]


def test_block_summary_from_the_samples_verifies() -> None:
    name = "blocks/aws-samples_streams-dmv_fixture_block_seq3.ion"

    assert check_block(ion.read_one((VECTORS / name).read_bytes())).faults == []


def test_revision_hashes_equal_qldbs() -> None:
    details = ion.read_one((VECTORS / "stream/01_REVISION_DETAILS.10n").read_bytes())["payload"]["revision"]
    published = ion.read_one((VECTORS / "revisions/kvs-nodejs_sampleRevisionResponse_seq429_v13.ion").read_bytes())

    assert check_revision(details, level="full")[1] is None
    assert check_revision(published, level="full")[1] is None


def test_redacted_form_of_real_revision_verifies() -> None:
    """Derived: nothing public holds a redacted revision, but its hash would be this one."""
    block = ion.read_one(WHOLE_BLOCK.read_bytes())
    revision = block["revisions"][0]
    revision["dataHash"] = ion_hash(revision.pop("data"))

    checked = check_block(block)

    assert checked.faults == []
    assert checked.revisions[0].state == "redacted"


@pytest.mark.parametrize("name", ["accord.json", "aws-cli_seq100_digest123.json"])
def test_published_proofs_lead_to_their_digest(name: str) -> None:
    proof = json.loads((VECTORS / "proofs" / name).read_text())
    leaf, digest = (ion.read_one(f"{{{{{proof[key]}}}}}".encode()) for key in ("revisionHash", "digest"))
    siblings = base64s(proof.get("proofIonText") or proof["revisionProofIonText"])

    assert merkle.fold(leaf, siblings) == digest


def test_real_block_leads_to_the_ledgers_digest() -> None:
    proof = json.loads((VECTORS / "proofs/aws-cli_seq100_digest123.json").read_text())
    block = ion.read_one(WHOLE_BLOCK.read_bytes())
    digest = ion.read_one(f"{{{{{proof['digest']}}}}}".encode())

    assert merkle.fold(block["blockHash"], base64s(proof["revisionProofIonText"])[3:]) == digest


def test_wrong_published_proof_is_refused() -> None:
    proof = json.loads((VECTORS / "proofs/kvs_sampleLedgerInfo.json").read_text())
    leaf, digest = (ion.read_one(f"{{{{{proof[key]}}}}}".encode()) for key in ("revisionHash", "digest"))

    assert merkle.fold(leaf, base64s(proof["proofIonText"])) != digest
