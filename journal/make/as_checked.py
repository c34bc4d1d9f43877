"""Turns a newly made block into a CheckedBlock without hashing it again: its hashes came from these very values."""

from collections.abc import Mapping, Sequence
from typing import Any

from strandline.journal.check.block import OWN_ENTRIES, CheckedBlock, CheckedRevision, Redaction, Table
from strandline.journal.check.members import time_in
from strandline.journal.ion.encoding import encode_transaction_info
from strandline.journal.ion.hash import ion_hash
from strandline.journal.make.block import NewRedaction, NewRevision


def as_checked(
    block: Mapping[str, Any], revisions: Sequence[NewRevision], redactions: Sequence[NewRedaction]
) -> CheckedBlock:
    """Return the result of `check_block` for a block that a BlockMaker made of these revisions and redactions."""
    address, values = block["blockAddress"], block.get("revisions", ())
    info = block.get("transactionInfo")
    tables = {one.document_id: Table(one.table_id, one.table_name) for one in revisions}
    return CheckedBlock(
        strand_id=address["strandId"],
        sequence_no=address["sequenceNo"],
        block_hash=block["blockHash"],
        previous_hash=block["previousBlockHash"],
        level="full",
        transaction_id=block["transactionId"],
        block_time=time_in(block, "blockTimestamp"),
        entries_hashes=block["entriesHashList"],
        transaction_info=encode_transaction_info(info),
        redaction_info=block.get("redactionInfo"),
        redactions=[Redaction(one.sequence_no, one.table_id, one.document_id, one.version) for one in redactions],
        documents=tables,
        statements=[one["statement"] for one in info["statements"]] if info else [],
        revision_hashes=[one["hash"] for one in values],
        revision_documents=[one["metadata"]["id"] if "metadata" in one else None for one in values],
        revisions=[
            _revision(value, new, tables[new.document_id])
            for value, new in zip(values[len(values) - len(revisions) :], revisions, strict=True)
        ],
        complete=True,
        unexplained=OWN_ENTRIES,
    )


def _revision(value: Mapping[str, Any], new: NewRevision, table: Table) -> CheckedRevision:
    metadata = value["metadata"]
    deleted = new.data is None
    return CheckedRevision(
        hash=value["hash"],
        document_id=new.document_id,
        version=new.version,
        state="deleted" if deleted else "normal",
        metadata=metadata,
        tx_id=metadata["txId"],
        tx_time=time_in(metadata, "txTime"),
        data=new.data,
        data_hash=None if deleted else new.data_hash or ion_hash(new.data),
        data_ion=new.data_ion,
        table=table,
        deletion="nothing" if deleted else None,
    )
