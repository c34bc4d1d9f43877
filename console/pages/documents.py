"""Documents: the latest ones, and the timeline of one. Values are hidden until a cleared reader reveals them."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from strandline.console import audit
from strandline.console.difference import Field, difference, leaves
from strandline.console.page import Asked, Elsewhere, Missing, Page
from strandline.consumer.database.connection import Connection, columns_of
from strandline.consumer.erasure.subjects import read_models_of
from strandline.consumer.mark.mark import read_mark

ROWS = 50
VERSIONS = 100
FIRST_BLOCKS = 10_000  # that are searched for the latest revisions

# The numbers are parameters: only the partitions that they name are planned for.
READ_LATEST = """
    SELECT r.sequence_no, encode(r.hash, 'hex'), r.document_id, r.version, r.table_name, r.state, r.tx_time
    FROM journal.revision r
    WHERE r.sequence_no >= %(first)s AND r.sequence_no < %(below)s
      AND (%(table)s::text IS NULL OR r.table_name = %(table)s)
    ORDER BY r.sequence_no DESC, r.hash LIMIT %(limit)s"""
READ_TABLES = "SELECT name, status FROM journal.user_table ORDER BY name"
READ_PLACES = """
    SELECT version, sequence_no FROM journal.document_version
    WHERE document_id = %(document)s AND (%(below)s::bigint IS NULL OR version < %(below)s)
    ORDER BY version DESC, sequence_no LIMIT %(limit)s"""
# The columns of a revision that hold no payload. A shape has names and types of fields.
READ_VERSIONS = """
    SELECT r.version, r.sequence_no, encode(r.hash, 'hex'), r.table_name, r.state, r.level, r.tx_id, r.tx_time,
           s.fields, d.redacted_by, d.registered_at
    FROM journal.revision r
    LEFT JOIN journal.shape s USING (shape)
    LEFT JOIN journal.redaction d USING (document_id, version)
    WHERE r.sequence_no = ANY (%(numbers)s) AND r.document_id = %(document)s AND r.version = ANY (%(versions)s)
    ORDER BY r.version DESC, r.sequence_no"""
READ_RECEIPTS = """
    SELECT version, number, store, level FROM projection.receipt WHERE document_id = %s ORDER BY number"""
REVEAL = """
    SELECT version, data FROM ledger.history(%s) WHERE document_id = %s AND version = ANY (%s) AND state = 'normal'"""


@dataclass
class Version:
    """One revision in the timeline. `fields` are names and types. `values` are set only if they were revealed."""

    version: int
    block: int
    hash: str
    table: str | None
    state: str
    level: str
    transaction: str
    time: datetime
    fields: list[tuple[str, str]] | None
    redacted_by: int | None
    redacted_at: datetime | None
    receipts: list[dict[str, object]] = field(default_factory=list)
    models: tuple[str, ...] = ()
    added: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    compared_with: int | None = None
    not_compared: str | None = None
    values: list[Field] | None = None

    def as_dict(self) -> dict[str, object]:
        """Return the version as the page's JSON has it."""
        return {
            "version": self.version,
            "block": self.block,
            "hash": self.hash,
            "table": self.table,
            "state": self.state,
            "level": self.level,
            "transaction": self.transaction,
            "time": self.time.isoformat(),
            "fields": None if self.fields is None else [{"field": path, "type": kind} for path, kind in self.fields],
            "added": self.added,
            "removed": self.removed,
            "compared_with": self.compared_with,
            "not_compared": self.not_compared,
            "redacted_by": self.redacted_by,
            "receipts": self.receipts,
            "read_models": list(self.models),
            "values": None if self.values is None else [vars(one) for one in self.values],
        }


def documents(asked: Asked) -> Page:
    """The latest revisions, the newest first; of one table on request."""
    below, table = _number(asked.query.get("below")), asked.query.get("table") or None
    with asked.console.status() as connection, connection.transaction():
        tables = connection.execute(READ_TABLES).fetchall()
        rows = _latest(connection, below, table)
    names = ("block", "hash", "document", "version", "table", "state", "time")
    listed = [dict(zip(names, (*row[:-1], row[-1].isoformat()), strict=True)) for row in rows]
    # The last block may have more revisions than were read: the next page begins with it, unless it is all of this one.
    last = rows[-1][0] if len(rows) == ROWS else None
    next_below = None if last is None else last + 1 if rows[0][0] != last else last
    return Page(
        "documents.html",
        {"documents": listed, "below": next_below},
        {"tables": tables, "table": table, "below": next_below},
    )


def _latest(connection: Connection, below: int | None, table: str | None) -> list[tuple[Any, ...]]:
    """Return the last rows, from ranges of blocks that double until there are enough of them."""
    mark = read_mark(connection)
    end = mark.sequence_no + 1 if below is None else min(below, mark.sequence_no + 1)
    rows: list[tuple[Any, ...]] = []
    width = FIRST_BLOCKS
    while end > mark.origin and len(rows) < ROWS:
        first = max(mark.origin, end - width)
        named = {"first": first, "below": end, "table": table, "limit": ROWS - len(rows)}
        rows += connection.execute(READ_LATEST, named, prepare=False).fetchall()
        end, width = first, 2 * width
    return rows


def go(asked: Asked) -> Elsewhere:
    """Lead to the block or document that was typed."""
    text = asked.form.get("to", "").strip()
    if not text:
        raise Missing("Type a block's number or a document's id.")
    if text.replace(",", "").isdecimal():
        return Elsewhere(f"/blocks/{int(text.replace(',', '')[:18])}")
    with asked.console.status() as connection, connection.transaction():
        known = connection.execute("SELECT FROM journal.document WHERE document_id = %s", [text]).rowcount
    if not known:  # what was typed may be a name, which must not become an address
        raise Missing("No document has this id. To find a person's documents, see Redactions.")
    return Elsewhere(f"/documents/{text}")


def document(asked: Asked) -> Page:
    """The timeline, without values."""
    return _page(asked, _read(asked))


def reveal(asked: Asked) -> Page:
    """The timeline with the values of the versions that were asked for."""
    asked.require("cleared")
    found = _read(asked)
    wanted = _wanted(asked, found)
    # A difference also shows values of the version before.
    compared = {one.compared_with for one in found if one.version in wanted and one.compared_with is not None}
    audit.record(asked, "reveal", asked.path["document"], sorted(wanted | compared))
    _reveal(asked, found, wanted, compared)
    return _page(asked, found, wanted)


def _page(asked: Asked, found: list[Version], revealed: frozenset[int] = frozenset()) -> Page:
    id_ = asked.path["document"]
    lowest = found[-1].version if len(found) == VERSIONS else None
    data = {"document": id_, "versions": [one.as_dict() for one in found], "below": lowest}
    tables = list(dict.fromkeys(one.table for one in found if one.table))
    return Page(
        "document.html",
        data,
        {
            "id": id_,
            "found": found,
            "tables": tables,
            "revealed": ",".join(map(str, sorted(revealed))),
            "below": lowest,
            "shown_below": asked.query.get("below", ""),
        },
    )


def _read(asked: Asked) -> list[Version]:
    id_ = asked.path["document"]
    below = _number(asked.query.get("below"))
    with asked.console.status() as connection, connection.transaction():
        # One more, to compare the last one shown with.
        parameters = {"document": id_, "below": below, "limit": VERSIONS + 1}
        places = connection.execute(READ_PLACES, parameters).fetchall()
        versions, numbers = columns_of(places, 2)
        named = {"document": id_, "versions": versions, "numbers": numbers}
        rows = connection.execute(READ_VERSIONS, named, prepare=False).fetchall()
        receipts = connection.execute(READ_RECEIPTS, [id_]).fetchall()
    if not rows:
        raise Missing("No document has this id, up to the mark.")
    with asked.console.auditor() as connection, connection.transaction():
        models = read_models_of(connection, [id_])
    found = [_version(row) for row in rows]
    for one, older in zip(found, [*found[1:], None], strict=True):
        one.receipts = [{"receipt": number, "store": store, "level": level}
                        for version, number, store, level in receipts if version == one.version]  # fmt: skip
        one.models = tuple(dict.fromkeys(models.get((id_, one.version), ())))
        _compare_shapes(one, older)
    return found[:VERSIONS]


def _version(row: tuple[Any, ...]) -> Version:
    version, block, hash_, table, state, level, transaction, time, fields, redacted_by, redacted_at = row
    shape = _fields(fields)
    return Version(version, block, hash_, table, state, level, transaction, time, shape, redacted_by, redacted_at)


def _fields(stored: Any) -> list[tuple[str, str]] | None:
    """Return path and type of each field of a shape."""
    if stored is None:
        return None
    return sorted((".".join(map(str, path)), str(kind)) for kind, *path in stored)


def _compare_shapes(one: Version, older: Version | None) -> None:
    if older is None:
        return
    one.compared_with = older.version
    if older.version != one.version - 1:
        one.compared_with, one.not_compared = None, f"version {one.version - 1} is not in the store"
    elif older.state == "redacted":
        one.compared_with, one.not_compared = None, f"cannot be compared: version {older.version}'s data is erased"
    elif one.state != "normal" or older.state != "normal":
        one.compared_with = None
    elif one.fields is not None and older.fields is not None:
        now, before = {path for path, _ in one.fields}, {path for path, _ in older.fields}
        one.added, one.removed = sorted(now - before), sorted(before - now)


def _wanted(asked: Asked, found: list[Version]) -> frozenset[int]:
    """Return the versions with data that the form names; all that are shown by default."""
    with_data = frozenset(one.version for one in found if one.state == "normal")
    text = asked.form.get("versions", "all")
    if text == "all":
        return with_data
    named = frozenset(int(one) for one in text.split(",") if one.strip().isdecimal() and len(one) < 18)
    return named & with_data


def _reveal(asked: Asked, found: list[Version], wanted: frozenset[int], compared: set[int]) -> None:
    """Read the values by the cleared login, with those that they are compared with."""
    assert asked.console.cleared is not None
    data: dict[int, Any] = {}
    with asked.console.cleared.connection() as connection:
        for table in {one.table for one in found if one.table}:
            rows = connection.execute(REVEAL, [table, asked.path["document"], sorted(wanted | compared)])
            data.update(dict(rows.fetchall()))
    for one in found:
        if one.version not in wanted or one.version not in data:
            continue
        older = one.compared_with
        if older is not None and older in data:
            one.values = difference(data[older], data[one.version])
        else:
            one.values = leaves(data[one.version])


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() and len(text) < 18 else None
