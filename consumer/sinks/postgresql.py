"""Read models in PostgreSQL: a table a generation in schema `generation`, behind a view in schema `read`.

Rows are written in the control transaction itself, so rows and position are one.
"""

from collections.abc import Callable, Sequence
from typing import Any

import psycopg
from psycopg.sql import SQL, Composable, Identifier
from psycopg.types.json import Jsonb

from strandline.consumer.database.bisection import attempt_all
from strandline.consumer.database.errors import ROW_ERRORS
from strandline.consumer.projection.definition import (
    COMPOSED_SOURCE_COLUMNS,
    SOURCE_COLUMNS,
    BlockProjection,
    ComposedProjection,
    Projection,
    computed,
)
from strandline.consumer.sinks.contract import Fields, MadeRows, PreparedRows, RejectedRow, Replacement, Sink, Summary
from strandline.consumer.sinks.read_view import READERS, ReadView, names, trusted
from strandline.consumer.sinks.row_check import RowCheck
from strandline.consumer.sinks.table_rows import DELETE_KEYS, DELETE_VERSIONS, TableRows
from strandline.consumer.sinks.text_array import TextArrayDumper

SOURCE_TYPES = {"source_document": "text", "source_version": "bigint", "source_block": "bigint", "source_key": "text"}
SOURCE_DESCRIPTIONS = {
    "source_document": "The document that the row comes from.",
    "source_version": "The document's version.",
    "source_block": "The last block that the row reflects.",
    "source_key": "The key that the row was composed for.",
}

CREATE_TABLE = "CREATE TABLE {table} ({columns})"
CREATE_KEY = "CREATE UNIQUE INDEX {name} ON {table} ({key})"
ADD_KEY = "ALTER TABLE {table} ADD CONSTRAINT {name} PRIMARY KEY USING INDEX {name}"
CREATE_INDEX = "CREATE INDEX ON {table} ({columns})"
WITHOUT_STATISTICS = "ALTER TABLE {table} {columns}"
SELECT = "SELECT {columns} FROM {table}"
COMPUTED = "({sql}) AS {name}"
# The sum of two hashes a row: the same for the same rows, in any order. A record's hash is a sum over its columns,
# which does not show that rows exchange a value: hence the hash of that. Values that a type considers equal but
# prints differently, 1.0 and 1.00, are hashed as text.
SUMMARY = """
    SELECT count(*), coalesce(
        sum(hashtextextended(hash_record_extended(row, 0)::text, 0)) * 2::numeric ^ 64
        + sum(hashtextextended(hash_record_extended(row, 1)::text, 1)), 0)::numeric(60)::text
    FROM (SELECT ROW({columns}) AS row FROM {table} OFFSET 0) AS rows"""
BY_TEXT = ("numeric", "jsonb")
COPY = "COPY {table} ({columns}) FROM STDIN (FORMAT binary)"
DELETE_DOCUMENTS = "DELETE FROM {table} WHERE source_document = ANY(%s)"
DELETE_BLOCKS = "DELETE FROM {table} WHERE source_block = ANY(%s)"


class PostgresqlSink(TableRows, Sink):
    """A generation's table `generation.<relation>`, filled by the definition of its projection."""

    def __init__(self, connection: psycopg.Connection[tuple[Any, ...]], projection: Projection, relation: str) -> None:
        super().__init__(connection, relation)
        self._projection = projection
        self._check = RowCheck(projection)
        self._column_names = tuple(column.name for column in projection.columns)
        self._sources = COMPOSED_SOURCE_COLUMNS if isinstance(projection, ComposedProjection) else SOURCE_COLUMNS
        self._types = {column.name: column.type for column in projection.columns}
        self._types |= {name: SOURCE_TYPES[name] for name in self._sources}
        self._copy = self._sql(COPY, columns=names(tuple(self._types)))

    def create(self, *, bare: bool = False) -> None:
        columns = [
            SQL("{} {} NOT NULL" if name in self._key else "{} {}").format(Identifier(name), SQL(type_))
            for name, type_ in self._types.items()
        ]
        self._execute(CREATE_TABLE, columns=SQL(", ").join(columns))
        if not isinstance(self._projection, BlockProjection):
            # PostgreSQL's histograms keep values after the rows are deleted.
            payload = [*self._column_names, *{"source_key"}.intersection(self._sources)]
            alter = [SQL("ALTER {} SET STATISTICS 0").format(Identifier(name)) for name in payload]
            self._execute(WITHOUT_STATISTICS, columns=SQL(", ").join(alter))
        if not bare:
            self.complete()

    def complete(self) -> None:
        name = Identifier(f"{self._relation}_pkey")
        self._execute(CREATE_KEY, name=name, key=names(self._key))
        for index in self._projection.indexes:
            self._execute(CREATE_INDEX, columns=names(index))
        self._execute(ADD_KEY, name=name)  # at the end, for until then others may read

    def show(self) -> None:
        extra = computed(self._projection)
        shown: dict[str, Composable] = {name: Identifier(name) for name in self._column_names}
        shown |= {one.name: SQL(COMPUTED).format(sql=trusted(one.sql), name=Identifier(one.name)) for one in extra}
        shown |= {name: Identifier(name) for name in self._sources}
        view = ReadView(self._connection, self._projection.name)

        def query() -> Composable:
            # A view is replaced in place only if its columns stay in their order, and new ones follow.
            order = dict.fromkeys([*(name for name in view.columns() if name in shown), *shown])
            return self._sql(SELECT, columns=SQL(", ").join([shown[name] for name in order]))

        descriptions = {column.name: column.description for column in self._projection.columns}
        descriptions |= {one.name: one.description for one in extra}
        descriptions |= {name: SOURCE_DESCRIPTIONS[name] for name in self._sources}
        comments = view.comments(self._projection.purpose, descriptions)
        view.show(query, READERS[self._projection.readers], list(comments))

    def summary(self) -> Summary:
        columns = [
            SQL("{}::text" if type_ in BY_TEXT else "{}").format(Identifier(name))
            for name, type_ in self._types.items()
        ]
        statement = self._sql(SUMMARY, columns=SQL(", ").join(columns))
        rows, checksum = self._connection.execute(statement).fetchone() or (0, "0")
        return int(rows), int(checksum)

    def prepare_all(self, many: Sequence[MadeRows]) -> list[PreparedRows]:
        return self._check(many)

    def as_stored(self, rows: PreparedRows) -> list[Fields]:
        return [dict(zip(self._column_names, map(_plain, row), strict=True)) for row in rows]

    def write(self, replacements: Sequence[Replacement]) -> list[RejectedRow]:
        return self._attempt(replacements, self._replace)

    def write_first(self, replacements: Sequence[Replacement]) -> list[RejectedRow]:
        return self._attempt(replacements, self._add)

    def _attempt(
        self, replacements: Sequence[Replacement], write: Callable[[Sequence[Replacement]], None]
    ) -> list[RejectedRow]:
        """Write them all at once; if that is refused, all but those that are to blame, and later ones of their keys."""
        refused: dict[str, RejectedRow] = {}

        def batch(part: Sequence[Replacement]) -> Sequence[None]:
            accepted = [one for one in part if one.key not in refused] if refused else part
            with self._connection.transaction():
                write(accepted)
            return ()

        def single(one: Replacement, exc: psycopg.Error) -> None:
            refused[one.key] = RejectedRow(one, f"PostgreSQL refuses the row (SQLSTATE {exc.sqlstate})")

        attempt_all(replacements, batch, single, ROW_ERRORS)
        return list(refused.values())

    def _replace(self, part: Sequence[Replacement]) -> None:
        self._delete(part)
        self._add(part)

    def _delete(self, part: Sequence[Replacement]) -> None:
        if isinstance(self._projection, BlockProjection):
            self._connection.execute(self._sql(DELETE_BLOCKS), [[one.sequence_no for one in part]])
        elif isinstance(self._projection, ComposedProjection):
            self._connection.execute(self._sql(DELETE_KEYS), [[one.document for one in part]])
        elif self._projection.keeps == "current":
            self._connection.execute(self._sql(DELETE_DOCUMENTS), [[one.document for one in part]])
        else:
            versions = [[one.document for one in part], [one.version for one in part]]
            self._connection.execute(self._sql(DELETE_VERSIONS), versions)

    def _add(self, part: Sequence[Replacement]) -> None:
        with self._connection.cursor() as cursor, cursor.copy(self._copy) as copy:
            cursor.adapters.register_dumper(list, TextArrayDumper)
            copy.set_types(list(self._types.values()))
            composed = isinstance(self._projection, ComposedProjection)
            for document, version, sequence_no, rows in part:
                source = (document, sequence_no) if composed else (document, version, sequence_no)
                for row in rows:
                    copy.write_row((*row, *source))

    @property
    def _key(self) -> tuple[str, ...]:
        return (*self._source_key, *self._projection.key)

    @property
    def _source_key(self) -> tuple[str, ...]:
        if isinstance(self._projection, BlockProjection):
            return ("source_block",)
        if isinstance(self._projection, ComposedProjection):
            return ("source_key",)
        return SOURCE_COLUMNS[:1] if self._projection.keeps == "current" else SOURCE_COLUMNS[:2]


def _plain(value: Any) -> Any:
    return value.obj if isinstance(value, Jsonb) else value
