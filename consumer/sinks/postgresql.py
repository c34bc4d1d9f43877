"""Read models in PostgreSQL: a table a generation in schema `generation`, behind a view in schema `read`.

Rows are written in the control transaction itself, so rows and position are one.
"""

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import errors
from psycopg.sql import SQL, Composable, Composed, Identifier, Literal

from consumer.projection import SOURCE_COLUMNS, BlockProjection, Projection, Rows
from consumer.sinks.contract import PreparedRows, Refusal, Replacement, Sink
from consumer.sinks.sql_rows import RowCheck

READERS = {"analysts": ("strandline_analyst", "strandline_cleared"), "cleared": ("strandline_cleared",)}
SOURCE_TYPES = {"source_document": "text", "source_version": "bigint", "source_block": "bigint"}
# Of a value, not of the connection or the server: the only errors that blame a document.
REFUSED = (errors.DataError, errors.IntegrityError, errors.ProgramLimitExceeded, errors.StatementTooComplex)

CREATE_TABLE = "CREATE TABLE {table} ({columns}, PRIMARY KEY ({key}))"
CREATE_INDEX = "CREATE INDEX ON {table} ({columns})"
WITHOUT_STATISTICS = "ALTER TABLE {table} {columns}"
CREATE_VIEW = "CREATE OR REPLACE VIEW {view} AS SELECT {columns} FROM {table}"
COMMENT_VIEW = "COMMENT ON VIEW {view} IS {text}"
COMMENT_COLUMN = "COMMENT ON COLUMN {view}.{column} IS {text}"
GRANT = "GRANT SELECT ON {view} TO {roles}"
COPY = "COPY {table} ({columns}) FROM STDIN (FORMAT binary)"
DELETE_DOCUMENTS = "DELETE FROM {table} WHERE source_document = ANY(%s)"
DELETE_VERSIONS = """
    DELETE FROM {table} kept USING unnest(%s::text[], %s::bigint[]) AS gone (document, version)
    WHERE kept.source_document = gone.document AND kept.source_version = gone.version"""
DELETE_BLOCKS = "DELETE FROM {table} WHERE source_block = ANY(%s)"


class PostgresqlSink(Sink):
    """A generation's table `generation.<relation>`; all is done in the connection's open transaction."""

    def __init__(self, connection: psycopg.Connection[tuple[Any, ...]], projection: Projection, relation: str) -> None:
        self._connection = connection
        self._projection = projection
        self._table = Identifier("generation", relation)
        self._view = Identifier("read", projection.name)
        self._check = RowCheck(projection)
        self._column_names = tuple(column.name for column in projection.columns)
        self._copy_types = [*(column.type for column in projection.columns), *SOURCE_TYPES.values()]
        self._copy = self._sql(COPY, columns=_names((*self._column_names, *SOURCE_COLUMNS)))

    def create(self) -> None:
        types = {column.name: column.type for column in self._projection.columns} | SOURCE_TYPES
        columns = [SQL("{} {}").format(Identifier(name), SQL(type_)) for name, type_ in types.items()]
        key = _names((*self._source_key, *self._projection.key))
        self._execute(CREATE_TABLE, columns=SQL(", ").join(columns), key=key)
        for index in self._projection.indexes:
            self._execute(CREATE_INDEX, columns=_names(index))
        if not isinstance(self._projection, BlockProjection):
            # PostgreSQL's histograms keep values after the rows are deleted.
            alter = [
                SQL("ALTER {} SET STATISTICS 0").format(Identifier(column.name)) for column in self._projection.columns
            ]
            self._execute(WITHOUT_STATISTICS, columns=SQL(", ").join(alter))

    def serve(self) -> None:
        self._execute(CREATE_VIEW, columns=_names((*self._column_names, *SOURCE_COLUMNS)))
        self._execute(COMMENT_VIEW, text=Literal(self._projection.purpose))
        for column in self._projection.columns:
            self._execute(COMMENT_COLUMN, column=Identifier(column.name), text=Literal(column.description))
        self._execute(GRANT, roles=_names(READERS[self._projection.readers]))

    def prepare(self, rows: Rows) -> PreparedRows:
        return self._check(rows)

    def write(self, replacements: Sequence[Replacement]) -> list[Refusal]:
        refusals: dict[str, Refusal] = {}
        self._write(replacements, refusals)
        return list(refusals.values())

    def purge(self, sources: Sequence[tuple[str, int]]) -> None:
        documents, versions = [list(part) for part in zip(*sources, strict=True)] or ([], [])
        self._connection.execute(self._sql(DELETE_VERSIONS), [documents, versions])

    def _write(self, part: Sequence[Replacement], refusals: dict[str, Refusal]) -> None:
        """Write all at once; where that is refused, halve until those are found that are to blame."""
        part = [replacement for replacement in part if replacement.key not in refusals]
        if not part:
            return
        try:
            with self._connection.transaction():
                self._replace(part)
        except REFUSED as exc:
            if len(part) > 1:
                self._write(part[: len(part) // 2], refusals)
                self._write(part[len(part) // 2 :], refusals)
            else:
                reason = f"PostgreSQL refuses the row (SQLSTATE {exc.sqlstate})"
                refusals[part[0].key] = Refusal(part[0], reason)

    def _replace(self, part: Sequence[Replacement]) -> None:
        if isinstance(self._projection, BlockProjection):
            self._connection.execute(self._sql(DELETE_BLOCKS), [[one.sequence_no for one in part]])
        elif self._projection.keeps == "current":
            self._connection.execute(self._sql(DELETE_DOCUMENTS), [[one.document for one in part]])
        else:
            versions = [[one.document for one in part], [one.version for one in part]]
            self._connection.execute(self._sql(DELETE_VERSIONS), versions)
        with self._connection.cursor() as cursor, cursor.copy(self._copy) as copy:
            copy.set_types(self._copy_types)
            for one in part:
                for row in one.rows:
                    copy.write_row((*row, one.document, one.version, one.sequence_no))

    @property
    def _source_key(self) -> tuple[str, ...]:
        if isinstance(self._projection, BlockProjection):
            return ("source_block",)
        return SOURCE_COLUMNS[:1] if self._projection.keeps == "current" else SOURCE_COLUMNS[:2]

    def _execute(self, statement: Any, **parts: Composable) -> None:
        self._connection.execute(self._sql(statement, **parts))

    def _sql(self, statement: Any, **parts: Composable) -> Composed:
        return SQL(statement).format(table=self._table, view=self._view, **parts)


def _names(names: Sequence[str]) -> Composed:
    return SQL(", ").join([Identifier(name) for name in names])
