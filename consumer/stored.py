"""Reading blocks back from the journal store in the shape that an export has, so that the same checks hold for both."""

import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import psycopg
from psycopg.rows import dict_row

from journal import ion, merkle
from journal.block import CheckedBlock, Fault, check_block, metadata_value
from journal.ion_json import read_json, to_json

_BLOCKS = """
    SELECT * FROM journal.block
    WHERE sequence_no BETWEEN %s AND least(%s, (SELECT sequence_no FROM journal.mark))
    ORDER BY sequence_no
"""
_REVISIONS = """
    SELECT * FROM journal.revision WHERE sequence_no BETWEEN %s AND %s ORDER BY sequence_no
"""

Row = dict[str, Any]
Reader = Callable[[bytes], Any]


def check_stored(connection: psycopg.Connection[Any], first_no: int, last_no: int) -> Iterator[CheckedBlock]:
    """Check the stored blocks from first_no to last_no, none above the mark; bounded memory for bounded ranges."""
    strand_id = _strand_id(connection)
    with connection.cursor(row_factory=dict_row) as cursor:
        blocks = cursor.execute(_BLOCKS, (first_no, last_no)).fetchall()
        if not blocks:
            return
        revisions: dict[int, dict[bytes, Row]] = {}
        for row in cursor.execute(_REVISIONS, (blocks[0]["sequence_no"], blocks[-1]["sequence_no"])):
            revisions.setdefault(row["sequence_no"], {})[row["hash"]] = row
    for block in blocks:
        held = revisions.get(block["sequence_no"], {})
        checked = check_block(block_value(strand_id, block, held), trust_deletions=True)
        if checked.faults and checked.level == "full":
            # A struct may repeat a field, which plain dicts lose (journal.ion).
            checked = check_block(block_value(strand_id, block, held, _read_typed), trust_deletions=True)
        checked.faults.extend(_check_columns(block, held))
        yield checked


def block_value(strand_id: str, block: Row, revisions: dict[bytes, Row], read: Reader = ion.read_one) -> dict[str, Any]:
    """A block as an export holds it: Ion values at level full, JSON's at level chain."""
    full = block["level"] == "full"
    as_hash: Callable[[bytes], Any] = bytes if full else lambda data: b64encode(data).decode()
    info: Reader = read if full else _read_json
    address = {"strandId": strand_id, "sequenceNo": block["sequence_no"]}
    value: dict[str, Any] = {
        "blockAddress": address,
        "transactionId": block["transaction_id"],
        "blockTimestamp": block["block_time"],
        "blockHash": as_hash(block["block_hash"]),
        "entriesHash": as_hash(merkle.root(block["entries_hashes"])),
        "previousBlockHash": as_hash(block["previous_hash"]),
        "entriesHashList": [as_hash(member) for member in block["entries_hashes"]],
    }
    for name, column in (("transactionInfo", "transaction_info"), ("redactionInfo", "redaction_info")):
        if block[column] is not None:
            value[name] = info(block[column])
    value["revisions"] = [
        {"hash": as_hash(revision_hash)}
        if document_id is None or revision_hash not in revisions
        else {"blockAddress": address, **revision_value(revisions[revision_hash], full=full, read=read)}
        for revision_hash, document_id in zip(block["revision_hashes"], block["revision_documents"], strict=True)
    ]
    return value


def revision_value(row: Row, *, full: bool, read: Reader = ion.read_one) -> dict[str, Any]:
    """A revision's hash, data or dataHash, and metadata."""
    as_hash: Callable[[bytes], Any] = bytes if full else lambda data: b64encode(data).decode()
    value: dict[str, Any] = {"hash": as_hash(row["hash"])}
    if row["state"] == "normal":
        value["data"] = read(row["data_ion"]) if full and row["data_ion"] is not None else row["data"]
    elif row["state"] == "redacted":
        value["dataHash"] = as_hash(row["data_hash"] or b"")
    value["metadata"] = (
        read(row["metadata"])
        if row["metadata"] is not None
        else metadata_value(row["document_id"], row["version"], row["tx_time"], row["tx_id"])
    )
    return value


def _check_columns(block: Row, revisions: dict[bytes, Row]) -> Iterator[Fault]:
    """What analysts see, against what the hashes cover: every revision there, and its JSON as the Ion says."""
    sequence_no = block["sequence_no"]
    for revision_hash, document_id in zip(block["revision_hashes"], block["revision_documents"], strict=True):
        if document_id is None:
            continue
        row = revisions.get(revision_hash)
        if row is None:
            yield Fault(sequence_no, "revisions", f"revision of document {document_id} is not in the store")
        elif row["state"] == "normal" and row["data_ion"] is not None:
            told = json.loads(to_json(_read_typed(row["data_ion"])), parse_float=Decimal)
            if told != row["data"]:
                yield Fault(
                    sequence_no,
                    "data",
                    f"revision {document_id} version {row['version']}: its JSON is not what its Ion is",
                )


def _strand_id(connection: psycopg.Connection[Any]) -> str:
    row = connection.execute("SELECT strand_id FROM journal.mark").fetchone()
    return row[0] if row and row[0] else ""


def _read_typed(data: bytes) -> Any:
    return next(iter(ion.read_typed(data)))


def _read_json(data: bytes) -> Any:
    return next(iter(read_json(data.decode())))
