"""Projections of the test's ledger, one of each kind, and what each means in plain Python."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from strandline.consumer.projection.definition import (
    Block,
    BlockProjection,
    Column,
    ComposedProjection,
    KeyLookup,
    Lookup,
    Projection,
    Revision,
    RowProjection,
    Unprojectable,
)

# Documents that no projection can take for the moment.
BROKEN: set[str] = set()
COLUMNS = (Column("secret", "text", ""), Column("amount", "integer", ""), Column("key", "text", ""))


def rows(revision: Revision) -> Iterator[Mapping[str, object]]:
    if revision.document_id in BROKEN:
        raise Unprojectable("not now")
    flavour = revision.field("flavour")
    if flavour == "bad":
        raise Unprojectable("never")
    if flavour == "raise":
        raise RuntimeError(revision.text("secret"))
    yield {"secret": revision.text("secret"), "amount": revision.field("amount"), "key": revision.text("key")}


def squeamish_rows(revision: Revision) -> Iterator[Mapping[str, object]]:
    """As `rows`, but it cannot take a revision that has no data."""
    if revision.data is None:
        raise Unprojectable("no data")
    return rows(revision)


def block_rows(block: Block) -> Iterator[Mapping[str, object]]:
    if f"B{block.sequence_no % 3}" in BROKEN:
        raise Unprojectable("not now")
    yield {"kinds": block.statement_kinds, "revisions": block.revisions, "redactions": block.redactions}


def keys(revision: Revision) -> Iterator[str | KeyLookup]:
    if revision.field("flavour") == "bad":
        raise Unprojectable("never")
    key = revision.text("key")
    if key is not None:
        yield KeyLookup("T", "key", key) if revision.table == "U" else key


def compose(key: str, lookup: Lookup) -> Iterator[Mapping[str, object]]:
    for one in lookup("T", "key", key):
        if one.document_id in BROKEN or one.field("flavour") == "raise":
            raise Unprojectable("not now")
        for other in lookup("U", "key", one.field("key")):
            yield {"document": f"{one.document_id} {other.document_id}", "secret": other.text("secret")}
        yield {"document": one.document_id, "secret": one.text("secret")}


CURRENT = RowProjection("now", "Test.", ("T",), "current", "analysts", COLUMNS, rows)
HISTORY = RowProjection("past", "Test.", ("T", "U"), "history", "cleared", COLUMNS, rows)
SQUEAMISH = replace(HISTORY, name="squeamish", rows=squeamish_rows)
BLOCKS = BlockProjection(
    "blocks",
    "Test.",
    "analysts",
    (Column("kinds", "text[]", ""), Column("revisions", "integer", ""), Column("redactions", "integer", "")),
    block_rows,
)
COMPOSED = ComposedProjection(
    "composed",
    "Test.",
    {"T": ("key",), "U": ("key",)},
    "cleared",
    (Column("document", "text", ""), Column("secret", "text", "")),
    keys,
    compose,
    key=("document",),
)
PROJECTIONS: tuple[Projection, ...] = (CURRENT, HISTORY, SQUEAMISH, BLOCKS, COMPOSED)

Row = tuple[str, int, int, str | None]  # document, version, block, secret
Parked = tuple[str, int, int]  # document, version, block


def meaning(
    projection: RowProjection, revisions: Sequence[tuple[str, str, int, int, str, Any]]
) -> tuple[set[Row], set[Parked]]:
    """The rows and the parked documents of (document, table, version, block, state, data) in the journal's order, where
    nothing is broken for the moment. Not a line of it is the projector's."""
    shown: dict[str, list[Row]] = {}
    parked: dict[str, Parked] = {}
    for document, table, version, block, state, data in revisions:
        if table not in projection.tables or document in parked:
            continue
        current = projection.keeps == "current"
        if current and state != "normal":
            shown[document] = []
            continue
        flavour = data["flavour"] if state == "normal" else None
        if flavour in ("bad", "raise", "odd") or (data is None and projection.rows is squeamish_rows):
            parked[document] = (document, version, block)
            continue
        row = (document, version, block, data["secret"] if state == "normal" else None)
        shown[document] = [row] if current else [*shown.get(document, []), row]
    return {row for rows in shown.values() for row in rows}, set(parked.values())
