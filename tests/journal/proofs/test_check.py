import dataclasses
import json
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strandline.journal.check import merkle
from strandline.journal.errors import UnreadableError
from strandline.journal.ion import values as ion
from strandline.journal.ion.hash import ion_hash, sha256
from strandline.journal.make.block import timestamp
from strandline.journal.proofs.check import check_proof
from strandline.journal.proofs.path import revision_path, revision_proof
from strandline.journal.proofs.saved_digest import read_saved_digest
from tests.journal.proofs.examples import (
    DAMAGED,
    DOCUMENTS,
    TAMPERED,
    UNCHECKED,
    VECTORS,
    Change,
    make_proof,
    make_strand,
    real_proof,
)
from tests.journal.proofs.path_collector import PathCollector


@given(st.integers(1, 200), st.data())
def test_collected_path_equals_that_of_the_tree(count: int, data: st.DataObject) -> None:
    hashes = [sha256(bytes([number])) for number in range(count)]
    target = data.draw(st.integers(0, count - 1))
    collector = PathCollector(target)
    for block_hash in hashes:
        collector.append(block_hash)

    assert collector.path() == merkle.path(hashes, target)
    assert collector.digest() == merkle.root(hashes)


def test_path_needs_its_target_block() -> None:
    with pytest.raises(ValueError, match="block 3 was not appended"):
        PathCollector(3).path()


def test_proof_of_a_real_revision_equals_that_of_qldb() -> None:
    block = ion.read_one((VECTORS / "blocks/aws-cli_get-block_seq100.ion").read_bytes())
    saved = read_saved_digest(str(VECTORS / "proofs/aws-cli_seq100_digest123.json"))
    assert saved.proof is not None
    hashes = [revision["hash"] for revision in block["revisions"]]

    proof = revision_proof(
        block["entriesHashList"], hashes, hashes[0], block["previousBlockHash"], list(saved.proof[3:])
    )

    assert proof == saved.proof


def test_path_needs_a_revision_of_the_block() -> None:
    block = make_strand(2)[1]
    hashes = [revision["hash"] for revision in block["revisions"]]

    with pytest.raises(ValueError, match="not in list"):
        revision_path(block["entriesHashList"], hashes, bytes(32))
    with pytest.raises(ValueError, match="not in list"):
        revision_path(block["entriesHashList"], hashes[:1], hashes[0])


@pytest.mark.parametrize("blocks", [2, 3, 7, 8])
@pytest.mark.parametrize("document_id", DOCUMENTS)
def test_proof_holds_for_each_state(blocks: int, document_id: str) -> None:
    strand = make_strand(blocks)
    proof = make_proof(strand, 1, document_id)

    result = check_proof(proof.to_json().encode(), merkle.root([block["blockHash"] for block in strand]))

    assert result.ok
    assert (result.document, result.version, result.digest) == (document_id, 1, proof.digest)
    assert result.reasons == ()
    assert result.bound
    content = result.content
    assert content is not None
    assert (content.document_id, content.version, content.table) == (document_id, 1, "T")
    assert (content.state, content.tx_id, content.tx_time) == (document_id, "tx1", timestamp(1_600_000_000_001))
    data = {"normal": '{name:"normal",number:1}'}.get(document_id)
    assert (content.data and content.data.replace(" ", "")) == data


def test_real_revision_holds_against_the_digest_of_its_ledger() -> None:
    proof = real_proof()

    assert check_proof(proof.to_json().encode(), proof.digest).ok


def test_real_revision_holds_when_redacted() -> None:
    """Derived: no public proof is of a redacted revision."""
    proof = real_proof()
    assert proof.data is not None
    redacted = dataclasses.replace(proof, data=None, data_hash=ion_hash(ion.read_one(proof.data)))

    assert check_proof(redacted.to_json().encode(), proof.digest).ok


def test_digest_in_the_file_is_used_with_a_note() -> None:
    result = check_proof(real_proof().to_json().encode())

    assert result.ok
    assert "digest in the file itself" in result.notes[-1]


def test_repeated_field_is_hashed() -> None:
    data = next(ion.read_typed(b"{a: 1, a: 2}"))
    metadata = {"id": "doc", "version": 0}
    time = timestamp(0)
    full = {**metadata, "txTime": time, "txId": "tx"}
    revision_hash = merkle.dot(ion_hash(full), ion_hash(data))
    proof = dataclasses.replace(
        real_proof(),
        document_id="doc",
        version=0,
        hash=revision_hash,
        metadata=ion.write(full),
        data=ion.write(data),
        path=(),
        digest=revision_hash,
    )

    assert check_proof(proof.to_json().encode()).ok


@pytest.mark.parametrize(
    ("document_id", "change", "reason"), [row[1:] for row in TAMPERED], ids=[r[0] for r in TAMPERED]
)
def test_tampered_proof_does_not_hold(document_id: str, change: Change, reason: str) -> None:
    proof = make_proof(make_strand(), 3, document_id)
    content = json.loads(proof.to_json())
    change(content)

    result = check_proof(json.dumps(content).encode(), proof.digest)

    assert (result.answer, result.content) == ("does not hold", None)
    assert any(reason in said for said in result.reasons), result.reasons


@pytest.mark.parametrize(
    ("document_id", "change", "reason"), [row[1:] for row in UNCHECKED], ids=[r[0] for r in UNCHECKED]
)
def test_proof_without_content_cannot_be_checked(document_id: str, change: Change, reason: str) -> None:
    proof = make_proof(make_strand(), 3, document_id)
    content = json.loads(proof.to_json())
    change(content)

    result = check_proof(json.dumps(content).encode(), proof.digest)

    assert (result.answer, result.ok) == ("cannot be checked", False)
    assert reason in result.reasons[0]


def test_proof_does_not_hold_against_another_digest() -> None:
    result = check_proof(real_proof().to_json().encode(), bytes(32))

    assert not result.ok
    assert "another tip" in result.reasons[0]


def test_consistent_forgery_fails_only_against_a_given_digest() -> None:
    """A digest in the file itself shows nothing: whoever writes a file can write that too."""
    proof = real_proof()
    metadata = ion.read_one(proof.metadata or b"")
    forged_data = {"forged": True}
    forged_hash = merkle.dot(ion_hash(metadata), ion_hash(forged_data))
    forged = dataclasses.replace(
        proof, hash=forged_hash, data=ion.write(forged_data), digest=merkle.fold(forged_hash, proof.path)
    )

    assert check_proof(forged.to_json().encode()).ok
    assert not check_proof(forged.to_json().encode(), proof.digest).ok


@pytest.mark.parametrize(("member", "change"), DAMAGED)
def test_damaged_proof_is_refused_by_member(member: str, change: Change) -> None:
    content = json.loads(make_proof(make_strand(), 3, "normal").to_json())
    change(content)

    with pytest.raises(UnreadableError, match=rf"p\.json: .*{member}"):
        check_proof(json.dumps(content).encode(), name="p.json")


@pytest.mark.parametrize("data", [b"", b"hello", b"[]", b'{"format"', b"\xff\xfe", b"[" * 100_000])
def test_bytes_that_are_no_proof_are_refused(data: bytes) -> None:
    with pytest.raises(UnreadableError, match="p\\.json: "):
        check_proof(data, name="p.json")


@pytest.mark.parametrize(
    ("name", "ok"),
    [("accord.json", True), ("aws-cli_seq100_digest123.json", True), ("kvs_sampleLedgerInfo.json", False)],
)
def test_published_receipts_are_checked(name: str, ok: bool) -> None:
    data = (VECTORS / "proofs" / name).read_bytes()

    assert check_proof(data).ok == ok
    assert not check_proof(data, bytes(32)).ok
    assert "was not checked" in check_proof(data).notes[0]


@pytest.mark.parametrize(
    ("content", "reason"),
    [({}, "no proof"), ({"LastBlockNum": 7, "Proof": [b64encode(bytes(32)).decode()]}, "file does not hold")],
)
def test_file_without_leaf_or_proof_does_not_hold(content: dict[str, Any], reason: str) -> None:
    result = check_proof(json.dumps({"Digest": b64encode(bytes(32)).decode(), **content}).encode())

    assert result.answer == "cannot be checked"
    assert reason in result.reasons[0]


@given(st.binary(max_size=300))
def test_any_bytes_as_data_do_not_hold(data: bytes) -> None:
    proof = dataclasses.replace(real_proof(), data=data)

    assert not check_proof(proof.to_json().encode(), proof.digest).ok
