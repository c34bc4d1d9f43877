"""Proofs of made and of real revisions, and changes that a check must find."""

from base64 import b64decode, b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

from strandline.journal.ion import values as ion
from strandline.journal.make.block import BlockMaker, NewRevision, Statement, redact, timestamp
from strandline.journal.proofs.binding import bind
from strandline.journal.proofs.file import Proof
from strandline.journal.proofs.path import revision_proof
from strandline.journal.proofs.saved_digest import read_saved_digest
from tests.journal.proofs.path_collector import PathCollector

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
    collector, previous = PathCollector(block_no), PathCollector(block_no - 1)
    for other in strand:
        collector.append(other["blockHash"])
        previous.append(other["blockHash"])
    info = block["transactionInfo"]
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
        binding=bind(info, block["entriesHashList"], block["previousBlockHash"], block_no, previous.path()),
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


Change = Callable[[dict[str, Any]], None]


def flip(text: str) -> str:
    data = bytearray(b64decode(text))
    data[-1] ^= 1
    return b64encode(data).decode()


def flip_member(holder: dict[str, Any], name: str) -> None:
    holder[name] = flip(holder[name])


def change_entry(proof: dict[str, Any], place: int) -> None:
    entries = proof["block"]["entriesHashList"]
    entries[place] = flip(entries[place])


EMPTY = b64encode(ion.write({})).decode()
OTHERS = b64encode(ion.write({"normal": {"tableName": "Other", "tableId": "table", "statements": [0]}})).decode()

TAMPERED: list[tuple[str, str, Change, str]] = [
    ("data", "normal", lambda p: p["revision"].update(data=flip(p["revision"]["data"])), "not that of its metadata"),
    ("metadata", "normal", lambda p: p["revision"].update(metadata=flip(p["revision"]["metadata"])), "revision"),
    ("hash", "normal", lambda p: p["revision"].update(hash=flip(p["revision"]["hash"])), "not that of its metadata"),
    ("no data", "normal", lambda p: p["revision"].pop("data"), "not that of a deletion"),
    ("both", "normal", lambda p: p["revision"].update(dataHash=p["revision"]["hash"]), "both data and dataHash"),
    ("dataHash", "redacted", lambda p: p["revision"].update(dataHash=flip(p["revision"]["dataHash"])), "dataHash"),
    ("deletion", "redacted", lambda p: p["revision"].pop("dataHash"), "not that of a deletion"),
    ("undeletion", "deleted", lambda p: p["revision"].update(data="4AEA6hEg"), "revision"),
    ("data not Ion", "normal", lambda p: p["revision"].update(data="AAAA"), "revision"),
    ("data cut", "normal", lambda p: p["revision"].update(data=p["revision"]["data"][:16]), "revision"),
    ("document", "normal", lambda p: p.update(documentId="other"), "document or version"),
    ("version", "normal", lambda p: p.update(version=9), "document or version"),
    ("sibling", "normal", lambda p: p["proof"].__setitem__(2, flip(p["proof"][2])), "does not lead"),
    ("sibling gone", "normal", lambda p: p["proof"].pop(), "not as long as"),
    ("sibling added", "normal", lambda p: p["proof"].append(p["proof"][0]), "not as long as"),
    ("siblings swapped", "normal", lambda p: p["proof"].reverse(), "does not lead"),
    ("digest", "normal", lambda p: p.update(digest=flip(p["digest"])), "digest in the file"),
    ("other block", "normal", lambda p: p["blockAddress"].update(sequenceNo=4), "not that of the block next"),
    ("block 0", "normal", lambda p: p["blockAddress"].update(sequenceNo=0), "not as long as"),
    ("other tip", "normal", lambda p: p["digestTipAddress"].update(sequenceNo=9), "not as long as"),
    ("tip before", "normal", lambda p: p["digestTipAddress"].update(sequenceNo=2), "not as long as"),
    ("no documents", "normal", lambda p: p["block"].update(documents=EMPTY), "does not name the document"),
    ("documents", "normal", lambda p: p["block"].update(documents=OTHERS), "hash of the block's transactionInfo"),
    ("fields", "normal", lambda p: p["block"]["otherFields"].pop(), "hash of the block's transactionInfo"),
    ("entry", "normal", lambda p: change_entry(p, 0), "entriesHashList"),
    ("entry of revisions", "normal", lambda p: change_entry(p, 1), "does not lead to a member"),
    ("previous", "normal", lambda p: flip_member(p["block"], "previousBlockHash"), "previousBlockHash"),
    ("previous path", "normal", lambda p: p["block"]["previousBlockPath"].append(p["digest"]), "next to this one"),
]


UNCHECKED: list[tuple[str, str, Change, str]] = [
    ("no metadata", "normal", lambda p: p["revision"].pop("metadata"), "lacks the revision's metadata"),
    ("from JSON", "normal", lambda p: p.update(level="chain"), "only as JSON"),
]

DAMAGED: list[tuple[str, Change]] = [
    ("format", lambda p: p.update(format="strandline-proof/3")),
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
    ("block", lambda p: p.update(block=None)),
    ("documents", lambda p: p["block"].pop("documents")),
    ("otherFields", lambda p: p["block"].update(otherFields=[1])),
    ("entriesHashList", lambda p: p["block"].update(entriesHashList="")),
    ("previousBlockHash", lambda p: p["block"].update(previousBlockHash="")),
    ("previousBlockPath", lambda p: p["block"].pop("previousBlockPath")),
    ("sequenceNo", lambda p: p["blockAddress"].update(sequenceNo=-1)),
    ("writtenBy", lambda p: p.update(writtenBy="nobody")),
    ("notes", lambda p: p.update(notes=["a\x1b[2J"])),
]
