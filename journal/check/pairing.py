"""Cross-checks a block summary with revision details that arrived as separate stream records.

A hash covers the summary's transactionInfo, but neither a record's tableInfo nor the pairing of hashes and documents in
the summary. This is the one rule; `consumer/mark/checks.py` and `consumer/verification/spool.py` find the pairs.
"""

from collections.abc import Iterator
from typing import NamedTuple

from strandline.journal.check.block import MOST_TIME_TO_BLOCK, CheckedBlock, Fault, Table


class ExpectedRevision(NamedTuple):
    """A revision as its block's summary names it; times are POSIX seconds."""

    sequence_no: int
    block_hash: bytes
    hash: bytes
    document_id: str
    table: Table
    transaction_id: str | None
    block_time: float


class StreamedRevision(NamedTuple):
    """A revision as its own record describes it; its hash is verified."""

    sequence_no: int
    hash: bytes
    strand_id: str
    document_id: str
    version: int
    table: Table
    tx_id: str
    tx_time: float


def summaries(block: CheckedBlock) -> Iterator[ExpectedRevision]:
    """Yield the revisions that a stream delivers separately for a block; system revisions are never delivered."""
    time = block.block_time.timestamp() if block.block_time is not None else 0.0
    for revision_hash, document_id in zip(block.revision_hashes, block.revision_documents, strict=True):
        if document_id is not None:
            yield ExpectedRevision(
                block.sequence_no,
                block.block_hash,
                revision_hash,
                document_id,
                block.documents.get(document_id, Table(None, None)),
                block.transaction_id,
                time,
            )


def differences(summary: ExpectedRevision, revision: StreamedRevision) -> Iterator[Fault]:
    """Yield a fault for each difference between a revision's record and its block's summary."""
    name = f"revision {revision.document_id} version {revision.version}"
    number = summary.sequence_no
    if revision.document_id != summary.document_id:
        yield Fault(number, "documents", f"{name}: the block's summary names document {summary.document_id} for it")
    elif revision.table != summary.table:
        yield Fault(number, "tableInfo", f"{name}: its tableInfo is not what the block's transactionInfo says")
    if revision.tx_id != summary.transaction_id:
        yield Fault(number, "transactionId", f"{name}: its txId is not the block's transactionId")


def out_of_time(summary: ExpectedRevision, revision: StreamedRevision) -> Iterator[Fault]:
    """Yield a warning if the block's time is implausible for its revision."""
    if not 0 <= summary.block_time - revision.tx_time < MOST_TIME_TO_BLOCK.total_seconds():
        detail = "is not within a minute after the revisions' txTime"
        yield Fault(summary.sequence_no, "blockTimestamp", detail)
