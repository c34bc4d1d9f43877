"""QLDB's GetDigest, GetBlock and GetRevision, in the shapes of its API (its developer guide, "Verification").

Ion is `{"IonText": …}`, as in QLDB's API. A proof is a list of blobs: `reduce(dot, proof, hash) == digest`.
"""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any

import psycopg

from strandline.consumer.database.connection import connect
from strandline.consumer.mark.mark import read_mark
from strandline.consumer.verification.digest import store_digest
from strandline.consumer.verification.tree import BlockTree
from strandline.journal.errors import StrandlineError
from strandline.journal.ion.values import write_text
from strandline.journal.proofs.path import revision_proof
from strandline.ledger.errors import NoSuchRevision
from strandline.ledger.publish.blocks import Block, read_blocks
from strandline.ledger.publish.period import EmptyJournal

Address = Mapping[str, Any]
Answer = dict[str, Any]


def get_digest(url: str) -> Answer:
    """Return the ledger's digest up to the mark: `{Digest: base64, DigestTipAddress}`. Raises EmptyJournal."""
    with connect(url) as connection:
        if read_mark(connection).strand_id is None:
            raise EmptyJournal("The ledger has no blocks yet: ask for its digest once it has been written to.")
    found = store_digest(url)
    return {
        "Digest": b64encode(found.digest).decode(),
        "DigestTipAddress": _ion({"strandId": found.strand_id, "sequenceNo": found.tip}),
    }


def get_block(url: str, address: Address, digest_tip_address: Address | None = None) -> Answer:
    """Return the block at `{strandId, sequenceNo}`, with its proof if a digest's tip is given: `{Block, Proof}`."""
    with connect(url) as connection:
        block = _block(connection, address)
        answer: Answer = {"Block": _ion(block)}
        if digest_tip_address is not None:
            answer["Proof"] = _ion(_path(connection, address, digest_tip_address))
    return answer


def get_revision(url: str, address: Address, document_id: str, digest_tip_address: Address | None = None) -> Answer:
    """Return the revision of a document in a block, with its proof if a digest's tip is given: `{Revision, Proof}`.

    Raises NoSuchRevision.
    """
    with connect(url) as connection:
        block = _block(connection, address)
        revisions = [one for one in block.get("revisions", ()) if one.get("metadata", {}).get("id") == document_id]
        if not revisions:
            raise NoSuchRevision(
                f"block {address['sequenceNo']} has no revision of document {document_id}: "
                "`strandline sql` shows the block of each, in ledger.history('<table>')"
            )
        answer: Answer = {"Revision": _ion(revisions[0])}
        if digest_tip_address is not None:
            path = _path(connection, address, digest_tip_address)
            answer["Proof"] = _ion(_revision_proof(block, revisions[0], path))
    return answer


def _revision_proof(block: Block, revision: Block, path: Sequence[bytes]) -> list[bytes]:
    hashes = [one["hash"] for one in block["revisions"]]
    entries, previous = block["entriesHashList"], block["previousBlockHash"]
    return list(revision_proof(entries, hashes, revision["hash"], previous, path))


def _block(connection: psycopg.Connection[Any], address: Address) -> Block:
    number = address.get("sequenceNo")
    found = next(iter(read_blocks(connection, number, number)), None) if isinstance(number, int) else None
    if found is None or found["blockAddress"]["strandId"] != address.get("strandId"):
        raise StrandlineError(f"The journal has no block at {write_text(dict(address))}.")
    if isinstance(found["blockHash"], str):
        raise StrandlineError(f"Block {number} is known only as JSON, without Ion's types: replay it as Ion.")
    return found


def _path(connection: psycopg.Connection[Any], address: Address, tip: Address) -> list[bytes]:
    if tip.get("strandId") != address.get("strandId") or tip["sequenceNo"] < address["sequenceNo"]:
        raise StrandlineError("The digest's tip is before the block, or of another strand.")
    return BlockTree(connection, tip["sequenceNo"]).path(address["sequenceNo"])


def _ion(value: Any) -> dict[str, str]:
    return {"IonText": write_text(value)}
