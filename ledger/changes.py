"""Optimistic concurrency: what a transaction has read, what others changed since, and whether the two meet. Pure.

As in QLDB, nothing is locked: a transaction whose reads still hold when its turn comes might as well have run only
then, so the journal's order is a serial one.
"""

from dataclasses import dataclass, field
from typing import Any

from ledger.values import comparable


@dataclass(slots=True)
class Reads:
    """What a transaction rests on: documents as of block `since`, the ledger's tables as of `tables_at`.

    `documents`: ids of those read, whether they were there or not; `equalities`: for what values of which indexed
    fields it looked, as (table id, field) -> JSON values; `tables`: ids of those of which it read all.
    """

    tables_at: int
    since: int
    documents: set[str] = field(default_factory=set)
    equalities: dict[tuple[str, str], list[Any]] = field(default_factory=dict)
    tables: set[str] = field(default_factory=set)

    @property
    def is_plain(self) -> bool:
        """Whether it rests on the ledger's tables alone."""
        return not (self.documents or self.equalities or self.tables)


@dataclass(slots=True)
class Changes:
    """What blocks brought: revisions as (block, table id, document id, JSON data), redactions as (block, table id,
    document id), and the last block that defined a table or an index (-1: none)."""

    revisions: list[tuple[int, str, str, Any]] = field(default_factory=list)
    redactions: list[tuple[int, str, str]] = field(default_factory=list)
    defined: int = -1


def conflict(reads: Reads, changes: Changes) -> str | None:
    """What of the reads has changed, in words without data; None where nothing has."""
    if changes.defined > reads.tables_at:
        return "the ledger's tables were changed"
    for number, table_id, document_id, data in changes.revisions:
        if number <= reads.since:
            continue
        if document_id in reads.documents or table_id in reads.tables:
            return f"document {document_id} was changed by block {number}"
        if _has_come_to_match(reads, table_id, data):
            return f"document {document_id} has come to match what was looked for, by block {number}"
    for number, table_id, document_id in changes.redactions:
        if number > reads.since and (document_id in reads.documents or table_id in reads.tables):
            return f"document {document_id} was redacted by block {number}"
    return None


def _has_come_to_match(reads: Reads, table_id: str, data: Any) -> bool:
    if not isinstance(data, dict):
        return False
    return any(
        table == table_id and name in data and any(comparable(data[name]) == comparable(value) for value in values)
        for (table, name), values in reads.equalities.items()
    )
