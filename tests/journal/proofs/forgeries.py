"""Proofs that the author of a document could forge from what is in the ledger: none may hold."""

import dataclasses
from typing import Any

from strandline.journal.check import merkle
from strandline.journal.ion import values as ion
from strandline.journal.ion.hash import ion_hash
from strandline.journal.make.block import BlockMaker, NewRevision, Statement, timestamp
from strandline.journal.proofs.binding import Binding
from strandline.journal.proofs.file import Proof
from tests.journal.proofs.examples import STRAND, make_proof
from tests.journal.proofs.path_collector import PathCollector

VICTIM = "victim"
CLAIM = {"id": VICTIM, "version": 7, "txTime": timestamp(0), "txId": "forged"}
BLOCKS = 5  # the path of the last one has one hash, that of the first four has three
TARGET = 4


def author_strand(documents: dict[str, dict[str, Any]], blocks: int = BLOCKS, target: int = TARGET) -> list[Any]:
    """Make blocks, of which `target` has the author's documents, each with its data."""
    maker = BlockMaker(STRAND)
    strand = []
    for number in range(blocks):
        time = timestamp(1_600_000_000_000 + number)
        revisions = [NewRevision(name, "table", "T", number, data) for name, data in documents.items()]
        strand.append(
            maker.make(
                transaction_id=f"tx{number}",
                tx_time=time,
                block_time=time,
                statements=[Statement("INSERT INTO T ?", time)],
                revisions=revisions if number == target else (),
            )
        )
    return strand


def exchanged(proof: Proof) -> Proof:
    """Claim that the data are the metadata, and the metadata the data."""
    return dataclasses.replace(
        proof, document_id=VICTIM, version=7, metadata=ion.write(CLAIM), data=proof.metadata, binding=proof.binding
    )


def redacted(proof: Proof) -> Proof:
    """Claim that the data are the metadata of a redacted revision."""
    assert proof.metadata is not None
    data_hash = ion_hash(ion.read_one(proof.metadata))
    return dataclasses.replace(exchanged(proof), data=None, data_hash=data_hash)


def deleted(proof: Proof) -> Proof:
    """Claim that the data's hash is the hash of a deletion, one node further down."""
    assert proof.metadata is not None
    leaf, sibling = ion_hash(CLAIM), ion_hash(ion.read_one(proof.metadata))
    return dataclasses.replace(exchanged(proof), hash=leaf, data=None, path=(sibling, *proof.path))


def made_block() -> Proof:
    """Claim that a part of the tree of a block's revisions is a block.

    The author has three documents in one transaction. One has the data of the claim; another has data that look like
    a transactionInfo. The three revisions' hashes have the form of an entriesHashList with four members.
    """
    info = {"statements": [{"statement": "x"}], "documents": {VICTIM: {"tableName": "T", "tableId": "t"}}}
    documents: dict[str, dict[str, Any]] = {"one": {"a": 1}, "two": dict(CLAIM), "three": info}
    strand = author_strand(documents)
    honest = make_proof(strand, TARGET, "two")
    block = strand[TARGET]
    first, leaf, third = (revision["hash"] for revision in block["revisions"])
    halves = [ion_hash(block["revisions"][2]["metadata"]), ion_hash(info)]
    assert merkle.dot(*halves) == third
    real = PathCollector(TARGET)
    for one in strand:
        real.append(one["blockHash"])
    entries = block["entriesHashList"]
    fields = merkle.dot(entries[2], entries[3])
    return dataclasses.replace(
        redacted(honest),
        hash=leaf,
        path=(first, third, entries[0], fields, block["previousBlockHash"], *real.path()),
        # Of a block far from the end: its path is longer, as that of the part is.
        sequence_no=1,
        binding=Binding(
            ion.write(info["documents"]),
            (_other_field(info),),
            (first, leaf, *halves),
            entries[0],
            (),
        ),
    )


def _other_field(info: dict[str, Any]) -> bytes:
    from strandline.journal.ion.hash import serialize, sha256, symbol_bytes

    return sha256(symbol_bytes("statements") + serialize(info["statements"]))
