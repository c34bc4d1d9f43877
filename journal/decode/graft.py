"""Finds the graft in a journal: the first block that Strandline appended, which writes to the table StrandlineGraft."""

from collections.abc import Iterator, Mapping
from typing import Any

from strandline.journal.check.statements import ERASED
from strandline.journal.decode.gzip import decompress
from strandline.journal.decode.objects import block_values
from strandline.journal.errors import UnreadableError

GRAFT_TABLE = "StrandlineGraft"


def find_graft(data: bytes) -> int | None:
    """Return the number of the first block of an export object that writes to the graft's table; None without one.

    Nothing is checked: the caller has verified the object. An object without the table's name is not decoded.
    """
    try:
        data = decompress(data)
        return min(_numbers(data), default=None) if GRAFT_TABLE.encode() in data else None
    except UnreadableError:
        return None


def _numbers(data: bytes) -> Iterator[int]:
    for block in block_values(data):
        try:
            info = block.get("transactionInfo") or block.get(ERASED) or {}
            documents: Mapping[str, Any] = info.get("documents") or {}
            if any(document["tableName"] == GRAFT_TABLE for document in documents.values()):
                yield block["blockAddress"]["sequenceNo"]
        except (AttributeError, KeyError, TypeError):  # not a block, which verification reports
            continue
