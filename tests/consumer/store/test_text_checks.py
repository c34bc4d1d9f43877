"""`verify` compares the texts and values by which documents are found with the journal."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from strandline.consumer.intake.writer import JournalWriter
from strandline.consumer.mark.mark import advance
from strandline.consumer.store.text_checks import check_lookups, check_texts
from tests.copy_rows import STRAND, Revision, chain, pack

ADA_TEXT = "hashtextextended('Ada', 0)"
DAMAGED_TEXTS = [
    f"DELETE FROM journal.found_text WHERE text_hash = {ADA_TEXT} AND document_id = 'A'",
    f"UPDATE journal.found_text SET text_hash = 1 WHERE text_hash = {ADA_TEXT} AND document_id = 'A'",
    f"UPDATE journal.found_text SET document_id = 'B' WHERE text_hash = {ADA_TEXT} AND document_id = 'A'",
]
STRAY_TEXT = "INSERT INTO journal.found_text VALUES ('Licence', 'name', 1, 'A')"
DAMAGED_LOOKUPS = [
    "DELETE FROM journal.lookup WHERE document_id = 'A'",
    "UPDATE journal.lookup SET value_hash = 1 WHERE document_id = 'A'",
    "UPDATE journal.lookup SET document_id = 'B' WHERE document_id = 'A'",
    "UPDATE journal.lookup SET document_id = 'X' WHERE document_id = 'A'",
    "INSERT INTO journal.lookup VALUES ('T1', 'name', 1, 'B')",
    "INSERT INTO journal.lookup VALUES ('T1', 'name', 1, 'X')",
]


@pytest.fixture
def connection(database: str) -> Iterator[psycopg.Connection[Any]]:
    """A is inserted and renamed, B inserted and deleted, C inserted; documents are found by their names."""
    with psycopg.connect(database, autocommit=True) as connection:
        store = JournalWriter(connection)
        store.begin_strand(STRAND, 0)
        connection.execute("SELECT journal.ensure_found_by('{Licence}', '{name}')")
        blocks = chain(
            {"revisions": (Revision("A", 0, {"name": "Ada"}), Revision("B", 0, {"name": "Bob"}))},
            {"revisions": (Revision("A", 1, {"name": "Eve"}), Revision("B", 1, None, state="deleted"))},
            {"revisions": (Revision("C", 0, {"name": "Ada", "n": 1}),)},
        )
        store.intake([pack(blocks)], source="test")
        advance(connection)
        connection.execute("UPDATE journal.user_table SET indexes = '{name}'")
        connection.execute("SELECT journal.follow_lookups()")
        yield connection


def texts(connection: psycopg.Connection[Any], first: int = 0) -> list[str]:
    return [fault.detail for fault in check_texts(connection, first, 2, everything=first == 0)]


def lookups(connection: psycopg.Connection[Any], first: int = 0) -> list[str]:
    return [fault.detail for fault in check_lookups(connection, first, 2, everything=first == 0)]


def test_what_follows_the_mark_holds(connection: psycopg.Connection[Any]) -> None:
    assert connection.execute("SELECT count(*) FROM journal.found_text").fetchone() == (4,)
    assert connection.execute("SELECT count(*) FROM journal.lookup").fetchone() == (2,)
    for first in (0, 1, 2):
        assert (texts(connection, first), lookups(connection, first)) == ([], [])


@pytest.mark.parametrize("statement", [*DAMAGED_TEXTS, STRAY_TEXT])
def test_every_difference_of_texts_is_found(connection: psycopg.Connection[Any], statement: str) -> None:
    assert connection.execute(statement.encode()).rowcount == 1
    found = texts(connection)
    assert found
    assert all("Ada" not in detail and "Eve" not in detail for detail in found)


def test_a_part_compares_the_texts_of_its_blocks(connection: psycopg.Connection[Any]) -> None:
    connection.execute(DAMAGED_TEXTS[0].encode())
    connection.execute(STRAY_TEXT)
    assert texts(connection, 1) == []
    connection.execute("DELETE FROM journal.found_text WHERE document_id = 'C'")
    assert texts(connection, 1) == ["document C is not found by its value of field name"]


@pytest.mark.parametrize("statement", DAMAGED_LOOKUPS)
def test_every_difference_of_lookups_is_found(connection: psycopg.Connection[Any], statement: str) -> None:
    assert connection.execute(statement.encode()).rowcount == 1
    assert lookups(connection) != []


def test_lookups_that_wait_to_be_filled_are_not_compared(connection: psycopg.Connection[Any]) -> None:
    connection.execute("DELETE FROM journal.lookup")
    connection.execute("INSERT INTO journal.change (sequence_no, kind) VALUES (0, 'upgraded')")
    assert lookups(connection) == []
    connection.execute("SELECT journal.follow_lookups()")
    assert lookups(connection) == []
    assert connection.execute("SELECT count(*) FROM journal.lookup").fetchone() == (2,)
