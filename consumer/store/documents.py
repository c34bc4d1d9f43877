"""The documents up to the mark: where each version is, which one is the last, by which texts they are found.

The tables are those of migrations/0002_journal.sql.

Every function runs in the caller's transaction, the one that moves the mark or changes a block below it.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from strandline.consumer.database.connection import Connection
from strandline.consumer.database.planner import AS_BEFORE, BY_INDEX
from strandline.journal.check.block import Fault

# Both tables are written in the order of their keys.
ADD = """
    WITH added AS MATERIALIZED (
        SELECT document_id, version, sequence_no, table_id, state = 'deleted' AS deleted
        FROM journal.revision WHERE sequence_no BETWEEN %(first)s AND %(last)s
        ORDER BY document_id, version
    ), versions AS (
        INSERT INTO journal.document_version (document_id, version, sequence_no)
        SELECT document_id, version, sequence_no FROM added
    )
    INSERT INTO journal.document AS d (document_id, version, sequence_no, table_id, deleted)
    SELECT DISTINCT ON (document_id) * FROM added ORDER BY document_id, version DESC
    ON CONFLICT (document_id) DO UPDATE
    SET table_id = excluded.table_id, version = excluded.version, sequence_no = excluded.sequence_no,
        deleted = excluded.deleted
    WHERE d.version < excluded.version"""

# What the blocks hold now, and what they held before.
TOUCHED = """
    SELECT document_id FROM journal.revision WHERE sequence_no = ANY (%(numbers)s)
    UNION SELECT document_id FROM journal.document_version
          WHERE document_id = ANY (%(documents)s) AND sequence_no = ANY (%(numbers)s)
    ORDER BY document_id"""
LOCK = "SELECT FROM journal.document WHERE document_id = ANY (%(touched)s) ORDER BY document_id FOR UPDATE"
REMOVE_VERSIONS = """
    DELETE FROM journal.document_version
    WHERE document_id = ANY (%(touched)s) AND sequence_no = ANY (%(numbers)s)"""
ADD_VERSIONS = """
    INSERT INTO journal.document_version (document_id, version, sequence_no)
    SELECT document_id, version, sequence_no FROM journal.revision
    WHERE sequence_no = ANY (%(numbers)s) ORDER BY document_id, version
    ON CONFLICT DO NOTHING"""
REMOVE_DOCUMENTS = "DELETE FROM journal.document WHERE document_id = ANY (%(touched)s)"
ADD_DOCUMENTS = """
    INSERT INTO journal.document (document_id, table_id, version, sequence_no, deleted)
    SELECT v.document_id, r.table_id, v.version, v.sequence_no, r.state = 'deleted'
    FROM (
        SELECT DISTINCT ON (document_id) * FROM journal.document_version WHERE document_id = ANY (%(touched)s)
        ORDER BY document_id, version DESC, sequence_no DESC) AS v
    CROSS JOIN LATERAL journal.revision_at(v.sequence_no, v.document_id, v.version) r"""

# Revisions whose version is not where it is said to be, or that come after the last one of their document.
DIFFERING = """
    SELECT r.sequence_no, r.document_id, r.version
    FROM journal.revision r
    LEFT JOIN journal.document_version v USING (document_id, version, sequence_no)
    LEFT JOIN journal.document d ON d.document_id = r.document_id
    WHERE r.sequence_no BETWEEN %(first)s AND least(%(last)s, (SELECT sequence_no FROM journal.mark)) AND (
        v.document_id IS NULL OR d.version IS NULL OR d.version < r.version
        OR d.version = r.version AND (d.sequence_no, d.table_id, d.deleted)
                                     IS DISTINCT FROM (r.sequence_no, r.table_id, r.state = 'deleted'))
    ORDER BY r.sequence_no, r.document_id, r.version LIMIT 1000"""
# The rest: documents that are missing or of which no version is left, and versions of which there is no revision. One
# statement sees one state of both.
MISPLACED = """
    SELECT coalesce(d.sequence_no, v.sequence_no), document_id, coalesce(d.version, v.version)
    FROM (
        SELECT document_id, max(version) AS version, max(sequence_no) AS sequence_no
        FROM journal.document_version GROUP BY document_id) AS v
    FULL JOIN journal.document d USING (document_id)
    WHERE v.version IS DISTINCT FROM d.version
    ORDER BY 1, 2 LIMIT 1000"""
COUNTS = """
    SELECT (SELECT count(*) FROM journal.document_version),
           (SELECT count(*) FROM journal.revision WHERE sequence_no <= (SELECT sequence_no FROM journal.mark))"""

ADD_TEXTS = "SELECT journal.add_texts(%(first)s, %(last)s)"
CHANGE_TEXTS = "SELECT journal.change_texts(%s)"

FAULT = "document"


def add_documents(connection: Connection, first: int, last: int) -> None:
    """Add the revisions of the blocks `first` to `last`, over which the mark is about to be raised."""
    connection.execute(ADD, {"first": first, "last": last}, prepare=False)
    connection.execute(ADD_TEXTS, {"first": first, "last": last})


def change_documents(connection: Connection, numbers: Sequence[int], documents: Collection[str]) -> None:
    """Derive again what blocks below the mark say, which were found or upgraded there.

    `documents` are those that the blocks held before.
    """
    named: dict[str, list[int] | list[str]] = {"numbers": list(numbers), "documents": list(documents)}
    connection.execute(BY_INDEX)
    named["touched"] = [id_ for (id_,) in connection.execute(TOUCHED, named, prepare=False)]
    # Two intakes may upgrade versions of one document at once: the second waits, then sees what the first did.
    for statement in (LOCK, REMOVE_VERSIONS, ADD_VERSIONS, REMOVE_DOCUMENTS, ADD_DOCUMENTS):
        connection.execute(statement, named, prepare=False)
    connection.execute(AS_BEFORE)
    change_texts(connection, named["touched"])


def change_texts(connection: Connection, documents: Sequence[Any]) -> None:
    """Derive again by which texts these documents are found, since data of theirs was erased or changed."""
    connection.execute(CHANGE_TEXTS, [list(documents)])


def check_range(connection: Connection, first: int, last: int) -> Iterator[Fault]:
    """Compare the revisions of these blocks, as far as the mark, with the documents. Yields the first faults."""
    for number, document_id, version in connection.execute(DIFFERING, {"first": first, "last": last}, prepare=False):
        yield Fault(number, FAULT, f"version {version} of document {document_id} is not where the index has it")


def check_documents(connection: Connection) -> Iterator[Fault]:
    """Compare the documents with their versions, and count these. Yields the faults that no range shows."""
    for number, document_id, version in connection.execute(MISPLACED, prepare=False):
        yield Fault(number, FAULT, f"version {version} of document {document_id} is not its last one in the index")
    versions, revisions = connection.execute(COUNTS, prepare=False).fetchone() or (0, 0)
    if versions != revisions:
        yield Fault(None, FAULT, f"the index has {versions:,} versions, and the journal {revisions:,} revisions")
