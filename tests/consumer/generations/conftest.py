"""A connection that looks at what came of a strand."""

from collections.abc import Iterator

import pytest

from strandline.consumer.database.connection import Connection, connect


@pytest.fixture
def connection(database: str) -> Iterator[Connection]:
    """A connection on which each statement is a transaction."""
    with connect(database, autocommit=True) as connection:
        yield connection
