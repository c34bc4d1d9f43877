import json
from base64 import b64encode
from pathlib import Path

import pytest

from strandline.journal.errors import UnreadableError, UsageError
from strandline.journal.proofs.check import check_tip_beyond
from strandline.journal.proofs.saved_digest import SavedDigest, parse_saved_digest, read_saved_digest

PROOFS = Path(__file__).parents[2] / "vectors" / "proofs"
DIGEST = bytes(range(32))
B64 = b64encode(DIGEST).decode()
STRAND = "KmA3ZZca7vAIiJAK9S5Iwl"
ADDRESS = f'{{strandId:"{STRAND}",sequenceNo:123}}'
SIBLINGS = (b"a" * 32, b"b" * 32)
SIBLINGS_B64 = [b64encode(sibling).decode() for sibling in SIBLINGS]


def test_base64_text_is_a_digest() -> None:
    assert read_saved_digest(f" {B64}\n").digest == DIGEST


@pytest.mark.parametrize(
    "content",
    [
        json.dumps({"Digest": B64, "DigestTipAddress": {"IonText": ADDRESS}}, indent=4),
        json.dumps({"digest": B64, "digestTipAddress": ADDRESS, "ledger": "vehicles", "date": "2019-04-17"}),
        f'{{digest: {{{{{B64}}}}}, digestTipAddress: {ADDRESS}, ledger: "vehicles", date: 2019-04-17T16:57Z}}',
        f'$ion_1_0 {{Digest: "{B64}", DIGEST_TIP_ADDRESS: {ADDRESS}, Ledger: vehicles}}',
    ],
    ids=["aws-cli", "console-json", "console-ion", "console-other-names"],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_digest_is_read_with_its_tip(content: str, encoding: str, tmp_path: Path) -> None:
    file = tmp_path / "digest"
    file.write_text(content, encoding=encoding)

    assert read_saved_digest(str(file)) == SavedDigest(str(file), DIGEST, 123, STRAND)


def test_file_with_only_base64_is_a_digest(tmp_path: Path) -> None:
    file = tmp_path / "digest.txt"
    file.write_text(B64 + "\n")

    assert read_saved_digest(str(file)).digest == DIGEST


def test_file_of_the_migration_kit_is_read() -> None:
    content = {
        "Ledger": "vehicles",
        "Digest": B64,
        "DigestTipAddress": {"strandId": STRAND, "sequenceNo": 130},
        "Export": "8UyXulxccYLAsbN1aon7e4",
        "LastBlockNum": 123,
        "LastBlockTimestamp": "2023-01-01T00:00:00Z",
        "Proof": SIBLINGS_B64,
    }

    saved = parse_saved_digest(json.dumps(content).encode(), "kit")

    assert saved == SavedDigest("kit", DIGEST, 130, STRAND, SIBLINGS, None, 123)


def test_receipt_of_the_sample_applications_is_read() -> None:
    content = {
        "LedgerName": "keyvaluestore",
        "TableName": "kvs",
        "BlockAddress": {"IonText": ADDRESS},
        "DocumentId": "5vHoYG5m0OZCsqdYCs8XLH",
        "RevisionHash": B64,
        "Proof": {"IonText": "[" + ",".join(f"{{{{{s}}}}}" for s in SIBLINGS_B64) + "]"},
        "LedgerDigest": {"Digest": B64, "DigestTipAddress": {"IonText": ADDRESS}},
    }

    saved = parse_saved_digest(json.dumps(content).encode(), "receipt")

    assert saved == SavedDigest("receipt", DIGEST, 123, STRAND, SIBLINGS, DIGEST, None, "5vHoYG5m0OZCsqdYCs8XLH")


@pytest.mark.parametrize(
    ("name", "siblings", "tip"),
    [("accord.json", 10, None), ("aws-cli_seq100_digest123.json", 10, 123), ("kvs_sampleLedgerInfo.json", 9, None)],
)
def test_published_files_are_read(name: str, siblings: int, tip: int | None) -> None:
    saved = read_saved_digest(str(PROOFS / name))

    assert saved.revision_hash is not None
    assert saved.proof is not None
    assert len(saved.proof) == siblings
    assert saved.tip == tip


def test_real_block_proof_leads_to_a_tip_beyond_the_export() -> None:
    content = json.loads((PROOFS / "aws-cli_seq100_digest123.json").read_text())
    saved = read_saved_digest(str(PROOFS / "aws-cli_seq100_digest123.json"))
    assert saved.proof is not None
    kit = SavedDigest("kit", saved.digest, 123, saved.strand_id, saved.proof[3:], None, 100)
    block_hash = read_saved_digest(content["blockHash"]).digest

    assert check_tip_beyond(block_hash, kit)
    assert not check_tip_beyond(DIGEST, kit)
    assert not check_tip_beyond(saved.digest, SavedDigest("no proof", saved.digest))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello",
        b"\x00\xff\xfe",
        b"[1, 2]",
        b"{}",
        b'{"Digest": "abc"}',
        b'{"Digest": 7}',
        b'{"Digest": null}',
        b"{" * 5000,
        json.dumps({"Digest": B64, "DigestTipAddress": {"IonText": "{"}}).encode(),
        json.dumps({"Digest": B64, "DigestTipAddress": {"sequenceNo": 1}}).encode(),
        json.dumps({"Digest": B64, "DigestTipAddress": {"strandId": STRAND, "sequenceNo": -1}}).encode(),
        json.dumps({"Digest": B64, "Proof": "none"}).encode(),
        json.dumps({"Digest": B64, "Proof": ["none"]}).encode(),
        json.dumps({"Digest": B64, "RevisionHash": "none"}).encode(),
        json.dumps({"LedgerDigest": {"DigestTipAddress": ADDRESS}}).encode(),
    ],
)
def test_other_files_are_refused_by_name(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "wrong"
    file.write_bytes(content)

    with pytest.raises(UnreadableError, match=r"wrong: .*expected a base64 digest"):
        read_saved_digest(str(file))


@pytest.mark.parametrize("argument", ["no-such-file", "", "x" * 5000, "nul\0", "/"])
def test_text_that_is_neither_base64_nor_a_file_is_refused(argument: str) -> None:
    with pytest.raises(UsageError, match="32 bytes as base64"):
        read_saved_digest(argument)


def test_file_too_large_for_a_digest_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "journal.ion"
    with file.open("wb") as out:
        out.truncate(17 * 1024 * 1024)

    with pytest.raises(UnreadableError, match="too large for a digest"):
        read_saved_digest(str(file))
