"""The documents and where their versions are: exact after whatever comes in, and checked by `verify`."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from strandline.consumer.intake.writer import JournalWriter
from strandline.consumer.mark.gaps import accept_gap
from strandline.consumer.mark.mark import advance
from strandline.consumer.store.documents import check_documents, check_range
from tests.copy_rows import Block, Revision, as_json, chain, pack

VERSIONS = "SELECT document_id, version, sequence_no FROM journal.document_version ORDER BY 1, 2, 3"
DOCUMENTS = "SELECT document_id, table_id, version, sequence_no, deleted FROM journal.document ORDER BY 1"
DAMAGE = [
    "DELETE FROM journal.document_version WHERE document_id = 'A' AND version = 0",
    "UPDATE journal.document_version SET sequence_no = 3 WHERE document_id = 'A' AND version = 1",
    "INSERT INTO journal.document_version VALUES ('A', 2, 3)",
    "INSERT INTO journal.document_version VALUES ('C', 0, 3)",
    "DELETE FROM journal.document WHERE document_id = 'B'",
    "UPDATE journal.document SET version = 0, sequence_no = 0 WHERE document_id = 'A'",
    "UPDATE journal.document SET version = 2 WHERE document_id = 'A'",
    "UPDATE journal.document SET sequence_no = 3 WHERE document_id = 'A'",
    "UPDATE journal.document SET table_id = 'T2' WHERE document_id = 'A'",
    "UPDATE journal.document SET deleted = false WHERE document_id = 'B'",
    "INSERT INTO journal.document VALUES ('C', 'T1', 0, 3, false)",
]


def history() -> list[Block]:
    """A is inserted, B inserted, A updated, B deleted; block 4 is empty."""
    revisions = [Revision("A"), Revision("B"), Revision("A", 1), Revision("B", 1, None, state="deleted")]
    return chain(*[{"revisions": (revision,)} for revision in revisions], {})


@pytest.fixture
def connection(database: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database, autocommit=True) as connection:
        yield connection


def take(store: JournalWriter, connection: psycopg.Connection[Any], *blocks: Block) -> None:
    store.intake([pack(list(blocks))], source="test")
    advance(connection)


def differences(connection: psycopg.Connection[Any]) -> list[int | None]:
    return [fault.sequence_no for fault in [*check_range(connection, 0, 99), *check_documents(connection)]]


def rows(connection: psycopg.Connection[Any], query: str) -> list[Any]:
    return connection.execute(query.encode()).fetchall()


def test_they_follow_the_mark(store: JournalWriter, connection: psycopg.Connection[Any]) -> None:
    blocks = history()
    take(store, connection, blocks[0], blocks[2], blocks[3])
    assert rows(connection, VERSIONS) == [("A", 0, 0)]
    assert rows(connection, DOCUMENTS) == [("A", "T1", 0, 0, False)]
    take(store, connection, *blocks)
    assert rows(connection, VERSIONS) == [("A", 0, 0), ("A", 1, 2), ("B", 0, 1), ("B", 1, 3)]
    assert rows(connection, DOCUMENTS) == [("A", "T1", 1, 2, False), ("B", "T1", 1, 3, True)]
    assert differences(connection) == []


def test_an_upgrade_moves_a_version_to_its_document(store: JournalWriter, connection: psycopg.Connection[Any]) -> None:
    """JSON's ids are covered by no hash: here it names another document and another table."""
    blocks = chain({"revisions": (Revision("Doc-A"),)}, {"revisions": (Revision("Doc-B"),)})
    told = pack([as_json(blocks[1])])
    forged = told._replace(blocks=_forged(told.blocks), revisions=_forged(told.revisions))
    store.intake([pack([blocks[0]]), forged], source="test")
    advance(connection)
    assert rows(connection, DOCUMENTS) == [("Doc-A", "T1", 0, 0, False), ("Doc-X", "T9", 0, 1, False)]
    take(store, connection, *blocks)
    assert rows(connection, DOCUMENTS) == [("Doc-A", "T1", 0, 0, False), ("Doc-B", "T1", 0, 1, False)]
    assert rows(connection, VERSIONS) == [("Doc-A", 0, 0), ("Doc-B", 0, 1)]
    assert differences(connection) == []


def test_blocks_found_in_a_gap_add_versions(store: JournalWriter, connection: psycopg.Connection[Any]) -> None:
    blocks = history()
    take(store, connection, blocks[0], *blocks[3:])
    accept_gap(connection, 1, 2, "lost")
    assert rows(connection, DOCUMENTS) == [("A", "T1", 0, 0, False), ("B", "T1", 1, 3, True)]
    take(store, connection, *blocks[1:3])
    assert rows(connection, VERSIONS) == [("A", 0, 0), ("A", 1, 2), ("B", 0, 1), ("B", 1, 3)]
    assert rows(connection, DOCUMENTS) == [("A", "T1", 1, 2, False), ("B", "T1", 1, 3, True)]
    assert differences(connection) == []


@pytest.mark.parametrize("later", [False, True], ids=["before", "later"])
def test_documents_are_found_by_every_text_that_is_not_erased(
    store: JournalWriter, connection: psycopg.Connection[Any], later: bool
) -> None:
    """The field may be asked for before the blocks come in, or later."""
    blocks = chain(
        {"revisions": (Revision("A", 0, {"name": "Ada"}), Revision("B", 0, {"name": "Ada", "n": 1}))},
        {"revisions": (Revision("A", 1, {"name": "Eve"}), Revision("C", 0, {"name": "Ada"}, table="Other"))},
        {"redactions": ((0, "A", 0),)},
    )
    ensure = "SELECT journal.ensure_found_by('{Licence,\"\"}', '{name,n}')"
    expected = [("Licence", "name", "A"), ("Licence", "name", "B")]
    if not later:
        connection.execute(ensure)
        take(store, connection, *blocks[:2])
        assert texts(connection, "Ada") == expected
        assert texts(connection, "Eve") == [("Licence", "name", "A")]
    take(store, connection, *blocks)
    connection.execute(ensure)
    assert texts(connection, "Ada") == expected[1:]
    assert texts(connection, "Eve") == [("Licence", "name", "A")]
    assert texts(connection, "1") == [("", "n", "B")]


def texts(connection: psycopg.Connection[Any], text: str) -> list[Any]:
    query = "SELECT table_name, field, document_id FROM journal.found_text WHERE text_hash = hashtextextended(%s, 0)"
    return connection.execute(f"{query} ORDER BY 1, 2, 3".encode(), [text]).fetchall()


@pytest.mark.parametrize("statement", DAMAGE)
def test_the_check_finds_every_difference(
    store: JournalWriter, connection: psycopg.Connection[Any], statement: str
) -> None:
    take(store, connection, *history())
    assert differences(connection) == []
    assert connection.execute(statement.encode()).rowcount == 1
    assert differences(connection) != []


def _forged(packed: bytes) -> bytes:
    return packed.replace(b"Doc-B", b"Doc-X").replace(b"T1", b"T9")
