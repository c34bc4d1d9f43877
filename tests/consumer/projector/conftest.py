from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from strandline.consumer.database.connection import connect
from tests.strand_rows import StrandRows


@pytest.fixture
def connection(database: str) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    with connect(database) as connection:
        yield connection
        connection.rollback()


@pytest.fixture
def strand(database: str) -> Iterator[StrandRows]:
    with connect(database, autocommit=True) as connection:
        yield StrandRows(connection)
