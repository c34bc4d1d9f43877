"""Parquet, by way of Arrow: moments keep their zone, jsonb is marked as JSON, numeric is an exact decimal.

ADBC reads PostgreSQL's binary format into Arrow; it is a second connection, which sees the same snapshot.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier

from strandline.consumer.database.connection import Connection
from strandline.consumer.exports.parts import Parts, write_all
from strandline.consumer.extras import needs_extra
from strandline.journal.errors import StrandlineError

# The digits before and after the point that a column's values have; Parquet wants both for the whole column.
READ_DIGITS = """
    SELECT coalesce(max(length(trunc(abs({column}))::text)), 1), coalesce(max(scale({column})), 0) FROM {view}"""
READ_COLUMNS = """
    SELECT attname, atttypid::regtype::text, col_description(attrelid, attnum) FROM pg_attribute
    WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum"""
READ = "SELECT * FROM {view}"
BEGIN = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
MOST_DIGITS_128, MOST_DIGITS = 38, 76  # of decimal128 and decimal256
BATCH_ROWS = 65_536


@dataclass(frozen=True)
class Column:
    """A column of the view; `digits` are those of a numeric column that fits a decimal: all, and after the point."""

    name: str
    description: str | None
    digits: tuple[int, int] | None = None


def require_parquet() -> None:
    """Raise `UsageError` if the extra `parquet` is not installed."""
    with needs_extra("parquet"):
        import adbc_driver_postgresql.dbapi  # noqa: F401
        import pyarrow  # noqa: F401


def write_parquet(
    connection: Connection, url: str, snapshot: str, view: Identifier, parts: Parts, facts: Mapping[str, str]
) -> int:
    """Write the rows of a view; returns their number. `facts` become the files' own metadata.

    A numeric column is decimal, with as many digits as its values need; text if they need more than 76.
    """
    import adbc_driver_postgresql.dbapi as adbc
    import pyarrow as arrow
    from pyarrow import parquet

    columns = _columns(connection, view)
    try:
        # The password that the first connection has used: it need not be in the URL.
        address = make_conninfo(url, password=connection.info.password) if connection.info.password else url
        with adbc.connect(address, autocommit=True) as reading, reading.cursor() as cursor:
            cursor.execute(BEGIN)
            cursor.execute(f"SET TRANSACTION SNAPSHOT '{snapshot}'")
            cursor.execute(SQL(READ).format(view=view).as_string(connection))
            reader = cursor.fetch_record_batch()
            schema = _schema(arrow, reader.schema, columns, facts)
            batches = _batches(arrow, reader, schema, parts.rows or BATCH_ROWS)
            return write_all(parts, _opener(parquet, schema), batches)
    except adbc.Error as error:
        # Its text may quote a value.
        state = error.sqlstate or type(error).__name__
        raise StrandlineError(f"The rows could not be read by ADBC ({state}): run the command again.") from None


def _columns(connection: Connection, view: Identifier) -> list[Column]:
    name = view.as_string(connection)
    found = []
    for column, type_, description in connection.execute(READ_COLUMNS, [name]).fetchall():
        digits = None
        if type_ == "numeric":
            statement = SQL(READ_DIGITS).format(column=Identifier(column), view=view)
            before, after = connection.execute(statement).fetchone() or (1, 0)
            digits = (before + after, after) if before + after <= MOST_DIGITS else None
        found.append(Column(column, description, digits))
    return found


def _schema(arrow: Any, given: Any, columns: list[Column], facts: Mapping[str, str]) -> Any:
    """Return Arrow's schema with decimals, and with the read model's own descriptions in place of the driver's."""
    fields = []
    for field, column in zip(given, columns, strict=True):
        type_ = field.type
        if column.digits is not None:
            decimal = arrow.decimal128 if column.digits[0] <= MOST_DIGITS_128 else arrow.decimal256
            type_ = decimal(*column.digits)
        elif isinstance(type_, arrow.OpaqueType):
            type_ = type_.storage_type
        metadata = {"description": column.description} if column.description else None
        fields.append(arrow.field(field.name, type_, metadata=metadata))
    return arrow.schema(fields, metadata=dict(facts))


def _batches(arrow: Any, reader: Any, schema: Any, most_rows: int) -> Iterator[tuple[Any, int]]:
    for batch in reader:
        arrays = [_cast(arrow, array, type_) for array, type_ in zip(batch.columns, schema.types, strict=True)]
        whole = arrow.record_batch(arrays, schema=schema)
        for start in range(0, whole.num_rows, most_rows):
            part = whole.slice(start, most_rows)
            yield part, part.num_rows


def _cast(arrow: Any, array: Any, type_: Any) -> Any:
    plain = array.storage if isinstance(array.type, arrow.OpaqueType) else array
    return plain if plain.type == type_ else plain.cast(type_)


def _opener(parquet: Any, schema: Any) -> Callable[[Path], Any]:
    def open_file(path: Path) -> Any:
        return parquet.ParquetWriter(path, schema, compression="zstd")

    return open_file
