"""Read models in PostgreSQL: a table a generation in schema `generation`, behind a view in schema `read`.

Rows are written in the control transaction itself, so rows and position are one.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import psycopg
from psycopg import errors
from psycopg.sql import SQL, Composable, Composed, Identifier, Literal

from strandline.consumer.projection.definition import (
    COMPOSED_SOURCE_COLUMNS,
    SOURCE_COLUMNS,
    BlockProjection,
    ComposedProjection,
    Projection,
    Rows,
    computed,
)
from strandline.consumer.sinks.contract import PreparedRows, RejectedRow, Replacement, Sink
from strandline.consumer.sinks.row_check import RowCheck

READERS = {"analysts": ("strandline_analyst", "strandline_cleared"), "cleared": ("strandline_cleared",)}
SOURCE_TYPES = {"source_document": "text", "source_version": "bigint", "source_block": "bigint", "source_key": "text"}
# Of a value, not of the connection or the server: the only errors that blame a document.
REFUSED = (errors.DataError, errors.IntegrityError, errors.ProgramLimitExceeded, errors.StatementTooComplex)

CREATE_TABLE = "CREATE TABLE {table} ({columns})"
CREATE_KEY = "CREATE UNIQUE INDEX {name} ON {table} ({key})"
ADD_KEY = "ALTER TABLE {table} ADD CONSTRAINT {name} PRIMARY KEY USING INDEX {name}"
CREATE_INDEX = "CREATE INDEX ON {table} ({columns})"
WITHOUT_STATISTICS = "ALTER TABLE {table} {columns}"
CREATE_VIEW = "CREATE OR REPLACE VIEW {view} AS SELECT {columns} FROM {table}"
COMPUTED = "({sql}) AS {name}"
COMMENT_VIEW = "COMMENT ON VIEW {view} IS {text}"
COMMENT_COLUMN = "COMMENT ON COLUMN {view}.{column} IS {text}"
GRANT = "GRANT SELECT ON {view} TO {roles}"
REVOKE = "REVOKE ALL ON {view} FROM {roles}"
DROP_TABLE = "DROP TABLE IF EXISTS {table}"
DROP_VIEW = "DROP VIEW {view}"
VIEW_COLUMNS = """
    SELECT attname FROM pg_attribute
    WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped ORDER BY attnum"""
# The sum of two hashes a row: the same for the same rows, in whatever order. A record's hash is a sum over its columns,
# which would not tell when rows exchange a value: hence the hash of that. What two types take for the same although it
# shows differently, 1.0 and 1.00, is hashed as text.
SUMMARY = """
    SELECT count(*), coalesce(
        sum(hashtextextended(hash_record_extended(row, 0)::text, 0)) * 2::numeric ^ 64
        + sum(hashtextextended(hash_record_extended(row, 1)::text, 1)), 0)::numeric(60)::text
    FROM (SELECT ROW({columns}) AS row FROM {table} OFFSET 0) AS rows"""
BY_TEXT = ("numeric", "jsonb")
COPY = "COPY {table} ({columns}) FROM STDIN (FORMAT binary)"
DELETE_DOCUMENTS = "DELETE FROM {table} WHERE source_document = ANY(%s)"
DELETE_VERSIONS = """
    DELETE FROM {table} kept USING unnest(%s::text[], %s::bigint[]) AS gone (document, version)
    WHERE kept.source_document = gone.document AND kept.source_version = gone.version"""
# So many are made at once between those that are copied.
MADE_AT_ONCE = 500
# What a redaction removes is counted for its receipt, once: run again, a history removes what it had written instead.
PURGE = f"""
    WITH gone AS ({DELETE_VERSIONS}
        RETURNING kept.source_document AS document_id, kept.source_version AS version
    )
    INSERT INTO projection.purge (generation, document_id, version, rows)
    SELECT g.generation, document_id, version, count(*)
    FROM gone JOIN journal.redaction USING (document_id, version), projection.generation g
    WHERE g.relation = %s
    GROUP BY g.generation, document_id, version
    ON CONFLICT (generation, document_id, version) DO NOTHING"""
DELETE_KEYS = "DELETE FROM {table} WHERE source_key = ANY(%s)"
DELETE_BLOCKS = "DELETE FROM {table} WHERE source_block = ANY(%s)"


class PostgresqlSink(Sink):
    """A generation's table `generation.<relation>`; all is done in the connection's open transaction."""

    def __init__(self, connection: psycopg.Connection[tuple[Any, ...]], projection: Projection, relation: str) -> None:
        self._connection = connection
        self._projection = projection
        self._relation = relation
        self._table = Identifier("generation", relation)
        self._view = Identifier("read", projection.name)
        self._check = RowCheck(projection)
        self._column_names = tuple(column.name for column in projection.columns)
        self._sources = COMPOSED_SOURCE_COLUMNS if isinstance(projection, ComposedProjection) else SOURCE_COLUMNS
        self._types = {column.name: column.type for column in projection.columns}
        self._types |= {name: SOURCE_TYPES[name] for name in self._sources}
        self._copy = self._sql(COPY, columns=_names(tuple(self._types)))

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
        self._execute(CREATE_KEY, name=name, key=_names(self._key))
        for index in self._projection.indexes:
            self._execute(CREATE_INDEX, columns=_names(index))
        self._execute(ADD_KEY, name=name)  # at the end, for until then others may read

    def serve(self) -> None:
        extra = computed(self._projection)
        shown: dict[str, Composable] = {name: Identifier(name) for name in self._column_names}
        shown |= {one.name: SQL(COMPUTED).format(sql=_trusted(one.sql), name=Identifier(one.name)) for one in extra}
        shown |= {name: Identifier(name) for name in self._sources}
        # A view is replaced in place only where its columns stay as they are, in their order, and new ones follow.
        view = self._view.as_string(self._connection)
        before = [name for (name,) in self._connection.execute(VIEW_COLUMNS, [view]) if name in shown]
        order = dict.fromkeys([*before, *shown])
        descriptions = {column.name: column.description for column in self._projection.columns}
        descriptions |= {one.name: one.description for one in extra}
        statements = [
            self._sql(CREATE_VIEW, columns=SQL(", ").join([shown[name] for name in order])),
            self._sql(COMMENT_VIEW, text=Literal(self._projection.purpose)),
            *(
                self._sql(COMMENT_COLUMN, column=Identifier(name), text=Literal(text))
                for name, text in descriptions.items()
            ),
            self._sql(REVOKE, roles=_names(READERS["analysts"])),
            self._sql(GRANT, roles=_names(READERS[self._projection.readers])),
        ]
        # In one go: readers wait from the first of them to the commit.
        self._connection.execute(SQL("; ").join(statements))

    def hide(self) -> None:
        """Take the view away, for one with other columns; refused where others are built on it."""
        self._execute(DROP_VIEW)

    def drop(self) -> None:
        """Take the table away; where there is none, do nothing."""
        self._execute(DROP_TABLE)

    def over(self, connection: psycopg.Connection[tuple[Any, ...]]) -> "PostgresqlSink":
        """The same generation over another connection."""
        return PostgresqlSink(connection, self._projection, self._relation)

    def summary(self) -> tuple[int, int]:
        columns = [
            SQL("{}::text" if type_ in BY_TEXT else "{}").format(Identifier(name))
            for name, type_ in self._types.items()
        ]
        statement = self._sql(SUMMARY, columns=SQL(", ").join(columns))
        rows, digest = self._connection.execute(statement).fetchone() or (0, "0")
        return int(rows), int(digest)

    def prepare(self, rows: Rows) -> PreparedRows:
        return self._check(rows)

    def prepare_all(self, many: Sequence[Sequence[Mapping[str, object]]]) -> list[PreparedRows] | None:
        return self._check.all(many)

    def write(self, replacements: Sequence[Replacement]) -> list[RejectedRow]:
        refusals: dict[str, RejectedRow] = {}
        self._write(replacements, refusals, self._replace)
        return list(refusals.values())

    def write_first(self, parts: Iterable[Iterable[Replacement]]) -> list[RejectedRow]:
        refusals: dict[str, RejectedRow] = {}
        for part in parts:
            self._write_first(iter(part), refusals)
        return list(refusals.values())

    def purge(self, sources: Sequence[tuple[str, int]]) -> None:
        documents, versions = [list(part) for part in zip(*sources, strict=True)] or ([], [])
        self._connection.execute(self._sql(PURGE), [documents, versions, self._relation])

    def _write_first(self, part: Iterator[Replacement], refusals: dict[str, RejectedRow]) -> None:
        """Copy them as they are made; what is refused is then found among what was copied."""
        copied: list[Replacement] = []
        making = True

        def made() -> Iterator[Replacement]:
            nonlocal making
            while some := list(islice(part, MADE_AT_ONCE)):
                making = False
                copied.extend(some)
                yield from some
                making = True
            making = False

        try:
            with self._connection.transaction():
                self._add(made())
        except REFUSED:
            if making:  # then it is not of what was copied
                raise
            self._write([*copied, *part], refusals, self._add)

    def _write(
        self,
        part: Sequence[Replacement],
        refusals: dict[str, RejectedRow],
        write: Callable[[Sequence[Replacement]], None],
    ) -> None:
        """Write all at once; where that is refused, halve until those are found that are to blame."""
        if refusals:
            part = [replacement for replacement in part if replacement.key not in refusals]
        if not part:
            return
        try:
            with self._connection.transaction():
                write(part)
        except REFUSED as exc:
            if len(part) > 1:
                self._write(part[: len(part) // 2], refusals, write)
                self._write(part[len(part) // 2 :], refusals, write)
            else:
                reason = f"PostgreSQL refuses the row (SQLSTATE {exc.sqlstate})"
                refusals[part[0].key] = RejectedRow(part[0], reason)

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

    def _add(self, part: Iterable[Replacement]) -> None:
        with self._connection.cursor() as cursor, cursor.copy(self._copy) as copy:
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

    def _execute(self, statement: Any, **parts: Composable) -> None:
        self._connection.execute(self._sql(statement, **parts))

    def _sql(self, statement: Any, **parts: Composable) -> Composed:
        return SQL(statement).format(table=self._table, view=self._view, **parts)


def _names(names: Sequence[str]) -> Composed:
    return SQL(", ").join([Identifier(name) for name in names])


def _trusted(sql: str) -> SQL:
    """What the projection's own file says, as it stands there."""
    return SQL(sql.replace("{", "{{").replace("}", "}}"))
