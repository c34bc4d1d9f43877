"""A preview of a projection: the rows of a few documents, keys or blocks, of which nothing is written."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from psycopg.sql import SQL
from psycopg.types.json import Jsonb

from strandline.consumer.database.connection import Connection, read_json
from strandline.consumer.projection.definition import (
    Block,
    BlockProjection,
    ComposedProjection,
    KeyLookup,
    Projection,
    Revision,
    RowProjection,
)
from strandline.consumer.projector import feed, lookup
from strandline.consumer.projector.composition import Documents, Find, compose, follow_lookups, name_keys
from strandline.consumer.projector.revision_reader import narrow, reader_for
from strandline.consumer.projector.row_batch import prepare_each, reason
from strandline.consumer.sinks.contract import PreparedRows
from strandline.consumer.sinks.row_check import RowCheck

Document = Mapping[str, Any]

# The newest revisions; of projections that show what is current, only each document's last.
READ_NEWEST = """
    SELECT {columns} FROM journal.revision r
    WHERE table_name = ANY(%(tables)s) AND sequence_no <= %(mark)s AND (%(all_versions)s OR (
        state = 'normal' AND version = (
            SELECT d.version FROM journal.document d WHERE d.document_id = r.document_id)))
    ORDER BY sequence_no DESC, document_id, version DESC LIMIT %(limit)s"""


@dataclass(frozen=True)
class Entry:
    """A document's version, a composed key or a block, with its rows by column, or the reason why it would park."""

    key: str
    rows: tuple[dict[str, Any], ...] = ()
    reason: str | None = None


@dataclass(frozen=True)
class Preview:
    """The entries of a preview, in order."""

    entries: tuple[Entry, ...]

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The rows of all entries."""
        return [row for entry in self.entries for row in entry.rows]

    @property
    def parked(self) -> dict[str, str]:
        """The reasons of the entries that would park, by key."""
        return {entry.key: entry.reason for entry in self.entries if entry.reason is not None}


def preview_documents(projection: Projection, documents: Mapping[str, Sequence[Document | Revision]]) -> Preview:
    """Return the rows of documents, given by their tables, without a store.

    A document is a mapping of its fields; its id is `Table/0`, `Table/1` and so on, its version 0. Give a `Revision`
    for other metadata, a later version, or a deletion.
    """
    if isinstance(projection, BlockProjection):
        raise TypeError("A projection of blocks has no documents: preview its blocks with `strandline preview`.")
    revisions = [
        one if isinstance(one, Revision) else _revision(table, number, one)
        for table, some in documents.items()
        for number, one in enumerate(some)
    ]
    return _preview(projection, [narrow(projection, one) for one in revisions], _find_among(revisions, projection))


def preview_store(connection: Connection, projection: Projection, limit: int) -> Preview:
    """Return the rows of the newest documents, keys or blocks below the mark, in the caller's transaction."""
    mark = feed.read_mark(connection)
    if isinstance(projection, BlockProjection):
        return _preview_each(projection, feed.blocks(connection, range(mark - limit + 1, mark + 1)))
    read = reader_for(projection)
    every = isinstance(projection, RowProjection) and projection.keeps == "history"
    parameters = {"tables": list(projection.tables), "mark": mark, "all_versions": every, "limit": limit}
    statement = SQL(READ_NEWEST).format(columns=read.columns)
    revisions = read.revisions(connection.execute(statement, parameters, binary=True).fetchall())

    def find(wanted: Collection[KeyLookup]) -> Mapping[KeyLookup, Documents]:
        assert isinstance(projection, ComposedProjection)
        return lookup.find(connection, projection, wanted, mark)

    return _preview(projection, revisions, find, limit)


def _preview(
    projection: RowProjection | ComposedProjection, revisions: Sequence[Revision], find: Find, limit: int | None = None
) -> Preview:
    if not isinstance(projection, ComposedProjection):
        if projection.keeps == "current":
            last = {one.document_id: one for one in sorted(revisions, key=lambda one: one.version)}
            revisions = [one for one in revisions if one is last[one.document_id] and one.state == "normal"]
        return _preview_each(projection, revisions)
    names, refused = name_keys(projection, [one for one in revisions if one.state == "normal"])
    keys = sorted(follow_lookups(projection, names, find))[:limit]
    check = RowCheck(projection)
    composed = [
        Entry(one.key, _fields(projection, one.rows), one.fault) for one in compose(projection, keys, check, find)
    ]
    return Preview((*(Entry(one.key, (), one.reason) for one in refused), *composed))


def _preview_each(projection: RowProjection | BlockProjection, items: Iterable[Revision | Block]) -> Preview:
    check, function = RowCheck(projection), projection.rows
    entries = []
    for item in items:
        key = (
            f"{item.document_id} version {item.version}" if isinstance(item, Revision) else f"block {item.sequence_no}"
        )
        try:
            made: Any = list(function(item))  # type: ignore[arg-type]
        except Exception as exc:
            entries.append(Entry(key, (), reason(exc, projection)))
            continue
        (result,) = prepare_each(projection, [made], check)
        entries.append(Entry(key, (), result) if isinstance(result, str) else Entry(key, _fields(projection, result)))
    return Preview(tuple(entries))


def _fields(projection: Projection, rows: PreparedRows) -> tuple[dict[str, Any], ...]:
    names = [column.name for column in projection.columns]
    return tuple(dict(zip(names, map(_plain, row), strict=True)) for row in rows)


def _plain(value: Any) -> Any:
    return read_json(value.obj) if isinstance(value, Jsonb) else value


def _revision(table: str, number: int, data: Document) -> Revision:
    return Revision(
        f"{table}/{number}", 0, table, number, "", datetime(2020, 1, 1, tzinfo=UTC), "normal", dict(data), b""
    )


def _find_among(revisions: Sequence[Revision], projection: Projection) -> Find:
    normal = sorted((one for one in revisions if one.state == "normal"), key=lambda one: one.document_id)

    def find(wanted: Collection[KeyLookup]) -> Mapping[KeyLookup, Documents]:
        return {
            one: [
                narrow(projection, each)
                for each in normal
                if each.table == one.table and each.text(one.field) == one.value
            ]
            for one in wanted
        }

    return find
