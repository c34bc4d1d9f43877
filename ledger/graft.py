"""The graft: the first block that Strandline appends to a strand, which the journal itself records.

It is an ordinary block that inserts one document into the table StrandlineGraft: QLDB's last block address and
blockHash, and the time. In a journal that QLDB never wrote it is the first block, and its document has only the time.
"""

import time
from typing import Any

from strandline.consumer.store.graft import TABLE
from strandline.journal.make.block import NewRevision, Statement, timestamp
from strandline.journal.make.ids import derived_id, new_id
from strandline.ledger.changes import Reads
from strandline.ledger.partiql import texts
from strandline.ledger.prepared import Prepared


def graft_of(strand_id: str, sequence_no: int, block_hash: bytes | None) -> Prepared:
    """Return the graft's transaction, after block `sequence_no`; `block_hash` is None if it is the first block."""
    now = timestamp(time.time_ns() // 1_000_000)
    document: dict[str, Any] = {"graftedAt": now}
    if block_hash is not None:
        address = {"strandId": strand_id, "sequenceNo": sequence_no}
        document = {"lastBlockAddress": address, "lastBlockHash": block_hash, **document}
    transaction_id = new_id()
    table_id, document_id = derived_id(transaction_id, TABLE), derived_id(transaction_id, "document", "0")
    return Prepared(
        transaction_id,
        (Statement(texts.insert(TABLE), now, (document,)),),
        (NewRevision(document_id, table_id, TABLE, 0, document),),
        (),
        (),
        defines=False,
        reads=Reads(sequence_no, sequence_no),
    )
