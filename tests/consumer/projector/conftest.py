from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from strandline.consumer.database.connection import connect


@pytest.fixture
def connection(database: str) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    with connect(database) as connection:
        yield connection
        connection.rollback()
