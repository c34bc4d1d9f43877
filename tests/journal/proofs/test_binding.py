"""A binding ties a proof to its block: the author of a document cannot prove a revision of another one."""

import dataclasses
import json
from collections.abc import Callable

import pytest

from strandline.journal.check import merkle
from strandline.journal.ion import values as ion
from strandline.journal.ion.hash import ion_hash, sha256
from strandline.journal.proofs.check import WEAK, check_proof
from strandline.journal.proofs.file import Proof
from strandline.journal.proofs.path import path_length
from tests.journal.proofs.examples import make_proof, make_strand
from tests.journal.proofs.forgeries import CLAIM, TARGET, author_strand, deleted, exchanged, made_block, redacted


def unbound(proof: Proof) -> bytes:
    """Return the file as an older version wrote it."""
    content = json.loads(dataclasses.replace(proof, binding=None).to_json())
    return json.dumps({**content, "format": "strandline-proof/1"}).encode()


def authors_proof() -> Proof:
    return make_proof(author_strand({"own": dict(CLAIM)}), TARGET, "own")


@pytest.mark.parametrize("forge", [exchanged, redacted])
def test_forged_proof_does_not_hold(forge: Callable[[Proof], Proof]) -> None:
    proof = authors_proof()
    assert check_proof(proof.to_json().encode(), proof.digest).ok
    forged = forge(proof)
    # The forgery is good but for the binding: the hashes lead to the digest.
    assert merkle.fold(forged.hash, forged.path) == proof.digest
    result = check_proof(forged.to_json().encode(), proof.digest)
    assert not result.ok
    assert result.content is None


def test_transaction_must_name_the_document() -> None:
    result = check_proof(redacted(authors_proof()).to_json().encode())
    assert (result.answer, result.reasons) == (
        "does not hold", ("the block's transaction does not name the document",),
    )  # fmt: skip


@pytest.mark.parametrize("bound", [True, False])
def test_deletion_by_its_metadata_alone_cannot_be_checked(bound: bool) -> None:
    forged = deleted(authors_proof())
    data = forged.to_json().encode() if bound else unbound(forged)
    assert merkle.fold(forged.hash, forged.path) == forged.digest
    assert check_proof(data).answer == "cannot be checked"


def test_part_of_a_block_cannot_pass_for_a_block() -> None:
    forged = made_block()
    assert merkle.fold(forged.hash, forged.path) == forged.digest
    result = check_proof(forged.to_json().encode())
    assert result.answer == "does not hold"
    assert "next to this one" in result.reasons[0]


def test_data_like_metadata_of_a_document_of_the_same_transaction_cannot_be_checked() -> None:
    strand = author_strand({"own": dict(CLAIM), "victim": {"a": 1}})
    result = check_proof(make_proof(strand, TARGET, "own").to_json().encode())
    assert result.answer == "cannot be checked"
    assert "either half" in result.reasons[0]


@pytest.mark.parametrize("data_hash", [ion_hash(None), sha256(b"")])
def test_deletion_is_no_redaction(data_hash: bytes) -> None:
    proof = make_proof(make_strand(), 3, "deleted")
    result = check_proof(dataclasses.replace(proof, data_hash=data_hash).to_json().encode())
    assert result.answer == "does not hold"


def test_older_file_is_read_as_weaker() -> None:
    proof = make_proof(make_strand(), 3, "normal")
    result = check_proof(unbound(proof), proof.digest)
    assert (result.answer, result.bound) == ("holds", False)
    assert result.notes[0] == WEAK
    assert result.content is not None
    assert result.content.table is None


def test_older_file_with_data_like_metadata_cannot_be_checked() -> None:
    assert check_proof(unbound(authors_proof())).answer == "cannot be checked"
    assert check_proof(unbound(exchanged(authors_proof()))).answer == "cannot be checked"


@pytest.mark.parametrize("member", ["note", "txId"])
def test_metadata_with_other_members_does_not_hold(member: str) -> None:
    metadata = {**CLAIM, member: ion.SymbolToken("x", None)}
    strand = author_strand({"own": metadata})
    forged = exchanged(make_proof(strand, TARGET, "own"))
    result = check_proof(unbound(dataclasses.replace(forged, metadata=ion.write(metadata))))
    assert result.answer == "does not hold"
    assert "not what QLDB writes" in result.reasons[0] or "not what a revision holds" in result.reasons[0]


@pytest.mark.parametrize("blocks", range(2, 34))
def test_binding_holds_for_every_block(blocks: int) -> None:
    strand = make_strand(blocks)
    for number in range(1, blocks, 2):
        result = check_proof(make_proof(strand, number, "normal").to_json().encode())
        assert (result.ok, result.bound) == (True, True)


@pytest.mark.parametrize("target", range(1, 20))
def test_binding_holds_for_even_blocks(target: int) -> None:
    for blocks in range(target + 1, 21):
        proof = make_proof(author_strand({"own": {"a": 1}}, blocks, target), target, "own")
        result = check_proof(proof.to_json().encode())
        assert (result.ok, result.bound) == (True, True)


def test_path_length_is_that_of_the_tree() -> None:
    for blocks in range(1, 70):
        hashes = [bytes([number]) * 32 for number in range(blocks)]
        assert [path_length(block, blocks - 1) for block in range(blocks)] == [
            len(merkle.path(hashes, block)) for block in range(blocks)
        ]
