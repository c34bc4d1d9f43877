"""Blocks: the chain backwards from the mark, and one block with all that hangs on it."""

from typing import Any

from strandline.console.page import Asked, Missing, Page
from strandline.consumer.store.blocks import check_stored
from strandline.journal.check import merkle

ROWS = 50

READ_BLOCKS = """
    SELECT b.sequence_no, encode(b.block_hash, 'hex'), b.block_time, b.level, b.statement_kinds,
           cardinality(array_remove(b.revision_documents, NULL)), coalesce(jsonb_array_length(b.redactions), 0)
    FROM journal.block b, journal.mark m
    WHERE b.sequence_no <= least(m.sequence_no, %s::bigint - 1) ORDER BY b.sequence_no DESC LIMIT %s"""
READ_BLOCK = """
    SELECT b.sequence_no, encode(b.block_hash, 'hex'), encode(b.previous_hash, 'hex'), b.level, b.complete,
           b.transaction_id, b.block_time, b.entries_hashes, b.revision_hashes, b.revision_documents, b.redactions,
           b.statement_kinds, b.tables, m.sequence_no, m.origin
    FROM journal.block b, journal.mark m WHERE b.sequence_no = %s ORDER BY b.block_hash"""
READ_REVISIONS = """
    SELECT encode(hash, 'hex'), document_id, version, table_name, state FROM journal.revision
    WHERE sequence_no = %s ORDER BY document_id, version"""
READ_HITS = """
    SELECT document_id, version, redacted_by FROM journal.redaction
    WHERE sequence_no = %s ORDER BY document_id, version"""
READ_GAP = "SELECT first_no, last_no, reason FROM journal.accepted_gap WHERE %s BETWEEN first_no AND last_no"


def blocks(asked: Asked) -> Page:
    below = number_of(asked.query.get("below", "")) if asked.query.get("below") else 2**62
    with asked.console.status() as connection, connection.transaction():
        rows = connection.execute(READ_BLOCKS, [below, ROWS]).fetchall()
    names = ("block", "hash", "time", "level", "statements", "revisions", "redactions")
    listed = [dict(zip(names, row, strict=True)) for row in rows]
    for one in listed:
        one["time"] = one["time"].isoformat() if one["time"] else None
    next_below = rows[-1][0] if len(rows) == ROWS else None
    return Page("blocks.html", {"blocks": listed, "below": next_below})


def block(asked: Asked) -> Page:
    return _page(asked, None)


def recompute(asked: Asked) -> Page:
    """Recompute every hash of the block from what the store holds."""
    number = number_of(asked.path["number"])
    with asked.console.auditor() as connection, connection.transaction():
        checked = list(check_stored(connection, number, number))
    if not checked:
        raise Missing("Only blocks up to the mark are checked.")
    faults = [{"fault": one.fault, "detail": one.detail} for each in checked for one in each.faults]
    return _page(asked, {"ok": not faults, "level": checked[0].level, "faults": faults})


def number_of(text: str) -> int:
    if not text.isdecimal() or len(text) > 17:
        raise Missing("A block has a number.")
    return int(text)


def _page(asked: Asked, recomputed: dict[str, Any] | None) -> Page:
    number = number_of(asked.path["number"])
    with asked.console.status() as connection, connection.transaction():
        found = connection.execute(READ_BLOCK, [number]).fetchall()
        revisions = connection.execute(READ_REVISIONS, [number]).fetchall()
        hits = connection.execute(READ_HITS, [number]).fetchall()
        gap = connection.execute(READ_GAP, [number]).fetchone()
    if not found and gap is not None:
        raise Missing(f"Block {number:,} is in an accepted gap, {gap[0]:,} to {gap[1]:,}: {gap[2]}.")
    if not found:
        raise Missing(f"The store has no block {number:,}.")
    listed = [dict(zip(("hash", "document", "version", "table", "state"), row, strict=True)) for row in revisions]
    data = {
        "block": number,
        "candidates": [_block_json(row) for row in found],
        "revisions": listed,
        "redacted_here": [dict(zip(("document", "version", "by"), row, strict=True)) for row in hits],
        "recomputed": recomputed,
    }
    return Page("block.html", data, {"above": number > found[0][13], "first": number <= found[0][14]})


def _block_json(row: Any) -> dict[str, Any]:
    (
        _, block_hash, previous, level, complete, transaction, time, entries, hashes, documents, redactions, kinds,
        tables, *_,
    ) = row  # fmt: skip
    revisions_root = merkle.root(hashes) if hashes else None
    return {
        "hash": block_hash,
        "previous": previous,
        "level": level,
        "complete": complete,
        "transaction": transaction,
        "time": time.isoformat() if time else None,
        "statements": kinds,
        "tables": tables,
        "system_revisions": sum(one is None for one in documents),
        "redacts": [
            {"document": one["documentId"], "version": one["version"], "block": one["sequenceNo"]}
            for one in redactions or []
        ],
        "entries": [
            {
                "hash": bytes(one).hex(),
                "is": "the revisions (their Merkle root)"
                if one == revisions_root
                else "of transactionInfo, redactionInfo, or QLDB's own",
            }
            for one in entries
        ],
    }
