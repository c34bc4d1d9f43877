"""Proves a stored revision: the hashes that lead from it to the digest at a tip, in QLDB's order."""

from collections.abc import Iterator, Sequence

from psycopg.rows import dict_row

from strandline.consumer.database.connection import AUDITOR, Connection, connect
from strandline.consumer.store.blocks import Row
from strandline.consumer.store.graft import read_graft, written_by
from strandline.consumer.verification.tree import BlockTree, Progress
from strandline.journal.check.block import metadata_value
from strandline.journal.errors import StrandlineError
from strandline.journal.ion import values as ion
from strandline.journal.proofs.binding import Binding, bind
from strandline.journal.proofs.check import check_proof
from strandline.journal.proofs.file import Proof
from strandline.journal.proofs.path import revision_proof

_REVISION = """
    SELECT r.sequence_no, r.document_id, r.version, r.hash, r.tx_id, r.tx_time, r.metadata, r.data_hash,
           CASE WHEN %s THEN r.data_ion END AS data_ion
    FROM journal.document_version v
    CROSS JOIN LATERAL journal.revision_at(v.sequence_no, v.document_id, v.version) r
    WHERE v.document_id = %s AND v.version = %s
    ORDER BY v.sequence_no LIMIT 1"""
_OMISSIONS = "SELECT true FROM journal.omission WHERE sequence_no = %s AND block_hash = %s LIMIT 1"
_BLOCK = "SELECT * FROM journal.block WHERE sequence_no = %s"


def prove(
    url: str,
    document_id: str,
    version: int,
    tip: int | None = None,
    *,
    with_data: bool = True,
    progress: Progress = lambda *_: None,
) -> Proof:
    """Make and check the proof of a revision up to the digest at `tip`, by default the mark.

    Without `with_data` the hash of the data takes their place, as in the proof of a redacted revision.

    Raises `StrandlineError` if the store lacks the revision or a block from 0 to the tip, if the block came only as
    JSON, or if the proof does not hold.
    """
    with connect(url, role=AUDITOR) as connection:
        revision = _row(connection, _REVISION, with_data, document_id, version)
        if revision is None:
            raise StrandlineError(
                f"the journal in the store holds no version {version} of document {document_id}; "
                "`strandline sql` shows what it holds, in ledger.history('<table>')"
            )
        number = revision["sequence_no"]
        block = _row(connection, _BLOCK, number)
        if block is None or (tip is not None and tip < number):
            raise StrandlineError(f"the revision is in block {number}: give a tip of {number} or higher")
        if block["level"] != "full":
            raise StrandlineError(
                f"block {number} came only as JSON, so nothing shows that its data have the hash of the revision: "
                "replay an Ion export of it, then run the command again"
            )
        proof = _proof(connection, revision, block, tip, progress)
    check_written(proof.to_json().encode(), proof)
    return proof


def check_written(data: bytes, proof: Proof) -> None:
    """Check the bytes of a proof's file as an auditor would. Raises `StrandlineError` if they do not hold."""
    result = check_proof(data, proof.digest)
    if not result.ok:
        raise StrandlineError(
            f"the proof of document {proof.document_id}, version {proof.version} does not verify "
            f"({'; '.join(result.reasons)}): run `strandline verify` to find the fault in the store"
        )


def _proof(connection: Connection, revision: Row, block: Row, tip: int | None, progress: Progress) -> Proof:
    number = block["sequence_no"]
    tree = BlockTree(connection, tip, progress=progress)
    siblings = revision_proof(
        block["entries_hashes"], block["revision_hashes"], revision["hash"], block["previous_hash"], tree.path(number)
    )
    binding = _binding(block, tree.path(number - 1) if number else ())
    return Proof(
        document_id=revision["document_id"],
        version=revision["version"],
        strand_id=tree.strand_id,
        sequence_no=number,
        level=block["level"],
        written_by=written_by(number, read_graft(connection)),
        hash=revision["hash"],
        metadata=_metadata(revision),
        data=revision["data_ion"],
        data_hash=revision["data_hash"],
        path=siblings,
        digest=tree.digest(),
        tip=tree.tip,
        notes=tuple(_notes(connection, block, binding)),
        binding=binding,
    )


def _notes(connection: Connection, block: Row, binding: Binding | None) -> Iterator[str]:
    if binding is None:
        yield "the block's statement texts are erased, or its transactionInfo is not there"
    if connection.execute(_OMISSIONS, [block["sequence_no"], block["block_hash"]]).fetchone():
        yield "the block is not shown to be complete: hashes cover parts of it that are not there"


def _binding(block: Row, previous_path: Sequence[bytes]) -> Binding | None:
    if block["transaction_info"] is None:
        return None
    info = next(ion.read_typed(block["transaction_info"]))
    return bind(info, block["entries_hashes"], block["previous_hash"], block["sequence_no"], previous_path)


def _metadata(revision: Row) -> bytes:
    if revision["metadata"] is not None:
        return bytes(revision["metadata"])
    return ion.write(
        metadata_value(revision["document_id"], revision["version"], revision["tx_time"], revision["tx_id"])
    )


def _row(connection: Connection, statement: str, *parameters: object) -> Row | None:
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(statement, parameters).fetchone()
