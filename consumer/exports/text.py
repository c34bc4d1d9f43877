"""CSV and JSON lines, as PostgreSQL itself writes them: numbers with all digits, moments in UTC."""

from collections.abc import Iterator
from pathlib import Path

from psycopg.sql import SQL, Composed, Identifier, Literal

from strandline.consumer.database.connection import Connection
from strandline.consumer.exports.parts import Parts, write_all

COPY_CSV = "COPY (SELECT * FROM {view}) TO STDOUT (FORMAT csv)"
# JSON text has neither of these characters, so that each row is a line, unchanged.
COPY_JSON = "COPY (SELECT row_to_json(r) FROM {view} r) TO STDOUT (FORMAT csv, DELIMITER {one}, QUOTE {two})"
READ_HEADER = "COPY (SELECT * FROM {view} LIMIT 0) TO STDOUT (FORMAT csv, HEADER)"


def write_csv(connection: Connection, view: Identifier, parts: Parts) -> int:
    """Write the rows of a view, with a header in each file; returns their number. Memory does not grow with them."""
    header = b"".join(_copied(connection, SQL(READ_HEADER).format(view=view)))
    rows = ((row, 1) for row in _copied(connection, SQL(COPY_CSV).format(view=view)))
    return write_all(parts, lambda path: _File(path, header), rows)


def write_json_lines(connection: Connection, view: Identifier, parts: Parts) -> int:
    """Write the rows of a view, an object a line; returns their number. Memory does not grow with them."""
    statement = SQL(COPY_JSON).format(view=view, one=Literal("\x01"), two=Literal("\x02"))
    return write_all(parts, _File, ((row, 1) for row in _copied(connection, statement)))


class _File:
    def __init__(self, path: Path, header: bytes = b"") -> None:
        self._file = path.open("wb")
        self._file.write(header)

    def write(self, chunk: bytes) -> None:
        self._file.write(chunk)

    def close(self) -> None:
        self._file.close()


def _copied(connection: Connection, statement: Composed) -> Iterator[bytes]:
    """Yield what COPY sends: a row a message."""
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for data in copy:
            yield bytes(data)
