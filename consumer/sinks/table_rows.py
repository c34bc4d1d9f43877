"""The rows of a generation in PostgreSQL, whichever definition made them: its table in schema `generation`."""

from collections.abc import Iterator, Sequence
from typing import Any

import psycopg
from psycopg.rows import dict_row
from psycopg.sql import SQL, Composable, Composed, Identifier

from strandline.consumer.sinks.contract import Fields, Key, StoredRows, Turn
from strandline.consumer.sinks.read_view import ReadView, trusted
from strandline.consumer.sinks.record_tables import forget_keys_of, recorded_keys
from strandline.journal.errors import StrandlineError

SOURCES = frozenset({"source_document", "source_version", "source_block", "source_key"})

READ_GENERATION = "SELECT generation FROM projection.generation WHERE relation = %s"
READ_SHOWN = "SELECT view_query, view_readers FROM projection.generation WHERE relation = %s"
READ_COLUMNS = "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0 AND attnotnull"
READ_ROWS = """
    SELECT kept.* FROM {table} kept JOIN unnest(%s::text[], %s::bigint[]) AS wanted (document, version)
        ON kept.source_document = wanted.document AND kept.source_version = wanted.version"""
DELETE_VERSIONS = """
    DELETE FROM {table} kept USING unnest(%s::text[], %s::bigint[]) AS gone (document, version)
    WHERE kept.source_document = gone.document AND kept.source_version = gone.version"""
# A receipt names how many rows a redaction removed. Counted once: a history that runs again removes what it had
# written instead.
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
DROP_TABLE = "DROP TABLE IF EXISTS {table}"


class TableRows(StoredRows):
    """The table `generation.<relation>`; all is done in the connection's open transaction, which is the turn."""

    outside = False

    def __init__(self, connection: psycopg.Connection[tuple[Any, ...]], relation: str) -> None:
        self._connection = connection
        self._relation = relation
        self._table = Identifier("generation", relation)

    def check(self) -> None:
        """Do nothing: a missing table is an error of the statement that needs it."""

    def unsettled(self) -> set[str]:
        """Return nothing: what a failed turn wrote is rolled back."""
        return set()

    def begin(self, turn: Turn) -> None:
        """Do nothing: the control transaction is the turn."""

    def settle(self) -> None:
        """Do nothing: the control transaction is the turn."""

    def rows_of(self, keys: Sequence[Key]) -> Iterator[tuple[Key, Fields | None]]:
        for key in recorded_keys(self._connection, self._generation(), keys):
            yield key, None
        if "source_document" in self._columns():
            with self._connection.cursor(row_factory=dict_row) as cursor:
                for row in cursor.execute(self._sql(READ_ROWS), _unzipped(keys)).fetchall():
                    fields = {name: value for name, value in row.items() if name not in SOURCES}
                    yield (row["source_document"], row["source_version"]), fields

    def purge(self, sources: Sequence[Key]) -> None:
        self._connection.execute(self._sql(PURGE), [*_unzipped(sources), self._relation])

    def purge_sources(self, sources: Sequence[Key]) -> None:
        columns = self._columns()
        if "source_key" in columns:
            keys = forget_keys_of(self._connection, self._generation(), sources)
            self._connection.execute(self._sql(DELETE_KEYS), [keys])
        elif "source_document" in columns:
            self.purge(sources)

    def show_as_before(self, name: str) -> None:
        query, readers = self._connection.execute(READ_SHOWN, [self._relation]).fetchone() or (None, None)
        if query is None:
            raise StrandlineError(f"No view is recorded of generation.{self._relation}: it cannot be served again.")
        ReadView(self._connection, name).show(lambda: trusted(query), readers or ())

    def drop(self) -> None:
        self._execute(DROP_TABLE)

    def _generation(self) -> int:
        (number,) = self._connection.execute(READ_GENERATION, [self._relation]).fetchone() or (-1,)
        return int(number)

    def _columns(self) -> set[str]:
        return required_columns(self._connection, self._table)

    def _execute(self, statement: Any, **parts: Composable) -> None:
        self._connection.execute(self._sql(statement, **parts))

    def _sql(self, statement: Any, **parts: Composable) -> Composed:
        return SQL(statement).format(table=self._table, **parts)


def required_columns(connection: psycopg.Connection[tuple[Any, ...]], table: Identifier) -> set[str]:
    """Return the columns that no row of a generation's table is without: what its rows come from is among them.

    Rows of blocks have no document, so `source_document` is not, and has no index.
    """
    return {name for (name,) in connection.execute(READ_COLUMNS, [table.as_string(connection)])}


def _unzipped(keys: Sequence[Key]) -> list[list[Any]]:
    return [[document for document, _ in keys], [version for _, version in keys]]
