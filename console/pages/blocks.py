"""Blocks: the chain backwards from the mark, and one block with all that hangs on it."""

from typing import Any

from strandline.console import audit
from strandline.console.page import Asked, Missing, Page
from strandline.consumer.store.blocks import check_stored, read_info
from strandline.journal.check import merkle
from strandline.journal.check.statements import ERASED
from strandline.journal.ion import values as ion
from strandline.journal.ion.hash import ion_hash

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
# Read as the auditor: what the block says of itself, of which a page shows hashes, and texts only when revealed.
READ_INFO = """
    SELECT encode(block_hash, 'hex'), level, transaction_info, redaction_info
    FROM journal.block WHERE sequence_no = %s"""
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


def reveal(asked: Asked) -> Page:
    """The block with the texts of its statements, which may quote data. Those that a redaction erased are gone."""
    asked.require("cleared")
    number = number_of(asked.path["number"])
    audit.record(asked, "reveal statements", detail=f"block {number}")
    return _page(asked, None, revealed=True)


def number_of(text: str) -> int:
    if not text.isdecimal() or len(text) > 17:
        raise Missing("A block has a number.")
    return int(text)


def _page(asked: Asked, recomputed: dict[str, Any] | None, *, revealed: bool = False) -> Page:
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
    above = number > found[0][13]
    if above and revealed:
        raise Missing("Only statements of blocks up to the mark are shown.")
    with asked.console.auditor() as connection, connection.transaction():
        rows = connection.execute(READ_INFO, [number]).fetchall()
    infos = {block_hash: (level, info, redaction) for block_hash, level, info, redaction in rows}
    listed = [dict(zip(("hash", "document", "version", "table", "state"), row, strict=True)) for row in revisions]
    data = {
        "block": number,
        "candidates": [_block_json(row, *infos.get(row[1], ("chain", None, None))) for row in found],
        "revisions": listed,
        "redacted_here": [dict(zip(("document", "version", "by"), row, strict=True)) for row in hits],
        "recomputed": recomputed,
        "statement_texts": _statements(*infos[found[0][1]]) if revealed and found[0][1] in infos else None,
    }
    return Page("block.html", data, {"above": above, "first": number <= found[0][14], "revealed": revealed})


def _statements(level: str, info: bytes | None, _: object) -> list[dict[str, str | None]]:
    """Return text and time of each statement; the text is None if it is erased."""
    value = {} if info is None else read_info(info, level)
    statements = value.get(ERASED, value).get("statements") or ()
    return [
        {
            "kind": one.get("kind"),
            "text": one.get("statement"),
            "time": None if one.get("startTime") is None else str(ion.write_text(one["startTime"])).strip('"'),
        }
        for one in statements
    ]


def _parts(level: str, info: bytes | None, redaction: bytes | None) -> dict[bytes, str]:
    """Return what the members of entriesHashList are that are the hash of a part of the block, other than revisions."""
    parts: dict[bytes, str] = {}
    if level == "full" and redaction is not None:
        parts[ion_hash(next(ion.read_typed(redaction)))] = "redactionInfo"
    if level == "full" and info is not None:
        erased = ion.read_one(info).get(ERASED)
        if erased is None:
            parts[ion_hash(next(ion.read_typed(info)))] = "transactionInfo"
        elif "hash" in erased:
            parts[bytes(erased["hash"])] = "transactionInfo, whose texts are erased"
    return parts


def _block_json(row: Any, info_level: str, info: bytes | None, redaction: bytes | None) -> dict[str, Any]:
    (
        _, block_hash, previous, level, complete, transaction, time, entries, hashes, documents, redactions, kinds,
        tables, *_,
    ) = row  # fmt: skip
    parts = _parts(info_level, info, redaction)
    if hashes:
        parts[merkle.root(hashes)] = "the revisions (their Merkle root)"
    other = "QLDB's own, of nothing in the block" if level == "full" else "of transactionInfo, or QLDB's own"
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
            {"hash": bytes(one).hex(), "is": parts.get(bytes(one), other) if one else "empty"} for one in entries
        ],
    }
