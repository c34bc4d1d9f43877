"""Reads the journal for a projector: batches of complete blocks, in order, and revisions redacted since."""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import Any, cast

from psycopg.sql import SQL, Composed

from strandline.consumer.database.connection import Connection
from strandline.consumer.projection.definition import Block, BlockProjection, Projection, Revision
from strandline.consumer.projector.revision_reader import reader_for

Item = Revision | Block

READ_MARK = "SELECT sequence_no FROM journal.mark"

_SIZE = "coalesce(octet_length(data_ion), pg_column_size(data), 0)"
# `columns` are those of `consumer.projector.revision_reader`.
READ_REVISIONS = f"""
    SELECT {{columns}}, {_SIZE} FROM journal.revision
    WHERE sequence_no > %(after)s AND sequence_no <= %(last)s AND table_name = ANY(%(tables)s)
    ORDER BY sequence_no, document_id, version"""

_BLOCK = """
    sequence_no, block_time, transaction_id, level, statement_kinds,
    ARRAY(SELECT DISTINCT value FROM jsonb_each_text(tables) ORDER BY value),
    cardinality(array_remove(revision_documents, NULL)), coalesce(jsonb_array_length(redactions), 0)"""
_BLOCK_COLUMNS = 8

READ_BLOCKS = f"""
    SELECT {_BLOCK}, 0 FROM journal.block
    WHERE sequence_no > %(after)s AND sequence_no <= %(last)s ORDER BY sequence_no"""

# Documents from the given versions on, up to the position. OFFSET has each looked up by itself: a join of a few with
# very many versions might read all of these.
READ_DOCUMENTS = """
    SELECT {columns} FROM (
        SELECT r.* FROM unnest(%(documents)s::text[], %(versions)s::bigint[]) AS wanted (document, first_version)
        CROSS JOIN LATERAL (
            SELECT * FROM journal.document_version
            WHERE document_id = document AND version >= first_version AND sequence_no <= %(position)s OFFSET 0) v
        CROSS JOIN LATERAL journal.revision_at(v.sequence_no, v.document_id, v.version) r) AS r
    WHERE table_name = ANY(%(tables)s)
    ORDER BY sequence_no, document_id, version"""

# Each document's last revision up to the position.
READ_CURRENT = """
    SELECT {columns} FROM (
        SELECT r.* FROM unnest(%(documents)s::text[]) AS wanted (document)
        CROSS JOIN LATERAL (
            SELECT * FROM journal.document_version
            WHERE document_id = document AND sequence_no <= %(position)s ORDER BY version DESC LIMIT 1) v
        CROSS JOIN LATERAL journal.revision_at(v.sequence_no, v.document_id, v.version) r) AS r
    WHERE table_name = ANY(%(tables)s)"""

READ_SOME_BLOCKS = f"SELECT {_BLOCK} FROM journal.block WHERE sequence_no = ANY(%(numbers)s) ORDER BY sequence_no"

# Revisions that the position had passed before the blocks that redacted them. A revision that is read after its
# redaction has passed the mark is read without data.
READ_ERASED = """
    SELECT {columns} FROM (
        SELECT r.* FROM journal.redaction d
        CROSS JOIN LATERAL journal.revision_at(d.sequence_no, d.document_id, d.version) r
        WHERE d.redacted_by > %(after)s AND d.redacted_by <= %(last)s AND d.sequence_no <= %(after)s) AS r
    WHERE table_name = ANY(%(tables)s)
    ORDER BY sequence_no, document_id, version"""


@dataclass(frozen=True)
class Limits:
    """The most that a batch holds, besides the rest of its last block, which is always complete; `size` is in bytes."""

    blocks: int = 20_000
    revisions: int = 5_000
    size: int = 4_000_000


# A document has at most 128 KB, so one fetch has at most 25 MB.
_FETCH = 200
# The index gives the blocks in order; a planner without statistics would sort the range.
IN_ORDER = "SET LOCAL enable_sort = off"


def read_mark(connection: Connection) -> int:
    row = connection.execute(READ_MARK).fetchone()
    return int(row[0]) if row else -1


class Batch:
    """The next complete blocks after `after`, none above `mark`, in order; a batch may have no items.

    It is read chunk by chunk, so that only one chunk of the payload is in memory. `last`, the last block of the batch,
    is known when all chunks have been read.
    """

    def __init__(self, connection: Connection, projection: Projection, after: int, mark: int, limits: Limits) -> None:
        self._connection = connection
        self._projection = projection
        self.after = after
        self._limits = limits
        # The range is bounded: no plan, however poor, reads the rest of the journal for one batch.
        self.last = min(mark, after + limits.blocks)

    def __iter__(self) -> Iterator[Sequence[Item]]:
        statement, make, tables = _source(self._projection)
        taken = size = 0
        last_taken: int | None = None
        self._connection.execute(IN_ORDER)
        with self._connection.cursor(name="feed") as cursor:
            cursor.execute(statement, {"after": self.after, "last": self.last, "tables": tables}, binary=True)
            while rows := cursor.fetchmany(min(_FETCH, self._limits.revisions)):
                chunk = make(rows)
                if last_taken is not None and (taken >= self._limits.revisions or size >= self._limits.size):
                    rest = [item for item in chunk if item.sequence_no == last_taken]
                    if len(rest) < len(chunk):
                        self.last = last_taken
                        yield rest
                        return
                taken += len(chunk)
                size += sum([row[-1] for row in rows])
                last_taken = chunk[-1].sequence_no
                yield chunk


def read_all(connection: Connection, projection: Projection, last: int) -> Iterator[tuple[Sequence[Item], int]]:
    """Yield some items at a time of everything up to the block `last`, in order, with their size in bytes."""
    statement, make, tables = _source(projection)
    connection.execute(IN_ORDER)
    with connection.cursor() as cursor:
        parameters = {"after": -1, "last": last, "tables": tables}
        rows = cast(Generator[Any, None, None], cursor.stream(statement, parameters, binary=True, size=_FETCH))
        with closing(rows):
            while some := list(islice(rows, _FETCH)):
                yield make(some), sum([row[-1] for row in some])


def documents(
    connection: Connection, projection: Projection, keys: Sequence[tuple[str, int]], position: int
) -> list[Revision]:
    """Return every revision of each document from the given version on, up to the position."""
    parameters = {
        "documents": [document for document, _ in keys],
        "versions": [version for _, version in keys],
        "position": position,
    }
    return _revisions(connection, projection, READ_DOCUMENTS, parameters)


def current(connection: Connection, projection: Projection, documents: Sequence[str], position: int) -> list[Revision]:
    """Return the last revision of each document up to the position."""
    parameters = {"documents": list(documents), "position": position}
    return _revisions(connection, projection, READ_CURRENT, parameters)


def blocks(connection: Connection, numbers: Sequence[int]) -> list[Item]:
    return _blocks(connection.execute(READ_SOME_BLOCKS, {"numbers": list(numbers)}, binary=True))


def erased(connection: Connection, projection: Projection, after: int, last: int) -> list[Revision]:
    """Return the revisions up to `after` that blocks in (after, last] redacted; they have no data."""
    return _revisions(connection, projection, READ_ERASED, {"after": after, "last": last})


def _revisions(
    connection: Connection, projection: Projection, statement: str, parameters: dict[str, Any]
) -> list[Revision]:
    reader = reader_for(projection)
    parameters["tables"] = _tables(projection)
    query = SQL(statement).format(columns=reader.columns)
    return reader.revisions(connection.execute(query, parameters, binary=True).fetchall())


def _blocks(rows: Iterable[Sequence[Any]]) -> list[Item]:
    return [Block(*row[:_BLOCK_COLUMNS]) for row in rows]


def _tables(projection: Projection) -> list[str]:
    return [] if isinstance(projection, BlockProjection) else list(projection.tables)


def _source(projection: Projection) -> tuple[Composed, Callable[[Sequence[Any]], Sequence[Item]], list[str]]:
    """Return a statement whose rows end with a size, the function that makes items of rows, and the tables to read."""
    if isinstance(projection, BlockProjection):
        return SQL(READ_BLOCKS).format(), _blocks, []
    reader = reader_for(projection)
    return SQL(READ_REVISIONS).format(columns=reader.columns), reader.revisions, _tables(projection)
