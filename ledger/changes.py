"""Optimistic concurrency: what a transaction has read, what others changed since, and whether the two meet. Pure.

As in QLDB, nothing is locked: a transaction whose reads still hold when its turn comes might as well have run only
then, so the journal's order is a serial one.
"""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from strandline.ledger.values import as_json, comparable


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


class Changed(NamedTuple):
    """A revision that a block brought; `data` is its Ion value, or the JSON of it that the store gave."""

    sequence_no: int
    table_id: str
    document_id: str
    data: Any
    is_json: bool = True


@dataclass(slots=True)
class Changes:
    """What blocks brought: revisions, redactions as (block, table id, document id), and the last block that defined a
    table or an index (-1: none)."""

    revisions: list[Changed] = field(default_factory=list)
    redactions: list[tuple[int, str, str]] = field(default_factory=list)
    defined: int = -1

    def add(self, others: "Changes") -> None:
        self.revisions += others.revisions
        self.redactions += others.redactions
        self.defined = max(self.defined, others.defined)


def conflict(reads: Reads, changes: Changes) -> str | None:
    """What of the reads has changed, in words without data; None where nothing has."""
    if changes.defined > reads.tables_at:
        return "the ledger's tables were changed"
    if reads.is_plain:
        return None
    for one in changes.revisions:
        if one.sequence_no <= reads.since:
            continue
        if one.document_id in reads.documents or one.table_id in reads.tables:
            return f"document {one.document_id} was changed by block {one.sequence_no}"
        if _has_come_to_match(reads, one):
            return f"document {one.document_id} has come to match what was looked for, by block {one.sequence_no}"
    for number, table_id, document_id in changes.redactions:
        if number > reads.since and (document_id in reads.documents or table_id in reads.tables):
            return f"document {document_id} was redacted by block {number}"
    return None


def _has_come_to_match(reads: Reads, changed: Changed) -> bool:
    data = changed.data
    if not isinstance(data, dict):
        return False
    for (table_id, name), values in reads.equalities.items():
        if table_id == changed.table_id and name in data:
            found = comparable(data[name] if changed.is_json else as_json(data[name]))
            if any(found == comparable(value) for value in values):
                return True
    return False
