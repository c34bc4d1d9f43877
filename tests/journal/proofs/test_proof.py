import dataclasses
import json
from base64 import b64decode, b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strandline.journal.check import merkle
from strandline.journal.errors import UnreadableError
from strandline.journal.ion import values as ion
from strandline.journal.ion.hash import ion_hash, sha256
from strandline.journal.make.block import BlockMaker, NewRevision, Statement, redact, timestamp
from strandline.journal.proofs.proof import PathCollector, Proof, check_proof, revision_path, revision_proof
from strandline.journal.proofs.saved_digest import read_saved_digest

VECTORS = Path(__file__).parents[2] / "vectors"
STRAND = "KmA3ZZca7vAIiJAK9S5Iwl"
DOCUMENTS = ("normal", "redacted", "deleted")


def make_strand(blocks: int = 7) -> list[dict[str, Any]]:
    """Blocks of one strand; every second has revisions of three documents, one of each state."""
    maker = BlockMaker(STRAND)
    strand = []
    for number in range(blocks):
        time = timestamp(1_600_000_000_000 + number)
        revisions = [
            NewRevision(name, "table", "T", number, None if name == "deleted" else {"name": name, "number": number})
            for name in DOCUMENTS
        ]
        block = maker.make(
            transaction_id=f"tx{number}",
            tx_time=time,
            block_time=time,
            statements=[Statement("UPDATE T", time)] if number % 2 else (),
            revisions=revisions if number % 2 else (),
        )
        strand.append(redact(block, "redacted", number) if number % 2 else block)
    return strand


def make_proof(strand: list[dict[str, Any]], block_no: int, document_id: str) -> Proof:
    block = strand[block_no]
    hashes = [revision["hash"] for revision in block["revisions"]]
    revision = next(r for r in block["revisions"] if r["metadata"]["id"] == document_id)
    collector = PathCollector(block_no)
    for other in strand:
        collector.append(other["blockHash"])
    return Proof(
        document_id=document_id,
        version=block_no,
        strand_id=STRAND,
        sequence_no=block_no,
        level="full",
        written_by="qldb",
        hash=revision["hash"],
        metadata=ion.write(revision["metadata"]),
        data=ion.write(revision["data"]) if "data" in revision else None,
        data_hash=revision.get("dataHash"),
        path=revision_proof(
            block["entriesHashList"], hashes, revision["hash"], block["previousBlockHash"], collector.path()
        ),
        digest=collector.digest(),
        tip=len(strand) - 1,
    )


def real_proof() -> Proof:
    """The proof that QLDB gave for the revision in a real block, as a file of ours."""
    block = ion.read_one((VECTORS / "blocks/aws-cli_get-block_seq100.ion").read_bytes())
    saved = read_saved_digest(str(VECTORS / "proofs/aws-cli_seq100_digest123.json"))
    revision = block["revisions"][0]
    assert saved.proof is not None
    return Proof(
        document_id=revision["metadata"]["id"],
        version=revision["metadata"]["version"],
        strand_id=STRAND,
        sequence_no=100,
        level="full",
        written_by="qldb",
        hash=revision["hash"],
        metadata=ion.write(revision["metadata"]),
        data=ion.write(revision["data"]),
        data_hash=None,
        path=saved.proof,
        digest=saved.digest,
        tip=123,
    )


@given(st.integers(1, 200), st.data())
def test_a_collected_path_is_that_of_the_whole_tree(count: int, data: st.DataObject) -> None:
    hashes = [sha256(bytes([number])) for number in range(count)]
    target = data.draw(st.integers(0, count - 1))
    collector = PathCollector(target)
    for block_hash in hashes:
        collector.append(block_hash)

    assert collector.path() == merkle.path(hashes, target)
    assert collector.digest() == merkle.root(hashes)


def test_a_path_to_a_block_that_has_not_come() -> None:
    with pytest.raises(ValueError, match="block 3 has not come"):
        PathCollector(3).path()


def test_the_proof_of_a_real_revision_is_the_one_that_qldb_gave() -> None:
    block = ion.read_one((VECTORS / "blocks/aws-cli_get-block_seq100.ion").read_bytes())
    saved = read_saved_digest(str(VECTORS / "proofs/aws-cli_seq100_digest123.json"))
    assert saved.proof is not None
    hashes = [revision["hash"] for revision in block["revisions"]]

    proof = revision_proof(
        block["entriesHashList"], hashes, hashes[0], block["previousBlockHash"], list(saved.proof[3:])
    )

    assert proof == saved.proof


def test_a_revision_that_the_block_does_not_hold() -> None:
    block = make_strand(2)[1]
    hashes = [revision["hash"] for revision in block["revisions"]]

    with pytest.raises(ValueError, match="not in list"):
        revision_path(block["entriesHashList"], hashes, bytes(32))
    with pytest.raises(ValueError, match="not in list"):
        revision_path(block["entriesHashList"], hashes[:1], hashes[0])


@pytest.mark.parametrize("blocks", [2, 3, 7, 8])
@pytest.mark.parametrize("document_id", DOCUMENTS)
def test_a_proof_holds_for_each_state(blocks: int, document_id: str) -> None:
    strand = make_strand(blocks)
    proof = make_proof(strand, 1, document_id)

    result = check_proof(proof.to_json().encode(), merkle.root([block["blockHash"] for block in strand]))

    assert result.ok
    assert (result.document, result.version, result.digest) == (document_id, 1, proof.digest)
    assert result.reasons == ()
    said = {"normal": "address", "redacted": "redacted", "deleted": "deleted its document"}
    assert said[document_id] in result.notes[0]


def test_a_real_revision_holds_against_the_digest_of_its_ledger() -> None:
    proof = real_proof()

    assert check_proof(proof.to_json().encode(), proof.digest).ok


def test_a_real_revision_holds_when_redacted() -> None:
    """Derived: no public proof is of a redacted revision."""
    proof = real_proof()
    assert proof.data is not None
    redacted = dataclasses.replace(proof, data=None, data_hash=ion_hash(ion.read_one(proof.data)))

    assert check_proof(redacted.to_json().encode(), proof.digest).ok


def test_without_a_digest_the_one_in_the_file_counts_and_that_is_said() -> None:
    result = check_proof(real_proof().to_json().encode())

    assert result.ok
    assert "digest in the file itself" in result.notes[-1]


def test_a_repeated_field_is_hashed_too() -> None:
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


Change = Callable[[dict[str, Any]], None]


def flip(text: str) -> str:
    data = bytearray(b64decode(text))
    data[-1] ^= 1
    return b64encode(data).decode()


TAMPERED: list[tuple[str, str, Change, str]] = [
    ("data", "normal", lambda p: p["revision"].update(data=flip(p["revision"]["data"])), "not that of its metadata"),
    ("metadata", "normal", lambda p: p["revision"].update(metadata=flip(p["revision"]["metadata"])), "revision"),
    ("hash", "normal", lambda p: p["revision"].update(hash=flip(p["revision"]["hash"])), "does not lead"),
    ("no data", "normal", lambda p: p["revision"].pop("data"), "not that of a deletion"),
    ("no metadata", "normal", lambda p: p["revision"].pop("metadata"), "metadata is missing"),
    ("both", "normal", lambda p: p["revision"].update(dataHash=p["revision"]["hash"]), "both data and dataHash"),
    ("dataHash", "redacted", lambda p: p["revision"].update(dataHash=flip(p["revision"]["dataHash"])), "dataHash"),
    ("deletion", "redacted", lambda p: p["revision"].pop("dataHash"), "not that of a deletion"),
    ("undeletion", "deleted", lambda p: p["revision"].update(data="4AEA6hEg"), "revision"),
    ("data not Ion", "normal", lambda p: p["revision"].update(data="AAAA"), "revision"),
    ("data cut", "normal", lambda p: p["revision"].update(data=p["revision"]["data"][:16]), "revision"),
    ("document", "normal", lambda p: p.update(documentId="other"), "document or version"),
    ("version", "normal", lambda p: p.update(version=9), "document or version"),
    ("sibling", "normal", lambda p: p["proof"].__setitem__(2, flip(p["proof"][2])), "does not lead"),
    ("sibling gone", "normal", lambda p: p["proof"].pop(), "does not lead"),
    ("sibling added", "normal", lambda p: p["proof"].append(p["proof"][0]), "does not lead"),
    ("siblings swapped", "normal", lambda p: p["proof"].reverse(), "does not lead"),
    ("digest", "normal", lambda p: p.update(digest=flip(p["digest"])), "digest in the file"),
    ("from JSON", "normal", lambda p: p.update(level="chain"), "had only as JSON"),
]


@pytest.mark.parametrize(
    ("document_id", "change", "reason"), [row[1:] for row in TAMPERED], ids=[r[0] for r in TAMPERED]
)
def test_a_tampered_proof_does_not_hold(document_id: str, change: Change, reason: str) -> None:
    proof = make_proof(make_strand(), 3, document_id)
    content = json.loads(proof.to_json())
    change(content)

    result = check_proof(json.dumps(content).encode(), proof.digest)

    assert not result.ok
    assert any(reason in said for said in result.reasons), result.reasons


def test_another_digest_than_that_of_the_proof() -> None:
    result = check_proof(real_proof().to_json().encode(), bytes(32))

    assert not result.ok
    assert "another tip" in result.reasons[0]


def test_a_consistent_forgery_fails_only_against_the_digest_given() -> None:
    """Why a digest in the file itself shows nothing: whoever writes a file can write that too."""
    proof = real_proof()
    metadata = ion.read_one(proof.metadata or b"")
    forged_data = {"forged": True}
    forged_hash = merkle.dot(ion_hash(metadata), ion_hash(forged_data))
    forged = dataclasses.replace(
        proof, hash=forged_hash, data=ion.write(forged_data), digest=merkle.fold(forged_hash, proof.path)
    )

    assert check_proof(forged.to_json().encode()).ok
    assert not check_proof(forged.to_json().encode(), proof.digest).ok


DAMAGED: list[tuple[str, Change]] = [
    ("format", lambda p: p.update(format="strandline-proof/2")),
    ("documentId", lambda p: p.pop("documentId")),
    ("documentId", lambda p: p.update(documentId="a\x1b[2J")),
    ("version", lambda p: p.update(version="3")),
    ("version", lambda p: p.update(version=True)),
    ("revision", lambda p: p.update(revision=[])),
    ("hash", lambda p: p["revision"].pop("hash")),
    ("hash", lambda p: p["revision"].update(hash="short")),
    ("data", lambda p: p["revision"].update(data="no base64!")),
    ("proof", lambda p: p.update(proof=None)),
    ("proof", lambda p: p["proof"].append(7)),
    ("proof", lambda p: p["proof"].append("")),
    ("digest", lambda p: p.update(digest=None)),
    ("notes", lambda p: p.update(notes=["a\x1b[2J"])),
]


@pytest.mark.parametrize(("member", "change"), DAMAGED)
def test_a_damaged_proof_is_refused_by_name(member: str, change: Change) -> None:
    content = json.loads(make_proof(make_strand(), 3, "normal").to_json())
    change(content)

    with pytest.raises(UnreadableError, match=rf"p\.json: .*{member}"):
        check_proof(json.dumps(content).encode(), name="p.json")


@pytest.mark.parametrize("data", [b"", b"hello", b"[]", b'{"format"', b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_proof_is_refused(data: bytes) -> None:
    with pytest.raises(UnreadableError, match="p\\.json: "):
        check_proof(data, name="p.json")


@pytest.mark.parametrize(
    ("name", "ok"),
    [("accord.json", True), ("aws-cli_seq100_digest123.json", True), ("kvs_sampleLedgerInfo.json", False)],
)
def test_published_receipts(name: str, ok: bool) -> None:
    data = (VECTORS / "proofs" / name).read_bytes()

    assert check_proof(data).ok == ok
    assert not check_proof(data, bytes(32)).ok
    assert "was not checked" in check_proof(data).notes[0]


@pytest.mark.parametrize(
    ("content", "reason"),
    [({}, "no proof"), ({"LastBlockNum": 7, "Proof": [b64encode(bytes(32)).decode()]}, "does not hold")],
)
def test_a_file_without_a_leaf_and_a_proof_is_no_success(content: dict[str, Any], reason: str) -> None:
    result = check_proof(json.dumps({"Digest": b64encode(bytes(32)).decode(), **content}).encode())

    assert not result.ok
    assert reason in result.reasons[0]


@given(st.binary(max_size=300))
def test_any_bytes_for_data_are_no_success_and_no_crash(data: bytes) -> None:
    proof = dataclasses.replace(real_proof(), data=data)

    assert not check_proof(proof.to_json().encode(), proof.digest).ok
