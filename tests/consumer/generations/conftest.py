"""A strand that the tests write, and a connection that looks at what came of it."""

from collections.abc import Iterator

import pytest

from strandline.consumer.database.connection import Connection, connect
from tests.strand_rows import StrandRows


@pytest.fixture
def strand(database: str) -> Iterator[StrandRows]:
    """The journal's rows, written over a connection of its own."""
    with connect(database, autocommit=True) as connection:
        yield StrandRows(connection)


@pytest.fixture
def connection(database: str) -> Iterator[Connection]:
    """A connection on which each statement is a transaction."""
    with connect(database, autocommit=True) as connection:
        yield connection
