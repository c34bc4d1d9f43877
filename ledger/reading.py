"""The reads of a transaction: one snapshot of the journal, at the mark of its first read."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Protocol

import psycopg
from psycopg.types.json import Jsonb

from strandline.journal.ion import values as ion
from strandline.journal.ion.json import to_json
from strandline.ledger.errors import RequestDone
from strandline.ledger.values import Document

SNAPSHOT = """
    SELECT m.sequence_no, p.sequence_no = m.sequence_no
           AND p.change_id = coalesce((SELECT max(id) FROM journal.change), 0)
    FROM journal.mark m, journal.lookup_position p"""
# In one round trip. The time is in milliseconds; 0 is no limit.
BEGIN = f"BEGIN ISOLATION LEVEL REPEATABLE READ; SET LOCAL statement_timeout = {{}}; {SNAPSHOT}"
FOLLOW = "SELECT journal.follow_lookups()"

ROWS_A_TIME = 500  # of a stream

# JSON only where there is no Ion, for it is not looked at then.
_DATA = "r.data_ion, CASE WHEN r.data_ion IS NULL THEN r.data END AS data"
DOCUMENT = f"r.document_id, r.version, {_DATA}, r.state, r.sequence_no, r.tx_id, r.tx_time"
_LAST = """
    FROM (
        SELECT * FROM journal.document_version
        WHERE document_id = {document} AND sequence_no <= %(end)s ORDER BY version DESC LIMIT 1
    ) AS v CROSS JOIN LATERAL journal.revision_at(v.sequence_no, v.document_id, v.version) r"""

BY_ID = f"SELECT {DOCUMENT}, r.table_id {_LAST.format(document='%(document)s')}"

_BY_VALUE = f"""
    SELECT {DOCUMENT.replace("r.", "found.")}
    FROM ({{candidates}}) AS candidate,
    LATERAL (SELECT r.* {_LAST.format(document="candidate.document_id")}) AS found
    WHERE found.table_id = %(table)s AND {{matches}}
    ORDER BY found.document_id"""
_LOOKED_UP = """
    SELECT document_id FROM journal.lookup
    WHERE table_id = %(table)s AND field = %(field)s AND value_hash = journal.value_hash(%(value)s)"""
# Look-ups reflect the present: a document that matched at an earlier block matches now, or has changed since.
_LOOKED_UP_THEN = f"""
    {_LOOKED_UP}
    UNION SELECT document_id FROM journal.revision WHERE sequence_no > %(end)s AND table_id = %(table)s"""
_MATCHES = "found.data -> %(field)s::text = %(value)s"
# Whether a revision matched that has been redacted since is unknown.
_MATCHES_OR_REDACTED = f"({_MATCHES} OR found.state = 'redacted')"
BY_VALUE = _BY_VALUE.format(candidates=_LOOKED_UP, matches=_MATCHES)
BY_VALUE_THEN = _BY_VALUE.format(candidates=_LOOKED_UP_THEN, matches=_MATCHES_OR_REDACTED)

HISTORY = f"""
    SELECT {DOCUMENT.replace("r.", "p.")}
    FROM (
        SELECT r.*, lead(r.tx_time) OVER (PARTITION BY v.document_id ORDER BY v.version) AS replaced_at
        FROM journal.document d JOIN journal.document_version v USING (document_id)
        CROSS JOIN LATERAL journal.revision_at(v.sequence_no, v.document_id, v.version) r
        WHERE d.table_id = %(table)s AND {{documents}} AND v.sequence_no <= %(end)s
    ) AS p
    WHERE (%(to)s::timestamptz IS NULL OR p.tx_time <= %(to)s)
      AND (%(from)s::timestamptz IS NULL OR p.replaced_at IS NULL OR p.replaced_at > %(from)s)
    ORDER BY p.document_id, p.version"""

ERASED_SINCE = """
    SELECT EXISTS (
        SELECT FROM journal.redaction d
        JOIN unnest(%(documents)s::text[], %(versions)s::bigint[]) AS read (document_id, version)
             USING (document_id, version)
        WHERE d.redacted_by > %(end)s)"""

AT_ADDRESS = """
    SELECT r.version,
           CASE WHEN EXISTS (
                    SELECT FROM journal.redaction d
                    WHERE d.document_id = r.document_id AND d.version = r.version AND d.redacted_by > %(end)s)
                THEN 'normal' ELSE r.state END,
           EXISTS (SELECT FROM journal.document_version later
                   WHERE later.document_id = r.document_id AND later.version > r.version
                     AND later.sequence_no <= %(end)s)
    FROM journal.document_version v
    CROSS JOIN LATERAL journal.revision_at(v.sequence_no, v.document_id, v.version) r
    WHERE v.document_id = %(document)s AND v.sequence_no = %(number)s AND v.sequence_no <= %(end)s
      AND r.table_id = %(table)s"""


class Connections(Protocol):
    """A pool that a reading takes its connection from, and gives it back to."""

    def getconn(self) -> Any: ...

    def putconn(self, connection: Any, /) -> None: ...


class Reading:
    """The journal as of one block. Takes a connection from the pool at the first read, and gives it back at the end.

    As of an earlier block (`end`; `earlier` is then set) it returns what was read then, without data redacted since.
    """

    def __init__(
        self, pool: Connections, end: int | None = None, seconds: float | None = None, *, follow: bool = True
    ) -> None:
        """`seconds` is the time after which PostgreSQL gives up a statement.

        Look-ups that are behind are brought up to date, which writes; without `follow` they stay behind (`followed`).
        """
        self._pool = pool
        self._seconds = seconds
        self._follow = follow
        self._followed = False
        self._connection: psycopg.Connection[Any] | None = None
        self._end = end
        self._cursors: list[psycopg.ServerCursor[Any]] = []
        self.earlier = end is not None

    def __enter__(self) -> "Reading":
        return self

    def __exit__(self, *_: object) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        for cursor in self._cursors:  # a later user of the connection must not meet them
            with suppress(psycopg.Error):
                cursor.close()
        if not connection.closed:
            with suppress(psycopg.OperationalError):  # a lost connection has no transaction to end
                connection.rollback()
        self._pool.putconn(connection)

    @property
    def begun(self) -> bool:
        return self._connection is not None

    @property
    def end(self) -> int:
        """The block as of which everything is read."""
        self._run()
        assert self._end is not None
        return self._end

    @property
    def followed(self) -> bool:
        """True if the look-ups are up to date, so that indexes may be used."""
        self._run()
        return self._followed

    def document(self, table_id: str, document_id: str) -> Document | None:
        """Return the document's current revision, None if it is deleted or not in this table."""
        row = self._one(BY_ID, document=document_id)
        if row is None or row[-1] != table_id or row[4] == "deleted":
            return None
        return self._document(row)

    def matching(self, table_id: str, field: str, value: Any) -> Iterator[Document]:
        """Return the current documents whose indexed field has the value."""
        statement = BY_VALUE_THEN if self.earlier else BY_VALUE
        jsonb = Jsonb(value, dumps=to_json)
        return map(self._document, self._all(statement, table=table_id, field=field, value=jsonb))

    def history(
        self, table_id: str, document_id: str | None, from_time: datetime | None, to_time: datetime | None
    ) -> Iterator[Document]:
        """Return the revisions that were active at some time of the period, by document and version."""
        documents = "true" if document_id is None else "d.document_id = %(document)s"
        more = {"from": from_time, "to": to_time}
        statement = HISTORY.format(documents=documents)
        return map(self._document, self._all(statement, table=table_id, document=document_id, **more))

    def revision_at(self, sequence_no: int, table_id: str, document_id: str) -> tuple[int, str, bool] | None:
        """Return version and state of a revision of this block, and whether a later revision replaced it."""
        row = self._one(AT_ADDRESS, number=sequence_no, table=table_id, document=document_id)
        return None if row is None else (row[0], row[1], row[2])

    def check_readable(self, documents: Sequence[Document]) -> None:
        """Raise RequestDone if one of them had data, as of an earlier block, that was redacted since."""
        erased = [(one.document_id, one.version) for one in documents if one.state == "redacted"]
        if not self.earlier or not erased:
            return
        documents_, versions = zip(*erased, strict=True)
        if self._one(ERASED_SINCE, documents=list(documents_), versions=list(versions)) == (True,):
            raise RequestDone("it happened before; what it read has been redacted, so its result cannot be had again")

    def rows(self, statement: str, **named: Any) -> list[tuple[Any, ...]]:
        """Return the rows of a statement, which may use `%(end)s`."""
        return self._all(statement, **named)

    def stream(self, statement: str, **named: Any) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a statement as `rows` returns them, some at a time; not after the reading has ended."""
        connection = self._run()
        cursor = connection.cursor(name=f"stream_{len(self._cursors)}")
        cursor.itersize = ROWS_A_TIME
        self._cursors.append(cursor)
        cursor.execute(statement, {**named, "end": self._end}, binary=True)
        yield from cursor
        cursor.close()

    def _one(self, statement: str, **named: Any) -> tuple[Any, ...] | None:
        row: tuple[Any, ...] | None = (
            self._run().execute(statement, {**named, "end": self._end}, binary=True).fetchone()
        )
        return row

    def _all(self, statement: str, **named: Any) -> list[tuple[Any, ...]]:
        return self._run().execute(statement, {**named, "end": self._end}, binary=True).fetchall()

    def _run(self) -> psycopg.Connection[Any]:
        if self._connection is None:
            self._connection = self._pool.getconn()
            milliseconds = 0 if self._seconds is None else max(1, round(self._seconds * 1000))
            mark_no, self._followed = _begin(self._connection, milliseconds, follow=self._follow)
            self._end = mark_no if self._end is None else self._end
        return self._connection

    @staticmethod
    def _document(row: tuple[Any, ...]) -> Document:
        document_id, version, data_ion, data, state, sequence_no, tx_id, tx_time = row[:8]
        return Document(
            document_id,
            version,
            ion.read_one(data_ion) if data_ion is not None else data,
            state,
            sequence_no,
            tx_id,
            tx_time,
        )


def _begin(connection: psycopg.Connection[Any], milliseconds: int, *, follow: bool) -> tuple[int, bool]:
    """Begin a snapshot; with `follow`, one whose look-ups are up to date. Returns the mark, and whether they are.

    PostgreSQL gives up a later statement after so many milliseconds.
    """
    while True:
        with psycopg.ClientCursor(connection) as cursor:
            cursor.execute(BEGIN.format(milliseconds))
            cursor.nextset()
            cursor.nextset()
            row = cursor.fetchone()
        assert row is not None
        number, followed = row
        if followed or not follow:
            return int(number), bool(followed)
        connection.rollback()
        connection.execute(FOLLOW)
