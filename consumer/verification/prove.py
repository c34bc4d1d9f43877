"""Proves a stored revision: the hashes that lead from it to the digest at a tip, in QLDB's order."""

from typing import Any

import psycopg
from psycopg.rows import dict_row

from strandline.consumer.database.connection import connect
from strandline.consumer.store.blocks import Row
from strandline.consumer.store.graft import read_graft, written_by
from strandline.consumer.verification.digest import BlockHashes, Progress
from strandline.journal.check.block import metadata_value
from strandline.journal.errors import StrandlineError
from strandline.journal.ion import values as ion
from strandline.journal.proofs.proof import PathCollector, Proof, Writer, revision_proof

_REVISION = """
    SELECT * FROM journal.revision
    WHERE document_id = %s AND version = %s AND sequence_no <= (SELECT sequence_no FROM journal.mark)
    ORDER BY sequence_no LIMIT 1"""
_BLOCK = "SELECT * FROM journal.block WHERE sequence_no = %s"


def prove(
    url: str, document_id: str, version: int, tip: int | None = None, *, progress: Progress = lambda *_: None
) -> Proof:
    """Make the proof of a revision up to the digest at `tip`, by default the mark. Memory stays flat.

    Raises `StrandlineError` if the store lacks the revision, or a block from 0 to the tip.
    """
    with connect(url) as connection:
        revision = _row(connection, _REVISION, document_id, version)
        if revision is None:
            raise StrandlineError(
                f"the journal in the store holds no version {version} of document {document_id}; "
                "`strandline sql` shows what it holds, in ledger.history('<table>')"
            )
        number = revision["sequence_no"]
        block = _row(connection, _BLOCK, number)
        if block is None or (tip is not None and tip < number):
            raise StrandlineError(f"the revision is in block {number}: give a tip of {number} or higher")
        path = PathCollector(number)
        hashes = BlockHashes(connection, tip, progress=progress)
        for block_hash in hashes:
            path.append(block_hash)
        return _proof(revision, block, path, hashes.strand_id, written_by(number, read_graft(connection)))


def _proof(revision: Row, block: Row, path: PathCollector, strand_id: str, writer: Writer) -> Proof:
    full = block["level"] == "full"
    siblings = revision_proof(
        block["entries_hashes"], block["revision_hashes"], revision["hash"], block["previous_hash"], path.path()
    )
    return Proof(
        document_id=revision["document_id"],
        version=revision["version"],
        strand_id=strand_id,
        sequence_no=revision["sequence_no"],
        level=block["level"],
        written_by=writer,
        hash=revision["hash"],
        metadata=_metadata(revision) if full else None,
        data=revision["data_ion"],
        data_hash=revision["data_hash"],
        path=siblings,
        digest=path.digest(),
        tip=path.count - 1,
    )


def _metadata(revision: Row) -> bytes:
    if revision["metadata"] is not None:
        return bytes(revision["metadata"])
    return ion.write(
        metadata_value(revision["document_id"], revision["version"], revision["tx_time"], revision["tx_id"])
    )


def _row(connection: psycopg.Connection[Any], statement: str, *parameters: object) -> Row | None:
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(statement, parameters).fetchone()
