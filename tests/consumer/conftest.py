"""Connections to a test's own database, and what writes into it."""

from collections.abc import Iterator

import pytest

from strandline.consumer.database.connection import Connection, connect
from strandline.consumer.intake.writer import JournalWriter
from tests.copy_rows import STRAND
from tests.strand_rows import StrandRows


@pytest.fixture
def connection(database: str) -> Iterator[Connection]:
    """A connection that begins transactions by itself."""
    with connect(database) as connection:
        yield connection


@pytest.fixture
def store(connection: Connection) -> JournalWriter:
    """The writer of a store whose strand has begun."""
    store = JournalWriter(connection)
    store.begin_strand(STRAND, 0)
    return store


@pytest.fixture
def strand(database: str) -> Iterator[StrandRows]:
    """The journal's rows, written over a connection of its own."""
    with connect(database, autocommit=True) as connection:
        yield StrandRows(connection)
