"""Optimistic concurrency control: a transaction's reads against the changes that others made since. Pure.

As in QLDB, nothing is locked. A transaction whose reads are unchanged when its turn comes could as well have run then,
so the journal's order is serial.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from strandline.ledger.values import as_json, comparable


@dataclass(slots=True)
class Reads:
    """The reads of a transaction: documents as of block `since`, the ledger's tables as of `tables_at`.

    `documents` are the ids that it looked up, found or not. `equalities` are the values that it searched in indexed
    fields, as (table id, field) -> JSON values. `tables` are the ids of the tables that it read completely.
    """

    tables_at: int
    since: int
    documents: set[str] = field(default_factory=set)
    equalities: dict[tuple[str, str], list[Any]] = field(default_factory=dict)
    tables: set[str] = field(default_factory=set)

    @property
    def is_plain(self) -> bool:
        """Return True if the transaction read no documents."""
        return not (self.documents or self.equalities or self.tables)


class Changed(NamedTuple):
    """A revision of a block; `data` is its Ion value, or its JSON if it was read from the store."""

    sequence_no: int
    table_id: str
    document_id: str
    data: Any
    is_json: bool = True


@dataclass(slots=True)
class Changes:
    """The changes of some blocks: revisions, redactions as (block, table id, document id), and the last block that
    defined a table or an index (-1: none)."""

    revisions: list[Changed] = field(default_factory=list)
    redactions: list[tuple[int, str, str]] = field(default_factory=list)
    defined: int = -1

    def add(self, others: "Changes") -> None:
        self.revisions += others.revisions
        self.redactions += others.redactions
        self.defined = max(self.defined, others.defined)


def conflict(reads: Reads, changes: Changes) -> str | None:
    """Return which of the reads has changed, in words without data; None if none has."""
    if changes.defined > reads.tables_at:
        return "the ledger's tables were changed"
    if reads.is_plain:
        return None
    for one in changes.revisions:
        if one.sequence_no <= reads.since:
            continue
        if one.document_id in reads.documents or one.table_id in reads.tables:
            return f"document {one.document_id} was changed by block {one.sequence_no}"
        if _matches_now(reads, one):
            return f"document {one.document_id} matches a search since block {one.sequence_no}"
    for number, table_id, document_id in changes.redactions:
        if number > reads.since and (document_id in reads.documents or table_id in reads.tables):
            return f"document {document_id} was redacted by block {number}"
    return None


def _matches_now(reads: Reads, changed: Changed) -> bool:
    data = changed.data
    if not isinstance(data, Mapping):
        return False
    for (table_id, name), values in reads.equalities.items():
        if table_id == changed.table_id and name in data:
            found = comparable(data[name] if changed.is_json else as_json(data[name]))
            if any(found == comparable(value) for value in values):
                return True
    return False
